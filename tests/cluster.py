"""A whole production site on this machine: Prefect on PostgreSQL and Redis, an object store, workers, producers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flows.choices import choices_for
from flows.direct import Direct
from flows.episodes import open_episode
from flows.pipeline import production
from flows.progress import Silent
from flows.record import Record
from flows.settings import load_settings
from flows.wiring import Wiring
from tests.databases import postgres, production_settings, redis
from tests.episodes import essence, small_episode
from tests.servers import ACCESS_KEY, SECRET_KEY, PrefectServer, S3Server, end, prefect_server, seaweedfs, start_prefect
from tests.sleeping import NAME, notes

ROOT = Path(__file__).parents[1]
NUM_SHOTS = 6
IS_SOAK = bool(os.environ.get("SOAK"))
SILENCE_SECONDS = 90 if IS_SOAK else 35
"""Without a heartbeat, after which a run is declared dead."""


@dataclass
class Cluster:
    """Servers, and what runs against them."""

    folder: Path
    server: PrefectServer
    settings: dict[str, str]
    s3: S3Server
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    clip_seconds: float = 2.5

    def environment(self, pool: str, *, log: str = "", **others: str) -> dict[str, str]:
        """For a worker or a producer whose shots go to `pool`."""
        usual = {
            "PYTHONPATH": str(ROOT),
            "SLEEPING_SECONDS": str(self.clip_seconds),
            "SLEEPING_LOG": str(self.folder / f"{log or pool}.notes"),
            "TROUPE_ENGINES__FINAL": NAME,
            "TROUPE_POOLS": json.dumps({NAME: pool}),
            "TROUPE_WORKERS": "2",
            "TROUPE_PRODUCTION__POLL_SECONDS": "1",
            "TROUPE_PRODUCTION__SHARD_SECONDS": str(2 * self.clip_seconds),
            "TROUPE_S3__ENDPOINT": self.s3.endpoint,
            "TROUPE_S3__ACCESS_KEY": ACCESS_KEY,
            "TROUPE_S3__SECRET_KEY": SECRET_KEY,
            "CUDA_VISIBLE_DEVICES": "0",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_CLIENT_MAX_RETRIES": "7",
        }
        return self.server.environment(**{**usual, **others})

    def start(self, name: str, environment: dict[str, str], *command: str) -> "subprocess.Popen[bytes]":
        """A Python process whose output goes to NAME.log; it and all that it starts end with the cluster."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=environment,
                cwd=self.folder,
                stdout=subprocess.PIPE if command[1] in ("produce", "batch") else log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def deploy(self, *pools: str, **others: str) -> None:
        """Pools, deployments and automations."""
        made = "from infra.deployments import deploy, load_settings\n"
        made += f"deploy(load_settings(), silence_seconds={SILENCE_SECONDS})"
        named = json.dumps({pool: pool for pool in pools})
        environment = self.environment(pools[0], **{"TROUPE_POOLS": named, **others})
        subprocess.run([sys.executable, "-c", made], env=environment, cwd=self.folder, check=True)

    def adjust(self, pool: str, **variables: Any) -> None:
        """What runs on a pool ask of their process: recycle_after, max_growth_mb."""
        deployment = self.server.ask(f"/deployments/name/render-shots/{pool}")["id"]
        self.server.ask(f"/deployments/{deployment}", {"job_variables": variables}, method="PATCH")

    def is_free(self, pool: str) -> bool:
        """Whether no run holds a place in a pool, and nobody a slot of any limit."""
        states = {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}
        chosen = {"flow_runs": {"state": states}, "work_pools": {"name": {"any_": [pool]}}}
        limits = self.server.ask("/v2/concurrency_limits/filter", {"limit": 100})
        return not self.server.ask("/flow_runs/filter", chosen) and not any(one["active_slots"] for one in limits)

    def worker(self, name: str, pool: str, **others: str) -> "subprocess.Popen[bytes]":
        """A worker of a pool; it is at work when this returns."""
        environment = self.environment(pool, **others)
        if pool == "cpu":
            process = self.start(name, self.environment("gpu", **others), "prefect", "worker", "start", "--pool", pool)
        else:
            process = self.start(name, environment, "tests.run_worker", pool, name)
        until(lambda: b"started!" in (self.folder / f"{name}.log").read_bytes(), 240)
        self.workers[name] = process
        return process

    def artifacts(self, key: str) -> list[dict[str, Any]]:
        """What runs have reported under a key."""
        return list(self.server.ask("/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}}))

    def produce(
        self, name: str, pool: str, *, episode: Path | None = None, flags: tuple[str, ...] = (), **others: str
    ) -> "Producing":
        """`troupe produce` of an episode of six shots, in the background."""
        path = episode or small_episode(self.folder / name, name=name, lines=lines_of(name), quality="final")
        store = f"s3://videos/{name}"
        environment = self.environment(pool, log=name, **others)
        running = self.start(name, environment, "flows.cli", "produce", str(path), "--store", store, "--json", *flags)
        return Producing(cluster=self, name=name, pool=pool, process=running, path=path, store=store)

    def batch(self, name: str, *rows: str) -> "subprocess.Popen[bytes]":
        """`troupe batch` of a table whose rows are spoken in one line each, in the background."""
        template = small_episode(self.folder / name, name="any", lines=("Welcome, {{name}}.",), quality="final")
        (self.folder / name / "table.csv").write_text("id,name\n" + "".join(f"{row}\n" for row in rows))
        command = ["flows.cli", "batch", str(self.folder / name / "table.csv"), "--template", str(template)]
        environment = self.environment("gpu", log=name)
        return self.start(name, environment, *command, "--store", f"s3://videos/{name}", "--json")

    def order(self, name: str, pool: str) -> "Producing":
        """The same as a run of the deployment `produce`, which a worker of the pool cpu takes."""
        path = small_episode(self.folder / name, name=name, lines=lines_of(name), quality="final")
        store = f"s3://videos/{name}"
        deployment = self.server.ask("/deployments/name/produce/cpu")["id"]
        wanted = {"parameters": {"episode": {"path": str(path), "store": store}}, "state": {"type": "SCHEDULED"}}
        self.server.ask(f"/deployments/{deployment}/create_flow_run", wanted)
        return Producing(cluster=self, name=name, pool=pool, process=self.workers["cpu"], path=path, store=store)

    def runs(self, episode: str) -> list[dict[str, Any]]:
        """The flow runs that render shards of an episode."""
        return [run for run in self.server.flow_runs(tags=[f"episode:{episode}"]) if run["name"] != episode]

    def cancel(self, run: str) -> None:
        """As a person does in the control room."""
        state = {"type": "CANCELLING", "name": "Cancelling"}
        self.server.ask(f"/flow_runs/{run}/set_state", {"state": state, "force": False})

    def stop_server(self) -> None:
        """As if its machine had lost its power."""
        self.server.process.kill()
        self.server.process.wait()

    def start_server(self) -> None:
        """At its old address, on its old database."""
        start_prefect(self.server, self.folder / "prefect", **self.settings)


@dataclass
class Producing:
    """A run of `troupe produce`."""

    cluster: Cluster
    name: str
    pool: str
    process: "subprocess.Popen[bytes]"
    path: Path
    store: str
    began: float = field(default_factory=time.time)

    def result(self, seconds: float = 240) -> tuple[int, dict[str, Any]]:
        """Its exit code, and what it printed."""
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, json.loads(output or b"{}")

    @property
    def wiring(self) -> Wiring:
        """Over its store."""
        return Wiring(load_settings(store=self.store, s3=self.cluster.s3.options()))

    def manifest(self) -> dict[str, Any]:
        """Of its programme."""
        store = self.wiring.store
        latest = json.loads(store.read(f"programmes/{self.name}/latest.json") or b"{}")
        return dict(json.loads(store.read(f"programmes/{self.name}/{latest['revision']}/manifest.json") or b"{}"))

    def record(self) -> dict[str, Any]:
        """What the one run of its programme did."""
        kept = [one.key for one in self.wiring.store.list(f"programmes/{self.name}/") if "/runs/" in one.key]
        (key,) = [one for one in kept if one.endswith(".json")]
        return dict(json.loads(self.wiring.store.read(key) or b"{}"))

    def num_clips(self) -> int:
        """Clips that its store names, each of them whole."""
        workspace = self.wiring.workspace
        clips = [workspace.clip(Path(one.key).stem) for one in workspace.store.list("clips/")]
        return sum(clip is not None and workspace.path(clip.video).exists() for clip in clips)

    def essence(self) -> dict[str, Any]:
        """What makes its programme equal to another, read from the store."""
        return essence(self.manifest())

    def undisturbed(self) -> dict[str, Any]:
        """The same of a direct run of the same episode into a folder, in this process."""
        direct = self.cluster.folder / f"{self.name}.direct"
        settings = load_settings(store=f"file:{direct}", engines={"final": NAME}, workers=1)
        episode = open_episode(str(self.path), settings)
        wiring = Wiring(settings, quality=episode.render.quality)
        with pytest.MonkeyPatch.context() as patch, Direct(settings, wiring, Silent(), Record(run="direct")) as run:
            patch.setenv("SLEEPING_LOG", f"{direct}.notes")
            (programme,) = production(episode, choices_for(episode, wiring), run)
        manifest = wiring.store.read(f"{programme.folder}/manifest.json")
        wiring.close()
        return essence(json.loads(manifest or b"{}"))

    def wait_for(self, count: int, state: str, seconds: float = 120) -> list[dict[str, Any]]:
        """Until at least so many shards are in a state."""
        found: list[dict[str, Any]] = []

        def are_there() -> bool:
            found[:] = [run for run in self.cluster.runs(self.name) if run["state"]["name"] == state]
            return len(found) >= count

        until(are_there, seconds)
        return found


def lines_of(episode: str) -> tuple[str, ...]:
    """Lines that no other episode has: the seed of a shot then tells whose it is."""
    return tuple(f"This is line number {number} of {episode}." for number in range(NUM_SHOTS))


def until(is_so: Callable[[], bool], seconds: float) -> float:
    """Wait; returns how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with suppress(OSError):
            if is_so():
                return time.monotonic() - began
        time.sleep(0.25)
    raise AssertionError(f"it did not happen within {seconds} s")


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


def renderings(cluster: Cluster, log: str, event: str = "end") -> list[int]:
    """Seeds of the clips that were rendered; one that stands there twice was rendered twice."""
    return [note["seed"] for note in notes(cluster.folder / f"{log}.notes", event)]


def check_whole(run: Producing, *, rendered_again: int) -> None:
    """It ended well, is equal to an undisturbed run, and no more clips than those in flight were begun twice."""
    code, document = run.result()
    assert code == 0, (run.cluster.folder / f"{run.name}.log").read_text()[-3000:]
    assert document["shots"] == NUM_SHOTS
    assert run.essence() == run.undisturbed()
    seeds = set(renderings(run.cluster, f"{run.name}.direct", "begin"))
    begun = Counter(seed for seed in renderings(run.cluster, run.pool, "begin") if seed in seeds)
    assert sum(begun.values()) - NUM_SHOTS <= rendered_again, begun
    ends = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    until(lambda: all(each["state"]["type"] in ends for each in run.cluster.runs(run.name)), 30)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Servers without workers; everything ends with the block."""
    with ExitStack() as stack:
        database = stack.enter_context(postgres(folder))
        port = stack.enter_context(redis(folder))
        s3 = stack.enter_context(seaweedfs(folder / "s3"))
        settings = production_settings(database, port)
        server = stack.enter_context(prefect_server(folder / "prefect", **settings))
        made = Cluster(folder=folder, server=server, settings=settings, s3=s3)
        try:
            yield made
        finally:
            for process in reversed(made.processes):
                for one in (process.pid, *children(process.pid)):
                    with suppress(ProcessLookupError):
                        os.killpg(one, signal.SIGKILL)
                end(process, 1)
                if process.stdout is not None:
                    process.stdout.close()
