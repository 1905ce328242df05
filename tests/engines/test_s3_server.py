"""The S3 store against a real service, and with connections that break on the way to it."""

import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.domain.errors import SettingsError, StoreError
from tasks.engines.stores.s3 import S3Store
from tasks.engines.stores.s3 import load as load_s3
from tests.servers import BUCKET, SECRET_KEY, CuttingProxy, S3Server

pytestmark = pytest.mark.server
JSON = "application/json"
FAST: dict[str, Any] = {"connect_seconds": 1.0, "read_seconds": 1.5, "attempts": 2}
KEYS: dict[str, Any] = {"access_key": "testaccess", "secret_key": SECRET_KEY}


@pytest.fixture
def server(s3_server: S3Server) -> S3Server:
    return s3_server


@pytest.fixture
def uri(server: S3Server) -> str:
    return server.new_uri()


@pytest.fixture
def store(server: S3Server, uri: str) -> S3Store:
    return load_s3(uri, server.options())


@pytest.fixture
def proxy(server: S3Server) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(server.port)
    yield proxy
    proxy.close()


def through(proxy: CuttingProxy, uri: str, **options: Any) -> S3Store:
    return load_s3(uri, {"endpoint": f"http://127.0.0.1:{proxy.port}", **KEYS, **FAST, "attempts": 3, **options})


class TestRealServer:
    @pytest.mark.parametrize(
        ("uri", "options", "expected"),
        [
            ("s3://videos/p", {"secret_key": "wrong"}, "refuses the credentials"),
            ("s3://videos/p", {"access_key": "nobody"}, "refuses the credentials"),
            ("s3://no-such-bucket/p", {}, "has no bucket 'no-such-bucket'"),
        ],
    )
    def test_wrong_settings_end_the_run_before_it_starts(
        self, server: S3Server, tmp_path: Path, uri: str, options: dict[str, Any], expected: str
    ) -> None:
        """Wrong keys and a missing bucket are one sentence each, whichever call meets them first."""
        (tmp_path / "f").write_bytes(b"x")
        with pytest.raises(SettingsError, match=expected):
            load_s3(uri, server.options(**options)).check()
        for call in (
            lambda store: store.stat("a/b"),
            lambda store: store.read("a/b"),
            lambda store: store.fetch("a/b", tmp_path / "t"),
            lambda store: store.put("a/b", tmp_path / "f", JSON),
            lambda store: store.create("a/b", b"", JSON),
            lambda store: store.publish("a/b", {}, b""),
            lambda store: list(store.list("")),
        ):
            with pytest.raises(StoreError, match=expected):
                call(load_s3(uri, server.options(**options)))

    def test_a_wrong_clock_is_told(self, store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine twenty minutes late is told to set its clock."""
        late = datetime.now(UTC) - timedelta(minutes=20)
        monkeypatch.setattr("minio.time.utcnow", lambda: late)
        with pytest.raises(SettingsError, match="clock wrong by more than 15 minutes"):
            store.check()

    def test_a_clock_that_is_hours_late_is_told_by_every_call(
        self, store: S3Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A signed address that has expired before it is used is a matter of the clock, not of rights."""
        late = datetime.now(UTC) - timedelta(hours=3)
        monkeypatch.setattr("minio.time.utcnow", lambda: late)
        for call in (lambda: store.create("a/b", b"", JSON), lambda: store.read("a/b"), lambda: store.stat("a/b")):
            with pytest.raises(StoreError, match="clock wrong by more than 15 minutes"):
                call()

    def test_a_large_file_goes_in_parts(self, server: S3Server, uri: str, tmp_path: Path) -> None:
        """Above the limit of one request a file travels in parts, and comes back whole."""
        store = load_s3(uri, server.options(single_put_bytes=40 << 20))
        source = tmp_path / "large.bin"
        with source.open("wb") as file:
            for _ in range(70):
                file.write(os.urandom(1 << 20))
        store.put("assets/large.bin", source, "video/mp4")
        assert store.fetch("assets/large.bin", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == source.read_bytes()

    def test_stale_uploads_in_parts_are_aborted(self, store: S3Store, server: S3Server, uri: str) -> None:
        """Tidy aborts our own uploads that began before the given time, and no one else's."""
        prefix = uri.removeprefix(f"s3://{BUCKET}/")
        client = store._client
        for name in (f"{prefix}/assets/a", f"{prefix}/assets/b", "others/c"):
            client._create_multipart_upload(bucket_name=BUCKET, object_name=name, headers={})
        assert store.tidy(datetime.now(UTC) - timedelta(hours=1)) == 0
        assert store.tidy(datetime.now(UTC) + timedelta(hours=1)) == 2
        left = client._list_multipart_uploads(bucket_name=BUCKET, prefix="").uploads
        assert "others/c" in [upload.object_name for upload in left]
        assert f"{prefix}/assets/a" not in [upload.object_name for upload in left]

    def test_links_open_without_keys(self, store: S3Store) -> None:
        """A signed link gives the object to anybody who has it, with its type and in parts."""
        store.write("a/b.mp4", b"0123456789", "video/mp4")
        request = urllib.request.Request(store.link("a/b.mp4", 60), headers={"Range": "bytes=2-4"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert (answer.status, answer.read(), answer.headers["Content-Type"]) == (206, b"234", "video/mp4")

    def test_links_name_the_public_endpoint(self, server: S3Server, uri: str) -> None:
        """Browsers are sent to the address that they can reach; signing asks no server."""
        store = load_s3(uri, server.options(public_endpoint="https://media.example.org"))
        assert store.link("a/b.mp4", 60).startswith(f"https://media.example.org/{BUCKET}/")
        for seconds in (0, 7 * 24 * 3600 + 1):
            with pytest.raises(ValueError, match="7 days"):
                store.link("a/b.mp4", seconds)

    def test_the_media_type_survives_touching_and_publishing(self, store: S3Store) -> None:
        """A browser is told what a published file is."""
        store.write("assets/film.mp4", b"film", "video/mp4")
        store.touch("assets/film.mp4")
        store.publish("programmes/ep/0011", {"film.mp4": "assets/film.mp4"}, b"{}")
        name = store._name("programmes/ep/0011/film.mp4")
        assert store._client.stat_object(bucket_name=BUCKET, object_name=name).content_type == "video/mp4"

    def test_a_frozen_server_that_wakes_has_one_winner(self, server: S3Server, uri: str) -> None:
        """A create that timed out may have arrived: whoever it was, exactly one writer is told True."""
        store = load_s3(uri, server.options(read_seconds=1.0, attempts=3))
        store.create("warm/up", b"", JSON)
        server.pause()
        threading.Timer(1.5, server.resume).start()
        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(lambda number: store.create("frozen/key", b"writer %d" % number, JSON), range(4)))
        assert won.count(True) == 1
        assert store.read("frozen/key") == b"writer %d" % won.index(True)

    def test_a_killed_upload_is_not_visible(self, server: S3Server, uri: str, tmp_path: Path) -> None:
        """SIGKILL of a process that uploads leaves no object, in one request as in parts."""
        source = tmp_path / "large.bin"
        source.write_bytes(os.urandom(64 << 20))
        store = load_s3(uri, server.options())
        for limit in (1 << 30, 1 << 20):
            key = f"assets/killed{limit}"
            script = (
                "import sys; from pathlib import Path; from tasks.engines.stores.s3 import load\n"
                f"store = load({uri!r}, {server.options(single_put_bytes=limit)!r})\n"
                f"print('go', flush=True); store.put({key!r}, Path({str(source)!r}), 'video/mp4')"
            )
            process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.15)
            process.kill()
            process.wait()
            process.stdout.close()
            stored = store.stat(key)
            assert stored is None or stored.size == source.stat().st_size
            store.put(key, source, "video/mp4")
            assert store.stat(key).size == source.stat().st_size  # type: ignore[union-attr]


class TestBrokenConnections:
    @pytest.mark.parametrize("cut", [("up", 0), ("up", 300), ("up", 100_000), ("down", 0), ("down", 40)])
    def test_uploads_begin_again(
        self, proxy: CuttingProxy, store: S3Store, uri: str, tmp_path: Path, cut: tuple[str, int]
    ) -> None:
        """A connection cut before, within or after the body costs another attempt, and the object is whole."""
        source = tmp_path / "film"
        source.write_bytes(os.urandom(1 << 20))
        proxy.cuts = [cut, cut]
        through(proxy, uri).put("assets/film", source, "video/mp4")
        assert proxy.num_cut >= 1
        assert store.read("assets/film") == source.read_bytes()

    @pytest.mark.parametrize("cut", [("up", 0), ("up", 300), ("down", 0), ("down", 40)])
    def test_a_winner_whose_answer_was_lost_is_told_so(
        self, proxy: CuttingProxy, store: S3Store, uri: str, cut: tuple[str, int]
    ) -> None:
        """Cut before or after the service created the object, the only writer is told True."""
        proxy.cuts = [cut]
        assert through(proxy, uri).create("a/b", b"mine", JSON) is True
        assert store.read("a/b") == b"mine"

    def test_a_loser_whose_answer_was_lost_is_told_so(self, proxy: CuttingProxy, store: S3Store, uri: str) -> None:
        """What stands there is another's: False, however often the connection broke."""
        store.create("a/b", b"theirs", JSON)
        proxy.cuts = [("down", 0), ("down", 0)]
        assert through(proxy, uri).create("a/b", b"mine", JSON) is False
        assert store.read("a/b") == b"theirs"

    @pytest.mark.parametrize("cut", [("up", 0), ("down", 0), ("down", 60), ("down", 200), ("down", 500_000)])
    def test_downloads_begin_again(
        self, proxy: CuttingProxy, store: S3Store, uri: str, tmp_path: Path, cut: tuple[str, int]
    ) -> None:
        """A connection cut within the body costs another attempt, and the file is whole."""
        content = os.urandom(1 << 20)
        store.write("assets/film", content, "video/mp4")
        proxy.cuts = [cut, cut]
        assert through(proxy, uri).fetch("assets/film", tmp_path / "film") is True
        assert (tmp_path / "film").read_bytes() == content
        proxy.cuts = [cut]
        assert through(proxy, uri).read("assets/film") == content

    def test_a_connection_that_always_breaks_is_told(
        self, proxy: CuttingProxy, store: S3Store, uri: str, tmp_path: Path
    ) -> None:
        """After the last attempt there is one sentence, and no half of a file."""
        store.write("assets/film", os.urandom(1 << 20), "video/mp4")
        proxy.cuts = [("down", 500_000)] * 20
        with pytest.raises(StoreError, match=r"cannot be reached \(the connection broke\)"):
            through(proxy, uri).fetch("assets/film", tmp_path / "film")
        proxy.cuts = [("up", 100)] * 20
        with pytest.raises(StoreError, match=r"cannot be reached \(the connection broke\)"):
            through(proxy, uri).create("a/b", b"x" * 1000, JSON)
        proxy.cuts = []
        assert list(tmp_path.iterdir()) == []
        assert store.stat("a/b") is None

    def test_publishing_goes_on_after_every_break(self, proxy: CuttingProxy, store: S3Store, uri: str) -> None:
        """With the n-th connection cut, n = 1, 2, ..., the programme is there whole, or not at all and then whole."""
        store.write("assets/film", b"film", "video/mp4")
        store.write("assets/words", b"words", "text/vtt")
        files = {"film.mp4": "assets/film", "words.vtt": "assets/words"}
        for n in range(8):
            prefix = f"programmes/ep/{n:04}"
            proxy.cuts = [("down", 1 << 40)] * n + [("up", 50)] * 3
            try:
                through(proxy, uri, attempts=1).publish(prefix, files, b"{}")
            except StoreError:
                found = store.stat(f"{prefix}/manifest.json")
                assert found is None or sorted(one.key.rpartition("/")[2] for one in store.list(prefix)) == [
                    *("film.mp4", "manifest.json", "words.vtt")
                ]
            proxy.cuts = []
            through(proxy, uri).publish(prefix, files, b"{}")
            assert store.read(f"{prefix}/film.mp4") == b"film"
            assert store.read(f"{prefix}/manifest.json") == b"{}"
