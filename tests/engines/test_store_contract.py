"""What every store owes, run on the folder, on S3 (a real server) and on the fake in memory."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.domain.errors import StoreError
from tasks.engines import stores
from tasks.engines.stores import Store, check_key
from tests.fakes import MemoryStore
from tests.servers import S3Server

JSON = "application/json"
HOSTILE_KEYS = [
    *("", "/", "/etc/passwd", "../up", "a/../../up", "a/..", "..", ".", "a/./b", "a//b", "a/", "/a", "~/a"),
    *(".hidden", "a/.hidden", "a\\b", "a b", "a\0b", "a\nb", "ä", "a/" + "x" * 300, "a/" * 400 + "b", "tmp/a", "a:b"),
    *("a?b", "a%2e%2e", "a&b", "a#b", "http://h/a", "*"),
]


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return stores.load(f"file:{tmp_path / 'store'}", {})
    if request.param == "memory":
        return MemoryStore()
    server: S3Server = request.getfixturevalue("s3_server")
    return stores.load(server.new_uri(), server.options())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(bytes(range(256)) * 5000)
    return path


def keys(store: Store, prefix: str = "") -> list[str]:
    return sorted(stored.key for stored in store.list(prefix))


class TestObjects:
    def test_nothing_is_there_before_it_is_written(self, store: Store, tmp_path: Path) -> None:
        """Reading, fetching, touching and deleting what is not there says so, and is no error."""
        assert store.stat("a/b.json") is None
        assert store.read("a/b.json") is None
        assert store.local("a/b.json") is None
        assert store.fetch("a/b.json", tmp_path / "none") is False
        assert not (tmp_path / "none").exists()
        assert store.touch("a/b.json") is False
        store.delete("a/b.json")
        assert keys(store) == []

    def test_a_file_comes_back_as_it_went_in(self, store: Store, source: Path, tmp_path: Path) -> None:
        """Put and fetch keep every byte, and stat knows the size."""
        store.put("assets/ab/abcd.mp4", source, "video/mp4")
        assert store.fetch("assets/ab/abcd.mp4", tmp_path / "back") is True
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
        stored = store.stat("assets/ab/abcd.mp4")
        assert stored is not None
        assert (stored.key, stored.size) == ("assets/ab/abcd.mp4", source.stat().st_size)

    def test_an_empty_file_is_a_file(self, store: Store, tmp_path: Path) -> None:
        """An object without bytes is there, and is no absent object."""
        (tmp_path / "empty").touch()
        store.put("a/empty", tmp_path / "empty", "text/plain")
        assert store.read("a/empty") == b""
        assert store.stat("a/empty").size == 0  # type: ignore[union-attr]

    def test_writing_replaces(self, store: Store) -> None:
        """The last document written is the one that is read."""
        store.write("a/latest.json", b"old and long", JSON)
        store.write("a/latest.json", b"new", JSON)
        assert store.read("a/latest.json") == b"new"

    def test_creating_never_replaces(self, store: Store) -> None:
        """A second creator is told False and changes nothing."""
        assert store.create("clips/ab/cd.json", b"first", JSON) is True
        assert store.create("clips/ab/cd.json", b"second", JSON) is False
        assert store.create("clips/ab/cd.json", b"first", JSON) is False
        assert store.read("clips/ab/cd.json") == b"first"

    def test_of_racing_creators_exactly_one_wins(self, store: Store) -> None:
        """Eight threads create one key at once, five times over: one True each time, and its bytes stay."""
        with ThreadPoolExecutor(8) as pool:
            for round_ in range(5):
                barrier = threading.Barrier(8)

                def one(number: int, round_: int = round_, barrier: threading.Barrier = barrier) -> bool:
                    barrier.wait()
                    return store.create(f"race/{round_}.json", b"writer %d" % number, JSON)

                won = list(pool.map(one, range(8)))
                assert won.count(True) == 1
                assert store.read(f"race/{round_}.json") == b"writer %d" % won.index(True)

    def test_racing_writers_leave_one_whole_document(self, store: Store) -> None:
        """Documents written by eight threads at once are never mixed."""
        documents = [bytes([number]) * (200_000 + number) for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda document: store.write("a/b", document, JSON), documents * 3))
        assert store.read("a/b") in documents

    def test_a_large_document_is_refused(self, store: Store) -> None:
        """Reading more than the limit is a StoreError, so that a planted file fills no memory."""
        store.write("a/b", b"x" * 1001, JSON)
        assert store.read("a/b", limit=1001) == b"x" * 1001
        with pytest.raises(StoreError, match="larger than the 1000 bytes"):
            store.read("a/b", limit=1000)

    def test_deleting_removes_one_object_alone(self, store: Store) -> None:
        """Its neighbours stay, and the key can be created again."""
        for key in ("a/b", "a/bc", "a/b.c"):
            store.write(key, b"x", JSON)
        store.delete("a/b")
        assert keys(store, "a/") == ["a/b.c", "a/bc"]
        assert store.create("a/b", b"y", JSON) is True

    def test_listing_follows_the_prefix(self, store: Store) -> None:
        """A prefix selects by the beginning of the key, whether it ends a folder or not."""
        for key in ("clips/ab/1.json", "clips/ab/2.json", "clips/ac/3.json", "clipsx/4.json", "m.json"):
            store.write(key, b"12345", JSON)
        assert keys(store, "clips/") == ["clips/ab/1.json", "clips/ab/2.json", "clips/ac/3.json"]
        assert keys(store, "clips/ab") == ["clips/ab/1.json", "clips/ab/2.json"]
        assert keys(store, "clips") == ["clips/ab/1.json", "clips/ab/2.json", "clips/ac/3.json", "clipsx/4.json"]
        assert len(keys(store)) == 5
        assert keys(store, "none/") == []
        assert {stored.size for stored in store.list("")} == {5}

    def test_an_object_tells_its_age_and_touching_renews_it(self, store: Store) -> None:
        """Modified is the time of the last write or touch; touching keeps the bytes."""
        before = datetime.now(UTC) - timedelta(seconds=2)
        store.write("a/b.mp4", b"bytes", "video/mp4")
        first = store.stat("a/b.mp4").modified  # type: ignore[union-attr]
        assert before <= first <= datetime.now(UTC) + timedelta(seconds=2)
        time.sleep(1.1 if store.uri.startswith("s3:") else 0.02)  # S3 counts whole seconds
        assert store.touch("a/b.mp4") is True
        assert store.stat("a/b.mp4").modified > first  # type: ignore[union-attr]
        assert store.read("a/b.mp4") == b"bytes"

    def test_touching_disturbs_no_reader(self, store: Store) -> None:
        """While an object is touched again and again, every reading finds it whole."""
        content = b"film" * 50_000
        store.write("a/b.mp4", content, "video/mp4")
        with ThreadPoolExecutor(1) as pool:
            touched = pool.submit(lambda: [store.touch("a/b.mp4") for _ in range(20)])
            while not touched.done():
                assert store.read("a/b.mp4") == content
        assert touched.result() == [True] * 20

    def test_copying_replaces_and_needs_a_source(self, store: Store) -> None:
        """Copy gives the target the source's bytes, over what was there; no source is a StoreError."""
        store.write("a/1", b"one", JSON)
        store.write("a/2", b"two", JSON)
        store.copy("a/1", "a/2")
        store.copy("a/1", "b/3")
        assert (store.read("a/2"), store.read("b/3"), store.read("a/1")) == (b"one", b"one", b"one")
        store.write("a/1", b"other", JSON)
        assert store.read("a/2") == b"one"
        with pytest.raises(StoreError, match="gone"):
            store.copy("a/none", "a/2")
        assert store.read("a/2") == b"one"

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_a_hostile_key_is_refused_by_every_method(self, store: Store, source: Path, key: str) -> None:
        """No key leaves the store, hides, or means something else to a file system or a web server."""
        with pytest.raises(ValueError, match="not a key"):
            check_key(key)
        calls = [
            lambda: store.stat(key),
            lambda: store.local(key),
            lambda: store.read(key),
            lambda: store.fetch(key, source.with_name("target")),
            lambda: store.put(key, source, JSON),
            lambda: store.write(key, b"", JSON),
            lambda: store.create(key, b"", JSON),
            lambda: store.touch(key),
            lambda: store.delete(key),
            lambda: store.copy(key, "a/b"),
            lambda: store.address(key),
            lambda: store.link(key, 60),
            lambda: store.publish(key, {}, b"{}"),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="not a key"):
                call()

    def test_keys_of_the_design_are_taken(self, store: Store) -> None:
        """Every kind of key that DESIGN.md names can be written."""
        for key in (
            *("programmes/Onboarding_07.zh-Hant-TW/0123456789abcdef/16x9.zh-Hant-TW.mp4", "partial/ab/0.safetensors"),
            *("memo/compose-2/ab/abcdef.json", "programmes/-x/latest.json"),
        ):
            store.write(key, b"x", JSON)
            assert store.read(key) == b"x"

    def test_it_can_be_checked(self, store: Store) -> None:
        """A store that works passes its own check, which leaves nothing behind."""
        store.check()
        store.check(write=True)
        assert keys(store) == []
        assert store.tidy(datetime.now(UTC) + timedelta(days=1)) == 0

    def test_addresses_and_links_name_the_object(self, store: Store) -> None:
        """A person is shown where the object is; the store is named as --store takes it."""
        assert store.address("a/b.mp4").endswith("a/b.mp4")
        assert "a/b.mp4" in store.link("a/b.mp4", 60)
        assert store.uri.startswith(("file:/", "s3://"))


def filled(store: Store, content: bytes = b"film") -> dict[str, str]:
    store.write("assets/aa/film.mp4", content, "video/mp4")
    store.write("assets/bb/words.vtt", b"WEBVTT", "text/vtt")
    return {"16x9.en.mp4": "assets/aa/film.mp4", "captions.en.vtt": "assets/bb/words.vtt"}


class TestPublishing:
    def test_a_folder_is_published_with_its_manifest(self, store: Store) -> None:
        """Every file and the manifest are there, and the objects that they came from stay."""
        assert store.publish("programmes/ep/0011", filled(store), b'{"a": 1}') is True
        found = {name: store.read(f"programmes/ep/0011/{name}") for name in ("16x9.en.mp4", "captions.en.vtt")}
        assert found == {"16x9.en.mp4": b"film", "captions.en.vtt": b"WEBVTT"}
        assert store.read("programmes/ep/0011/manifest.json") == b'{"a": 1}'
        assert store.read("assets/aa/film.mp4") == b"film"

    def test_what_is_published_is_never_published_again(self, store: Store) -> None:
        """A second publisher is told False and changes nothing."""
        files = filled(store)
        assert store.publish("programmes/ep/0011", files, b"first") is True
        store.write("assets/aa/film.mp4", b"another film", "video/mp4")
        assert store.publish("programmes/ep/0011", files, b"second") is False
        assert store.read("programmes/ep/0011/manifest.json") == b"first"
        assert store.read("programmes/ep/0011/16x9.en.mp4") == b"film"

    def test_a_missing_file_publishes_nothing(self, store: Store) -> None:
        """Where an object is gone there is no manifest, and the next attempt succeeds."""
        files = filled(store)
        store.delete(files["captions.en.vtt"])
        with pytest.raises(StoreError, match="gone"):
            store.publish("programmes/ep/0011", files, b"{}")
        assert store.stat("programmes/ep/0011/manifest.json") is None
        assert store.publish("programmes/ep/0011", filled(store), b"{}") is True

    def test_of_racing_publishers_exactly_one_wins(self, store: Store) -> None:
        """Eight publishers at once: one True, one manifest, all the files."""
        files = filled(store)
        barrier = threading.Barrier(8)

        def one(number: int) -> bool:
            barrier.wait()
            return store.publish("programmes/ep/0011", files, b"%d" % number)

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(one, range(8)))
        assert won.count(True) == 1
        assert store.read("programmes/ep/0011/manifest.json") == b"%d" % won.index(True)
        assert keys(store, "programmes/ep/0011/") == [
            f"programmes/ep/0011/{name}" for name in ("16x9.en.mp4", "captions.en.vtt", "manifest.json")
        ]

    def test_records_are_added_to_what_is_published(self, store: Store) -> None:
        """runs/ lies within the published folder, and grows."""
        store.publish("programmes/ep/0011", filled(store), b"{}")
        assert store.create("programmes/ep/0011/runs/r1.json", b"{}", JSON) is True
        assert store.publish("programmes/ep/0011", filled(store), b"other") is False
        assert store.read("programmes/ep/0011/runs/r1.json") == b"{}"
