"""A visit to a podcast feed: each new episode is made once, with its transcript, chapters and persons.

In: the feed's address, a template, a `Submit` (flows/batch.py). Out: what was made. What is known of the feed lies in
the store, below feeds/<id>/. Every address is opened by media/fetch.py, which judges the connected one at every
redirect. Knows no Prefect.
"""

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from flows.batch import Submit
from flows.episodes import episode_bytes
from flows.progress import unwatched
from flows.settings import Settings
from flows.wiring import Wiring
from tasks.domain.batch import Order
from tasks.domain.errors import EngineError, FeedError, InputError, PipelineError
from tasks.domain.feed import Feed, FeedItem
from tasks.feeds import (
    Index,
    ItemFiles,
    episode_id,
    episode_of,
    new_items,
    newest_first,
    persons_to_picture,
    picture_extension,
    read_index,
    settled,
    transcript_of,
    write_index,
)  # fmt: skip
from tasks.formats.chapters import read_chapters
from tasks.formats.feed import MAX_BYTES, MAX_ITEMS, read_feed
from tasks.formats.filling import Plain, as_document, read_template
from tasks.formats.transcript import read_transcript
from tasks.ledger import MAX_TRIES, Entry, Ledger, name_of
from tasks.media.fetch import FetchLimits, Validators, fetch, fetch_changed
from tasks.media.storage import file_sha256

log = logging.getLogger(__name__)

MAX_TEXT_BYTES = 16 * 2**20
MAX_PICTURE_BYTES = 64 * 2**20
FEED_SECONDS = 120.0
MAX_PAGES = 50
"""Of a feed: far fewer items than are remembered of it (tasks.feeds.MAX_KNOWN), else those forgotten were new."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A feed that is watched."""

    id: str
    """Names its folder in the store and begins the ids of its episodes: letters, digits, '-' and '_'."""
    address: str
    template: str
    """An episode file; its source is replaced."""
    newest: int = 1
    """How many episodes are made when the feed is seen for the first time; all later ones are made."""


def visit_feed(watched: Watched, settings: Settings, submit: Submit, *, now: datetime | None = None) -> list[Entry]:
    """Make what is new in a feed; what came of each item.

    Raises FeedError where the feed cannot be had or read for good, EngineError where it may come later, StoreError.
    An item that fails is tried again on later visits, three times in all.
    """
    check_id(watched.id)
    wiring = Wiring(settings)
    try:
        return _Visit(watched, wiring, submit, now or datetime.now(UTC)).go()
    finally:
        wiring.close()


def check_id(name: str) -> None:
    """Raises FeedError for what cannot name a folder of the store."""
    if not _ID.fullmatch(name):
        raise FeedError(f"{name[:80]!r} is no id.", remedy="Use letters, digits, '-' and '_', at most 60.")


class _Visit:
    """One visit."""

    def __init__(self, watched: Watched, wiring: Wiring, submit: Submit, now: datetime) -> None:
        self.watched, self.wiring, self.submit, self.now = watched, wiring, submit, now
        self.store, self.network = wiring.store, wiring.settings.network
        self.ledger = Ledger(self.store, f"feeds/{watched.id}/items")
        self.template_path = Path(watched.template).resolve()
        self.template = read_template(episode_bytes(self.template_path), name=self.template_path.name)

    def go(self) -> list[Entry]:
        known = read_index(self.store, self.watched.id)
        index = known or Index()
        content, said = self._fetch(Validators(etag=index.etag, modified=index.modified))
        if content is None:
            return []
        pages = self._pages(content)
        items = [item for page in pages for item in page.items]
        if not items and known is None:
            return []  # it counts as seen from its first item on
        if known is None:
            index = self._pass_over(newest_first(items)[self.watched.newest :], index)
        entries = []
        for item in new_items(items, index):
            entry = self._take(item, pages[0], index)
            if entry is None:
                taken = self.ledger.read(name_of(item.guid))
                index = settled(index, item, taken) if taken is not None and taken.is_final else index
                continue
            entries.append(entry)
            index = settled(index, item, entry) if entry.is_final else index
            write_index(self.store, self.watched.id, index)
        # What the server said counts only once nothing is left to try: an unchanged feed is not sent again.
        is_settled = not new_items(items, index)
        said = said if is_settled else Validators()
        write_index(self.store, self.watched.id, replace(index, etag=said.etag, modified=said.modified))
        return entries

    def _fetch(self, since: Validators) -> tuple[bytes | None, Validators]:
        target = self.wiring.scratch / "feed.xml"
        limits = FetchLimits(max_bytes=MAX_BYTES, max_seconds=FEED_SECONDS)
        try:
            fetched, said = fetch_changed(
                self.watched.address, target, since=since, watch=unwatched, limits=limits, allow=self.network.allow
            )
        except InputError as error:
            raise FeedError(error.message, where=error.where, remedy=error.remedy) from error
        if fetched is None:
            return None, said
        content = target.read_bytes()
        target.unlink()
        return content, said

    def _pages(self, content: bytes) -> list[Feed]:
        name, address = f"feed {self.watched.id}", self.watched.address
        pages = [read_feed(content, name=name, address=address)]
        num_pages = -(-pages[0].num_items // MAX_ITEMS)
        if num_pages > MAX_PAGES:
            log.warning("%s: of its %d items the first %d are read.", name, pages[0].num_items, MAX_PAGES * MAX_ITEMS)
        for page in range(1, min(num_pages, MAX_PAGES)):
            pages.append(read_feed(content, name=name, address=address, page=page))
        return pages

    def _pass_over(self, items: list[FeedItem], index: Index) -> Index:
        """A feed's past is not made, but known."""
        for item in items:
            index = settled(index, item, Entry(name=name_of(item.guid), state="passed"))
        return index

    def _take(self, item: FeedItem, feed: Feed, index: Index) -> Entry | None:
        """The item made, or what prevented it; None where it is somebody else's."""
        name = episode_id(self.watched.id, item)
        taken = self.ledger.take(Entry(name=name_of(item.guid), title=item.title, episode=name), now=self.now)
        if taken is None:
            return None
        folder = self.wiring.scratch / taken.name
        folder.mkdir(exist_ok=True)
        try:
            done = self._made(item, feed, index, taken, folder)
        except PipelineError as error:
            state = "wrong" if isinstance(error, InputError) else "failed"
            done = replace(taken, state=state, error=str(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.ledger.write(done)
        return done

    def _made(self, item: FeedItem, feed: Feed, index: Index, taken: Entry, folder: Path) -> Entry:
        recording = self._file(item.enclosure.address, folder / "recording", self.network.max_bytes)
        content = file_sha256(recording)
        if content in index.contents:
            return replace(taken, state="same", content=content)
        files = self._files(item, recording, folder, is_last_try=taken.tries >= MAX_TRIES)
        order = self._order(episode_of(item, feed, self.template, files, name=taken.episode), folder)
        outcome = self.submit(order)
        return replace(
            taken, state=outcome.state, content=content, programme=outcome.programme, error=outcome.error
        )  # fmt: skip

    def _files(self, item: FeedItem, recording: Path, folder: Path, *, is_last_try: bool) -> ItemFiles:
        # Another try may find what a server does not give for now; the last one does without it.
        beside = partial(self._beside, faults=(InputError, EngineError) if is_last_try else (InputError,))
        language = self.template.get("language")
        wanted = transcript_of(item, str(language) if language else None)
        transcript = chapters = None
        if wanted:
            transcript = beside(wanted[0].address, folder / f"transcript{wanted[1]}", read=read_transcript)
        if item.chapters:
            chapters = beside(item.chapters.address, folder / "chapters.json", read=read_chapters)
        portraits = []
        for number, person in enumerate(persons_to_picture(item, self.template.get("cast"))):
            target = folder / f"person-{number}{picture_extension(person.image or '')}"
            if picture := beside(person.image or "", target, max_bytes=MAX_PICTURE_BYTES):
                portraits.append((person.name, picture))
        return ItemFiles(recording=str(recording), transcript=transcript, chapters=chapters, portraits=tuple(portraits))

    def _beside(
        self,
        address: str,
        target: Path,
        *,
        faults: tuple[type[PipelineError], ...],
        max_bytes: int = MAX_TEXT_BYTES,
        read: Callable[..., object] | None = None,
    ) -> str | None:
        """What makes an episode better, but is not the episode: without it, it is made all the same.

        read: raises InputError for what is no such file, as a page that says in HTML that there is none.
        """
        try:
            file = self._file(address, target, max_bytes)
            if read is not None:
                read(file.read_bytes(), name=file.name)
            return str(file)
        except faults as error:
            log.warning("feed %s: %s", self.watched.id, error)
            return None

    def _file(self, address: str, target: Path, max_bytes: int) -> Path:
        limits = FetchLimits(max_bytes=max_bytes)
        return fetch(address, target, watch=unwatched, limits=limits, allow=self.network.allow).path

    def _order(self, episode: Plain, folder: Path) -> Order:
        render: Any = episode.get("render")
        return Order(
            id=str(episode["id"]),
            document=as_document(episode),
            folder=str(self.template_path.parent),
            roots=(*self.wiring.settings.inputs.roots, str(folder)),
            where=f"feed {self.watched.id}, {episode['id']}",
            quality=str(render.get("quality") or "draft") if isinstance(render, dict) else "draft",
        )
