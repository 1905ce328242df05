"""Downloads: whole files from public hosts only, judged at the connected address, at every redirect, within limits."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from s2v_model.contract import Stopped
from tasks.domain.errors import EngineError, RecordingError
from tasks.media import fetch as module
from tasks.media.fetch import FetchLimits, check_address, fetch, is_address, shown_address
from tasks.media.network import is_public
from tasks.media.probe import unwatched

BODY = bytes(range(256)) * 1000


class Handler(BaseHTTPRequestHandler):
    """Answers by path; counts what was asked."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    seen: list[Any]

    def do_GET(self) -> None:
        """By path."""
        type(self).asked.append(self.path)
        type(self).seen.append(dict(self.headers))
        name = self.path.split("?")[0].strip("/")
        getattr(self, f"_send_{name}", self._send_missing)()

    def _reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _send_audio(self) -> None:
        self._reply(200, BODY, content_type="audio/mpeg; charset=x")

    def _send_hop(self) -> None:
        self._reply(302, location="/audio")

    def _send_loop(self) -> None:
        self._reply(302, location="/loop")

    def _send_private(self) -> None:
        self._reply(302, location="http://10.0.0.1/x")

    def _send_file(self) -> None:
        self._reply(302, location="file:///etc/hostname")

    def _send_nowhere(self) -> None:
        self._reply(302)

    def _send_busy(self) -> None:
        self._reply(503)

    def _send_missing(self) -> None:
        self._reply(404)

    def _send_short(self) -> None:
        self._reply(200, BODY[:100], content_length="1000")
        self.close_connection = True

    def _send_gzip(self) -> None:
        self._reply(200, b"x", content_encoding="gzip")

    def _send_endless(self) -> None:
        self.send_response(200)
        self.send_header("connection", "close")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 65536)
        except OSError:
            self.close_connection = True

    def _send_drip(self) -> None:
        try:
            for _ in range(100):
                self.wfile.write(b"H")
                time.sleep(0.05)
        except OSError:
            pass
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server on loopback."""
    Handler.asked, Handler.seen = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def get(url: str, folder: Path, **options: Any) -> module.Fetched:
    options.setdefault("allow", ("127.0.0.1",))
    return fetch(url, folder / "podcast.mp3", watch=options.pop("watch", unwatched), **options)


def test_a_file_arrives_whole(server: str, tmp_path: Path) -> None:
    """Bytes, type and length are those of the server; nothing lies beside."""
    fetched = get(f"{server}/audio?token=SECRET", tmp_path)
    assert fetched.path.read_bytes() == BODY
    assert (fetched.num_bytes, fetched.media_type) == (len(BODY), "audio/mpeg")
    assert "SECRET" not in fetched.address
    assert [path.name for path in tmp_path.iterdir()] == ["podcast.mp3"]
    assert Handler.seen[0]["Accept-Encoding"] == "identity"


def test_a_redirect_is_followed(server: str, tmp_path: Path) -> None:
    """A relative location joins its address."""
    assert get(f"{server}/hop", tmp_path).path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("loop", "redirects more than 5 times"),
        ("private", r"leads to 10\.0\.0\.1"),
        ("file", "of the kind 'file' are not read"),
        ("nowhere", "redirects to nowhere"),
        ("none", "answers 404"),
        ("gzip", "compressed"),
    ],
)
def test_what_trying_again_will_not_mend_is_refused(server: str, tmp_path: Path, path: str, reason: str) -> None:
    """Redirects in circles, to private addresses or other kinds, and missing files are a person's to mend."""
    with pytest.raises(RecordingError, match=reason):
        get(f"{server}/{path}", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("path", "reason"), [("busy", "answers 503"), ("short", "connection failed")])
def test_what_may_pass_is_tried_again(server: str, tmp_path: Path, path: str, reason: str) -> None:
    """A busy server and a broken connection raise the class that is retried, and leave nothing."""
    with pytest.raises(EngineError, match=reason):
        get(f"{server}/{path}", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_loopback_is_refused_however_it_is_written(
    server: str, tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decimal, hexadecimal, short, mapped or by name: nothing is asked of the server."""
    resolve = socket.getaddrinfo
    # The tests' own guard against the network knows no odd spellings; the system's resolver does.
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *rest, **more: _numeric(resolve, name, *rest, **more))
    with pytest.raises((RecordingError, EngineError)) as refusal:
        get(f"http://{host}:{server.rpartition(':')[2]}/audio", tmp_path, allow=())
    assert Handler.asked == []
    assert any(text in str(refusal.value) for text in ("not a public address", "no valid address", "no such host"))


def _numeric(resolve: Any, name: str, *rest: Any, **more: Any) -> Any:
    try:
        return resolve(socket.inet_ntoa(socket.inet_aton(name)), *rest, **more)
    except OSError:
        return resolve(name, *rest, **more)


@pytest.mark.parametrize(
    "number",
    [
        *("10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("255.255.255.255", "192.0.2.1", "fe80::1", "fc00::1", "::", "ff02::1", "2001:db8::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "::10.0.0.1"),
    ],
)
def test_a_name_that_leads_to_a_private_address_is_refused(
    tmp_path: Path, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Private, link-local, shared, multicast, reserved, and IPv4 hidden in IPv6: judged by address, not by name."""
    family = socket.AF_INET6 if ":" in number else socket.AF_INET
    monkeypatch.setattr(
        module.socket, "getaddrinfo", lambda *_, **__: [(family, socket.SOCK_STREAM, 6, "", (number, 80))]
    )
    with pytest.raises(RecordingError, match="not a public address"):
        get("http://podcast.example/x.mp3", tmp_path, allow=())


def test_one_private_address_among_public_ones_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with two addresses, one of them private, is refused before anything is connected."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 80)) for number in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(module.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(RecordingError, match=r"leads to 10\.0\.0\.1"):
        get("http://podcast.example/x.mp3", tmp_path, allow=())


def test_the_judged_address_is_the_connected_one(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is looked up once per connection: an answer that changes between check and use changes nothing."""
    lookups: list[str] = []

    def changing(host: str, *_: Any, **__: Any) -> Any:
        lookups.append(host)
        number = "127.0.0.1" if len(lookups) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 80))]

    real = socket.getaddrinfo
    monkeypatch.setattr(
        module.socket,
        "getaddrinfo",
        lambda host, *rest, **more: changing(host) if host == "podcast.example" else real(host, *rest, **more),
    )
    port = server.rpartition(":")[2]
    fetched = get(f"http://podcast.example:{port}/audio", tmp_path, allow=("127.0.0.0/8",))
    assert fetched.path.read_bytes() == BODY
    assert lookups == ["podcast.example"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/x", "of the kind 'ftp'"),
        ("file:///etc/hostname", "of the kind 'file'"),
        ("http:///x", "names no host"),
        ("http://user:SECRET@example.org/x", "user name or a password"),
        ("http://[::1/x", "no valid address"),
        ("http://xn--/x", "no valid address"),
    ],
)
def test_odd_addresses_are_refused_unconnected(tmp_path: Path, url: str, reason: str) -> None:
    """Other kinds, no host, a password: said at once, and no secret is repeated."""
    with pytest.raises(RecordingError, match=reason) as refusal:
        get(url, tmp_path)
    assert "SECRET" not in str(refusal.value)


@pytest.mark.parametrize(
    ("failure", "kind", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), RecordingError, "no such host"),
        (UnicodeError("label too long"), RecordingError, "no such host"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), EngineError, "cannot be looked up now"),
    ],
)
def test_a_host_that_is_not_found_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, kind: type[Exception], reason: str
) -> None:
    """A misspelt host is a person's to mend; a resolver that does not answer is tried again."""

    def lookup(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(module.socket, "getaddrinfo", lookup)
    with pytest.raises(kind, match=reason):
        get("http://podcast.example/x", tmp_path)


def test_size_is_limited_announced_or_not(server: str, tmp_path: Path) -> None:
    """A stream without end and a file that is too large stop at the limit and leave nothing."""
    for path in ("endless", "audio"):
        with pytest.raises(RecordingError, match=r"more than 0 MiB"):
            get(f"{server}/{path}", tmp_path, limits=FetchLimits(max_bytes=100_000))
    assert list(tmp_path.iterdir()) == []


def test_time_is_limited_even_when_bytes_drip(server: str, tmp_path: Path) -> None:
    """A server that sends a byte now and then is left at the deadline."""
    started = time.monotonic()
    with pytest.raises(EngineError, match="in time"):
        get(f"{server}/drip", tmp_path, limits=FetchLimits(max_seconds=0.4))
    assert time.monotonic() - started < 3


def test_a_watch_can_stop_the_download(server: str, tmp_path: Path) -> None:
    """What `watch` raises ends it, and nothing is left."""

    def stop(done: float, total: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        get(f"{server}/audio", tmp_path, watch=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_is_not_asked_for_a_proxy(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment would hide the connected address."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert get(f"{server}/audio", tmp_path).num_bytes == len(BODY)


def test_addresses_are_told_from_file_names() -> None:
    """Only what has a kind and two slashes is an address."""
    assert is_address("https://example.org/a.mp3")
    assert is_address("file:///etc/hostname")
    assert not is_address("a.mp3")
    assert not is_address("./http://a.mp3")


def test_secrets_are_not_shown() -> None:
    """User, password, query and fragment stay out of messages."""
    assert shown_address("https://u:p@example.org:8443/a%20b.mp3?token=x#y") == "'https://example.org:8443/a b.mp3'"


def test_a_public_address_is_public() -> None:
    """The rule lets ordinary hosts through."""
    assert is_public(ipaddress.ip_address("93.184.216.34"))
    assert is_public(ipaddress.ip_address("2606:2800:220:1:248:1893:25c8:1946"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:22/a.mp3", "127.0.0.1, which is not a public"),
        ("http://169.254.169.254/latest/", "not a public"),
        ("http://[::1]/a.mp3", "not a public"),
        ("http://[::ffff:10.0.0.1]/a.mp3", "not a public"),
        ("http://0x7f000001/a.mp3", "127.0.0.1, which is not a public"),
        ("http://2130706433/a.mp3", "127.0.0.1, which is not a public"),
        ("http://127.1/a.mp3", "127.0.0.1, which is not a public"),
        ("http://name@127.0.0.1/a.mp3", "a user name or a password"),
        ("http://localhost/a.mp3", "no public host"),
        ("http://printer/a.mp3", "no public host"),
        ("http://nas.local./a.mp3", "no public host"),
        ("ftp://example.org/a.mp3", "kind 'ftp'"),
        ("file:///etc/passwd", "kind 'file'"),
        ("data:audio/mpeg;base64,AAAA", "kind 'data'"),
        ("javascript:alert(1)", "'javascript:alert\\(1\\)'"),
        ("a.mp3", "kind ''"),
        ("http://example.org/" + "a" * 2000, "more than 2,000 characters"),
    ],
)
def test_an_address_is_judged_by_what_it_says(url: str, said: str) -> None:
    """Schemes, odd spellings of private addresses and names of one's own network are refused without a lookup."""
    with pytest.raises(RecordingError, match=said):
        check_address(url)


@pytest.mark.parametrize("allow", [("127.0.0.1",), ("127.0.0.0/8",)])
def test_an_allowed_address_passes(allow: tuple[str, ...]) -> None:
    """`network.allow` names hosts, addresses or networks; public names need no entry."""
    check_address("http://127.0.0.1:8765/a.mp3", allow=allow)
    check_address("https://example.org/a.mp3")
    check_address("https://8.8.8.8/a.mp3")
