"""Downloads of recordings: http and https only, public addresses only, so much and no longer.

In: an address and a path. Out: the file, whole, beside and renamed. Every connection, each redirect's too, is judged
(tasks/media/network.py). Reads no proxy and no other setting from the environment; knows no media.
"""

import ipaddress
import logging
import os
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore
import httpx

from s2v_model.contract import Watch
from tasks.domain.errors import EngineError, RecordingError
from tasks.media.network import AddressRefused, GuardedNetwork
from tasks.media.paths import shown
from tasks.media.storage import disk_errors

log = logging.getLogger(__name__)

_REDIRECTS = (301, 302, 303, 307, 308)
_UNCHANGED = 304
_BUSY = (408, 425, 429)
"""Client errors that pass with time, like every 5xx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How much of a download is too much."""

    max_bytes: int = 4 * 2**30
    max_seconds: float = 1800.0
    """For everything, redirects included."""
    connect_seconds: float = 15.0
    idle_seconds: float = 30.0
    """Without a byte."""
    max_redirects: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A finished download."""

    path: Path
    address: str
    """The last one, after redirects; without query, for people."""
    num_bytes: int
    media_type: str


MAX_ADDRESS_CHARACTERS = 2_000
_HOME_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
"""Ends of names that mean a machine of one's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What a server said of a reply, so that it need not send the same again (RFC 9110, 8.8)."""

    etag: str = ""
    modified: str = ""


def is_address(text: str) -> bool:
    """Whether an episode's `podcast` is an address rather than a file name."""
    return "://" in text[:12] and not text.startswith(("/", "."))


def shown_address(url: str) -> str:
    """`url` for a message: without user, password, query and fragment, which may hold secrets."""
    try:
        parts = httpx.URL(url)
        if not parts.host:
            return shown(url.partition("?")[0].partition("#")[0])
        host = f"[{parts.host}]" if ":" in parts.host else parts.host
        port = f":{parts.port}" if parts.port else ""
        return shown(f"{parts.scheme}://{host}{port}{parts.path}")
    except (httpx.InvalidURL, ValueError):
        return shown(url.partition("?")[0].partition("#")[0].rpartition("@")[2])


def check_address(url: str, *, allow: Iterable[str] = ()) -> None:
    """Judge an address by what it says; nothing is looked up or opened, so `fetch` judges the connected one again.

    allow: as for `fetch`. Raises RecordingError for another scheme than http(s), a user name, a private host.
    """
    if len(url) > MAX_ADDRESS_CHARACTERS:
        raise _refusal(url, f"it has more than {MAX_ADDRESS_CHARACTERS:,} characters.", "Shorten it.")
    parts = _checked(url)
    host = parts.host.lower().rstrip(".")
    guard = GuardedNetwork(tuple(allow), deadline=0.0)
    if guard.allows(host):
        return
    try:
        number = str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        number = _numeric(host)
    is_home = host == "localhost" or host.endswith(_HOME_NAMES) or "." not in host
    if number:
        try:
            guard.judge(number)
        except AddressRefused as error:
            message = f"it leads to {error}, which is not a public address."
            raise _refusal(url, message, "Download it yourself, or allow the host (network.allow).") from error
    elif is_home:
        raise _refusal(url, f"{shown(host)} is no public host.", "Write the full address, or allow the host.")


def _numeric(host: str) -> str:
    """The address that an odd spelling means to a resolver (0x7f000001, 127.1), "" for a name."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return ""


def fetch(
    url: str,
    target: Path,
    *,
    watch: Watch,
    limits: FetchLimits = FetchLimits(),
    allow: Iterable[str] = (),
) -> Fetched:
    """Download `url` to `target`, which appears only when it is whole.

    allow: exceptions to "public addresses only": host names, addresses or networks ("127.0.0.1", "10.1.0.0/16").
    Raises RecordingError for what trying again will not mend (address, refusal, size), EngineError for what it may
    (time, connection, busy server), Stopped out of `watch`. The file is never half there.
    """
    fetched, _ = fetch_changed(url, target, since=Validators(), watch=watch, limits=limits, allow=allow)
    assert fetched is not None
    return fetched


def fetch_changed(
    url: str,
    target: Path,
    *,
    since: Validators,
    watch: Watch,
    limits: FetchLimits = FetchLimits(),
    allow: Iterable[str] = (),
) -> tuple[Fetched | None, Validators]:
    """`fetch`, or None where the server says that nothing has changed since; and what it says of this reply."""
    fetching = _Fetching(limits, tuple(allow), watch, since)
    part = target.with_name(target.name + ".part")
    try:
        with fetching.reply(url) as (reply, last):
            if reply.status == _UNCHANGED:
                return None, since
            said = Validators(etag=_validator(reply, b"etag", 1000), modified=_validator(reply, b"last-modified", 100))
            num_bytes = fetching.save(reply, last, part)
            media_type = _header(reply, b"content-type").partition(";")[0].strip().lower()
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return Fetched(path=target, address=shown_address(last), num_bytes=num_bytes, media_type=media_type), said


class _Fetching:
    """One download with its deadline."""

    def __init__(self, limits: FetchLimits, allow: tuple[str, ...], watch: Watch, since: Validators) -> None:
        self._limits, self._watch, self._since = limits, watch, since
        self._deadline = time.monotonic() + limits.max_seconds
        self._network = GuardedNetwork(allow, self._deadline)

    @contextmanager
    def reply(self, url: str) -> Iterator[tuple[Any, str]]:
        """The first reply that is no redirect, and its address."""
        # Without trust_env, certificates come from the pinned bundle alone.
        context = httpx.create_ssl_context(trust_env=False)
        with httpcore.ConnectionPool(ssl_context=context, network_backend=self._network, max_connections=1) as pool:
            for _ in range(self._limits.max_redirects + 1):
                with self._answer(pool, _checked(url)) as answer:
                    if answer.status not in _REDIRECTS:
                        if answer.status != _UNCHANGED or self._since == Validators():
                            _refuse_status(answer.status, url)
                        yield answer, url
                        return
                    url = _next_address(url, _header(answer, b"location"))
                    log.info("redirected to %s", shown_address(url))
        raise _refusal(url, f"it redirects more than {self._limits.max_redirects} times.", "Name the last address.")

    @contextmanager
    def _answer(self, pool: httpcore.ConnectionPool, url: httpx.URL) -> Iterator[Any]:
        limits = self._limits
        timeouts = {
            **dict.fromkeys(("read", "write"), limits.idle_seconds),
            **dict.fromkeys(("connect", "pool"), limits.connect_seconds),
        }
        headers: dict[bytes | str, bytes | str] = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": "troupe",
            "Accept": "audio/*, video/*;q=0.9, */*;q=0.5",
            # A compressed reply could be a thousand times as long as its bytes.
            "Accept-Encoding": "identity",
        }
        if self._since.etag:
            headers["If-None-Match"] = self._since.etag.encode("latin-1")  # any octet may stand in it
        if self._since.modified:
            headers["If-Modified-Since"] = self._since.modified.encode("latin-1")
        text = str(url)
        try:
            with pool.stream(
                "GET",
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=headers,
                extensions={"timeout": timeouts},
            ) as answer:
                yield answer
        except AddressRefused as error:
            raise _refusal(
                text, f"it leads to {error}, which is not a public address.", "Download it yourself, or allow the host."
            ) from error
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise EngineError(f"{shown_address(text)}: the host name cannot be looked up now.") from error
            raise _refusal(text, "there is no such host.", "Check the spelling of the address.") from error
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise EngineError(f"{shown_address(text)}: the server did not answer in time.") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
            raise EngineError(f"{shown_address(text)}: the connection failed ({_reason(error)}).") from error

    def save(self, answer: Any, url: str, part: Path) -> int:
        """Write the body; returns its length in bytes."""
        most = self._limits.max_bytes
        announced = _header(answer, b"content-length")
        total = int(announced) if announced.isdigit() else 0
        if _header(answer, b"content-encoding") not in ("", "identity"):
            raise _refusal(url, "the server sends it compressed.", "Download it yourself.")
        num_bytes = 0
        with disk_errors(part):
            file = part.open("wb")
        with file:
            for block in answer.iter_stream():
                num_bytes += len(block)
                if max(num_bytes, total) > most:
                    raise _refusal(url, f"it has more than {most / 2**20:.0f} MiB.", "Download and compress it.")
                with disk_errors(part):
                    file.write(block)
                self._watch(num_bytes, max(total, num_bytes))
            with disk_errors(part):
                file.flush()
                os.fsync(file.fileno())
        return num_bytes


def _checked(url: str) -> httpx.URL:
    try:
        parts = httpx.URL(url)
        has_host = bool(parts.host)  # which is decoded only here
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise _refusal(url, "it is no valid address.", "Write it as https://host/path.") from error
    if parts.scheme not in ("http", "https"):
        raise _refusal(url, f"addresses of the kind {shown(parts.scheme)} are not read.", "Use http or https.")
    if not has_host:
        raise _refusal(url, "it names no host.", "Write it as https://host/path.")
    if parts.userinfo:
        raise _refusal(url, "it holds a user name or a password.", "Download the file yourself.")
    return parts


def _next_address(url: str, location: str) -> str:
    if not location:
        raise _refusal(url, "it redirects to nowhere.", "Name the file's own address.")
    try:
        return str(httpx.URL(url).join(location))
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise _refusal(url, "it redirects to no valid address.", "Name the file's own address.") from error


def _refuse_status(status: int, url: str) -> None:
    if status in _BUSY or status >= 500:
        raise EngineError(f"{shown_address(url)}: the server answers {status}; it may be busy.")
    if status != 200:
        raise _refusal(url, f"the server answers {status}.", "Open the address in a browser and check it.")


def _refusal(url: str, message: str, remedy: str) -> RecordingError:
    return RecordingError(message, where=shown_address(url), remedy=remedy)


def _header(answer: Any, name: bytes) -> str:
    for key, value in answer.headers:
        if key.lower() == name:
            return str(value.decode("latin-1"))
    return ""


def _validator(answer: Any, name: bytes, most: int) -> str:
    """A header to be sent back as it came; "" for none, and for one so long that only a part would be kept."""
    said = _header(answer, name)
    return said if len(said) <= most else ""


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()[:100]
