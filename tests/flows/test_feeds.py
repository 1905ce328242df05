"""Watching feeds: each new episode once, whatever a feed does with its names; only addresses that may be opened."""

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from flows.feeds import Watched, visit_feed
from flows.orders import open_order
from flows.settings import Settings
from tasks.domain.batch import Order, Outcome
from tasks.domain.errors import FeedError
from tasks.domain.feed import FeedItem, Linked, Person
from tasks.feeds import Index, new_items, persons_to_picture, settled, transcript_of
from tasks.ledger import STALE_AFTER, Entry, Ledger, name_of
from tests.fakes import MemoryStore

NOW = datetime(2026, 1, 5, tzinfo=UTC)
VTT = b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello.\n"
SPACES = 'xmlns:podcast="https://podcastindex.org/namespace/1.0"'
TEMPLATE = """
schema: episode/1
language: en
source: {podcast: none.mp3, speakers: 2}
cast: {ben: {name: Ben Cole, portrait: ben.png}}
outputs: [{aspect: "16:9", height: 360}]
"""


class Site:
    """A web server whose pages a test sets, and which notes what was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.tag = ""
        """In place of the pages' own ETags."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/"

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        """A page with its ETag, 304 where it is known, a redirect, or 404."""
        path = asked.path.lstrip("/").partition("?")[0]
        body = self.pages.get(path)
        tag = self.tag or f'"{hashlib.sha256(body or b"").hexdigest()[:8]}"'
        status = 404 if body is None else 304 if asked.headers.get("If-None-Match") == tag else 200
        status = 503 if path in self.broken else status
        status = 302 if path in self.redirects else status
        self.asked.append(f"{path} {status}")
        asked.send_response(status)
        asked.send_header("Location", self.redirects.get(path, ""))
        asked.send_header("ETag", tag)
        asked.send_header("Content-Length", str(len(body or b"") if status == 200 else 0))
        asked.end_headers()
        if status == 200 and body:
            asked.wfile.write(body)

    def publish(self, *items: str) -> None:
        """The feed, newest first."""
        channel = f"<title>Tides</title><link>{self.address}</link>{''.join(items)}"
        self.pages["feed.xml"] = f"<rss {SPACES}><channel>{channel}</channel></rss>".encode()

    def episode(self, name: str, *, guid: str = "", query: str = "", more: str = "", sound: str = "") -> str:
        """An item, and its recording."""
        self.pages[f"{name}.mp3"] = (sound or name).encode()
        return (
            f"<item><title>{name}</title><guid>{guid or name}</guid><pubDate>Mon, 05 Jan 2026 06:00:00 +0000</pubDate>"
            f'<enclosure url="{name}.mp3{query}" type="audio/mpeg"/>{more}</item>'
        )


@pytest.fixture
def site() -> Iterator[Site]:
    """Up for one test."""
    served = Site()
    yield served
    served.server.shutdown()
    served.server.server_close()


class Studio:
    """A `Submit` that notes orders, and what lay in their folders."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.files: list[dict[str, bytes]] = []
        self.state = "done"

    def __call__(self, order: Order) -> Outcome:
        """All goes as `state` says."""
        self.orders.append(order)
        folder = Path(order.roots[-1])
        self.files.append({path.name: path.read_bytes() for path in folder.iterdir()})
        assert open_order(order).id == order.id
        return Outcome(
            id=order.id, state=self.state, programme=f"/p/{order.id}", error="" if self.state == "done" else "x"
        )

    @property
    def titles(self) -> list[str]:
        """Of what was made."""
        return [yaml.safe_load(order.document)["title"] for order in self.orders]


@pytest.fixture
def visit(site: Site, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Visits the site's feed at a time; gives what came of it."""
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    settings = Settings(store=f"file:{tmp_path}/store", network={"allow": ["127.0.0.1"]})

    def go(studio: Studio, later: timedelta = timedelta(0), **kinds: object) -> list[Entry]:
        fields = {"id": "tides", "address": f"{site.address}feed.xml", "template": str(tmp_path / "template.yaml")}
        return visit_feed(Watched(**(fields | kinds)), settings, studio, now=NOW + later)

    return go


def test_each_new_episode_is_made_once(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """The first visit makes the newest one, later visits what has come since; an unchanged feed is not sent again."""
    studio = Studio()
    site.publish(site.episode("b"), site.episode("a"))
    first = visit(studio)
    again = visit(studio)
    site.publish(site.episode("d"), site.episode("c"), site.episode("b"), site.episode("a"))
    visit(studio)

    assert studio.titles == ["b", "d", "c"]
    assert [(entry.state, entry.episode) for entry in first] == [("done", f"tides-20260105-{name_of('b')[:8]}")]
    assert again == []
    assert [asked for asked in site.asked if "feed" in asked] == ["feed.xml 200", "feed.xml 304", "feed.xml 200"]


@pytest.mark.parametrize(("tag", "second"), [('"\xe9"', 304), (f'"{"a" * 998} b"', 200)])
def test_an_odd_etag_keeps_no_feed_from_being_read(site: Site, visit, tag: str, second: int) -> None:  # type: ignore[no-untyped-def]
    """Its octets go back as they came; one that is too long to keep is not sent back in part."""
    site.tag = tag
    site.publish(site.episode("a"))
    visit(Studio())
    visit(Studio())

    assert [asked for asked in site.asked if "feed" in asked] == ["feed.xml 200", f"feed.xml {second}"]


def test_new_names_for_old_recordings_make_nothing(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """Changed GUIDs, signed addresses and copies under another address are the same episodes."""
    studio = Studio()
    site.publish(site.episode("a"))
    visit(studio)
    site.publish(site.episode("a", guid="new", query="?signed=2"))
    visit(studio)
    site.publish(site.episode("copy", sound="a"), site.episode("a"))
    copied = visit(studio)

    assert studio.titles == ["a"]
    assert [entry.state for entry in copied] == ["same"]


def test_a_first_episode_that_fails_is_tried_again(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """The next visit is not the first one any more: it passes nothing over."""
    studio = Studio()
    studio.state = "failed"
    site.publish(site.episode("a"))
    visit(studio)
    site.publish(site.episode("b"), site.episode("a"))
    visit(studio)

    assert studio.titles == ["a", "b", "a"]


def test_a_feed_that_tells_recordings_apart_by_the_query_is_made(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """One address for all, as play?id=7: each item is an episode, and each is made once."""
    studio = Studio()
    site.episode("play")

    def item(name: str) -> str:
        return f'<item><title>{name}</title><guid>{name}</guid><enclosure url="play.mp3?id={name}"/></item>'

    def answer(asked: BaseHTTPRequestHandler) -> None:
        site.pages["play.mp3"] = asked.path.encode()
        Site.answer(site, asked)

    site.answer = answer  # type: ignore[method-assign]
    site.publish(item("b"), item("a"))
    visit(studio, newest=9)
    site.publish(item("c"), item("b"), item("a"))
    visit(studio)

    assert studio.titles == ["b", "a", "c"]


def test_the_newest_are_so_by_date(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """Some feeds put the oldest first."""
    studio = Studio()
    old = site.episode("old").replace("05 Jan", "04 Jan")
    site.publish(old, site.episode("new"))
    visit(studio)

    assert studio.titles == ["new"]


def test_the_podcast_namespace_becomes_an_episode(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """Transcript, chapters and pictures of persons come with it; the template's own cast goes first."""
    site.pages |= {"t.vtt": VTT, "t.json": b"{}", "c.json": b'{"version": "1.2.0", "chapters": []}', "ada.jpg": b"-"}
    more = (
        '<podcast:transcript url="t.json" type="application/json"/><podcast:transcript url="t.vtt" type="text/vtt"/>'
        '<podcast:chapters url="c.json" type="application/json+chapters"/>'
        '<podcast:person img="ada.jpg">Ada King</podcast:person><podcast:person img="b.jpg">Ben Cole</podcast:person>'
    )
    studio = Studio()
    site.publish(site.episode("a", more=more))
    visit(studio)
    episode = open_order(studio.orders[0])

    assert sorted(studio.files[0]) == ["chapters.json", "person-0.jpg", "recording", "transcript.vtt"]
    assert [(entry.key, entry.name) for entry in episode.cast] == [("ben", "Ben Cole"), ("ada-king", "Ada King")]
    assert (episode.kind, episode.source.speakers, episode.casting) == ("podcast", 2, "order")
    assert Path(episode.source.transcript or "").name == "transcript.vtt"
    assert "b.jpg 404" not in site.asked


def test_what_is_missing_beside_a_recording_is_done_without(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """A transcript that is gone does not keep an episode from being made."""
    studio = Studio()
    site.publish(site.episode("a", more='<podcast:transcript url="gone.vtt" type="text/vtt"/>'))

    assert [entry.state for entry in visit(studio)] == ["done"]
    assert open_order(studio.orders[0]).source.transcript is None


def test_what_a_server_never_gives_is_done_without_at_last(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """Chapters whose server is broken for good cost two tries, not the episode."""
    studio = Studio()
    site.broken.add("c.json")
    site.publish(site.episode("a", more='<podcast:chapters url="c.json" type="application/json+chapters"/>'))
    states = [[entry.state for entry in visit(studio)] for _ in range(4)]

    assert states == [["failed"], ["failed"], ["done"], []]


def test_a_feed_without_end_is_read_to_a_limit(site: Site, visit, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """More items than are remembered would be new at every visit."""
    site.publish(*(f'<item><enclosure url="{number}.mp3"/></item>' for number in range(10_400)))
    visit(Studio(), newest=0)
    index = json.loads((tmp_path / "store/feeds/tides/index.json").read_text())

    assert len(index["guids"]) == 10_000


def test_what_is_unreadable_beside_a_recording_is_done_without(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """Some servers say in HTML, and with 200, that there is no such file."""
    site.pages |= {"t.vtt": b"<html>not found</html>", "c.json": b"<html>not found</html>"}
    more = (
        '<podcast:transcript url="t.vtt" type="text/vtt"/>'
        '<podcast:chapters url="c.json" type="application/json+chapters"/>'
    )
    studio = Studio()
    site.publish(site.episode("a", more=more))
    visit(studio)
    episode = open_order(studio.orders[0])

    assert (episode.source.transcript, episode.chapters) == (None, None)


def test_a_title_of_broken_characters_is_read_as_it_was_meant(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """Feeds that were made from Windows-1252 are common; an episode's title may hold no control character."""
    studio = Studio()
    site.publish(site.episode("a").replace("<title>a", "<title>It&#146;s &#129;a&#127;b"))
    visit(studio)

    assert studio.titles == ["It’s a b"]


def test_a_failure_is_tried_three_times_in_all(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """Each later visit tries again, though the feed has not changed; then the item is settled."""
    studio = Studio()
    studio.state = "failed"
    site.publish(site.episode("a"))
    states = [[(entry.state, entry.tries) for entry in visit(studio)] for _ in range(5)]

    assert states == [[("failed", 1)], [("failed", 2)], [("failed", 3)], [], []]
    assert len({order.id for order in studio.orders}) == 1


def test_an_address_inside_is_refused_at_every_turn(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """A recording behind a redirect to a private address is that item's fault; others are made."""
    studio = Studio()
    site.redirects["a.mp3"] = "http://10.0.0.1/a.mp3"
    site.publish(site.episode("a"), site.episode("b"))
    entries = visit(studio, newest=2)

    assert [entry.state for entry in entries] == ["wrong", "done"]
    assert "10.0.0.1, which is not a public address" in entries[0].error


@pytest.mark.parametrize(
    ("page", "said"),
    [(b"<html/>", "a web page"), (b"", "empty"), (None, "answers 404"), (b"x" * (33 << 20), "more than 32 MiB")],
)
def test_what_is_no_feed_is_one_sentence(site: Site, visit, page: bytes | None, said: str) -> None:  # type: ignore[no-untyped-def]
    """A page, nothing, a missing one or one without end."""
    if page is not None:
        site.pages["feed.xml"] = page

    with pytest.raises(FeedError, match=said):
        visit(Studio())


def test_a_feed_that_redirects_in_circles_is_given_up(site: Site, visit) -> None:  # type: ignore[no-untyped-def]
    """After five turns."""
    site.redirects["feed.xml"] = "/feed.xml"

    with pytest.raises(FeedError, match="redirects more than 5 times"):
        visit(Studio())


@pytest.mark.parametrize("name", ["", "../x", "a b", "é", "x" * 61])
def test_an_id_names_a_folder(visit, name: str) -> None:  # type: ignore[no-untyped-def]
    """Anything else could not be kept."""
    with pytest.raises(FeedError, match="is no id"):
        visit(Studio(), id=name)


def test_of_two_watchers_one_takes_an_item() -> None:
    """The other takes it when the first has been dead for six hours, and never once it is done."""
    ledger, fresh = Ledger(MemoryStore(), "feeds/x/items"), Entry(name="a")
    first = ledger.take(fresh, now=NOW)
    soon = ledger.take(fresh, now=NOW + timedelta(hours=1))
    later = ledger.take(fresh, now=NOW + STALE_AFTER)
    ledger.write(Entry(name="a", state="done", at=NOW.isoformat()))

    assert (first is not None, soon, later and later.tries) == (True, None, 2)
    assert ledger.take(fresh, now=NOW + timedelta(days=9)) is None


def item(guid: str, address: str = "http://x/a.mp3", **fields: object) -> FeedItem:
    """An item of a feed."""
    return FeedItem(guid=guid, title=guid, enclosure=Linked(address=address), **fields)  # type: ignore[arg-type]


def test_items_are_known_by_guid_or_by_recording() -> None:
    """Of several items with one name or one recording, the first counts."""
    index = settled(Index(), item("g1", "http://x/1.mp3"), Entry(name="n", content="c"))
    items = (
        item("g1", "http://x/other.mp3"), item("g2", "http://x/1.mp3?token"), item("g3", "http://x/3.mp3"),
        item("g3", "http://x/4.mp3"), item("g5", "http://x/3.mp3#t"),
    )  # fmt: skip

    assert [found.enclosure.address for found in new_items(items, index)] == ["http://x/3.mp3"]
    assert index.contents == ("c",)


def test_the_transcript_of_the_language_is_chosen_before_its_format() -> None:
    """Then cues before JSON; kinds that are not read are passed over."""
    transcripts = tuple(
        Linked(address=f"http://x/{language}.{kind[-4:]}", media_type=kind, language=language)
        for language, kind in (
            ("it", "text/vtt"),
            ("en", "application/json"),
            ("en", "application/srt"),
            ("en", "text/html"),
        )
    )
    chosen = transcript_of(item("g", transcripts=transcripts), "en-GB")

    assert chosen is not None
    assert (chosen[0].media_type, chosen[1]) == ("application/srt", ".srt")


def test_a_cast_in_a_file_of_its_own_stays_as_it_is() -> None:
    """Persons are added to a cast that stands in the template, or to none."""
    persons = (Person(name="Ada", image="http://x/a.png"), Person(name="Bo"))

    assert persons_to_picture(item("g", persons=persons), "cast.yaml") == ()
    assert [person.name for person in persons_to_picture(item("g", persons=persons), None)] == ["Ada"]
