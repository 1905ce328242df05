"""A visit to an inbox: each new episode file in a folder, or below a bucket's prefix, is made once.

In: the place, a `Submit` (flows/batch.py). Out: what was made. A file is known by its content: a copy under another
name is not made again, an edited one is. What is known lies in the store, below inboxes/<id>/. Knows no Prefect.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TypeVar

from flows.batch import Submit
from flows.episodes import MAX_BYTES, episode_bytes
from flows.feeds import check_id
from flows.settings import Settings
from flows.wiring import Wiring
from tasks.domain.batch import Order
from tasks.domain.episode import Episode
from tasks.domain.errors import EpisodeError, InputError, PipelineError
from tasks.engines.stores import Store, Stored
from tasks.formats.episode import read_episode
from tasks.ledger import Entry, Ledger, name_of
from tasks.media.paths import resolve, shown

log = logging.getLogger(__name__)

SETTLED_SECONDS = 10.0
"""A file that was touched within this may still be growing: the next visit takes it."""
MAX_FILES = 1_000
"""Episode files of one inbox."""
MAX_OBJECTS = 500
"""Beside one episode in a bucket."""
_EXTENSIONS = (".yaml", ".yml")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An episode file in an inbox."""

    name: str
    """Within the inbox."""
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()


def visit_inbox(
    name: str, place: str, settings: Settings, submit: Submit, *, now: datetime | None = None
) -> list[Entry]:
    """Make what is new in an inbox; what came of each file.

    name: the inbox's id. place: a folder, or s3://bucket/prefix with the credentials of the settings.
    Raises InputError where the place cannot be read, StoreError.
    """
    check_id(name)
    wiring = Wiring(settings)
    box: Folder | Bucket
    if place.startswith("s3://"):
        box = Bucket(Wiring(settings.model_copy(update={"store": place})).store, wiring.scratch, settings)
    else:
        box = Folder(Path(place.removeprefix("file:")))
    ledger = Ledger(wiring.store, f"inboxes/{name}")
    try:
        entries = (_take(dropped, box, ledger, settings, submit, now or datetime.now(UTC)) for dropped in box.files())
        return [entry for entry in entries if entry is not None]
    finally:
        wiring.close()


def _take(
    dropped: Dropped, box: "Folder | Bucket", ledger: Ledger, settings: Settings, submit: Submit, now: datetime
) -> Entry | None:
    fresh = Entry(name=name_of(dropped.digest), title=dropped.name, content=dropped.digest)
    taken = ledger.take(fresh, now=now)
    if taken is None:
        return None
    try:
        folder = box.folder_of(dropped)
        order = _order(dropped, folder, settings)
        outcome = submit(order)
        done = replace(
            taken, state=outcome.state, episode=order.id, programme=outcome.programme, error=outcome.error
        )  # fmt: skip
    except InputError as error:
        done = replace(taken, state="wrong", error=str(error))
    except PipelineError as error:
        done = replace(taken, state="failed", error=str(error))
    ledger.write(done)
    return done


def _order(dropped: Dropped, folder: Path, settings: Settings) -> Order:
    """Read once here, so that what is no episode is told before a worker starts."""
    roots = settings.inputs.roots

    def fetch(file: str) -> bytes:
        return episode_bytes(resolve(file, folder=folder, roots=roots, where=dropped.name))

    episode: Episode = read_episode(dropped.content, path=dropped.name, folder=str(folder), roots=roots, fetch=fetch)
    return Order(
        id=episode.id,
        document=dropped.content.decode("utf-8", errors="replace"),
        folder=str(folder),
        roots=roots,
        where=dropped.name,
        quality=episode.render.quality,
    )


class Folder:
    """An inbox on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()

    def files(self) -> Iterator[Dropped]:
        """Episode files in the folder and its folders, by name; those that are settled. Raises EpisodeError."""
        if not self._path.is_dir():
            raise EpisodeError("there is no such folder.", where=str(self._path), remedy="Make it, or correct it.")
        for path in _few(self._found(), str(self._path)):
            # What goes while it is looked at, cannot be read or bears no text for a name keeps no other file waiting.
            try:
                name = str(path.relative_to(self._path))
                name.encode()
                content = self._settled(path)
            except (InputError, OSError, UnicodeError, RuntimeError) as error:
                log.warning("inbox %s: %s is passed over: %s", self._path, shown(path.name), error)
                continue
            if content is not None and _is_episode(content):
                yield Dropped(name=name, content=content)

    def _found(self) -> list[Path]:
        try:
            return sorted(path for path in self._path.rglob("*") if path.suffix.casefold() in _EXTENSIONS)
        except OSError as error:
            where, reason = str(self._path), error.strerror or error
            raise EpisodeError(f"it cannot be read: {reason}.", where=where, remedy="Check the folder.") from error

    def _settled(self, path: Path) -> bytes | None:
        """The content of a file of this folder that is whole, as far as its age tells."""
        if not path.resolve().is_relative_to(self._path) or not path.is_file():
            return None
        return episode_bytes(path) if time.time() - path.stat().st_mtime >= SETTLED_SECONDS else None

    def folder_of(self, dropped: Dropped) -> Path:
        """Where the episode's paths start."""
        return (self._path / dropped.name).parent


class Bucket:
    """An inbox below a bucket's prefix: an episode comes down with everything in its own folder there."""

    def __init__(self, store: Store, scratch: Path, settings: Settings) -> None:
        self._store, self._scratch, self._settings = store, scratch, settings

    def files(self) -> Iterator[Dropped]:
        """Episode files, by key; those that are settled."""
        before = datetime.now(UTC) - timedelta(seconds=SETTLED_SECONDS)
        found = sorted(
            stored.key
            for stored in self._store.list("")
            if stored.key.casefold().endswith(_EXTENSIONS) and stored.modified < before and self._is_short(stored)
        )
        for key in _few(found, self._store.uri):
            content = self._store.read(key, limit=MAX_BYTES)
            if content is not None and _is_episode(content):
                yield Dropped(name=key, content=content)

    def _is_short(self, stored: Stored) -> bool:
        if stored.size > MAX_BYTES:
            log.warning(
                "%s is passed over: it is larger than %d MiB.", self._store.address(stored.key), MAX_BYTES >> 20
            )
        return stored.size <= MAX_BYTES

    def folder_of(self, dropped: Dropped) -> Path:
        """A copy of the episode's folder on this machine. Raises EpisodeError where that is too much."""
        own = dropped.name.rpartition("/")[0]
        beside = list(self._store.list(f"{own}/" if own else ""))
        size = sum(stored.size for stored in beside)
        if len(beside) > MAX_OBJECTS or size > self._settings.network.max_bytes:
            raise EpisodeError(
                f"beside it lie {len(beside)} files of {size >> 20} MiB; at most {MAX_OBJECTS} files of "
                f"{self._settings.network.max_bytes >> 20} MiB come down with an episode.",
                where=dropped.name,
                remedy="Give each episode a folder of its own.",
            )
        target = self._scratch / name_of(dropped.digest)
        for stored in beside:
            self._bring(stored, target / PurePosixPath(stored.key).relative_to(own))
        return target

    def _bring(self, stored: Stored, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._store.fetch(stored.key, target)


def _few(found: list[T], where: str) -> list[T]:
    if len(found) > MAX_FILES:
        log.warning("%s holds %d episode files; the first %d are looked at.", where, len(found), MAX_FILES)
    return found[:MAX_FILES]


def _is_episode(content: bytes) -> bool:
    """Cast sheets and consents are YAML, too."""
    return b"schema: episode/1" in content or b'"episode/1"' in content
