"""manifest.json, schema manifest/1: a delivery's own account of itself, text out and text in.

In and out: `Manifest`. Rates are "25/1", measured checks an object. Fields that a later release adds are passed over.
Knows no store.
"""

import json
import re
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tasks.domain.delivery import MANIFEST_SCHEMA, Manifest
from tasks.domain.errors import InputError
from tasks.formats.canonical import plain

_ADAPTER = TypeAdapter(Manifest)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[0-9a-f]{16}")
_RATE = re.compile(r"[1-9][0-9]{0,8}/[1-9][0-9]{0,8}")
# A name within the folder: no folder of its own, nothing hidden.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


def manifest_text(manifest: Manifest) -> bytes:
    """The file's content: UTF-8, one field a line, fields in the order of DESIGN.md."""
    fields = plain(manifest)
    for shot in fields["shots"]:
        shot["checks"] = dict(shot["checks"])
    return (json.dumps({"schema": MANIFEST_SCHEMA, **fields}, indent=1, ensure_ascii=False) + "\n").encode()


def read_manifest(content: bytes, where: str) -> Manifest:
    """The manifest that a file holds. where: the file, for messages.

    Raises InputError for anything but a manifest/1 whose names, digests and revision can be ones.
    """
    try:
        fields = json.loads(content)
        if not isinstance(fields, dict) or fields.pop("schema", None) != MANIFEST_SCHEMA:
            raise InputError(f"it is no manifest of schema {MANIFEST_SCHEMA}.", where=where)
        _check_rates(fields.get("outputs"), where)
        manifest = _ADAPTER.validate_python(_with_pairs(fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the manifest's {place} cannot be read ({first['msg']}).", where=where) from error
    except (ValueError, RecursionError) as error:
        raise InputError("it is no JSON.", where=where) from error
    _check(manifest, where)
    return manifest


def _check_rates(outputs: Any, where: str) -> None:
    """Before anybody computes them: "1e999999999" is a fraction, too, and would fill the memory."""
    for output in outputs if isinstance(outputs, list) else ():
        rate = output.get("rate") if isinstance(output, dict) else None
        if not isinstance(rate, str) or not _RATE.fullmatch(rate):
            raise InputError(f'the rate {str(rate)[:40]!r} of an output is not like "25/1".', where=where)


def _with_pairs(fields: dict[str, Any]) -> dict[str, Any]:
    shots = fields.get("shots")
    if not isinstance(shots, list):
        return fields
    return {**fields, "shots": [_shot_with_pairs(shot) for shot in shots]}


def _shot_with_pairs(shot: Any) -> Any:
    if not isinstance(shot, dict) or not isinstance(shot.get("checks"), dict):
        return shot
    return {**shot, "checks": list(shot["checks"].items())}


def _check(manifest: Manifest, where: str) -> None:
    names = [output.name for output in manifest.outputs]
    for output in manifest.outputs:
        if not _NAME.fullmatch(output.name) or output.name == "manifest.json" or names.count(output.name) > 1:
            raise InputError(f"{output.name[:80]!r} cannot be the name of an output.", where=where)
        if not _SHA256.fullmatch(output.sha256) or output.bytes < 0:
            raise InputError(f"digest or size of output {output.name!r} cannot be ones.", where=where)
    if not _REVISION.fullmatch(manifest.revision):
        raise InputError(f"the revision {manifest.revision[:80]!r} is not 16 hexadecimal digits.", where=where)
