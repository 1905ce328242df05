"""A Prefect worker type whose renderers stay loaded: one resident process for each GPU, fed one run after another.

`prefect worker start --pool gpu` finds it by its entry point (`prefect.collections`), and so does `troupe worker`.
Imports no renderer: only the children load them. Of `BaseWorker`, only public methods are overridden.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
import anyio.abc
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Cancelled, Running
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from pydantic import Field

from flows.places import worker_name
from flows.settings import Settings, inherited, load_settings, visible_gpus

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

log = logging.getLogger(__name__)

WATCH_SECONDS = 4.0
"""How soon a cancellation is noticed, and how often a run that is wrongly declared dead is declared alive."""
RETIRE_SECONDS = 10.0
BUSY_SECONDS = 20.0
"""How often a worker without a free GPU asks for work all the same: its health check wants to see it ask."""
_SHARING = "wan-s2v"
"""The renderer whose clips several GPUs may share."""
SOON_SECONDS = 0.05
"""After a run the base class frees its place within this."""


class LoadFailed(RuntimeError):
    """The child died before it said that its renderers are loaded."""


class Slot:
    """One GPU, or those that share a clip, and at most one process on them."""

    def __init__(self, gpus: str, pool: str) -> None:
        self.gpus, self.pool = gpus, pool
        self.process: asyncio.subprocess.Process | None = None
        self.num_runs = 0
        self.engine = ""
        """Of the last run; empty before the first."""
        self.grown_mb = 0.0
        self._first_mb = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.returncode is None

    @property
    def name(self) -> str:
        """Machine and process, for people."""
        return f"{socket.gethostname()}:{self.process.pid if self.process else 0}"

    async def start(self) -> None:
        """Start the process, and wait until its renderers are loaded. Raises LoadFailed."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.warm_child", self.pool),
            env=inherited(CUDA_VISIBLE_DEVICES=self.gpus),
            start_new_session=True,  # a group of its own: what the child has started ends with it
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.num_runs, self.engine, self._first_mb, self.grown_mb = 0, "", 0.0, 0.0
        if await self._answer() is None:
            raise LoadFailed(f"the process on GPU {self.gpus} could not load, exit code {await self.process.wait()}")

    async def _answer(self) -> dict[str, Any] | None:
        """The child's next message; None when it is dead."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        return json.loads(line) if line else None

    async def execute(self, flow_run: UUID, engine: str) -> int:
        """Run one flow run; 0, or the exit code of a child that died."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"flow_run_id": str(flow_run)}).encode() + b"\n")
        with suppress(ConnectionError):
            await self.process.stdin.drain()
        answer = await self._answer()
        if answer is None:
            return await self.process.wait() or 1
        self.num_runs += 1
        self.engine = engine
        # The first run grows everything that stays: growth counts from there.
        self._first_mb = self._first_mb or answer["resident_mb"]
        self.grown_mb = answer["resident_mb"] - self._first_mb
        return 0

    async def kill(self) -> None:
        """End the child and all that it started.

        By SIGKILL: on SIGTERM the engine in the child reports a crash of its own, which a producing run acts upon.
        """
        if self.is_alive and self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()

    async def retire(self) -> None:
        """End an idle child: the end of its input makes it leave."""
        if self.is_alive and self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.process.wait(), RETIRE_SECONDS)
            await self.kill()


def _shares(pool: str, settings: Settings) -> list[str]:
    """The GPUs of each process: one, or as many as `wan-s2v` lets share a clip (its option `gpus`)."""
    visible, asked = visible_gpus(), settings.engines.wan.get("gpus")
    each = asked if settings.pools.get(_SHARING) == pool and type(asked) is int and asked > 1 else 1
    whole = [",".join(visible[at : at + each]) for at in range(0, len(visible) - each + 1, each)]
    return whole or [",".join(visible)]  # too few: the renderer says so when it loads


class WarmConfiguration(BaseJobConfiguration):
    """What a flow run asks of its process."""

    recycle_after: int = Field(default=200)
    max_growth_mb: int = Field(default=2000)
    engine: str = Field(default="")


class WarmVariables(BaseVariables):
    """The form of a work pool and of a deployment."""

    recycle_after: int = Field(default=200, title="Recycle after", description="Flow runs for each process.")
    max_growth_mb: int = Field(
        default=2000, title="Memory growth", description="A process that has grown by so many MB is replaced."
    )
    engine: str = Field(
        default="", title="Engine", description="Renderer with revision and weights; another one gets a new process."
    )


class WarmResult(BaseWorkerResult):
    """How the process ended, or that it did not."""


class WarmWorker(BaseWorker[WarmConfiguration, WarmVariables, WarmResult]):
    """Feeds the processes of this machine's GPUs."""

    type = "warm-gpu"
    job_configuration = WarmConfiguration
    job_configuration_variables = WarmVariables
    _description = "Runs flow runs one after another in a resident process for each GPU: the model stays loaded."
    _display_name = "Warm GPU"

    def __init__(self, work_pool_name: str, *args: Any, **kwargs: Any) -> None:
        settings = load_settings()
        self.slots = [Slot(gpus, work_pool_name) for gpus in _shares(work_pool_name, settings)]
        kwargs["limit"] = min(kwargs.get("limit") or len(self.slots), len(self.slots))
        super().__init__(work_pool_name, *args, **kwargs)
        # The server keeps no more of a worker than its name: whoever deals shards reads there how many it takes.
        self.name = worker_name(self.name, kwargs["limit"])
        self._free: asyncio.Queue[Slot] = asyncio.Queue()
        self._drain_seconds = settings.production.drain_seconds
        self._asking: asyncio.Future[None] | None = None
        self._asked_at = float("-inf")

    async def setup(self) -> None:
        """Load every renderer before a run is asked for; a GPU that cannot load ends the worker here."""
        try:
            await asyncio.gather(*(slot.start() for slot in self.slots))
        except BaseException:
            await asyncio.gather(*(slot.kill() for slot in self.slots))
            raise
        for slot in self.slots:
            self._free.put_nowait(slot)
        await super().setup()

    async def teardown(
        self,
        *exc_info: Any,
    ) -> None:
        """End the runs (`run` is cancelled and waited for), then the processes."""
        if self._asking is not None:
            self._asking.cancel()
        try:
            await super().teardown(*exc_info)
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.gather(*(slot.retire() for slot in self.slots))

    async def get_and_submit_flow_runs(self) -> "list[FlowRun]":
        """Ask for work; without a free GPU seldom, since each look costs the server as much as one that finds some."""
        if self._free.empty() and time.monotonic() - self._asked_at < BUSY_SECONDS:
            return []
        self._asked_at = time.monotonic()
        return await super().get_and_submit_flow_runs()

    async def run(
        self,
        flow_run: "FlowRun",
        configuration: WarmConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> WarmResult:
        """One flow run in the process of a free GPU. A process that dies is a crash, reported at once."""
        slot = await self._free.get()
        work: asyncio.Task[int] | None = None
        watch = asyncio.ensure_future(self._until_cancelled(flow_run.id))
        try:
            if slot.is_alive and slot.engine not in ("", configuration.engine):
                await slot.retire()
            if not slot.is_alive:
                await slot.start()
            if task_status:  # anyio wants this call in this very task
                task_status.started(slot.name)
            work = asyncio.ensure_future(slot.execute(flow_run.id, configuration.engine))
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            code = work.result() if work.done() else await self._stopped(slot, flow_run.id)
            if slot.num_runs >= configuration.recycle_after or slot.grown_mb > configuration.max_growth_mb:
                await slot.retire()
            self._asking = asyncio.ensure_future(self._ask_soon())
            return WarmResult(status_code=code, identifier=slot.name)
        except LoadFailed as error:
            if task_status:
                task_status.started(socket.gethostname())
            return await self._leave(flow_run.id, error)
        except asyncio.CancelledError:  # the worker is told to stop
            with anyio.CancelScope(shield=True):
                await self._give_back(slot, work, flow_run.id)
            raise
        finally:
            watch.cancel()
            if work is not None:
                work.cancel()
            self._free.put_nowait(slot)

    async def _ask_soon(self) -> None:
        """A GPU that is free need not wait for the worker's next look at its queue."""
        await asyncio.sleep(SOON_SECONDS)
        with suppress(Exception):  # the usual look comes all the same
            await self.get_and_submit_flow_runs()

    async def _stopped(self, slot: Slot, flow_run: UUID) -> int:
        await slot.kill()
        await self.client.set_flow_run_state(flow_run, Cancelled(message="The renderer was stopped."), force=True)
        return 0

    async def _leave(self, flow_run: UUID, error: LoadFailed) -> WarmResult:
        """A machine that cannot load must not eat the queue: the run goes back, and the worker ends."""
        log.critical("%s; the worker ends", error)
        await self.client.set_flow_run_state(flow_run, AwaitingRetry(message=f"Given back: {error}."))
        os.kill(os.getpid(), signal.SIGTERM)
        return WarmResult(status_code=0, identifier=socket.gethostname())

    async def _give_back(self, slot: Slot, work: "asyncio.Task[int] | None", flow_run: UUID) -> None:
        """Let the run end within the drain time, else stop it and put it back in the queue."""
        if work is not None and self._drain_seconds:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(work), self._drain_seconds)
                return
        await slot.kill()
        await self.client.set_flow_run_state(flow_run, AwaitingRetry(message="The worker was stopped."))

    async def _until_cancelled(self, flow_run: UUID) -> None:
        """Return once the run is to be cancelled: the base class handles only runs that have not begun.

        After the server was away, its automation takes runs for dead whose heartbeats it missed. This one is not.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                state = (await self.client.read_flow_run(flow_run)).state
                if state is not None and (state.is_cancelling() or state.is_cancelled()):
                    return
                if state is not None and state.is_crashed():
                    log.warning("flow run %s was declared dead, and goes on", flow_run)
                    await self.client.set_flow_run_state(flow_run, Running(message="It goes on."), force=True)
            except ObjectNotFound:
                return
            except Exception as error:  # noqa: BLE001 - the server may be away for a while
                log.warning("the server is waited for: %s", error or type(error).__name__)

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: WarmConfiguration, grace_seconds: int = 30
    ) -> None:
        """Asked for where a run is cancelled before it begins; `run` sees to the others."""
