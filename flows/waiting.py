"""Waiting for flow runs that workers execute: for their end, for a server that is away, and for what nobody will end.

In: a client and ids of runs. Out: the runs that have ended. Knows no shards and no rows.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkerFilter,
    WorkerFilterStatus,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, State, StateType, WorkerStatus
from prefect.exceptions import PrefectException, PrefectHTTPStatusError
from prefect.states import Cancelling, Crashed

from flows.render_shots import NO_HEARTBEAT
from tasks.domain.errors import StoreError

log = logging.getLogger(__name__)

AT_ONCE = 200
"""Runs asked for in one request, which is the most that a server gives."""
LOOK_SECONDS = 20.0
"""How often it is worth looking for runs whose worker has died."""
_TAKEN = (StateType.PENDING, StateType.RUNNING)
_WORKER = "prefect.worker.name"
_LABELLED_SECONDS = 60.0
"""A worker that has taken a run says so on it within this, or has died."""

Value = TypeVar("Value")
Pause = Callable[[], None]


def patiently(call: Callable[[], Value], pause: Pause) -> Value:
    """The call's result, however long the server or the store is away.

    pause: waits between two tries, and raises Stopped where nobody wants the result any more.
    """
    while True:
        try:
            return call()
        except (httpx.TransportError, StoreError) as error:
            log.warning("the server or the store is waited for: %s", error or type(error).__name__)
        except PrefectHTTPStatusError as error:
            if error.response.status_code < 500:
                raise
            log.warning("the server is waited for: %s", error)
        pause()


def ended(runs: Sequence[UUID], client: SyncPrefectClient, pause: Pause, own: UUID | None = None) -> Iterator[FlowRun]:
    """Those of the runs that are in a final state. own: the run that asks, given also while it is being cancelled."""
    states = (*sorted(TERMINAL_STATES), StateType.CANCELLING)
    for run in _in_states(runs if own is None else (own, *runs), states, client, pause):
        if run.id == own or (run.state is not None and run.state.is_final()):
            yield run


def online(pool: str, client: SyncPrefectClient) -> list[str]:
    """The names of a pool's workers that are there. Raises ObjectNotFound for an unknown pool."""
    there = WorkerFilter(status=WorkerFilterStatus(any_=[WorkerStatus.ONLINE]))
    return [worker.name for worker in client.read_workers_for_work_pool(pool, worker_filter=there, limit=AT_ONCE)]


def end_lost(runs: Sequence[UUID], pool: str, client: SyncPrefectClient, pause: Pause) -> list[FlowRun]:
    """Say of runs whose worker is gone that they are dead. Returns those that somebody deleted, as crashed.

    One that died before its first heartbeat is nobody else's: silence is only heard from those who have spoken.
    """
    deleted = [
        FlowRun(id=run, flow_id=run, name=f"run {run}", state=Crashed(message="Somebody deleted it."))
        for run in _deleted(runs, client, pause)
    ]
    taken = list(_in_states(runs, _TAKEN, client, pause))
    if not taken:
        return deleted
    there = patiently(partial(online, pool, client), pause)
    for run in taken:
        worker, since = run.labels.get(_WORKER), run.state.timestamp if run.state else datetime.now(UTC)
        if worker in there or (datetime.now(UTC) - since).total_seconds() < _LABELLED_SECONDS:
            continue
        log.warning("%s was taken by worker %s, which is gone", run.name, worker or "without a name")
        crashed: State[None] = Crashed(message=NO_HEARTBEAT)
        patiently(partial(client.set_flow_run_state, run.id, crashed, force=True), pause)
    return deleted


def _deleted(runs: Sequence[UUID], client: SyncPrefectClient, pause: Pause) -> Iterator[UUID]:
    """Runs that the server no longer has: it will never say that they have ended."""
    for start in range(0, len(runs), AT_ONCE):
        asked = runs[start : start + AT_ONCE]
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=list(asked)))
        if patiently(partial(client.count_flow_runs, flow_run_filter=chosen), pause) < len(asked):
            there = patiently(partial(client.read_flow_runs, flow_run_filter=chosen, limit=AT_ONCE), pause)
            yield from set(asked) - {run.id for run in there}


def cancel(runs: Iterable[UUID], why: str, client: SyncPrefectClient) -> None:
    """Have runs cancelled, as far as the server can be told: one that is away is asked only once."""
    with suppress(httpx.TransportError):
        for run in runs:
            with suppress(httpx.HTTPStatusError, PrefectException):
                client.set_flow_run_state(run, Cancelling(message=why))


def _in_states(
    runs: Sequence[UUID], states: Sequence[StateType], client: SyncPrefectClient, pause: Pause
) -> Iterator[FlowRun]:
    for start in range(0, len(runs), AT_ONCE):
        chosen = FlowRunFilter(
            id=FlowRunFilterId(any_=list(runs[start : start + AT_ONCE])),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(states))),
        )
        yield from patiently(partial(client.read_flow_runs, flow_run_filter=chosen, limit=AT_ONCE), pause)
