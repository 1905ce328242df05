"""Faults of production, each in the middle of a run: nothing is lost, nothing is doubled, the programme is equal.

Two workers on a real site: Prefect on PostgreSQL and Redis, an S3-compatible store. SOAK=1 takes the full durations.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster import NUM_SHOTS, Cluster, Producing, children, cluster, renderings, until
from tests.episodes import small_episode

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
AWAY_SECONDS = 60 if os.environ.get("SOAK") else 20
POOL = "gpu"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Servers and two workers."""
    with cluster(tmp_path_factory.mktemp("site")) as made:
        made.deploy(POOL)
        for name in ("a", "b"):
            made.workers[name] = made.worker(name, POOL)
        yield made


def check_whole(run: Producing, *, rendered_again: int) -> None:
    """It ended well, is equal to an undisturbed run, and no more clips than those in flight were begun twice."""
    code, document = run.result()
    assert code == 0, (run.cluster.folder / f"{run.name}.log").read_text()[-3000:]
    assert document["shots"] == NUM_SHOTS
    assert run.essence() == run.undisturbed()
    seeds = set(renderings(run.cluster, f"{run.name}.direct", "begin"))
    begun = Counter(seed for seed in renderings(run.cluster, POOL, "begin") if seed in seeds)
    assert sum(begun.values()) - NUM_SHOTS <= rendered_again, begun
    left = [each["name"] for each in run.cluster.runs(run.name) if each["state"]["type"] in ("RUNNING", "PENDING")]
    assert left == []


def child_of(worker: int) -> int:
    """The process of a worker that renders."""
    return children(worker)[0]


def test_a_render_process_is_killed(site: Cluster) -> None:
    """SIGKILL of a render process: its run is Crashed at once, the shard begins again, one clip is rendered twice."""
    run = site.produce("childkill", POOL)
    run.wait_for(1, "Running")
    time.sleep(1)
    os.kill(child_of(site.workers["a"].pid), signal.SIGKILL)
    os.kill(child_of(site.workers["b"].pid), signal.SIGKILL)
    assert until(lambda: bool(run.wait_for(1, "Crashed")), 10) < 10
    check_whole(run, rendered_again=2)


def test_a_producing_run_is_killed(site: Cluster) -> None:
    """SIGKILL of the producing process: its shards go on, and a second producing run takes them over."""
    run = site.produce("producerkill", POOL)
    run.wait_for(2, "Running")
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.communicate()
    again = site.produce("producerkill", POOL, episode=run.path)
    check_whole(again, rendered_again=0)
    assert all(each["name"].endswith(".1") for each in site.runs("producerkill"))


def test_the_server_is_away(site: Cluster) -> None:
    """The server stops and comes back: producing run and workers wait, and nothing is rendered twice."""
    run = site.produce("serveraway", POOL)
    run.wait_for(2, "Running")
    site.stop_server()
    time.sleep(AWAY_SECONDS)
    site.start_server()
    check_whole(run, rendered_again=0)


def test_the_store_is_away(site: Cluster) -> None:
    """The store hangs: workers wait for it, and at most the clips in flight are rendered again."""
    run = site.produce("storeaway", POOL)
    run.wait_for(2, "Running")
    site.s3.pause()
    time.sleep(AWAY_SECONDS)
    site.s3.resume()
    check_whole(run, rendered_again=2)


def test_a_shot_that_always_fails(site: Cluster) -> None:
    """A poison shot is tried three times, then the run fails with its sentence; all other clips are kept."""
    path = small_episode(site.folder / "poison", name="poison", quality="final")
    path.write_text(path.read_text().replace("voice: en-us/m3", "voice: en-us/m3\n    prompt: poison"))
    run = site.produce("poison", POOL, episode=path)
    code, _ = run.result()
    told = (site.folder / "poison.log").read_text().strip().splitlines()[-1]
    assert code == 1
    assert "the renderer cannot make this take" in told
    names = [each["name"] for each in site.runs("poison") if each["state"]["type"] == "FAILED"]
    assert len(names) == 3


def test_a_budget_is_kept(site: Cluster) -> None:
    """A run whose shots would cost more than its budget begins only what it bears; the next one goes on from there."""
    run = site.produce("budget", POOL, flags=("--budget-gpu-s", str(3.2 * site.clip_seconds)))
    code, _ = run.result()
    assert code == 1
    assert "The budget of 8 GPU seconds would be exceeded" in (site.folder / "budget.log").read_text()
    again = site.produce("budget", POOL, episode=run.path)
    check_whole(again, rendered_again=0)
    kinds = [found["type"] for key in ("budget", "budget-shots", "budget-progress") for found in site.artifacts(key)]
    assert set(kinds) == {"markdown", "table", "progress"}


def test_a_run_is_cancelled_by_hand(site: Cluster) -> None:
    """Cancelled in the control room, a shard's run ends within seconds, and the producing run says why it ends."""
    run = site.produce("cancelled", POOL)
    shard = run.wait_for(1, "Running")[0]
    state = {"type": "CANCELLING", "name": "Cancelling"}
    site.server.ask(f"/flow_runs/{shard['id']}/set_state", {"state": state, "force": False})
    code, _ = run.result()
    assert code == 1
    assert "cancelled by hand" in (site.folder / "cancelled.log").read_text()
    until(lambda: all(one["state"]["type"] in ("COMPLETED", "CANCELLED") for one in site.runs("cancelled")), 15)


def test_a_machine_is_lost(site: Cluster) -> None:
    """SIGKILL of a worker with its render process: another worker has the shard within two minutes."""
    run = site.produce("machinelost", POOL)
    run.wait_for(2, "Running")
    lost = site.workers.pop("a")
    # Heartbeats come every 30 s, and silence counts from the first.
    time.sleep(2)
    victim = child_of(lost.pid)
    os.kill(lost.pid, signal.SIGSTOP)
    os.kill(victim, signal.SIGKILL)
    os.kill(lost.pid, signal.SIGKILL)
    crashed = until(lambda: any(each["state"]["type"] == "CRASHED" for each in site.runs("machinelost")), 130)
    assert crashed <= 120
    check_whole(run, rendered_again=1)
