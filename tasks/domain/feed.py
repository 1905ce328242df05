"""A podcast feed as read: items with their recordings, transcripts, chapters and persons. Addresses are still text."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A file that a feed names by its address."""

    address: str
    """Absolute where the feed has a place, else as written."""
    media_type: str = ""
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is heard, by the podcast namespace."""

    name: str
    role: str = "host"
    image: str | None = None
    """Address of a portrait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedItem:
    """One podcast episode."""

    guid: str
    """What the feed calls it; its recording's address where the feed calls it nothing."""
    title: str
    enclosure: Linked
    published: datetime | None = None
    duration: Fraction | None = None
    """Seconds, as announced."""
    transcripts: tuple[Linked, ...] = ()
    chapters: Linked | None = None
    persons: tuple[Person, ...] = ()
    where: str = ""
    """File and line, for messages."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Everything that would be opened to produce it."""
        linked = (self.enclosure, *self.transcripts, *((self.chapters,) if self.chapters else ()))
        return (*(each.address for each in linked), *(person.image for person in self.persons if person.image))


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One page of a feed, in its own order (newest first, by custom)."""

    title: str
    language: str | None
    items: tuple[FeedItem, ...]
    """Those with a recording."""
    num_items: int
    """Of the whole feed, whether they have a recording or not."""
    place: str | None
    """The web address that relative addresses start from; None where neither caller nor feed names one."""
    warnings: tuple[str, ...] = ()
