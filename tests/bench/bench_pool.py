"""What a pool of workers costs around rendering: `bench_pool.py CASE`, with a renderer that sleeps its cost.

On a whole site (tests/cluster.py: PostgreSQL, Redis, SeaweedFS, Prefect) with four workers of one simulated GPU each:
`makespan` of 200 shots of real-like lengths; `memory` of a producing run of 1,000 shots. In this process and its
own: `direct`, what a clip costs beside its renderer.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from threading import Event, Thread
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from flows.render_shots import STORE
from flows.settings import load_settings
from flows.shards import Shard
from flows.wiring import Wiring
from tests.bench.measure import _below as below
from tests.cluster import Cluster, Producing, cluster
from tests.episodes import small_episode
from tests.sleeping import NAME, notes

POOL, NUM_WORKERS = "gpu", 4
GPU_SECONDS = 800.0
"""Of 200 shots: three and a half minutes on four workers."""
WORDS = ("the", "of", "and", "in", "is", "was", "that", "for", "it", "with", "as", "at", "by", "from", "this", "which")


def lines(count: int, *, seed: int = 7) -> tuple[str, ...]:
    """Lines as long as those of talks: many short ones, few of twenty seconds; no two alike."""
    drawn = random.Random(seed)
    lengths = [min(45, max(2, round(drawn.lognormvariate(2.3, 0.7)))) for _ in range(count)]
    return tuple(
        f"{number} {' '.join(drawn.choice(WORDS) for _ in range(length))}." for number, length in enumerate(lengths)
    )


def cpu_seconds(root: int) -> float:
    """Of a process and all below it that live."""
    ticks = 0
    for pid in below(root):
        try:
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
        except OSError:
            continue
    return ticks / 100


def resident_mb(pid: int) -> float:
    """Memory of one process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except OSError:
        return 0.0


@dataclass
class Watched:
    """Once a second: what the server has used, and how large the producer is."""

    server: int
    producer: int = 0
    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    _end: Event = field(default_factory=Event)

    def __enter__(self) -> "Watched":
        Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._end.set()

    def _watch(self) -> None:
        while not self._end.wait(1):
            self.times.append(time.time())
            self.cpu.append(cpu_seconds(self.server))
            self.memory.append(resident_mb(self.producer) if self.producer else 0.0)
            self.load.append(float(Path("/proc/loadavg").read_text().split()[0]))

    def cpu_between(self, start: float, end: float) -> float:
        """Of the server."""
        first, last = (min(bisect(self.times, at), len(self.cpu) - 1) for at in (start, end))
        return self.cpu[last] - self.cpu[first]


def started(folder: Path, **environment: str) -> Any:
    """A site, deployed, with its workers at work."""
    site = cluster(folder)
    made = site.__enter__()
    made.deploy(POOL)
    with ThreadPoolExecutor(NUM_WORKERS) as threads:
        list(threads.map(lambda number: made.worker(f"gpu{number}", POOL, **environment), range(NUM_WORKERS)))
    return site, made


def settings_of(rate: float, seconds: float = 0.0) -> dict[str, str]:
    """What a site's processes are given."""
    return {
        "SLEEPING_SECONDS": str(seconds),
        "SLEEPING_RATE": str(rate),
        "TROUPE_PRODUCTION__SHARD_SECONDS": "300",
        "TROUPE_PRODUCTION__POLL_SECONDS": "3",
    }


def rendered(site: Cluster, name: str, path: Path, watched: Watched, **environment: str) -> tuple[Producing, float]:
    """`troupe produce` on the pool until its last clip is there, and the seconds of its rendering; then it is ended."""
    run = site.produce(name, POOL, episode=path, **environment)
    watched.producer = run.process.pid
    title = f"render the clips on {POOL}"
    chosen = {
        "task_runs": {"name": {"any_": [title]}},
        "flow_runs": {"name": {"any_": [f"{name} en"]}},
    }
    log = site.folder / f"{name}.log"
    # The server's state of this task is of no use before: it follows each shard, whose parent the task is.
    while f"{title}' - Finished" not in log.read_text():
        time.sleep(2)
        if run.process.poll() is not None:
            raise SystemExit(log.read_text()[-3000:])
    watched.producer = 0
    (told,) = site.server.ask("/task_runs/filter", chosen)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.communicate()
    began, ended = (datetime.fromisoformat(told[at]) for at in ("start_time", "end_time"))
    return run, (ended - began).total_seconds()


def shard_of_seeds(site: Cluster, run: Producing) -> dict[int, str]:
    """In which shard a clip was rendered."""
    workspace = Wiring(load_settings(store=run.store, s3=site.s3.options())).workspace
    found: dict[int, str] = {}
    for flow_run in site.runs(run.name):
        digest = flow_run["parameters"]["shard"]
        shard = workspace.recall(STORE, digest, Shard)
        found |= {shot.seed: digest for shot in (shard.shots if shard else ())}
    return found


def gaps(site: Cluster, run: Producing) -> tuple[list[float], list[float]]:
    """Seconds in which a GPU did nothing: (between clips of a shard, between shards)."""
    shards = shard_of_seeds(site, run)
    log = site.folder / f"{POOL}.notes"
    marks = sorted(
        (note["pid"], note["at"], event, shards[note["seed"]])
        for event in ("begin", "end")
        for note in notes(log, event)
        if note["seed"] in shards
    )
    within: list[float] = []
    between: list[float] = []
    for (pid, ended, _, shard), (same, began, event, next_shard) in pairwise(marks):
        if pid == same and event == "begin":
            (within if shard == next_shard else between).append(began - ended)
    return within, between


def makespan(num_shots: int = 200, gpu_seconds: float = GPU_SECONDS, shard_seconds: int = 300) -> None:
    """A warm site, one episode of so many shots. `makespan 48 288 1` is one of shards of one shot each."""
    folder = Path(tempfile.mkdtemp(prefix="bench-pool-"))
    path = small_episode(folder, name="long", lines=lines(num_shots), quality="final")
    rate = gpu_seconds / expected(path, folder)
    environment = {**settings_of(rate), "TROUPE_PRODUCTION__SHARD_SECONDS": str(shard_seconds)}
    site, made = started(folder / "site", **environment)
    try:
        with Watched(made.server.process.pid) as watched:
            time.sleep(25)  # workers that ask for work and find none
            idle = watched.cpu_between(time.time() - 20, time.time()) / 20
            run, seconds = rendered(made, "long", path, watched, **environment)
            log = made.folder / f"{POOL}.notes"
            begun, ended, loads = (notes(log, event) for event in ("begin", "end", "load"))
        within, between = gaps(made, run)
        costs = [note["cost"] for note in ended]
        first, last = min(note["at"] for note in begun), max(note["at"] for note in ended)
        bound = max(sum(costs) / NUM_WORKERS, *costs)
        num_shards = len(made.runs("long"))
        server = watched.cpu_between(first - 5, last + 5)
        print(f"{len(costs)} clips of {len(begun)} begun, {num_shards} shards, {len(loads)} loads by {NUM_WORKERS}")
        print(f"render {seconds:.1f} s, first to last clip {last - first:.1f} s, bound {bound:.1f} s")
        print(f"limit {1.1 * bound + 10:.1f} s")
        print(
            f"idle between {len(between)} pairs of shards: median {median(between or [0]):.2f}, "
            f"largest {max(between or [0]):.2f} s"
        )
        print(f"between clips of a shard: median {1000 * median(within or [0]):.0f} ms")
        print(f"server: {server:.1f} CPU-s in the run, {idle:.3f} a second without work; a shard ", end="")
        print(f"{server / num_shards:.2f} gross, {(server - idle * (last - first + 10)) / num_shards:.2f} net")
        print(f"producer peak {max(watched.memory):.0f} MB; load {median(watched.load):.1f}", flush=True)
    finally:
        site.__exit__(None, None, None)


def troupe(arguments: list[str], **environment: str) -> "subprocess.Popen[bytes]":
    """The command, with the sleeping renderer and no server."""
    root = Path(__file__).parents[2]
    everything = {**os.environ, "PYTHONPATH": str(root), "TROUPE_ENGINES__FINAL": NAME, **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments],
        env=everything,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def expected(path: Path, folder: Path) -> float:
    """GPU seconds of an episode at a rate of one."""
    process = troupe(["plan", str(path), "--store", f"file:{folder}/plan", "--json"], SLEEPING_RATE="1")
    output, _ = process.communicate()
    return float(json.loads(output)["seconds"])


def memory(num_shots: int = 1000) -> None:
    """How much larger a producing run of so many shots gets than one of six."""
    folder = Path(tempfile.mkdtemp(prefix="bench-pool-"))
    environment = settings_of(0.0, 0.3)
    site, made = started(folder / "site", **environment)
    try:
        with Watched(made.server.process.pid) as watched:
            peaks = []
            for count in (6, num_shots):
                said = tuple(f"Line {number} of {count}." for number in range(count))
                name = f"episode{count}"
                path = small_episode(folder, name=name, lines=said, quality="final")
                watched.memory.clear()
                _, seconds = rendered(made, name, path, watched, **environment)
                peaks.append(max(watched.memory))
                print(f"{count} shots: peak {peaks[-1]:.0f} MB, rendered in {seconds:.1f} s", flush=True)
            print(f"growth {peaks[1] - peaks[0]:.0f} MB; load {median(watched.load):.1f}", flush=True)
    finally:
        site.__exit__(None, None, None)


def direct(num_shots: int = 200) -> None:
    """What a clip costs beside its renderer, without a server: from the end of one to the beginning of the next."""
    folder = Path(tempfile.mkdtemp(prefix="bench-pool-"))
    path = small_episode(folder, name="long", lines=lines(num_shots), quality="final")
    log = folder / "notes"
    environment = {"SLEEPING_SECONDS": "0.5", "SLEEPING_LOG": str(log), "TROUPE_WORKERS": "2"}
    process = troupe(["produce", str(path), "--store", f"file:{folder}/store", "--direct"], **environment)
    while len(notes(log, "end")) < num_shots and process.poll() is None:
        time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    marks = sorted(
        (note["pid"], note["at"], note["cpu"], event) for event in ("begin", "end") for note in notes(log, event)
    )
    found = [
        (began - ended, cpu - before)
        for (pid, ended, before, _), (same, began, cpu, event) in pairwise(marks)
        if (same, event) == (pid, "begin")
    ]
    wall, cpu_ms = ([1000 * pair[at] for pair in found] for at in (0, 1))
    load = float(Path("/proc/loadavg").read_text().split()[0])
    print(f"{len(found)} clips, mean and median: {mean(wall):.1f}, {median(wall):.1f} ms; ", end="")
    print(f"CPU {mean(cpu_ms):.1f}, {median(cpu_ms):.1f} ms; load {load:.1f}", flush=True)


CASES = {"makespan": makespan, "memory": memory, "direct": direct}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # its servers end with it
    CASES[sys.argv[1]](*(int(argument) for argument in sys.argv[2:]))
