"""The pipeline as flows of a real Prefect server: states, failures, an equal programme, Ctrl-C, schedules."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.episodes import essence, small_episode
from tests.servers import PrefectServer
from tests.synthetic import write_picture

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[2]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "flows.cli", *map(str, arguments)]


def environment(server: PrefectServer) -> dict[str, str]:
    return server.environment(PYTHONPATH=str(ROOT), TROUPE_WORKERS="2")


def troupe(server: PrefectServer, folder: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments),
        check=False,
        cwd=folder,
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=240,
    )


def named(server: PrefectServer, name: str) -> list[dict[str, Any]]:
    """Runs of that name, newest first."""
    return server.flow_runs(name=[name])


def manifest(store: Path, episode: str) -> dict[str, Any]:
    latest = json.loads((store / "programmes" / episode / "latest.json").read_text())
    path = store / "programmes" / episode / latest["revision"] / "manifest.json"
    return dict(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def produced(recorder: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the episode, produced directly into `direct` and twice as a flow into `recorded`."""
    folder = tmp_path_factory.mktemp("produced")
    episode = small_episode(folder)
    calls = (("direct", "--direct"), ("recorded",), ("recorded",))
    for place, (store, *flags) in enumerate(calls):
        done = troupe(recorder, folder, "produce", episode, "--store", f"file:{folder / store}", "--json", *flags)
        assert done.returncode == 0, done.stderr
        (folder / f"{place}.json").write_text(done.stdout)
    return folder


def test_stages_and_clips_are_task_runs(recorder: PrefectServer, produced: Path) -> None:
    """A run recorded by the server is Completed, and so is a task for each stage and each clip."""
    first = named(recorder, "small en")[-1]
    tasks = recorder.task_runs(first["id"])
    assert first["state"]["type"] == "COMPLETED"
    assert {task["state"]["name"] for task in tasks} == {"Completed"}
    assert sorted(task["name"] for task in tasks) == [
        "arrange the lines",
        "cast the speakers",
        "plan the shots",
        "prepare the portraits: anna",
        "prepare the portraits: ben",
        "publish",
        "put the programme together",
        "read the source",
        "render the clips: s0000 anna",
        "render the clips: s0001 ben",
        "speak the lines: 209381201b41",
        "speak the lines: 5104c8389aa9",
    ]


def test_a_reused_clip_says_so(recorder: PrefectServer, produced: Path) -> None:
    """The second run renders nothing, and its clips end in a state named Reused."""
    states = {task["name"]: task["state"]["name"] for task in recorder.task_runs(named(recorder, "small en")[0]["id"])}
    assert states["render the clips: s0000 anna"] == states["render the clips: s0001 ben"] == "Reused"
    document = json.loads((produced / "2.json").read_text())
    assert (document["rendered"], document["reused"]) == (0, 2)


def test_the_programme_is_that_of_a_direct_run(produced: Path) -> None:
    """Fingerprints, spans and streams are equal, whichever way it ran."""
    assert essence(manifest(produced / "direct", "small")) == essence(manifest(produced / "recorded", "small"))


def test_an_input_error_is_a_failed_run(recorder: PrefectServer, tmp_path: Path) -> None:
    """A picture without a face: exit 2 and its sentence, a Failed run with that sentence, one attempt."""
    episode = small_episode(tmp_path, name="faceless")
    write_picture(tmp_path / "ben.png", np.full((256, 256, 3), 90, np.uint8))
    done = troupe(recorder, tmp_path, "produce", episode)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    told = done.stderr.strip().splitlines()[-1]
    assert "ben.png" in told
    run = named(recorder, "faceless en")[0]
    assert run["state"]["type"] == "FAILED"
    assert told in run["state"]["message"]
    failed = [task for task in recorder.task_runs(run["id"]) if task["state"]["type"] == "FAILED"]
    assert [(task["name"], task["run_count"]) for task in failed] == [("prepare the portraits: ben", 1)]
    assert not (tmp_path / "store" / "programmes").exists()


def test_ctrl_c_ends_within_seconds(recorder: PrefectServer, tmp_path: Path) -> None:
    """Interrupted in the middle of its clips, the process is gone in seconds with code 130; nothing is half-written."""
    lines = tuple(f"Line {number} of a talk that goes on for a while, and then some." for number in range(60))
    episode = small_episode(tmp_path, name="long", lines=lines)
    running = subprocess.Popen(
        command("produce", episode), cwd=tmp_path, env=environment(recorder), stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for_task(recorder, "long en", "render")
        began = time.monotonic()
        os.kill(running.pid, signal.SIGINT)
        _, told = running.communicate(timeout=60)
        assert running.returncode == 130, told
        assert time.monotonic() - began < 15  # 3 on an idle machine
        assert "Traceback" not in told
        assert not (tmp_path / "store" / "programmes").exists()
    finally:
        running.kill()


def wait_for_task(server: PrefectServer, run: str, task: str, seconds: float = 120) -> None:
    """Until a task whose name begins with `task` runs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for found in named(server, run):
            if any(one["name"].startswith(task) for one in server.task_runs(found["id"])):
                return
        time.sleep(0.3)
    raise AssertionError(f"no task {task} of {run} began")


def test_a_schedule_makes_runs(recorder: PrefectServer) -> None:
    """A deployment with a cron schedule has its next runs planned: the pinned packages under Prefect work together."""
    flow = recorder.ask("/flows/", {"name": "scheduled"})
    schedule = {"schedule": {"cron": "30 2 * * 1-5", "timezone": "Europe/Rome"}, "active": True}
    made = recorder.ask("/deployments/", {"name": "nightly", "flow_id": flow["id"], "schedules": [schedule]})
    end = time.monotonic() + 60
    runs: list[dict[str, Any]] = []
    while not runs and time.monotonic() < end:
        time.sleep(0.5)
        runs = recorder.ask("/flow_runs/filter", {"deployments": {"id": {"any_": [made["id"]]}}})
    assert runs
    assert {run["state"]["type"] for run in runs} == {"SCHEDULED"}
