"""Stages for the pool's own tests: they have to be importable from a worker process."""

import os
import signal
import time
from pathlib import Path

from s2v_model.contract import Watch
from tasks.domain.errors import EngineError
from tasks.engines.workspace import Workspace


def double(value: int) -> int:
    """Twice the value."""
    return 2 * value


def fail(value: int) -> int:
    """An engine that fails."""
    raise EngineError(f"take {value} failed.")


def die(value: int) -> int:
    """A process that is killed, as for lack of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return value


def die_at_start(*given: object) -> None:
    """A process that is killed before it has begun."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave_a_file(value: int, *, workspace: Workspace) -> str:
    """Work in progress that nobody takes away; where it lies."""
    path = workspace.new(".mp4")
    path.write_bytes(b"x" * value)
    return str(path)


def wait_long(marker: str, *, watch: Watch) -> None:
    """Work that looks at the stop flag."""
    Path(marker).write_text(str(os.getpid()))
    for step in range(1000):
        watch(step, 1000)
        time.sleep(0.1)


def hang(marker: str) -> None:
    """Work that never looks at the stop flag."""
    Path(marker).write_text(str(os.getpid()))
    time.sleep(100)
