"""Stores: where assets, clips, memory and programmes are kept. One Protocol, a folder and S3 behind it.

Keys are relative paths with "/" ("assets/ab/abcd.mp4"). Every write is atomic: a reader sees nothing or all of it.
Knows no digest and no schema: the workspace decides what a key means and whether its bytes are right.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from tasks.domain.errors import SettingsError

MANIFEST = "manifest.json"
"""The name that `Store.publish` writes last: a folder with it is done."""
SPOOL = "tmp"
"""First part of no key: where a folder store keeps what is not whole yet."""

_SCHEMES = {
    "file": "tasks.engines.stores.folder:load",
    "s3": "tasks.engines.stores.s3:load",
}
# What every file system and every S3 service takes, unescaped. A leading dot would hide files, or name a parent.
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_MAX_KEY_BYTES = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a store says of an object without opening it."""

    key: str
    size: int
    """Bytes."""
    modified: datetime
    """When it was written or touched, by the store's clock; UTC."""


class Store(Protocol):
    """Bytes by key. Every method raises StoreError where the store does not answer or breaks its word.

    A key that `check_key` refuses is a ValueError: only a defect of ours can make one.
    """

    @property
    def uri(self) -> str:
        """How a person names this store: "file:/abs/store" or "s3://bucket/prefix"."""
        ...

    def check(self, *, write: bool = False) -> None:
        """Whether work can start here. Raises SettingsError where a person must mend settings, else StoreError.

        write: prove by a probe, removed again, that it can be written and that `create` has one winner.
        """
        ...

    def stat(self, key: str) -> Stored | None:
        """Size and age of an object, None where there is none. What is there is whole."""
        ...

    def local(self, key: str) -> Path | None:
        """The object's own file, never to be written to; None where there is none or the store has no files."""
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

    def touch(self, key: str) -> bool:
        """Make an object as young as if it had just been written. False where there is none."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; none there is no error."""
        ...

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every object whose key starts with `prefix`, in any order. Never in a hot path."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Make `target` hold what `source` holds, on the store's side; replaces. None at `source`: StoreError."""
        ...

    def publish(self, prefix: str, files: Mapping[str, str], manifest: bytes) -> bool:
        """Make a folder of objects that are in the store already, visible with its "manifest.json", last.

        files: name within the folder -> key of the object. False where a manifest stands there already: nothing
        is changed then. A file that is not in the store is a StoreError.
        """
        ...

    def tidy(self, before: datetime) -> int:
        """Remove what dead writers left half-done before that time; returns how many pieces. Never an object."""
        ...

    def address(self, key: str) -> str:
        """Where a person finds the object: a path, or a URI."""
        ...

    def link(self, key: str, seconds: int) -> str:
        """An address that a browser opens without an account, for so many seconds (a folder's: for ever)."""
        ...


def load(uri: str, options: Mapping[str, Any]) -> Store:
    """The store that `uri` names. options: what that kind of store is set to (S3: endpoint, keys, ...).

    Opens no connection and writes nothing. Raises SettingsError for an address that names no store.
    """
    scheme, colon, _ = uri.partition(":")
    if not colon or scheme not in _SCHEMES:
        raise SettingsError(
            f"the store {uri!r} is no address of a store.",
            remedy="Write file:/path/to/folder, file:folder or s3://bucket/prefix.",
        )
    module, attribute = _SCHEMES[scheme].split(":")
    return cast(Store, getattr(import_module(module), attribute)(uri, options))


def check_key(key: str) -> str:
    """The key itself, where it is one: parts of A-Z a-z 0-9 . _ -, none hidden, none a parent, none empty.

    Raises ValueError for anything else.
    """
    parts = key.split("/")
    if len(key) > _MAX_KEY_BYTES or parts[0] == SPOOL or not all(_PART.fullmatch(part) for part in parts):
        raise ValueError(f"not a key of a store: {key[:200]!r}")
    return key


def check_prefix(prefix: str) -> str:
    """The prefix itself, where it can begin a key ("", "clips/", "partial/ab12/"). Raises ValueError if not."""
    if prefix:
        check_key(prefix[:-1] if prefix.endswith("/") else prefix)
    return prefix
