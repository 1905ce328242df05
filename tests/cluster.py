"""A whole production site on this machine: Prefect on PostgreSQL and Redis, an object store, workers, producers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.settings import load_settings
from flows.wiring import Wiring
from tests.databases import postgres, production_settings, redis
from tests.episodes import essence, small_episode
from tests.servers import ACCESS_KEY, SECRET_KEY, PrefectServer, S3Server, end, prefect_server, seaweedfs, start_prefect
from tests.sleeping import NAME, notes

ROOT = Path(__file__).parents[1]
NUM_SHOTS = 6


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
                stdout=subprocess.PIPE if command[1] == "produce" else log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def deploy(self, pool: str) -> None:
        """Pools, deployments and automations."""
        subprocess.run(
            [sys.executable, "-m", "infra.deployments"], env=self.environment(pool), cwd=self.folder, check=True
        )

    def worker(self, name: str, pool: str, **others: str) -> "subprocess.Popen[bytes]":
        """A worker of a pool; it is at work when this returns."""
        environment = self.environment(pool, **others)
        if pool == "cpu":
            process = self.start(name, self.environment("gpu", **others), "prefect", "worker", "start", "--pool", pool)
        else:
            process = self.start(name, environment, "tests.run_worker", pool, name)
        until(lambda: b"started!" in (self.folder / f"{name}.log").read_bytes(), 120)
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
        return Producing(cluster=self, name=name, process=running, path=path, store=store)

    def runs(self, episode: str) -> list[dict[str, Any]]:
        """The flow runs that render shards of an episode."""
        return [run for run in self.server.flow_runs(tags=[f"episode:{episode}"]) if run["name"] != episode]

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
    process: "subprocess.Popen[bytes]"
    path: Path
    store: str

    def result(self, seconds: float = 240) -> tuple[int, dict[str, Any]]:
        """Its exit code, and what it printed."""
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, json.loads(output or b"{}")

    def essence(self) -> dict[str, Any]:
        """What makes its programme equal to another, read from the store."""
        wiring = Wiring(load_settings(store=self.store, s3=self.cluster.s3.options()))
        latest = json.loads(wiring.store.read(f"programmes/{self.name}/latest.json") or b"{}")
        manifest = wiring.store.read(f"programmes/{self.name}/{latest['revision']}/manifest.json")
        return essence(json.loads(manifest or b"{}"))

    def undisturbed(self) -> dict[str, Any]:
        """The same of a direct run of the same episode into a folder, by itself."""
        store = self.cluster.folder / f"{self.name}.direct"
        command = ["flows.cli", "produce", str(self.path), "--store", f"file:{store}", "--direct"]
        environment = {**self.cluster.environment("none", log=f"{self.name}.direct"), "SLEEPING_SECONDS": "0"}
        subprocess.run([sys.executable, "-m", *command], env=environment, check=True, capture_output=True)
        latest = json.loads((store / "programmes" / self.name / "latest.json").read_text())
        return essence(
            json.loads((store / "programmes" / self.name / latest["revision"] / "manifest.json").read_text())
        )

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
