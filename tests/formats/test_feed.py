"""Podcast feeds: what is read, what is odd and said, what is refused before anything of it is read."""

from contextlib import suppress
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.errors import FeedError
from tasks.domain.feed import Linked, Person
from tasks.formats.feed import MAX_BYTES, MAX_ITEMS, read_feed

SPACES = (
    'xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:podcast="https://podcastindex.org/namespace/1.0"'
)
AUDIO = '<enclosure url="a.mp3" length="1" type="audio/mpeg"/>'


def feed(items: str, link: str = "<link>http://example.org/show/</link>") -> bytes:
    """A feed around some items."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" {SPACES}><channel><title>Tides</title>{link}'
        f"<language>en-GB</language>{items}</channel></rss>"
    ).encode()


def test_an_item_is_read_with_its_transcript_chapters_and_persons() -> None:
    """All that production needs comes out, with addresses made absolute against the channel's link."""
    content = feed(
        f"<item><title>One</title><guid>g1</guid>{AUDIO}<pubDate>Mon, 05 Jan 2026 06:00:00 +0100</pubDate>"
        "<itunes:duration>1:02:03</itunes:duration>"
        '<podcast:transcript url="../t.vtt" type="text/vtt" language="en"/>'
        '<podcast:chapters url="c.json" type="application/json+chapters"/>'
        '<podcast:person role="Guest" img="/ada.png">Ada King</podcast:person>'
        "<podcast:person>Bo</podcast:person></item>"
    )
    read = read_feed(content, name="feed.xml")
    item = read.items[0]

    assert (read.title, read.language, read.num_items, read.place) == ("Tides", "en-GB", 1, "http://example.org/show/")
    assert (item.guid, item.title, item.duration) == ("g1", "One", Fraction(3723))
    assert item.published == datetime(2026, 1, 5, 5, tzinfo=UTC)
    assert item.enclosure == Linked(address="http://example.org/show/a.mp3", media_type="audio/mpeg")
    assert item.transcripts == (Linked(address="http://example.org/t.vtt", media_type="text/vtt", language="en"),)
    assert item.chapters is not None
    assert item.chapters.address == "http://example.org/show/c.json"
    assert item.persons == (
        Person(name="Ada King", role="guest", image="http://example.org/ada.png"),
        Person(name="Bo", role="host"),
    )
    assert read.warnings == ()


def test_the_address_of_the_feed_goes_before_the_link() -> None:
    """Relative addresses start where the feed was fetched, where that is known."""
    read = read_feed(feed(f"<item>{AUDIO}</item>"), name="f", address="https://cdn.example.org/a/feed.xml")

    assert read.items[0].enclosure.address == "https://cdn.example.org/a/a.mp3"


@pytest.mark.parametrize("written", ["/etc/passwd", "../../../etc/passwd"])
def test_a_relative_address_is_never_a_path(written: str) -> None:
    """What looks like a path of this machine is an address of the feed's host."""
    read = read_feed(feed(f'<item><enclosure url="{written}"/></item>'), name="f")

    assert read.items[0].enclosure.address == "http://example.org/etc/passwd"


def test_without_a_place_an_address_stays_as_written() -> None:
    """A relative link is no place; the reader says so by `place`."""
    read = read_feed(feed(f"<item>{AUDIO}</item>", link="<link>../feed/</link>"), name="f")

    assert (read.place, read.items[0].enclosure.address) == (None, "a.mp3")


def test_pages_cover_every_item_once() -> None:
    """A long feed is read page by page, and says how long it is."""
    num = 2 * MAX_ITEMS + 7
    content = feed("".join(f"<item><guid>e{i}</guid>{AUDIO}</item>" for i in range(num)))
    pages = [read_feed(content, name="f", page=page) for page in range(4)]

    assert [len(page.items) for page in pages] == [MAX_ITEMS, MAX_ITEMS, 7, 0]
    assert [item.guid for page in pages for item in page.items] == [f"e{i}" for i in range(num)]
    assert f"{num} items; they are read {MAX_ITEMS} at a time" in pages[0].warnings[0]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ('<enclosure url="a.mp3" length="-5" type="audio/mpeg"/>', "length is '-5'"),
        ('<enclosure url="a.mp3" length="1" type="text/plain"/>', "type is 'text/plain'"),
        (f"{AUDIO}<pubDate>yesterday</pubDate>", "pubDate is 'yesterday'"),
        (f"{AUDIO}<itunes:duration>99:99:99</itunes:duration>", "duration is '99:99:99'"),
        (f'{AUDIO}<enclosure url="b.mp3"/>', "2 recordings; 'http://example.org/show/a.mp3', the first, is used"),
        (f"{AUDIO}</item><item><guid>http://example.org/show/a.mp3</guid>{AUDIO}", "is used twice"),
        ("<title>Notes only</title>", "'Notes only' has no recording"),
    ],
)
def test_an_odd_value_is_a_warning_with_its_place(item: str, said: str) -> None:
    """A feed is read in spite of one wrong value, which is told with its line."""
    warnings = read_feed(feed(f"<item>{item}</item>"), name="f").warnings

    assert [said in warning and warning.startswith("f, line 1: ") for warning in warnings] == [True]


def test_markup_in_notes_is_not_read() -> None:
    """What stands in a description reaches nobody."""
    notes = "<description><![CDATA[<script>alert(1)</script>]]></description>"
    read = read_feed(feed(f"<item><title>x</title>{AUDIO}{notes}</item>"), name="f")

    assert "alert" not in repr(read)


LAUGHS = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><rss><channel><title>&b;</title></channel></rss>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"%PDF-1.7", "this is a PDF"),
        (b"<!doctype html><html><body>Please log in</body></html>", "a web page, not a feed"),
        (b"<html><body>x</body></html>", "a web page, not a feed"),
        (b'<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title></feed>', "an Atom feed, not RSS"),
        (b"<opml/>", "its root is <opml>"),
        (b"<rss><channel><title>a & b</title></channel></rss>", "line 1, column 25: it is not well-formed"),
        (b"<rss><channel><item>", "not well-formed"),
        (b'<!DOCTYPE rss SYSTEM "file:///etc/passwd"><rss/>', "a document type or entities"),
        (LAUGHS.encode(), "a document type or entities"),
        (b'<?xml version="1.0" encoding="klingon"?><rss/>', "its encoding is not known|not well-formed"),
        (b"<a>" * 100, "more than 40 levels"),
        (b" " * (MAX_BYTES + 1), "more than 32 MiB"),
    ],
)
def test_what_is_no_feed_is_refused_in_a_sentence(content: bytes, said: str) -> None:
    """Whatever else the file is, the message says it, and what to do."""
    with pytest.raises(FeedError, match=said) as caught:
        read_feed(content, name="f.xml")

    assert "f.xml" in caught.value.where
    assert caught.value.remedy


@given(st.binary(max_size=300), st.integers(0, 600))
def test_damage_ends_in_a_sentence(noise: bytes, at: int) -> None:
    """Random bytes in a good feed give a feed or a FeedError, nothing else."""
    good = feed(f"<item><title>x</title><guid>g</guid>{AUDIO}</item>")
    with suppress(FeedError):
        read_feed(good[:at] + noise + good[at:], name="f")
