"""Hands shots to a work pool and collects their clips: the producing flow's side of `render_shots`.

One loop waits for all shards, owns their retries, and takes clips from the store, never from memory. How the shots were
dealt out is kept in the store too, and idempotency keys are made of (production, shard, attempt): a producing run that
follows one that died finds the runs which that one began.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRunResult
from prefect.context import TaskRunContext
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelled, Completed, Running
from prefect.tasks import Task

from flows.direct import Direct
from flows.estimate import Past, Quote, factor_of, known, learn, quote
from flows.places import num_places
from flows.render_shots import NO_HEARTBEAT, REFUSED, STORE
from flows.shards import MAX_ATTEMPTS, Shard, deal, without
from flows.waiting import LOOK_SECONDS, cancel, end_lost, ended, online, patiently
from s2v_model.contract import Stopped, Traits
from tasks.domain.editing import Clip, Shot
from tasks.domain.errors import EngineError, SettingsError
from tasks.formats.canonical import digest

log = logging.getLogger(__name__)

DEPLOYMENT = "render-shots/{pool}"
_DEALT = "shards"
_SETTLE_SECONDS = 10.0
"""A run declared dead by a server that was away itself is revived by its worker within so long."""
_STAND_IN: Task[[], None] = Task(fn=lambda: None, name="shard")

Value = TypeVar("Value")


@dataclass(slots=True)
class _Waiting:
    """One shard on its way."""

    number: int
    shard: Shard
    begun: int = 0
    attempt: int = 0
    run: FlowRun | None = None
    crashed_at: float | None = None


@dataclass(slots=True)
class Distribution:
    """Renders shots on a work pool, for one producing run."""

    direct: Direct
    pool: str
    traits: Traits
    """Of the one renderer of these shots."""
    episode: str
    clips: dict[str, Clip] = field(default_factory=dict)
    """By fingerprint, as they are found in the store."""
    reused: set[str] = field(default_factory=set)
    """Fingerprints whose clips were in the store from the beginning."""
    num_reused: int = 0
    num_retries: int = 0
    gpu_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    producing: UUID | None = None
    """The flow run that waits here."""
    budget_gpu_s: float | None = None
    told: Callable[[float], None] = lambda share: None
    """Told how much of the work is done, 0 to 1."""
    quoted: Quote | None = None
    lenient: bool = False
    """Whether shots may stay without a clip: those that failed at every attempt are then `lost`."""
    lost: dict[str, str] = field(default_factory=dict)
    """Why, by fingerprint."""
    factor: float = 1.0
    """Seconds that a GPU takes for an expected one."""

    def render(self, shots: Sequence[Shot]) -> dict[str, Clip]:
        """The clip of every shot, by fingerprint. Called inside a task run, whose children the shards become.

        Raises EngineError where shards failed, unless `lenient`; what others rendered is kept.
        """
        wanted = tuple({shot.fingerprint: shot for shot in shots}.values())
        missing = self._missing(wanted)
        self.num_reused = len(shots) - len(missing)
        self.reused = set(self.clips)
        if not missing:
            return self.clips
        workspace, traits = self.direct.wiring.workspace, self.traits
        self.factor = factor_of(self._patiently(lambda: known(workspace, traits)))
        with get_client(sync_client=True) as client:
            workers = self._num_workers(client)
            price = self.direct.wiring.settings.gpu_hour_price
            costs = [shot.cost_seconds for shot in missing]
            self.quoted = quote(costs, factor=self.factor, workers=workers, gpu_hour_price=price)
            log.info("%d clips are missing: %s", len(missing), self.quoted.as_document())
            self.told(0.0)
            shards = self._dealt(wanted, missing, workers)
            production = digest([workspace.store.uri, *(shot.fingerprint for shot in wanted)])
            self._run_all(shards, production, client)
        done = sum(shot.cost_seconds for shot in missing if shot.fingerprint in self.clips)
        self._patiently(lambda: learn(workspace, traits, Past(expected_seconds=done, actual_seconds=self.gpu_seconds)))
        if self.failures:
            raise EngineError(" ".join(self.failures[:2]))
        return self.clips

    def _missing(self, shots: Sequence[Shot]) -> tuple[Shot, ...]:
        """The shots whose clips the store does not have; the clips of the others are taken along."""
        missing = []
        for shot in shots:
            if shot.fingerprint in self.clips:
                continue
            clip = self._patiently(partial(self.direct.wiring.workspace.clip, shot.fingerprint))
            if clip is None:
                missing.append(shot)
            else:
                self.clips[shot.fingerprint] = clip
        return tuple(missing)

    def _dealt(self, wanted: Sequence[Shot], missing: Sequence[Shot], workers: int) -> list[Shard]:
        """Shards as the first producing run of this plan dealt them, and new ones for what those do not hold."""
        workspace = self.direct.wiring.workspace
        name = digest([shot.fingerprint for shot in wanted])
        dealt = self._patiently(lambda: workspace.recall(_DEALT, name, tuple[Shard, ...])) or ()
        longest = self.direct.wiring.settings.production.shard_seconds / self.factor
        added = deal(without(dealt, missing), workers=workers, longest_seconds=longest)
        if added:
            self._patiently(lambda: workspace.remember(_DEALT, name, (*dealt, *added)))
        open_ = {shot.fingerprint for shot in missing}
        return [shard for shard in (*dealt, *added) if any(shot.fingerprint in open_ for shot in shard.shots)]

    def _num_workers(self, client: SyncPrefectClient) -> int:
        """How many shards the pool's workers that are there take at once."""
        with suppress(ObjectNotFound):
            return max(1, sum(num_places(name) for name in online(self.pool, client)))
        raise self._not_deployed()

    def _not_deployed(self) -> SettingsError:
        return SettingsError(
            f"the Prefect server has no deployment {DEPLOYMENT.format(pool=self.pool)!r}, which `pools` asks for.",
            remedy="Run `troupe serve`, or `python -m infra.deployments`, against this server first.",
        )

    def _run_all(self, shards: Sequence[Shard], production: str, client: SyncPrefectClient) -> None:
        try:
            deployment = client.read_deployment_by_name(DEPLOYMENT.format(pool=self.pool)).id
        except ObjectNotFound as error:
            raise self._not_deployed() from error
        context = TaskRunContext.get()
        self.producing = context.task_run.flow_run_id if context else None
        waiting: dict[UUID, _Waiting] = {}
        looked = time.monotonic()
        try:
            queued = deque(_Waiting(number=number, shard=shard) for number, shard in enumerate(shards))
            while queued or waiting:
                while queued and self._is_affordable(queued[0], waiting.values()):
                    entry = queued.popleft()
                    waiting[self._begin(entry, deployment, production, client)] = entry
                if not waiting:
                    self.failures.append(self._over_budget(queued))
                    return
                self._pause()
                lost: list[FlowRun] = []
                if time.monotonic() - looked > LOOK_SECONDS:
                    lost = end_lost(tuple(waiting), self.pool, client, self._pause)
                    looked = time.monotonic()
                for run in (*lost, *ended(tuple(waiting), client, self._pause, self.producing)):
                    if run.id == self.producing:
                        self._hear(run, client)
                        continue
                    entry = waiting[run.id]
                    if not self._is_settled(entry, run):
                        continue
                    del waiting[run.id]
                    if self._landed(entry, run):
                        queued.appendleft(entry)
                    self._tell(shards)
        except BaseException as error:
            # A worker that is stopped ends this process too: its shards go on, and whoever follows takes them over.
            is_cancelled = self._is_cancelled(client)
            if is_cancelled or isinstance(error, KeyboardInterrupt | Stopped | EngineError):
                cancel(waiting, "The producing run was stopped.", client)
            if is_cancelled and self.producing is not None:
                client.set_flow_run_state(self.producing, Cancelled(message="Cancelled by hand."), force=True)
            raise

    def _pause(self) -> None:
        """Between two looks. Raises Stopped."""
        time.sleep(self.direct.wiring.settings.production.poll_seconds)
        if self.direct.is_stopped:
            raise Stopped

    def _is_affordable(self, entry: _Waiting, waiting: Iterable[_Waiting]) -> bool:
        """Whether the budget bears one more shard, with all that is under way."""
        if self.budget_gpu_s is None:
            return True
        under_way = sum(self._left(each.shard) for each in (entry, *waiting))
        return self.gpu_seconds + under_way <= self.budget_gpu_s

    def _left(self, shard: Shard) -> float:
        """GPU seconds that a shard will take still."""
        return self.factor * sum(s.cost_seconds for s in shard.shots if s.fingerprint not in self.clips)

    def _over_budget(self, queued: Iterable[_Waiting]) -> str:
        left = sum(self._left(entry.shard) for entry in queued)
        return (
            f"The budget of {self.budget_gpu_s:.0f} GPU seconds would be exceeded: {self.gpu_seconds:.0f} are "
            f"spent, and {left:.0f} more are expected. What is done is kept: produce again with a larger budget."
        )

    def _tell(self, shards: Sequence[Shard]) -> None:
        shots = [shot for shard in shards for shot in shard.shots]
        self.told(sum(shot.fingerprint in self.clips for shot in shots) / len(shots))

    def _begin(self, entry: _Waiting, deployment: UUID, production: str, client: SyncPrefectClient) -> UUID:
        """Begin the next attempt that is not spent. The same key gives the same run, whoever asks for it."""
        workspace, shard = self.direct.wiring.workspace, entry.shard
        self._patiently(lambda: workspace.remember(STORE, shard.digest, shard))
        while True:
            entry.attempt += 1
            key = f"{production}/{shard.digest}/{entry.attempt}"
            name = f"{self.episode} {entry.number + 1}.{entry.attempt}"
            parent = self._patiently(partial(self._stand_in, name, key, client))
            entry.run = self._patiently(
                partial(
                    client.create_flow_run_from_deployment,
                    deployment,
                    parameters={
                        "shard": shard.digest,
                        "store": workspace.store.uri,
                        "quality": self.direct.wiring.quality,
                        "attempt": entry.attempt,
                    },
                    name=name,
                    tags=["troupe", f"episode:{self.episode}"],
                    idempotency_key=key,
                    parent_task_run_id=parent,
                    job_variables={"engine": self._engine()},
                )
            )
            if parent is not None and entry.run.parent_task_run_id != parent:
                followed: State[None] = Completed(name="Followed", message="An earlier producing run began it.")
                self._patiently(partial(client.set_task_run_state, parent, followed, force=True))
            if entry.run.state is None or not entry.run.state.is_final():
                entry.begun += 1
                entry.crashed_at = None
                return entry.run.id
            if not self._missing(shard.shots):  # it ended since we looked
                return entry.run.id
            log.info("attempt %d at shard %d was spent before", entry.attempt, entry.number + 1)

    def _stand_in(self, name: str, key: str, client: SyncPrefectClient) -> UUID | None:
        """The task run of the producing run that stands for a shard's run there: the server gives it that one's state.

        One for each: the task that waits for all of them would otherwise be Completed with the first.
        """
        context = TaskRunContext.get()
        if context is None:
            return None
        return client.create_task_run(
            _STAND_IN,
            flow_run_id=self.producing,
            dynamic_key=key,
            name=name,
            task_inputs={"__parents__": [TaskRunResult(id=context.task_run.id)]},
        ).id

    def _engine(self) -> str:
        return f"{self.traits.name}@{self.traits.revision}.{self.traits.weights[:12]}"

    def _is_settled(self, entry: _Waiting, run: FlowRun) -> bool:
        """Whether a run has ended for good: one that crashed may be declared alive again by its worker."""
        if run.state is None or run.state.message != NO_HEARTBEAT or not self._missing(entry.shard.shots):
            return True
        entry.crashed_at = entry.crashed_at or time.monotonic()
        return time.monotonic() - entry.crashed_at >= _SETTLE_SECONDS

    def _landed(self, entry: _Waiting, run: FlowRun) -> bool:
        """Take the clips of a shard whose run has ended. Returns whether another attempt is due."""
        self.gpu_seconds += run.total_run_time.total_seconds()
        missing = self._missing(entry.shard.shots)
        if not missing or run.state is None:
            return False
        told = f"{run.name} ended {run.state.name}: {run.state.message or 'no word of why'}"
        if run.state.is_cancelled():
            raise EngineError(f"Rendering was cancelled by hand ({run.name}). Produce the episode again to go on.")
        if run.state.name == REFUSED:
            self.failures.append(told)
            return False
        if entry.begun < MAX_ATTEMPTS:
            self.num_retries += 1
            log.warning("%s; it is begun again", told)
            return True
        self.lost |= {shot.fingerprint: told for shot in missing}
        if not self.lenient:
            self.failures.append(told)
        return False

    def _hear(self, own: FlowRun, client: SyncPrefectClient) -> None:
        """What befell the producing run itself. Raises EngineError where it was cancelled."""
        if own.state is not None and own.state.is_crashed():
            # As the workers' runs: a server that was away itself takes the silent for dead.
            log.warning("this run was declared dead, and goes on")
            client.set_flow_run_state(own.id, Running(message="It goes on."), force=True)
            return
        raise EngineError("The run was cancelled by hand. Produce the episode again to go on.")

    def _is_cancelled(self, client: SyncPrefectClient) -> bool:
        """Whether somebody cancelled the producing run in the control room."""
        with suppress(httpx.HTTPError, PrefectHTTPStatusError):
            state = client.read_flow_run(self.producing).state if self.producing else None
            return state is not None and (state.is_cancelling() or state.is_cancelled())
        return False

    def _patiently(self, call: Callable[[], Value]) -> Value:
        return patiently(call, self._pause)
