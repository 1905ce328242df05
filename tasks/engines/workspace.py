"""Assets as local files over any store, and the one memory: stages see no bucket, no URL and no second cache.

In: files that stages made, values that stages returned. Out: verified local files, and the values again. Knows the
keys of DESIGN.md's store (assets, clips, memo, partial); not what a stage does, nor how a programme is published.
"""

import hashlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from s2v_model.contract import Chunks
from tasks.domain.assets import Asset
from tasks.domain.editing import Clip
from tasks.domain.errors import StoreError
from tasks.engines.chunks import StoredChunks
from tasks.engines.stores import Store
from tasks.formats.canonical import from_json, to_json

T = TypeVar("T")

RENEW_AFTER = timedelta(days=1)
"""What is used and is older than this is touched, so that a sweep with a longer grace period leaves it."""
STALE_AFTER = timedelta(days=1)
"""Nobody writes to one file for longer: what is half-done and older belongs to a dead process."""

_BLOCK_BYTES = 1 << 20
# How long a worker that runs for weeks may believe that an object which it saw is still there.
_BELIEVED_FOR = timedelta(hours=1)
_EXTENSION = re.compile(r"\.[a-z0-9]{1,15}")
_MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".mkv": "video/x-matroska",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".vtt": "text/vtt; charset=utf-8",
    ".srt": "application/x-subrip; charset=utf-8",
}

_log = logging.getLogger(__name__)


class Workspace:
    """Local files over a store. Any number of processes may share both; an object of this class stays in one."""

    def __init__(
        self, store: Store, scratch: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """scratch: a folder of this machine for files that may be lost; made when it is needed."""
        self.store = store
        self._made = scratch / "made"
        self._fetched = scratch / "assets"
        self._clock = clock
        self._verified: set[tuple[str, int, int]] = set()
        self._seen: dict[str, datetime] = {}

    def new(self, extension: str) -> Path:
        """Where a stage may write a file, with `extension` (".mp4"); there is none yet."""
        try:
            self._made.mkdir(parents=True, exist_ok=True)
            os.utime(self._made.parent)  # in use: a process may keep its folder for weeks
        except OSError as error:
            raise StoreError(f"the scratch folder {self._made} cannot be made ({error.strerror or error}).") from error
        return self._made / f"{uuid.uuid4().hex}{_checked_extension(extension)}"

    def keep(self, path: Path) -> Asset:
        """Put a file into the store, under its digest. A path that `new` gave is used up: ask `path` for the file.

        A file from elsewhere (a person's own) is read once and left as it is; without a plain extension it gets ".bin".
        """
        extension, ours = path.suffix.lower(), path
        if path.parent != self._made:
            extension = extension if _EXTENSION.fullmatch(extension) else ".bin"
            ours = self.new(extension)
        try:
            sha256, size = _digest(path, copy_to=None if ours is path else ours)
            asset = Asset(sha256=sha256, size=size, extension=extension)
            if not self._is_sound(asset):
                self.store.put(asset.key, ours, _MEDIA_TYPES.get(extension, "application/octet-stream"))
                self._seen[asset.key] = self._clock()
            self._cache(asset, ours)
        except OSError as error:
            raise StoreError(f"{path} could not be kept ({error.strerror or error}).") from error
        finally:
            if ours is not path:
                ours.unlink(missing_ok=True)
        ours.unlink(missing_ok=True)
        return asset

    def _cache(self, asset: Asset, path: Path) -> None:
        """What was just sent need not be fetched."""
        if self.store.local(asset.key) is None and not (cached := self._cached(asset)).exists():
            cached.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, cached)
            self._verified.add(_signature(cached))

    def path(self, asset: Asset) -> Path:
        """A local file with the asset's bytes, its digest checked; for reading alone.

        Raises StoreError where the asset is gone, or is not what its name says (it is then removed, so that the next
        run makes it anew).
        """
        own = self.store.local(asset.key)
        try:
            if own is not None:
                if self._is_right(asset, own):
                    return own
                raise self._damaged(asset)
            cached = self._cached(asset)
            if cached.exists() and self._is_right(asset, cached):
                with suppress(OSError):
                    os.utime(cached)
                return cached
            return self._fetch(asset, cached)
        except OSError as error:
            raise StoreError(
                f"{self.store.address(asset.key)} could not be read ({error.strerror or error})."
            ) from error

    def _fetch(self, asset: Asset, cached: Path) -> Path:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # Twice: the first time it may have been broken on the way.
        for _ in range(2):
            if not self.store.fetch(asset.key, cached):
                self._seen.pop(asset.key, None)
                raise StoreError(f"{self.store.address(asset.key)} is gone. Run again: it is made anew.")
            if self._is_right(asset, cached):
                return cached
            cached.unlink(missing_ok=True)
        raise self._damaged(asset)

    def _damaged(self, asset: Asset) -> StoreError:
        self._seen.pop(asset.key, None)
        self.store.delete(asset.key)
        return StoreError(
            f"{self.store.address(asset.key)} was damaged: its bytes are not those that its name says. "
            "It has been removed; run again, and it is made anew."
        )

    def _is_right(self, asset: Asset, path: Path) -> bool:
        signature = _signature(path)
        if signature not in self._verified:
            if _digest(path) != (asset.sha256, asset.size):
                return False
            self._verified.add(signature)
        return True

    def _cached(self, asset: Asset) -> Path:
        return self._fetched / asset.sha256[:2] / f"{asset.sha256}{asset.extension}"

    def _is_sound(self, asset: Asset) -> bool:
        """Whether the store has the asset and, where looking costs little, its right bytes."""
        if not self._is_there(asset):
            return False
        own = self.store.local(asset.key)
        return own is None or self._is_right(asset, own)

    def _is_there(self, asset: Asset) -> bool:
        """Whether the store has the asset; renews it where a sweep might soon think that nobody wants it."""
        now, key = self._clock(), asset.key
        if key in self._seen and now - self._seen[key] < _BELIEVED_FOR:
            return True
        stored = self.store.stat(key)
        if stored is None or stored.size != asset.size:
            return False
        if now - stored.modified > RENEW_AFTER and not self.store.touch(key):
            return False
        self._seen[key] = now
        return True

    def recall(self, stage: str, digest: str, kind: type[T]) -> T | None:
        """What `remember` kept of this stage for these inputs; None where nothing is, or where its assets are gone."""
        return self._recall(_memo_key(stage, digest), kind)

    def remember(self, stage: str, digest: str, value: object) -> None:
        """Keep a stage's result. digest: of everything that it depends on, REVISION and engine included."""
        self.store.write(_memo_key(stage, digest), to_json(value), "application/json")

    def _recall(self, key: str, kind: type[T]) -> T | None:
        content = self.store.read(key)
        if content is None:
            return None
        try:
            value = from_json(kind, content)
        except StoreError as error:
            _log.warning("%s is damaged, and made anew: %s", self.store.address(key), error)
            return None
        if not all(self._is_there(asset) for asset in dict.fromkeys(assets_in(value))):
            return None
        stored = self.store.stat(key)
        if stored is not None and self._clock() - stored.modified > RENEW_AFTER:
            self.store.touch(key)
        return value

    def clip(self, fingerprint: str) -> Clip | None:
        """The clip that was rendered under this fingerprint, by any run on any machine; None where there is none."""
        clip = self._recall(_clip_key(fingerprint), Clip)
        return clip if clip is not None and clip.fingerprint == fingerprint else None

    def name_clip(self, clip: Clip) -> Clip:
        """Make a clip known under its fingerprint, and drop its chunks.

        Returns the clip that is known from now on: where two rendered the same, the one that came first.
        """
        key = _clip_key(clip.fingerprint)
        known = clip
        if not self.store.create(key, to_json(clip), "application/json"):
            theirs = self.clip(clip.fingerprint)
            if theirs is None:
                # What stands there is damaged, or its asset is gone.
                self.store.write(key, to_json(clip), "application/json")
            known = theirs or clip
        StoredChunks(self.store, clip.fingerprint, self._made).drop()
        return known

    def chunks(self, fingerprint: str) -> Chunks:
        """Where a renderer keeps what it has finished of this clip."""
        return StoredChunks(self.store, fingerprint, self._made)

    def tidy(self, *, cache_bytes: int = 20 << 30) -> None:
        """Remove what dead processes left, here and in the store, and the longest unused of more than `cache_bytes`."""
        before = self._clock() - STALE_AFTER
        self.store.tidy(before)
        for path in self._made.glob("*"):
            with suppress(OSError):
                if path.stat().st_mtime < before.timestamp():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._shrink(cache_bytes, before.timestamp())

    def _shrink(self, cache_bytes: int, before: float) -> None:
        found = []
        for path in self._fetched.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for used, size, path in sorted(found):
            # Somebody may be reading what was asked for lately.
            if total <= cache_bytes or used >= before:
                break
            path.unlink(missing_ok=True)
            total -= size


def assets_in(value: object) -> Iterator[Asset]:
    """Every asset that a value names, as often as it does."""
    if isinstance(value, Asset):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from assets_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from assets_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from assets_in(item)


def _memo_key(stage: str, digest: str) -> str:
    return f"memo/{stage}/{digest[:2]}/{digest}.json"


def _clip_key(fingerprint: str) -> str:
    return f"clips/{fingerprint[:2]}/{fingerprint}.json"


def _checked_extension(extension: str) -> str:
    if not _EXTENSION.fullmatch(extension):
        raise ValueError(f"not an extension of ours: {extension!r}")
    return extension


def _signature(path: Path) -> tuple[str, int, int]:
    """What changes when somebody writes to a file."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def _digest(path: Path, copy_to: Path | None = None) -> tuple[str, int]:
    """SHA-256 and size of a file; copied on the way, so that what is digested is what is copied."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file, open(copy_to or os.devnull, "wb") as copied:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
            copied.write(block)
    return digest.hexdigest(), size
