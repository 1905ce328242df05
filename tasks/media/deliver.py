"""Messages to other programs: one POST to a public address, judged like a download (fetch.py), and its answer.

In: an address, a body, headers. Out: nothing, or the error that says whether trying again may help. Follows no
redirect: a signed message goes where it was meant to, or nowhere. Does not know what the body says.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Mapping

import httpcore
import httpx

from tasks.domain.errors import EngineError, InputError, SettingsError
from tasks.media.fetch import check_address, shown_address
from tasks.media.network import AddressRefused, GuardedNetwork

TIMEOUT_SECONDS = 20.0
"""For everything: a receiver that is slow is asked again later."""
_LATER = (408, 425, 429)


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow: Iterable[str] = ()) -> int:
    """Send `body`; the status, 2xx.

    allow: exceptions to "public addresses only", as for `fetch`. Raises SettingsError for what trying again will not
    mend (the address, an answer 3xx or 4xx), EngineError for what it may.
    """
    shown = shown_address(url)
    try:
        check_address(url, allow=allow)
    except InputError as error:
        raise SettingsError(error.message, where=shown, remedy=error.remedy) from error
    status = _posted(httpx.URL(url), body, headers, tuple(allow), shown)
    if status in _LATER or status >= 500:
        raise EngineError(f"{shown}: the receiver answers {status}; it may be busy.")
    if not 200 <= status < 300:
        raise SettingsError(f"the receiver answers {status}.", where=shown, remedy="Correct webhooks.url or secret.")
    return status


def _posted(url: httpx.URL, body: bytes, headers: Mapping[str, str], allow: tuple[str, ...], shown: str) -> int:
    network = GuardedNetwork(allow, time.monotonic() + TIMEOUT_SECONDS)
    context = httpx.create_ssl_context(trust_env=False)
    sent: list[tuple[bytes | str, bytes | str]] = [
        ("Host", url.netloc.decode("ascii")),
        ("User-Agent", "troupe"),
        ("Content-Length", str(len(body))),
        *headers.items(),
    ]
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_SECONDS)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=context, network_backend=network, max_connections=1) as pool,
            pool.stream("POST", target, headers=sent, content=body, extensions={"timeout": timeouts}) as answer,
        ):
            return int(answer.status)
    except AddressRefused as error:
        message = f"it leads to {error}, which is not a public address."
        raise SettingsError(message, where=shown, remedy="Allow the host (network.allow).") from error
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise EngineError(f"{shown}: the receiver did not answer in time.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, socket.gaierror, OSError) as error:
        raise EngineError(f"{shown}: the connection failed ({type(error).__name__}).") from error
