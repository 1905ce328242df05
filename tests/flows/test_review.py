"""The review page of a run: beside its record, leading to what is there, and in nobody's way."""

import json
import logging
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.record import published
from flows.settings import Settings
from tasks.domain.errors import StoreError
from tasks.engines.stores import Store, load
from tasks.engines.stores.folder import FolderStore
from tasks.sweep import find_rubbish
from tasks.verify import verify
from tests.productions import Made, TinyWiring, produce, write_episode
from tests.reading import read_page
from tests.servers import S3Server

TALK = "speaker,text,text_it\nANNA,Good morning.,Buongiorno.\nBEN,Hello.,Ciao.\n"


def settings_of(folder: Path) -> Settings:
    """A store of the test's own."""
    return Settings(store=f"file:{folder / 'store'}", scratch=str(folder / "scratch"))


def run(folder: Path, wiring: TinyWiring) -> tuple[Made, dict[str, Any]]:
    """An episode of two languages, produced and put on record."""
    (folder / "talk.csv").write_text(TALK)
    path = write_episode(folder, source={"script": "talk.csv"}, languages=["it"])
    made = produce(path, wiring)
    return made, published(made.programmes, made.record, wiring)


def opened(store: Store, key: str) -> str:
    """The page at a key."""
    return (store.read(key) or b"").decode()


def test_a_page_leads_to_what_is_there(tmp_path: Path) -> None:
    """In a folder every address on both languages' pages is a file, seen from the page, and none is on the web."""
    wiring = TinyWiring(settings_of(tmp_path))
    made, document = run(tmp_path, wiring)
    assert made.record.pages == [f"{one.folder}/runs/test.html" for one in made.programmes]
    for key, programme in zip(made.record.pages, made.programmes, strict=True):
        page = read_page(opened(wiring.store, key))
        beside = tmp_path / "store" / key
        addresses = page.addresses()
        assert [address for address in addresses if not (beside.parent / address).resolve().is_file()] == []
        assert {Path(address).name for address in addresses} >= {
            f"16x9.{programme.language}.mp4", "poster.jpg", "manifest.json", "test.json", "test.html",
        }  # fmt: skip
        assert len(page.all("img")) == 2
        assert "2 rendered" in page.text
    assert document["aside"][0] == f"review: {tmp_path / 'store' / made.record.pages[0]}"


def test_the_record_names_its_page_and_the_delivery_holds(tmp_path: Path) -> None:
    """A page changes no delivery: it is verified as before, swept never, and only the run's record names it."""
    wiring = TinyWiring(settings_of(tmp_path))
    made, _ = run(tmp_path, wiring)
    folder = made.programmes[0].folder
    record = json.loads(opened(wiring.store, f"{folder}/runs/test.json"))
    assert record["review"] == "test.html"
    assert verify(load(f"file:{tmp_path / 'store' / folder}", {}), scratch=tmp_path).faults == ()
    rubbish = find_rubbish(wiring.store, now=datetime.now(UTC) + timedelta(days=400))
    assert [stored.key for stored in rubbish.objects if stored.key.startswith("programmes/")] == []


def test_a_second_run_has_a_page_of_its_own(tmp_path: Path) -> None:
    """What is there is said to be reused, on another page; the first page stays."""
    wiring = TinyWiring(settings_of(tmp_path))
    first, _ = run(tmp_path, wiring)
    before = opened(wiring.store, first.record.pages[0])
    again, _ = run(tmp_path, TinyWiring(settings_of(tmp_path)))
    again.record.run, again.record.pages = "other", []
    published(again.programmes, again.record, wiring)
    assert "2 reused" in read_page(opened(wiring.store, again.record.pages[0])).text
    assert opened(wiring.store, f"{first.programmes[0].folder}/runs/other.html") != before


class NoPages(FolderStore):
    """A store that takes no page."""

    def write(self, key: str, content: bytes, media_type: str) -> None:
        """Refused where it is one."""
        if key.endswith(".html"):
            raise StoreError("The store has no room.")
        super().write(key, content, media_type)


def test_a_store_that_takes_no_page_fails_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The programme is there, and its record; that the page is not is a warning."""
    settings = settings_of(tmp_path)
    wiring = TinyWiring(settings, NoPages(tmp_path / "store"))
    with caplog.at_level(logging.WARNING, "flows.record"):
        made, document = run(tmp_path, wiring)
    assert made.record.pages == document["aside"] == []
    assert "has no review page of this run: The store has no room." in caplog.text
    record = json.loads(opened(wiring.store, f"{made.programmes[0].folder}/runs/test.json"))
    assert record["review"] is None


@pytest.mark.server
def test_a_page_in_a_bucket_opens_without_keys(tmp_path: Path, s3_server: S3Server) -> None:
    """A browser is told that it is HTML; every address on it opens for whoever has the page, and it says until when."""
    settings = Settings(store=s3_server.new_uri(), scratch=str(tmp_path / "scratch"))
    wiring = TinyWiring(settings, load(settings.store, s3_server.options()))
    _, document = run(tmp_path, wiring)
    with urllib.request.urlopen(document["aside"][0].removeprefix("review: "), timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        page = read_page(answer.read().decode())
    for address in page.addresses():
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert f"media-src 'self' {s3_server.endpoint} data:" in str(policy)
    assert "The links on this page hold until 20" in page.text
