"""Stores: where assets, clips, memory and programmes are kept. One Protocol, a folder and S3 behind it.

Keys are relative paths with "/" ("assets/ab/abcd.mp4"). Every write is atomic: a reader sees nothing or all of it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """Bytes by key. Every method raises StoreError where the store does not answer or breaks its word."""

    @property
    def uri(self) -> str:
        """How a person names this store: "file:/abs/store" or "s3://bucket/prefix"."""
        ...

    def has(self, key: str) -> bool:
        """Whether an object is there, whole."""
        ...

    def fetch(self, key: str, target: Path) -> bool:
        """Write the object to `target` (beside, then renamed). False where there is none."""
        ...

    def read(self, key: str, *, limit: int = 64 << 20) -> bytes | None:
        """The object's bytes, None where there is none. For small documents: more than `limit` is a StoreError."""
        ...

    def put(self, key: str, source: Path, media_type: str) -> None:
        """Store a file; replaces what is there, atomically."""
        ...

    def write(self, key: str, content: bytes, media_type: str) -> None:
        """Store a small document; replaces what is there, atomically."""
        ...

    def create(self, key: str, content: bytes, media_type: str) -> bool:
        """Store a small document only where nothing is: of many writers exactly one gets True."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; none there is no error."""
        ...

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, bytes) of every object whose key starts with `prefix`. Never in a hot path."""
        ...

    def publish(self, prefix: str, files: dict[str, Path], manifest: bytes) -> bool:
        """Put a whole folder below `prefix` and make it visible at once with its "manifest.json", last.

        files: name within the folder -> file. False where a manifest stands there already (nothing is changed then).
        """
        ...

    def address(self, key: str) -> str:
        """Where a person finds the object: a path, or a URI."""
        ...
