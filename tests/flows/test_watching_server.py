"""Watching and webhooks as flows of a real Prefect server."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.episodes import small_episode
from tests.servers import PrefectServer

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[2]
ANNOUNCE = """
from flows.settings import load_settings
from flows.webhooks import announce
from tasks.webhook import failed
event = failed("small", "run-1", "no picture", at="2026-01-05T06:00:00+00:00")
assert announce(event, load_settings()) and announce(event, load_settings())
print(event.key)
"""


def run(server: PrefectServer, *arguments: str, **settings: str) -> str:
    """What a Python process says that knows the server and settings."""
    done = subprocess.run(
        [sys.executable, *arguments],
        check=False,
        env=server.environment(PYTHONPATH=str(ROOT), **settings),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_inbox_is_visited_by_a_flow(recorder: PrefectServer, tmp_path: Path) -> None:
    """Its run is Completed and shows what it made as a table; the next one makes nothing."""
    episode = small_episode(tmp_path / "box")
    os.utime(episode, (time.time() - 60, time.time() - 60))
    form = {"id": "mail", "place": str(tmp_path / "box"), "store": f"file:{tmp_path}/store"}
    code = f"from flows.watching import watch_inbox; print([row['state'] for row in watch_inbox({form})])"
    said = [run(recorder, "-c", code, TROUPE_WORKERS="1").splitlines()[-1] for _ in range(2)]
    artifacts = recorder.ask("/artifacts/filter", {"artifacts": {"key": {"any_": ["inbox-mail"]}}})

    assert said == ["['done']", "[]"]
    assert {found["state"]["type"] for found in recorder.flow_runs(name=["inbox mail"])} == {"COMPLETED"}
    assert len(artifacts) == 1
    assert (tmp_path / "store/programmes/small/latest.json").exists()


def test_a_webhook_that_fails_for_now_is_sent_again_by_a_run_of_its_own(recorder: PrefectServer) -> None:
    """Announced twice it is one run; that ends as Again, with the next try scheduled and no secret in either."""
    hook = {
        "TROUPE_WEBHOOKS__URL": "http://127.0.0.1:1/hook",
        "TROUPE_WEBHOOKS__SECRET": "correct horse battery",
        "TROUPE_NETWORK__ALLOW": '["127.0.0.1"]',
    }
    run(recorder, "-m", "infra.deployments")
    key = run(recorder, "-c", ANNOUNCE, **hook)
    first = tries(recorder, key)
    run(recorder, "-m", "prefect", "worker", "start", "--pool", "cpu", "--run-once", **hook)
    ended = sorted(tries(recorder, key), key=lambda found: int(found["parameters"]["attempt"]))

    assert [found["parameters"]["attempt"] for found in first] == [1]
    assert [(found["parameters"]["attempt"], found["state"]["name"]) for found in ended] == [
        (1, "Again"),
        (2, "Scheduled"),
    ]
    assert "horse" not in str(ended)


def tries(server: PrefectServer, key: str) -> list[dict[str, Any]]:
    """The runs that send one message."""
    runs = server.ask("/flow_runs/filter", {"limit": 200})
    return [found for found in runs if found["parameters"].get("key") == key]
