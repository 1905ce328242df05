"""What shots and workers meet by themselves: poison, budgets, hands that cancel, processes that are replaced.

These runs disturb no other: they go side by side on one site (tests/flows/conftest.py).
"""

import json
import os
import signal
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cluster import NUM_SHOTS, Cluster, Producing, check_whole, children, lines_of, until
from tests.episodes import small_episode
from tests.sleeping import notes

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
POOL = "gpu"
BAD = 2
"""The place of the line that fails."""


def bad_episode(site: Cluster, name: str, word: str, **render: str) -> Path:
    """An episode one of whose shots has a word in its prompt that the renderer cannot bear."""
    lines = [f"[{word}] {line}" if place == BAD else line for place, line in enumerate(lines_of(name))]
    return small_episode(site.folder / name, name=name, lines=tuple(lines), quality="final", **render)


@pytest.fixture(scope="module")
def begun(site: Cluster) -> dict[str, Producing]:
    """Productions that were begun at once."""
    site.adjust("recycled", recycle_after=2, max_growth_mb=10_000)
    return {
        "cancelled": site.produce("cancelled", POOL),
        "poison": site.produce("poison", POOL, episode=bad_episode(site, "poison", "poison")),
        "still": site.produce("still", POOL, episode=bad_episode(site, "still", "poison", on_failure="still")),
        "fatal": site.produce("fatal", POOL, episode=bad_episode(site, "fatal", "fatal", on_failure="still")),
        "replaced": site.produce("replaced", "recycled", TROUPE_PRODUCTION__SHARD_SECONDS="1"),
    }


def test_a_run_is_cancelled_by_hand(site: Cluster, begun: dict[str, Producing]) -> None:
    """Cancelled in the control room, a shard's run ends within seconds, and the producing run says why it ends."""
    run = begun["cancelled"]
    shard = run.wait_for(1, "Running", 240)[0]
    site.cancel(shard["id"])
    code, _ = run.result()
    assert code == 1
    assert "cancelled by hand" in (site.folder / "cancelled.log").read_text()
    until(lambda: all(one["state"]["type"] in ("COMPLETED", "CANCELLED") for one in site.runs("cancelled")), 60)


def test_a_producing_run_is_killed(site: Cluster) -> None:
    """SIGKILL of the producing process: its shards go on, and a second producing run takes them over."""
    run = site.produce("orphaned", POOL)
    run.wait_for(1, "Running", 240)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.communicate()
    check_whole(site.produce("orphaned", POOL, episode=run.path), rendered_again=0)
    assert all(each["name"].endswith(".1") for each in site.runs("orphaned"))
    (second, _) = site.server.flow_runs(name=["orphaned en"])
    stand_ins = [each for each in site.server.task_runs(second["id"]) if each["name"].startswith("orphaned ")]
    assert {each["state"]["name"] for each in stand_ins} == {"Followed"}


def test_a_process_that_cannot_load_eats_no_queue(site: Cluster) -> None:
    """A worker whose renderer does not load again gives the run back and ends, as one does that cannot start."""
    site.adjust("broken", recycle_after=1)
    run, sign = site.produce("unable", "broken"), site.folder / "broken"
    until(lambda: bool(notes(site.folder / "broken.notes", "begin")), 120)
    sign.touch()
    until(lambda: site.workers["unable"].poll() is not None, 60)
    late = site.start("late", site.environment("broken", SLEEPING_BROKEN=str(sign)), "tests.run_worker", "broken", "x")
    until(lambda: late.poll() is not None, 60)
    assert late.returncode != 0
    assert "cannot load" in (site.folder / "late.log").read_text()
    sign.unlink()
    site.worker("able", "broken", SLEEPING_BROKEN=str(sign))
    check_whole(run, rendered_again=0)
    assert all(each["name"].endswith(".1") for each in site.runs("unable"))


def test_a_process_is_replaced_after_so_many_runs_or_so_much_memory(site: Cluster, begun: dict[str, Producing]) -> None:
    """Of six runs, two a process make three processes; 40 MB a run, of which 60 are borne after the first, make two."""
    check_whole(begun["replaced"], rendered_again=0)
    loaded = notes(site.folder / "recycled.notes", "load")
    site.adjust("recycled", recycle_after=200, max_growth_mb=60)
    check_whole(site.produce("grown", "recycled", TROUPE_PRODUCTION__SHARD_SECONDS="1"), rendered_again=0)
    grown = notes(site.folder / "recycled.notes", "load")[len(loaded) :]

    assert (len(loaded), len(grown)) == (NUM_SHOTS // 2, NUM_SHOTS // 3)


def test_a_shot_that_always_fails(site: Cluster, begun: dict[str, Producing]) -> None:
    """A poison shot is tried three times, then the run fails with its sentence; all other clips are kept."""
    run = begun["poison"]
    code, _ = run.result()
    assert code == 1
    assert "the renderer cannot make this take" in (site.folder / "poison.log").read_text().strip().splitlines()[-1]
    failed = [each["name"] for each in site.runs("poison") if each["state"]["type"] == "FAILED"]
    assert len(failed) == 3
    (producing,) = site.server.flow_runs(name=["poison en"])
    stood_in = {each["name"]: each["state"]["type"] for each in site.server.task_runs(producing["id"])}
    assert {each["name"]: stood_in[each["name"]] for each in site.runs("poison")} == {
        each["name"]: each["state"]["type"] for each in site.runs("poison")
    }
    assert run.num_clips() == NUM_SHOTS - 1


def test_a_shot_that_always_fails_becomes_a_still(begun: dict[str, Producing]) -> None:
    """Where the episode says so, its portrait stands there; the programme equals that of a direct run."""
    run = begun["still"]
    code, document = run.result()
    manifest, record = run.manifest(), run.record()

    assert (code, document["rendered"], document["stills"]) == (0, NUM_SHOTS - 1, 1)
    assert [shot["renderer"] == "still" for shot in manifest["shots"]] == [n == BAD for n in range(NUM_SHOTS)]
    assert "still" in manifest["shots"][BAD]["checks"]
    assert "cannot make this take" in record["stills"][0]["error"]
    assert run.num_clips() == NUM_SHOTS - 1
    assert run.essence() == run.undisturbed()


def test_a_shot_that_kills_its_process_takes_no_other_with_it(site: Cluster, begun: dict[str, Producing]) -> None:
    """Three processes die of it, and every other shot of its shard is rendered."""
    run = begun["fatal"]
    code, document = run.result()
    crashed = [each for each in site.runs("fatal") if each["state"]["type"] == "CRASHED"]

    assert (code, document["rendered"], document["stills"]) == (0, NUM_SHOTS - 1, 1)
    assert len(crashed) == 3
    assert run.manifest()["shots"][BAD]["renderer"] == "still"


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


def test_rows_are_runs_of_their_own(site: Cluster) -> None:
    """Each row is a flow run of a worker, whose shots go to the pool; again, they are new runs that render nothing."""
    for attempt, rendered in ((1, 1), (2, 0)):
        output, _ = site.batch("table", "one,Ada", "two,Bo", "three,").communicate(timeout=240)
        rows = {row["id"]: row for row in json.loads(output)["rows"]}
        assert {name: row["state"] for name, row in rows.items()} == {"one": "done", "two": "done", "three": "wrong"}
        assert [rows[name]["rendered"] for name in ("one", "two")] == [rendered, rendered]
        runs = site.server.flow_runs(name=[f"one.{attempt}", f"two.{attempt}"])
        assert [run["state"]["type"] for run in runs] == ["COMPLETED", "COMPLETED"]
    assert site.artifacts("batch-table-" + rows_digest(site))


def rows_digest(site: Cluster) -> str:
    """As it ends the name of the batch."""
    return sha256((site.folder / "table" / "table.csv").read_bytes()).hexdigest()[:12]


def test_nothing_stays_taken(site: Cluster) -> None:
    """After all of it no run holds a place in a pool, no limit a slot, and both workers have their process."""
    until(lambda: all(site.is_free(pool) for pool in (POOL, "recycled", "broken")), 15)
    time.sleep(1)
    assert all(len(children(site.workers[name].pid)) <= 1 for name in ("a", "b"))
