"""The digest of a checkpoint: what makes two sets of weights the same, wherever they lie.

In: files and a folder to remember digests in. Out: one SHA-256. Knows no tensor.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_log = logging.getLogger(__name__)


def weights_digest(files: Iterable[Path], folder: Path, memory: Path | None) -> str:
    """SHA-256 over the names below `folder` and the contents of `files`.

    Hashing 46 GB takes a minute: digests are remembered in `memory` (a file) for as long as a file's device, inode,
    size and time of change stay the same.
    """
    known = _remembered(memory)
    digests = {path: known.get(_identity(path)) or file_sha256(path) for path in files}
    _remember(memory, {**known, **{_identity(path): digest for path, digest in digests.items()}})
    lines = sorted(f"{_name(path, folder)}\0{digest}\n" for path, digest in digests.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Of a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _identity(path: Path) -> str:
    status = path.stat()
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def _remembered(memory: Path | None) -> dict[str, str]:
    if memory is None or not memory.is_file():
        return {}
    try:
        return {str(key): str(value) for key, value in json.loads(memory.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        _log.warning("%s is damaged; all weights are hashed again", memory)
        return {}


def _remember(memory: Path | None, digests: Mapping[str, str]) -> None:
    if memory is None:
        return
    beside = memory.with_name(f"{memory.name}.{os.getpid()}")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(digests, sort_keys=True), "utf-8")
        beside.replace(memory)
    except OSError as error:
        _log.warning("digests are not remembered, and computed again next time: %s", error)
