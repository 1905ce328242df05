"""`troupe serve`: what it starts ends with it, however far it came."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from flows.settings import Settings
from infra import running
from tasks.domain.errors import SettingsError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Processes in place of Prefect's, none of which does anything."""
    made: list[subprocess.Popen[bytes]] = []

    def sleep(arguments: object, environment: object) -> "subprocess.Popen[bytes]":
        made.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return made[-1]

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(running, "_prefect", sleep)
    yield made
    for process in made:
        process.kill()
        process.wait()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_deployments_that_cannot_be_made_end_it(
    started: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the exit code of what said why, and without a server left behind."""
    monkeypatch.setattr(running, "_await_server", lambda *_: None)
    monkeypatch.setenv("TROUPE_PRODUCTION__SCHEDULES", "/none.yaml")

    assert running.serve(Settings(), host="127.0.0.1", port=1) == 2
    assert [process.poll() is not None for process in started] == [True]


def test_it_can_be_ended_while_it_starts(started: list["subprocess.Popen[bytes]"]) -> None:
    """SIGTERM before the server answers leaves no server behind."""
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        running.serve(Settings(), host="127.0.0.1", port=1)

    assert [process.poll() is not None for process in started] == [True]


def test_a_port_that_is_taken_is_told(started: list["subprocess.Popen[bytes]"]) -> None:
    """Before anything is started: another server there would answer, and be given our flows."""
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(SettingsError, match=r"port \d+ of .* is taken"),
    ):
        running.serve(Settings(), host="127.0.0.1", port=other.getsockname()[1])

    assert started == []
