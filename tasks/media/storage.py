"""Files on the disk: their digest, and a full or unwritable disk as StoreError. Knows nothing of what they hold."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path

from tasks.domain.errors import StoreError

FULL_DISK_TEXT = "No space left on device"
"""What FFmpeg's log says of a full disk."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; the file is read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def full_disk(path: Path) -> StoreError:
    """The error for a disk that took no more of `path`."""
    return StoreError(f"the disk below {path.parent} is full: free some space and run again; finished work is kept.")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise StoreError for every OSError of the body, which writes `path`."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StoreError:
    """What it means that `path` took no more. FFmpeg's errors are OSErrors, too, where it was the disk that refused."""
    if error.errno in (ENOSPC, EDQUOT):
        return full_disk(path)
    return StoreError(f"{path} cannot be written ({error.strerror or error}).")
