"""What nobody needs any more leaves the store: the core of `troupe gc`.

In: a store, the time, a grace period. Out: what no manifest refers to and nobody used within the grace period; then,
asked for by name, its removal. Touches clips, memory, chunks, assets and unfinished programmes alone; all else stays.

A running flow is safe because whatever it uses is made young again (`workspace.RENEW_AFTER`), long before the grace
period ends, and because every object's age is looked at once more just before it goes.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from s2v_model.contract import Watch
from tasks.domain.errors import InputError, SettingsError, StoreError
from tasks.engines.chunks import MAX_AGE_DAYS
from tasks.engines.stores import MANIFEST, Store, Stored
from tasks.engines.workspace import RENEW_AFTER, STALE_AFTER
from tasks.formats.manifest import read_manifest

GRACE = timedelta(days=14)
MIN_GRACE = RENEW_AFTER + timedelta(days=1)
"""A run may last a day without renewing what it uses."""
_PARTIAL_AGE = timedelta(days=MAX_AGE_DAYS)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubbish:
    """What may go, in the order in which it goes: what points at assets before the assets."""

    objects: tuple[Stored, ...]
    num_kept: int
    """Objects that were looked at and stay."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(stored.size for stored in self.objects)

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """Kind ("clips", "assets", ...) -> number of objects, bytes."""
        counts: dict[str, tuple[int, int]] = {}
        for stored in self.objects:
            kind = stored.key.partition("/")[0]
            number, size = counts.get(kind, (0, 0))
            counts[kind] = (number + 1, size + stored.size)
        return counts


def find_rubbish(store: Store, *, now: datetime, grace: timedelta = GRACE) -> Rubbish:
    """What could go; removes nothing. Reads every manifest, and the records that stay.

    Raises SettingsError for a grace period that would endanger running flows, StoreError where a manifest cannot be
    read: what it refers to is not known then, so nothing may go.
    """
    if grace < MIN_GRACE:
        raise SettingsError(
            f"a grace period of {grace} is too short: running flows rely on {MIN_GRACE.days} days.",
            remedy=f"Give at least {MIN_GRACE.days} days.",
        )
    old = now - grace
    # Assets first: one that appears while the rest is read is not in this list, and so cannot go.
    assets = list(store.list("assets/"))
    programmes = list(store.list("programmes/"))
    wanted, fingerprints = _wanted_by_manifests(store, programmes)
    clips, dead_clips = _split(store.list("clips/"), old, lambda stored: _stem(stored.key) in fingerprints)
    memos, dead_memos = _split(store.list("memo/"), old, lambda stored: False)
    for stored in (*clips, *memos):
        wanted.update(_assets_named(store, stored))
    kept_assets, dead_assets = _split(assets, old, lambda stored: _stem(stored.key) in wanted)
    chunks, dead_chunks = _split_chunks(list(store.list("partial/")), now - _PARTIAL_AGE)
    finished, unfinished = _split_programmes(programmes, old)
    return Rubbish(
        objects=(*dead_clips, *dead_memos, *dead_chunks, *unfinished, *dead_assets),
        num_kept=sum(len(kept) for kept in (clips, memos, chunks, finished, kept_assets)),
    )


def sweep(rubbish: Rubbish, *, store: Store, now: datetime, watch: Watch) -> int:
    """Remove what `find_rubbish` found, but what has been used since; returns how many objects went.

    Raises StoreError where the store fails: what is left goes the next time.
    """
    num_gone = 0
    for number, stored in enumerate(rubbish.objects):
        watch(number, len(rubbish.objects))
        found = store.stat(stored.key)
        # Whatever was renewed or written again since it was found is somebody's.
        if found is not None and found.modified <= stored.modified:
            store.delete(stored.key)
            num_gone += 1
    store.tidy(now - STALE_AFTER)
    _log.info("%d of %d objects were removed from %s.", num_gone, len(rubbish.objects), store.uri)
    return num_gone


def _wanted_by_manifests(store: Store, programmes: Iterable[Stored]) -> tuple[set[str], set[str]]:
    """Digests of assets, and fingerprints of clips, that any programme refers to."""
    digests: set[str] = set()
    fingerprints: set[str] = set()
    for stored in programmes:
        if not _is_manifest(stored.key):
            continue
        where = store.address(stored.key)
        try:
            manifest = read_manifest(store.read(stored.key) or b"", where)
        except InputError as error:
            raise StoreError(f"Nothing was removed: {error} Mend or delete that programme.") from error
        digests.update(output.sha256 for output in manifest.outputs)
        digests.update(speaker.portrait for speaker in manifest.cast)
        fingerprints.update(shot.fingerprint for shot in manifest.shots)
    return digests, fingerprints


def _is_manifest(key: str) -> bool:
    """programmes/<series>/<revision>/manifest.json."""
    return key.count("/") == 3 and key.endswith(f"/{MANIFEST}")


def _split(
    found: Iterable[Stored], old: datetime, is_wanted: Callable[[Stored], bool]
) -> tuple[list[Stored], list[Stored]]:
    """(what stays, what may go)."""
    kept: list[Stored] = []
    dead: list[Stored] = []
    for stored in found:
        (kept if stored.modified > old or is_wanted(stored) else dead).append(stored)
    return kept, dead


def _split_chunks(found: list[Stored], old: datetime) -> tuple[list[Stored], list[Stored]]:
    """The chunks of one clip stay or go together: its youngest one says whether it is under way."""
    youngest: dict[str, datetime] = {}
    for stored in found:
        clip = stored.key.rpartition("/")[0]
        youngest[clip] = max(stored.modified, youngest.get(clip, stored.modified))
    return _split(found, old, lambda stored: youngest[stored.key.rpartition("/")[0]] > old)


def _split_programmes(found: list[Stored], old: datetime) -> tuple[list[Stored], list[Stored]]:
    """In a bucket a publisher that died leaves files without a manifest: nobody sees them, and they may go."""
    done = {stored.key.removesuffix(MANIFEST) for stored in found if _is_manifest(stored.key)}

    def is_wanted(stored: Stored) -> bool:
        parts = stored.key.split("/")
        # programmes/<series>/<file>, such as latest.json, belongs to the series.
        return len(parts) < 4 or "/".join(parts[:3]) + "/" in done

    return _split(found, old, is_wanted)


def _assets_named(store: Store, stored: Stored) -> Iterator[str]:
    """Digests of the assets that a record names, whatever its type; none of one that is damaged."""
    try:
        yield from _digests(json.loads(store.read(stored.key) or b"null"))
    except (ValueError, RecursionError):
        _log.warning("%s cannot be read; it keeps nothing.", store.address(stored.key))


def _digests(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("sha256"), str) and "extension" in value:
            yield value["sha256"]
        for item in value.values():
            yield from _digests(item)
    elif isinstance(value, list):
        for item in value:
            yield from _digests(item)


def _stem(key: str) -> str:
    """The digest or fingerprint in a key: its last part without the extension."""
    return key.rpartition("/")[2].partition(".")[0]
