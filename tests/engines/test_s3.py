"""The S3 store: what it says when something is wrong, and what it does when connections break."""

import http.server
import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import minio.error
import pytest
import urllib3.exceptions
from minio.error import S3Error

from tasks.domain.errors import SettingsError, StoreError
from tasks.engines import stores
from tasks.engines.stores import s3_faults
from tasks.engines.stores.s3 import load as load_s3
from tests.servers import SECRET_KEY, free_ports

JSON = "application/json"
FAST: dict[str, Any] = {"connect_seconds": 1.0, "read_seconds": 1.5, "attempts": 2}
KEYS: dict[str, Any] = {"access_key": "testaccess", "secret_key": SECRET_KEY}


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

    @pytest.mark.parametrize(("status", "kind"), [(503, "text/html"), (502, ""), (429, "application/json")])
    def test_a_proxy_before_a_busy_service_is_no_wrong_setting(self, status: int, kind: str) -> None:
        """Its page is no XML, and will be gone in a minute."""
        with answering(status, kind, b"<html>try later") as endpoint:
            store = load_s3("s3://videos/p", {"endpoint": endpoint, **KEYS, **FAST})
            with pytest.raises(StoreError, match=rf"failed \(HTTP {status}\)"):
                store.check()

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
        caplog.set_level(logging.DEBUG, "urllib3")  # a run of the command leaves it quieter
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


def test_codes_come_out_of_bodies_that_are_no_xml() -> None:
    """The code is found by its tag alone: a body that would upset a parser upsets nothing."""
    assert s3_faults.RefusedError(412, s3_error("PreconditionFailed"), "application/xml").code == "PreconditionFailed"
    assert s3_faults.RefusedError(500, b"<Code>" + b"x" * 100_000, "").code == ""
    assert s3_faults.RefusedError(500, b"\xff<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>", "").code == ""
    assert issubclass(S3Error, s3_faults.FOREIGN)
