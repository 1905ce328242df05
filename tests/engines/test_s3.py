"""The S3 store: what it says when something is wrong, and what it does when connections break."""

import http.server
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import minio.error
import pytest
import urllib3.exceptions
from minio.error import S3Error

from tasks.domain.errors import SettingsError, StoreError
from tasks.engines import stores
from tasks.engines.stores import s3_faults
from tasks.engines.stores.s3 import S3Store
from tasks.engines.stores.s3 import load as load_s3
from tests.servers import BUCKET, SECRET_KEY, CuttingProxy, S3Server, free_ports

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


@contextmanager
def answering(status: int, content_type: str, body: bytes) -> Iterator[str]:
    """A web server that answers every request alike; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_PUT = do_HEAD = do_DELETE = do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_address[1]}"
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def s3_error(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>m</Message></Error>'.encode()


class TestSentences:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("SignatureDoesNotMatch", r"refuses the credentials \(SignatureDoesNotMatch\). Check the access key"),
            ("InvalidAccessKeyId", "refuses the credentials"),
            ("AccessDenied", "refuses access to bucket 'videos'"),
            ("RequestTimeTooSkewed", "finds this machine's clock wrong by more than 15 minutes"),
            ("NoSuchBucket", "has no bucket 'videos'"),
            ("AuthorizationHeaderMalformed", "in another region"),
        ],
    )
    def test_what_a_person_must_mend_ends_the_run_before_it_starts(self, code: str, expected: str) -> None:
        """A refusal that no retry cures is a SettingsError of check, and a StoreError of all other calls."""
        with answering(403, "application/xml", s3_error(code)) as endpoint:
            store = load_s3("s3://videos/p", {"endpoint": endpoint, **KEYS, **FAST})
            with pytest.raises(SettingsError, match=expected):
                store.check()
            for call in (
                lambda: store.read("a"),
                lambda: store.create("a", b"", JSON),
                lambda: list(store.list("")),
                lambda: store.stat("a"),
                lambda: store.delete("a"),
            ):
                with pytest.raises(StoreError, match=expected):
                    call()

    @pytest.mark.parametrize("code", ["SlowDown", "InternalError", "ServiceUnavailable"])
    def test_a_busy_service_is_no_wrong_setting(self, code: str) -> None:
        """A 503 keeps its code through all retries, and is a StoreError even of check: a later attempt may succeed."""
        with answering(503, "application/xml", s3_error(code)) as endpoint:
            store = load_s3("s3://videos/p", {"endpoint": endpoint, **KEYS, **FAST})
            for call in (store.check, lambda: store.create("a", b"", JSON), lambda: store.read("a")):
                with pytest.raises(StoreError, match=rf"failed \({code}\)"):
                    call()

    def test_a_full_service_says_so(self) -> None:
        """A quota that is used up is told as such."""
        with answering(403, "application/xml", s3_error("QuotaExceeded")) as endpoint:
            store = load_s3("s3://videos/p", {"endpoint": endpoint, **KEYS, **FAST})
            with pytest.raises(StoreError, match="has no room left"):
                store.create("a", b"", JSON)

    @pytest.mark.parametrize(
        ("status", "kind", "body"),
        [
            (200, "text/html", b"<html><body>Welcome to my router</body></html>"),
            (404, "text/html", b"<html>not found</html>" * 1000),
            (404, "application/octet-stream", bytes(range(256))),
            (200, "application/xml", b"no xml at all"),
            (200, "application/xml", b"<rss version='2.0'><channel/></rss>"),
            (403, "text/plain", b""),
            (301, "text/html", b"moved"),
        ],
    )
    def test_something_else_than_s3_is_told(self, status: int, kind: str, body: bytes) -> None:
        """A web server in the service's place is a SettingsError of one sentence, without its page."""
        with answering(status, kind, body) as endpoint:
            store = load_s3("s3://videos/p", {"endpoint": endpoint, **KEYS, **FAST})
            with pytest.raises(SettingsError, match="does not answer as an S3 service does") as caught:
                store.check(write=True)
            assert len(str(caught.value)) < 300
            if status != 200:
                with pytest.raises(StoreError, match="does not answer as an S3 service does"):
                    store.create("a", b"x", JSON)

    def test_nobody_there_is_told_soon(self) -> None:
        """A refused connection is a StoreError within 5 seconds, not an hour of retries."""
        endpoint = f"http://127.0.0.1:{free_ports()}"
        store = load_s3("s3://videos/p", {"endpoint": endpoint, **KEYS})
        began = time.monotonic()
        with pytest.raises(StoreError, match=rf"The store at {endpoint} cannot be reached \(nothing listens there\)"):
            store.check()
        with pytest.raises(StoreError, match="nothing listens there"):
            store.create("a", b"", JSON)
        assert time.monotonic() - began < 5

    def test_a_name_that_nobody_knows_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mistyped host is told as such."""

        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        store = load_s3("s3://videos/p", {"endpoint": "http://minoi.local:9000", **KEYS, **FAST})
        with pytest.raises(StoreError, match="its name is not known"):
            store.check()

    def test_silence_is_told(self) -> None:
        """A server that takes the connection and says nothing is given up after the time set."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            store = load_s3("s3://videos/p", {"endpoint": endpoint, **KEYS, **FAST, "read_seconds": 0.2})
            with pytest.raises(StoreError, match="no answer in time"):
                store.check()
            with pytest.raises(StoreError, match="no answer in time"):
                store.create("a", b"", JSON)

    def test_https_of_an_http_server_is_told(self) -> None:
        """TLS where there is none is a SettingsError that says what to write."""
        with answering(200, "text/plain", b"") as endpoint:
            store = load_s3("s3://videos/p", {"endpoint": endpoint.replace("http", "https"), **KEYS, **FAST})
            with pytest.raises(SettingsError, match=r"does not speak TLS there\. Write http://"):
                store.check()

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, "needs an access key and a secret key"),
            ({"access_key": "a"}, "needs an access key and a secret key"),
            ({**KEYS, "endpoint": "127.0.0.1:9000"}, "no address of a service"),
            ({**KEYS, "endpoint": "http://h:9000/path"}, "no address of a service"),
            ({**KEYS, "endpoint": "http://user:pass@h:9000"}, "no address of a service"),
            ({**KEYS, "endpoint": "ftp://h"}, "no address of a service"),
            ({**KEYS, "endpoint": "http://h:99999"}, "no address of a service"),
            ({**KEYS, "public_endpoint": "h"}, "no address of a service"),
            ({**KEYS, "endpont": "http://h"}, "no setting 'endpont'"),
        ],
    )
    def test_wrong_settings_are_told(self, options: dict[str, Any], expected: str) -> None:
        """Settings that cannot work are a SettingsError before any connection, and never show what they hold."""
        with pytest.raises(SettingsError, match=expected) as caught:
            stores.load("s3://videos/p", options)
        assert "pass@" not in str(caught.value)
        assert SECRET_KEY not in str(caught.value)

    @pytest.mark.parametrize(
        "uri",
        ["s3:", "s3://", "s3:/videos", "s3://Videos", "s3://v", "s3://a_b/p", "s3://videos/../up", "s3://videos/a//b"],
    )
    def test_addresses_that_name_no_bucket(self, uri: str) -> None:
        """A bucket's name and the prefix are checked before any connection."""
        with pytest.raises(SettingsError, match=r"names no bucket|prefix of the store"):
            stores.load(uri, KEYS)

    def test_every_exception_of_the_libraries_is_mapped(self) -> None:
        """Neither library has grown a class of exceptions that would come out as it is."""
        for module in (minio.error, urllib3.exceptions):
            for name, kind in vars(module).items():
                if isinstance(kind, type) and issubclass(kind, Exception) and kind.__module__ == module.__name__:
                    is_told = issubclass(kind, s3_faults.FOREIGN) or issubclass(kind, Warning)
                    # We use no proxy, and administer no MinIO.
                    is_elsewhere = name in ("ProxySchemeUnsupported", "MinioAdminException")
                    assert is_told or is_elsewhere, f"{module.__name__}.{name}"


class TestSecrets:
    def test_no_secret_in_errors_and_logs(self, caplog: pytest.LogCaptureFixture) -> None:
        """Neither sentences, nor tracebacks, nor logs at their most talkative hold the secret key or a signature."""
        caplog.set_level(logging.DEBUG)
        told = ""
        with answering(403, "application/xml", s3_error("SignatureDoesNotMatch")) as endpoint:
            for place in (endpoint, f"http://127.0.0.1:{free_ports()}", endpoint.replace("http", "https")):
                store = load_s3("s3://videos/p", {"endpoint": place, **KEYS, **FAST})
                told += repr(vars(store))
                for call in (
                    store.check,
                    lambda store=store: store.create("a", b"x", JSON),
                    lambda s=store: s.read("a"),
                ):
                    try:
                        call()
                    except (StoreError, SettingsError):
                        told += traceback.format_exc()
        assert "Signature=..." in caplog.text
        for text in (told, caplog.text):
            assert SECRET_KEY not in text
            assert "X-Amz-Signature=" not in text


@pytest.mark.server
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


@pytest.mark.server
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


def test_codes_come_out_of_bodies_that_are_no_xml() -> None:
    """The code is found by its tag alone: a body that would upset a parser upsets nothing."""
    assert s3_faults.RefusedError(412, s3_error("PreconditionFailed"), "application/xml").code == "PreconditionFailed"
    assert s3_faults.RefusedError(500, b"<Code>" + b"x" * 100_000, "").code == ""
    assert s3_faults.RefusedError(500, b"\xff<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", "").code == ""
    assert issubclass(S3Error, s3_faults.FOREIGN)
