"""Engines and a store in memory. Each passes the contract of what it replaces."""

# ruff: noqa: D102  (a fake's methods are those of its Protocol, which says what they do)

# --- stores -----------------------------------------------------------------------------------------------------------

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.domain.errors import StoreError
from tasks.engines.stores import MANIFEST, Stored, check_key, check_prefix


class MemoryStore:
    """A store in memory, whose clock a test may set, and which fails when told to."""

    uri = "file:/memory"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.ahead = timedelta(0)
        """How much later than the machine's this store's clock is."""
        self.fail_at: int | None = None
        """The call with this number, counted from 1, raises StoreError."""
        self.num_calls = 0
        self.calls: list[str] = []
        self._lock = threading.RLock()

    @property
    def now(self) -> datetime:
        """By this store's clock."""
        return datetime.now(UTC) + self.ahead

    def check(self, *, write: bool = False) -> None:
        self._called("check")

    def stat(self, key: str) -> Stored | None:
        with self._called(f"stat {check_key(key)}"):
            if key not in self.objects:
                return None
            content, modified = self.objects[key]
            return Stored(key=key, size=len(content), modified=modified)

    def local(self, key: str) -> Path | None:
        check_key(key)
        return None

    def fetch(self, key: str, target: Path) -> bool:
        content = self.read(key)
        if content is not None:
            target.write_bytes(content)
        return content is not None

    def read(self, key: str, *, limit: int = 64 << 20) -> bytes | None:
        with self._called(f"read {check_key(key)}"):
            content = self.objects.get(key, (None, None))[0]
        if content is not None and len(content) > limit:
            raise StoreError(f"{key} is larger than the {limit} bytes that such a document may have.")
        return content

    def put(self, key: str, source: Path, media_type: str) -> None:
        self.write(key, source.read_bytes(), media_type)

    def write(self, key: str, content: bytes, media_type: str) -> None:
        with self._called(f"write {check_key(key)}"):
            self.objects[key] = (content, self.now)

    def create(self, key: str, content: bytes, media_type: str) -> bool:
        with self._called(f"create {check_key(key)}"):
            is_new = key not in self.objects
            if is_new:
                self.objects[key] = (content, self.now)
            return is_new

    def touch(self, key: str) -> bool:
        with self._called(f"touch {check_key(key)}"):
            if key in self.objects:
                self.objects[key] = (self.objects[key][0], self.now)
            return key in self.objects

    def delete(self, key: str) -> None:
        with self._called(f"delete {check_key(key)}"):
            self.objects.pop(key, None)

    def list(self, prefix: str) -> Iterator[Stored]:
        with self._called(f"list {check_prefix(prefix)}"):
            found = [(key, *held) for key, held in self.objects.items() if key.startswith(prefix)]
        for key, content, modified in found:
            yield Stored(key=key, size=len(content), modified=modified)

    def copy(self, source: str, target: str) -> None:
        with self._called(f"copy {check_key(source)} {check_key(target)}"):
            if source not in self.objects:
                raise StoreError(f"{source} is gone. Run again.")
            self.objects[target] = (self.objects[source][0], self.now)

    def publish(self, prefix: str, files: Mapping[str, str], manifest: bytes) -> bool:
        with self._called(f"publish {check_key(prefix)}"):
            if f"{prefix}/{MANIFEST}" in self.objects:
                return False
            if gone := [key for key in files.values() if key not in self.objects]:
                raise StoreError(f"{gone[0]} is gone. Run again.")
            for name, key in files.items():
                self.objects[f"{prefix}/{name}"] = (self.objects[key][0], self.now)
            self.objects[f"{prefix}/{MANIFEST}"] = (manifest, self.now)
            return True

    def tidy(self, before: datetime) -> int:
        return 0

    def address(self, key: str) -> str:
        return f"/memory/{check_key(key)}"

    def link(self, key: str, seconds: int) -> str:
        return f"memory:{check_key(key)}"

    def _called(self, what: str) -> threading.RLock:
        self.num_calls += 1
        self.calls.append(what)
        if self.num_calls == self.fail_at:
            raise StoreError(f"The store failed at call {self.num_calls} ({what}).")
        return self._lock


# --- end of stores ----------------------------------------------------------------------------------------------------


# --- renderers --------------------------------------------------------------------------------------------------------

import numpy as np  # noqa: E402

from s2v_model.contract import Chunks, Take, Traits, UInt8Array, Watch  # noqa: E402


class FlatRenderer:
    """One colour a take, at once: for tests of everything around rendering."""

    def traits(self) -> Traits:
        return Traits(name="flat", revision=1, weights="")

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        frame = np.full((take.height, take.width, 3), take.seed % 256, dtype=np.uint8)
        for number in range(take.num_frames):
            watch(number, take.num_frames)
            yield frame


# --- end of renderers -------------------------------------------------------------------------------------------------
