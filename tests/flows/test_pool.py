"""The processes that render: results come back, deaths are errors, nobody outlives a stop."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.pool import Pool
from flows.settings import Settings
from s2v_model.contract import Stopped
from tasks.domain.errors import EngineError
from tests import pool_stages

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """Two workers."""
    made = Pool(Settings(store=f"file:{tmp_path}"), "draft", 2)
    yield made
    made.close(stop=True)


def until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something, and fail where it does not come."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


def test_results_and_errors_come_back(pool: Pool) -> None:
    """A worker's result, its CPU time and its own kind of error reach the caller."""
    result, cpu_seconds = pool.call(pool_stages.double, (21,))

    assert result == 42
    assert 0 < cpu_seconds < 60
    with pytest.raises(EngineError, match="take 3 failed"):
        pool.call(pool_stages.fail, (3,))


def test_a_dead_worker_is_an_error_and_is_replaced(pool: Pool) -> None:
    """A killed process is an EngineError that says so, and the next order is served."""
    with pytest.raises(EngineError, match="render process died"):
        pool.call(pool_stages.die, (1,))

    assert pool.call(pool_stages.double, (4,))[0] == 8


def test_a_worker_that_dies_while_it_starts_is_the_same_error(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory may run out with the first order, too."""
    with monkeypatch.context() as patched:
        patched.setattr("flows.pool._begin", pool_stages.die_at_start)
        with pytest.raises(EngineError, match="render process died"):
            pool.call(pool_stages.double, (4,))

    assert pool.call(pool_stages.double, (4,))[0] == 8


def test_workers_that_are_no_longer_needed_leave_no_files(tmp_path: Path) -> None:
    """A run that went well clears its work in progress like one that was stopped."""
    pool = Pool(Settings(store=f"file:{tmp_path}/store", scratch=str(tmp_path / "scratch")), "draft", 1)
    left = Path(pool.call(pool_stages.leave_a_file, (4,))[0])
    assert left.exists()
    pool.close()

    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("stage", [pool_stages.wait_long, pool_stages.hang])
def test_a_stop_ends_workers_within_three_seconds(pool: Pool, tmp_path: Path, stage: Callable[..., None]) -> None:
    """Work that looks at the flag and work that does not both end."""
    marker, caught = tmp_path / "marker", []

    def order() -> None:
        try:
            pool.call(stage, (str(marker),))
        except Stopped as error:
            caught.append(error)

    thread = threading.Thread(target=order)
    thread.start()
    until(lambda: marker.exists() and marker.read_text() != "")
    started = time.monotonic()
    pool.close(stop=True)
    thread.join(5)

    assert time.monotonic() - started < 3.5
    assert not is_alive(int(marker.read_text()))
    assert len(caught) == 1


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    """A run that is killed with SIGKILL leaves no process behind."""
    marker = tmp_path / "marker"
    code = (
        "from flows.pool import Pool; from flows.settings import Settings; from tests import pool_stages\n"
        f"if __name__ == '__main__': Pool(Settings(), 'draft', 1).call(pool_stages.hang, ({str(marker)!r},))"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    until(lambda: marker.exists() and marker.read_text() != "")
    process.kill()
    process.wait()

    until(lambda: not is_alive(int(marker.read_text())), 10)
