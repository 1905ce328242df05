"""Podcast feeds: RSS 2.0 with the itunes and podcast namespaces -> Feed.

In: the bytes of a feed. Out: its items, page by page; notes and markup are not read. Addresses are made absolute
against the feed's own address or the channel's link and checked for their form, but opened by nobody here: whether
they are public is judged in media/fetch.py. Sources: RSS 2.0 specification; podcast namespace 1.0.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from fractions import Fraction
from urllib.parse import urljoin, urlsplit

from tasks.domain.errors import FeedError
from tasks.domain.feed import Feed, FeedItem, Linked, Person
from tasks.formats.findings import shown
from tasks.formats.languages import language_tag
from tasks.formats.xml_stream import Element, read_elements

MAX_BYTES = 32 * 2**20
MAX_ITEMS = 200
"""Of one page."""
MAX_TITLE_CHARACTERS = 300
MAX_GUID_CHARACTERS = 2_000
MAX_PERSONS = 50
MAX_TRANSCRIPTS = 20
MAX_WARNINGS = 100

_ITUNES = "{http://www.itunes.com/dtds/podcast-1.0.dtd}"
# The second is what feeds from the namespace's first year say.
_PODCAST = (
    "{https://podcastindex.org/namespace/1.0}",
    "{https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/1.0.md}",
)
_ATOM = "{http://www.w3.org/2005/Atom}"
_CLOCK = re.compile(r"(?:(?:([0-9]{1,4}):)?([0-9]{1,2}):)?([0-9]{1,6})(?:\.[0-9]*)?")
_AUDIO = re.compile(r"(audio|video)/|application/(ogg|octet-stream)", re.IGNORECASE)


def read_feed(content: bytes, *, name: str, address: str | None = None, page: int = 0) -> Feed:
    """One page of the feed in `content`.

    name: the file, for messages. address: where the feed was fetched; relative addresses start there, without it at
    the channel's link. page: counted from 0; each has MAX_ITEMS items.
    Raises FeedError: no RSS, too large, not well-formed, a document type; an unusable value is a warning.
    """
    if len(content) > MAX_BYTES:
        message = f"it has more than {MAX_BYTES >> 20} MiB."
        raise FeedError(message, where=name, remedy="Publish a feed with fewer items.")
    taken: list[Element] = []
    num_items = 0

    def found(item: Element) -> None:
        nonlocal num_items
        if page * MAX_ITEMS <= num_items < (page + 1) * MAX_ITEMS:
            taken.append(item)
        num_items += 1

    root = read_elements(content, name=name, kept=_is_item, found=found, error=FeedError)
    channel = _channel(root, name)
    link = _text(channel, "link")
    place = address or (link if _is_web(link) else None)
    reader = _Reader(name, place)
    items = tuple(item for element in taken if (item := reader.item(element)) is not None)
    if num_items > MAX_ITEMS:
        reader.warnings.insert(0, f"{name}: it has {num_items:,} items; they are read {MAX_ITEMS} at a time.")
    return Feed(
        title=_text(channel, "title")[:MAX_TITLE_CHARACTERS],
        language=language_tag(_text(channel, "language")),
        items=items,
        num_items=num_items,
        place=place,
        warnings=tuple(reader.warnings[:MAX_WARNINGS]),
    )


def _is_item(parent: str, element: Element) -> bool:
    return parent == "channel" and element.tag == "item"


def _is_web(address: str) -> bool:
    return address.casefold().startswith(("http://", "https://"))


def _channel(root: Element, name: str) -> Element:
    """The one channel. Raises FeedError that says what the file is instead."""
    if root.tag == f"{_ATOM}feed":
        raise FeedError("this is an Atom feed, not RSS.", where=name, remedy="Name the podcast's RSS feed.")
    if root.tag.rpartition("}")[2].casefold() == "html":
        raise FeedError("it is a web page, not a feed.", where=name, remedy="Name the feed's own address.")
    channel = root.first("channel") or next(iter(root.all("channel")), None)
    if root.tag != "rss" or channel is None:
        what = root.tag.rpartition("}")[2]
        raise FeedError(f"its root is <{what[:40]}>, so this is not RSS.", where=name, remedy="Name an RSS 2.0 feed.")
    return channel


def _text(element: Element, *tags: str) -> str:
    child = element.first(*tags)
    return child.text if child is not None else ""


def _podcast(tag: str) -> tuple[str, ...]:
    return tuple(f"{space}{tag}" for space in _PODCAST)


class _Reader:
    """Reads items, and notes what is odd about them."""

    def __init__(self, name: str, place: str | None) -> None:
        self.name, self.place = name, place
        self.warnings: list[str] = []
        self.guids: set[str] = set()

    def warn(self, element: Element, message: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(f"{self.name}, line {element.line}: {message}")

    def item(self, element: Element) -> FeedItem | None:
        """The item; None without a recording, which is a warning."""
        title = _text(element, "title", f"{_ITUNES}title")[:MAX_TITLE_CHARACTERS]
        enclosure = self._enclosure(element, title)
        if enclosure is None:
            return None
        guid = _text(element, "guid") or enclosure.address
        if guid in self.guids:
            self.warn(element, f"the GUID {shown(guid)} is used twice; items with it are one episode.")
        self.guids.add(guid)
        chapters = [self._linked(each) for each in element.all(*_podcast("chapters"))]
        transcripts = [self._linked(each) for each in element.all(*_podcast("transcript"))]
        return FeedItem(
            guid=guid[:MAX_GUID_CHARACTERS],
            title=title or guid[:MAX_TITLE_CHARACTERS],
            enclosure=enclosure,
            published=self._published(element),
            duration=self._duration(element),
            transcripts=tuple(each for each in transcripts if each is not None)[:MAX_TRANSCRIPTS],
            chapters=next((each for each in chapters if each is not None), None),
            persons=self._persons(element),
            where=f"{self.name}, line {element.line}",
        )

    def _enclosure(self, element: Element, title: str) -> Linked | None:
        enclosures = element.all("enclosure")
        linked = [each for each in (self._linked(enclosure) for enclosure in enclosures) if each is not None]
        if not linked:
            self.warn(element, f"{shown(title or 'an item')} has no recording and is passed over.")
            return None
        if len(enclosures) > 1:
            self.warn(element, f"it has {len(enclosures)} recordings; {shown(linked[0].address)}, the first, is used.")
        written = enclosures[0].attributes
        length = written.get("length", "").strip()
        if length and not length.isdecimal():
            self.warn(element, f"the recording's length is {shown(length)}, no number of bytes; it is not relied on.")
        if linked[0].media_type and not _AUDIO.match(linked[0].media_type):
            self.warn(element, f"the recording's type is {shown(linked[0].media_type)}; its content will decide.")
        return linked[0]

    def _linked(self, element: Element) -> Linked | None:
        address = self._address(element.attributes.get("url", ""))
        if address is None:
            return None
        language = language_tag(element.attributes.get("language", ""))
        return Linked(address=address, media_type=element.attributes.get("type", "").strip()[:100], language=language)

    def _address(self, written: str) -> str | None:
        """Absolute where the feed has a place. A relative address is one of the web, whatever it looks like."""
        text = written.strip()
        if not text:
            return None
        try:
            joined = urljoin(self.place, text) if self.place else text
            urlsplit(joined)
        except ValueError:
            return text
        return joined

    def _published(self, element: Element) -> datetime | None:
        written = _text(element, "pubDate")
        if not written:
            return None
        try:
            moment = parsedate_to_datetime(written)
        except (ValueError, TypeError, IndexError, OverflowError):
            self.warn(element, f"pubDate is {shown(written)}, no date; it is not relied on.")
            return None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

    def _duration(self, element: Element) -> Fraction | None:
        written = _text(element, f"{_ITUNES}duration")
        if not written:
            return None
        match = _CLOCK.fullmatch(written)
        hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
        clocked = match is not None and match[2] is not None
        if match is None or (clocked and seconds > 59) or (match[1] is not None and minutes > 59):
            self.warn(element, f"the duration is {shown(written)}, no time; it is not relied on.")
            return None
        return Fraction(hours * 3600 + minutes * 60 + seconds)

    def _persons(self, element: Element) -> tuple[Person, ...]:
        return tuple(
            Person(
                name=each.text[:100],
                role=each.attributes.get("role", "host").strip().casefold()[:100] or "host",
                image=self._address(each.attributes.get("img", "")),
            )
            for each in element.all(*_podcast("person"))[:MAX_PERSONS]
            if each.text
        )
