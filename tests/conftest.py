"""What holds for every test: no network, restored random numbers, no logged error; and where real data lies.

Warnings are errors too (pyproject.toml). Helpers that make media are in `tests.synthetic`.
"""

import ipaddress
import logging
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.servers import PrefectServer, S3Server, prefect_server, seaweedfs

PROJECT = Path(__file__).resolve().parent.parent
SHARED_DATA = PROJECT.parent / "shared" / "data"


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A script's background job ignores the interrupt, and so would every command that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class NetworkForbidden(RuntimeError):
    """A test reached for something outside this machine."""


def _is_local(host: Any) -> bool:
    if host is None or host in ("", "localhost", b"localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@pytest.fixture(autouse=True)
def _no_log_left_behind() -> Iterator[None]:
    """A log that a test's command began writes to a stream that is closed with the test."""
    yield
    for name in ("", *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        for handler in [each for each in logger.handlers if type(each) is logging.StreamHandler]:
            logger.removeHandler(handler)


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Only loopback and Unix sockets can be connected, and no name but localhost is looked up."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(opened: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not _is_local(address[0]):
            opened.close()
            raise NetworkForbidden(f"this test wanted to connect to {address}; tests stay on 127.0.0.1")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self, address)
        return connect_ex(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        numeric = kwargs.get("flags", args[4] if len(args) > 4 else 0) & socket.AI_NUMERICHOST
        if not numeric and not _is_local(host) and not _is_address(host):
            raise NetworkForbidden(f"this test wanted to look up {host!r}; tests know localhost only")
        return getaddrinfo(host, *args, **kwargs)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", guarded_lookup)
    yield
    patch.undo()


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host).partition("%")[0])
    except ValueError:
        return False
    return True


@pytest.fixture(autouse=True)
def _restored_random_numbers() -> Iterator[None]:
    """A test that draws from a global generator changes no other test."""
    plain, numpy_state = random.getstate(), np.random.get_state()
    yield
    random.setstate(plain)
    np.random.set_state(numpy_state)


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def logged_errors() -> Iterator[list[logging.LogRecord]]:
    """Records of level ERROR and above; one left at the end fails the test. Clear the list of those you expect."""
    handler = _Errors()
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler.records
    root.removeHandler(handler)
    if handler.records:
        pytest.fail("errors were logged: " + "; ".join(record.getMessage() for record in handler.records))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, portraits and scripts beside the project, read-only; skips without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data is not there: no folder {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def store_folder(tmp_path: Path) -> Path:
    """Where a test's own store lies; not made yet."""
    return tmp_path / "store"


@pytest.fixture
def store_uri(store_folder: Path) -> str:
    """The same, as `--store` takes it."""
    return f"file:{store_folder}"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 service on this machine, for tests marked `server`."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server on SQLite, one for all tests marked `server` that need no more than that."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server
