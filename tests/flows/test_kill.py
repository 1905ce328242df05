"""A run that is killed, or interrupted: the next one goes on, and the programme is equal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flows.direct import Direct
from flows.settings import Settings
from s2v_model.contract import Stopped
from tests.fakes import Forgetful
from tests.productions import TinyWiring, produce, substance, write_episode

ROOT = Path(__file__).parents[2]
WHOLE_SECONDS = 6.0
"""About how long a tiny production takes in a process of its own."""


def start(path: Path, store: Path) -> "subprocess.Popen[bytes]":
    """A production in a process of its own."""
    command = [sys.executable, "-m", "tests.productions", str(path), f"file:{store}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("share", [0.35, 0.6, 0.85])
def test_a_killed_run_is_gone_on_with(tmp_path: Path, share: float) -> None:
    """SIGKILL at any moment: nothing half-written is visible, and the next run's programme is the undisturbed one."""
    path = write_episode(tmp_path)
    undisturbed = TinyWiring(Settings(store=f"file:{tmp_path / 'whole'}"))
    expected = substance(undisturbed.store, produce(path, undisturbed).programmes[0])
    store = tmp_path / "store"
    process = start(path, store)
    time.sleep(share * WHOLE_SECONDS)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wiring = TinyWiring(Settings(store=f"file:{store}"))
    made = produce(path, wiring)

    assert substance(wiring.store, made.programmes[0]) == expected
    assert len(list((store / "programmes" / "tiny").iterdir())) == 2  # one revision, and latest.json


def test_an_interrupted_command_says_so(tmp_path: Path) -> None:
    """Ctrl-C on `troupe produce`: exit 130 with one sentence in seconds, and no programme."""
    path = write_episode(tmp_path)
    command = [sys.executable, "-m", "flows.cli", "produce", str(path), "--store", f"file:{tmp_path / 's'}", "--direct"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2.5)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)

    assert time.monotonic() - sent < 15  # three on a machine of its own
    assert process.returncode == 130
    assert output == ""
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "s" / "programmes").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_is_not_lost_with_its_exception(tmp_path: Path) -> None:
    """Python drops a KeyboardInterrupt that is raised in a `__del__`: the run ends all the same, at its next look."""
    wiring = TinyWiring(Settings(store=f"file:{tmp_path / 'store'}"))

    def forgetful(direct: Direct) -> Any:
        Forgetful()
        return direct

    with pytest.raises(Stopped):
        produce(write_episode(tmp_path), wiring, make_run=forgetful)
    assert not (tmp_path / "store" / "programmes").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
