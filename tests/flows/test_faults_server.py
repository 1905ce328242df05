"""Faults of production, each in the middle of a run: nothing is lost, nothing is doubled, the programme is equal.

Workers on a real site (tests/flows/conftest.py): Prefect on PostgreSQL and Redis, an S3-compatible store. SOAK=1 takes
the full durations. After each, no run holds a place in its pool, and no limit a slot.
"""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.cluster import IS_SOAK, SILENCE_SECONDS, Cluster, Producing, check_whole, children, until
from tests.servers import CuttingProxy, end
from tests.sleeping import notes

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
AWAY_SECONDS = 60 if IS_SOAK else 20
POOL = "gpu"


@pytest.fixture(autouse=True)
def nothing_stays_taken(site: Cluster) -> Iterator[None]:
    """After each fault no run holds a place in the pool, and no limit a slot."""
    yield
    until(lambda: site.is_free(POOL), 30)


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
    print(f"SIGKILL of a process to its run's end: {until(lambda: bool(run.wait_for(1, 'Crashed')), 10):.1f} s")
    check_whole(run, rendered_again=2)


def begun_after(site: Cluster, instant: float) -> bool:
    """Whether a clip was begun on the pool since."""
    return any(note["at"] > instant for note in notes(site.folder / f"{POOL}.notes", "begin"))


def test_the_server_is_away_for_longer_than_a_run_may_be_silent(site: Cluster) -> None:
    """Runs that it takes for dead when it comes back are not: they go on, and nothing is rendered twice."""
    run = site.produce("serveraway", POOL)
    run.wait_for(2, "Running")
    site.stop_server()
    time.sleep(SILENCE_SECONDS + 15)
    site.start_server()
    back = time.time()
    print(f"the server's return to the next clip: {until(lambda: begun_after(site, back), 90):.0f} s")
    check_whole(run, rendered_again=0)
    assert site.server.flow_runs(name=["serveraway en"])[0]["state"]["type"] == "COMPLETED"


def test_the_store_is_away(site: Cluster) -> None:
    """The store hangs: workers wait for it, and at most the clips in flight are rendered again."""
    run = site.produce("storeaway", POOL)
    run.wait_for(2, "Running")
    site.s3.pause()
    time.sleep(AWAY_SECONDS)
    site.s3.resume()
    check_whole(run, rendered_again=2)


def test_a_producing_run_is_cancelled_by_hand(site: Cluster) -> None:
    """Cancelled in the control room, it ends with all that it began within seconds, and publishes nothing."""
    run = site.order("halted", POOL)
    run.wait_for(2, "Running")
    (parent,) = site.server.flow_runs(name=["halted en"])
    site.cancel(parent["id"])
    states = ("CANCELLED", "COMPLETED")
    took = until(lambda: all(one["state"]["type"] in states for one in site.runs("halted")), 30)
    print(f"cancelled by hand to the last run's end: {took:.0f} s")
    assert took <= 15
    until(lambda: site.server.flow_runs(name=["halted en"])[0]["state"]["type"] == "CANCELLED", 60)
    until(lambda: site.is_free(POOL) and site.is_free("cpu"), 15)
    names = [one.key for one in run.wiring.store.list("programmes/")]
    clips = [one.key for one in run.wiring.store.list("clips/")]
    assert (names, run.num_clips()) == ([], len(clips))


def test_a_machine_is_lost_and_another_is_cut_off(site: Cluster) -> None:
    """What they had is rendered elsewhere within two minutes; two attempts at one clip make one clip.

    The one that is away from server and store goes on, and finds when it is back that others have done its work.
    """
    server, store = CuttingProxy(site.server.port), CuttingProxy(site.s3.port)
    near = {"PREFECT_API_URL": f"http://127.0.0.1:{server.port}/api"}
    slow = {"TROUPE_S3__ENDPOINT": f"http://127.0.0.1:{store.port}", "SLEEPING_SECONDS": "8"}
    far = site.worker("far", POOL, **near, **slow)
    try:
        run = site.produce("apart", POOL)
        lost = site.workers["a"]
        until(lambda: has_begun(site, lost.pid, since=run.began), 120)
        time.sleep(1)  # silence counts from the first heartbeat
        victim = child_of(lost.pid)
        os.kill(lost.pid, signal.SIGSTOP)
        os.kill(victim, signal.SIGKILL)
        os.kill(lost.pid, signal.SIGKILL)
        until(lambda: has_begun(site, far.pid), 60)
        server.is_dark = store.is_dark = True
        took = until(lambda: num_again(run) == 2, 120)
        print(f"a machine's end to its shot elsewhere: {took:.0f} s")
        time.sleep(max(0.0, AWAY_SECONDS - took))
        server.is_dark = store.is_dark = False
        check_whole(run, rendered_again=2)
        assert run.num_clips() == len(run.manifest()["shots"])
    finally:
        end(far, 10)
        server.close()
        store.close()


def has_begun(site: Cluster, worker: int, since: float = 0.0) -> bool:
    """Whether the process of a worker has begun a clip."""
    begun = notes(site.folder / f"{POOL}.notes", "begin")
    return any(note["pid"] in children(worker) and note["at"] > since for note in begun)


def num_again(run: Producing) -> int:
    """Shards whose second attempt has begun."""
    return sum(each["name"].endswith(".2") and bool(each["start_time"]) for each in run.cluster.runs(run.name))
