"""Is a delivery what its manifest says? Digests and sizes of all files, digests of their streams, marking.

In: the store that is rooted at a programme's folder, anywhere. Out: a `Verdict`. A delivery is hostile input: only
names that the manifest may hold are opened, and a file is read as MP4 or not at all. Knows nothing of how it was made.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.domain.delivery import Manifest, ManifestOutput, Verdict
from tasks.domain.errors import InputError, MediaError, StoreError
from tasks.engines.stores import MANIFEST, Store, check_key
from tasks.formats.manifest import read_manifest
from tasks.media.mux import stream_sha256
from tasks.media.storage import file_sha256


def store_uri(programme: str) -> str:
    """The store rooted at the folder that a person names: a path or a URI of a folder, or of the manifest in it."""
    place = programme.removesuffix(f"/{MANIFEST}") if programme != MANIFEST else "."
    if place.startswith(("s3://", "file:")):
        return place.rstrip("/")
    return f"file:{Path(place).absolute()}"


def verify(folder: Store, *, scratch: Path) -> Verdict:
    """Recompute what the manifest states. folder: as `store_uri` names it; or an episode's, whose latest is taken.

    scratch: where files of a remote store are fetched to, one at a time.
    Raises InputError where there is no manifest, StoreError where the store does not answer.
    """
    prefix = _prefix(folder)
    manifest = read_manifest(folder.read(f"{prefix}{MANIFEST}") or b"", folder.address(f"{prefix}{MANIFEST}"))
    faults = [fault for output in manifest.outputs for fault in _faults(folder, prefix, output, scratch)]
    return Verdict(
        programme=folder.address(f"{prefix}{MANIFEST}").removesuffix(f"/{MANIFEST}"),
        episode=manifest.episode,
        revision=manifest.revision,
        num_checked=len(manifest.outputs),
        faults=tuple(faults),
        notes=_notes(manifest),
    )


def _prefix(folder: Store) -> str:
    """Nothing for a programme's own folder; "<revision>/" for an episode's."""
    if folder.stat(MANIFEST) is not None:
        return ""
    latest = folder.read("latest.json", limit=4096)
    if latest is not None:
        try:
            prefix = f"{check_key(json.loads(latest)['revision'])}/"
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError("its latest.json names no revision.", where=folder.uri) from error
        if folder.stat(f"{prefix}{MANIFEST}") is not None:
            return prefix
    raise InputError(
        "it is no programme: there is no manifest.json.",
        where=folder.uri,
        remedy="Name the folder that `troupe produce` printed.",
    )


def _faults(folder: Store, prefix: str, output: ManifestOutput, scratch: Path) -> Iterator[str]:
    key = f"{prefix}{output.name}"
    stored = folder.stat(key)
    if stored is None:
        yield f"{output.name} is missing."
        return
    if stored.size != output.bytes:
        yield f"{output.name} has {stored.size} bytes, not {output.bytes}."
        return
    with _opened(folder, key, scratch) as path:
        if file_sha256(path) != output.sha256:
            yield f"{output.name} was altered: its SHA-256 is not the manifest's."
        elif output.stream_sha256:
            yield from _stream_faults(path, output)


def _stream_faults(path: Path, output: ManifestOutput) -> Iterator[str]:
    try:
        found = stream_sha256(path)
    except MediaError as error:
        yield f"the streams of {output.name} cannot be read: {error}"
        return
    if found != output.stream_sha256:
        yield f"{output.name} holds other streams than the manifest says."


def _notes(manifest: Manifest) -> tuple[str, ...]:
    marking = manifest.marking.label
    label = f"It is labelled {marking!r}." if marking else "It was published without a visible label, by setting."
    missing = [consent.speaker for consent in manifest.consent if consent.state != "recorded"]
    return (label, f"Consent is not recorded for {', '.join(missing)}.") if missing else (label,)


@contextmanager
def _opened(folder: Store, key: str, scratch: Path) -> Iterator[Path]:
    """The file itself where the store is a folder; else a copy that is gone afterwards."""
    own = folder.local(key)
    if own is not None:
        yield own
        return
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / f"{uuid.uuid4().hex}.mp4"
    try:
        if not folder.fetch(key, path):
            raise StoreError(f"{folder.address(key)} has gone while it was being checked.")
        yield path
    finally:
        path.unlink(missing_ok=True)
