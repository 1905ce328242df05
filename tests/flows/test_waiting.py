"""Runs that workers took and nobody will end; servers that are away for a while."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Pending, Running, State

from flows.distribute import Distribution
from flows.rows import ServerRows
from flows.waiting import cancel, end_lost, patiently
from s2v_model.contract import Stopped
from tasks.domain.batch import Order, Outcome
from tasks.domain.errors import StoreError


class Server:
    """As much of a client as is asked here."""

    # ruff: noqa: D102
    def __init__(self, runs: list[FlowRun], *online: str) -> None:
        self.runs, self.online = runs, online
        self.ended: list[UUID] = []

    def read_flow_runs(self, **wanted: Any) -> list[FlowRun]:
        return self.runs

    def count_flow_runs(self, **wanted: Any) -> int:
        return len(self.runs)

    def read_workers_for_work_pool(self, pool: str, **wanted: Any) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.online]

    def set_flow_run_state(self, run: UUID, state: State[Any], *, force: bool) -> None:
        assert (state.type.value, force) == ("CRASHED", True)
        self.ended.append(run)


def at_once() -> None:
    """No pause."""


def run_of(worker: str | None, state: State[Any], *, age_seconds: float) -> FlowRun:
    state.timestamp = datetime.now(UTC) - timedelta(seconds=age_seconds)
    labels = {} if worker is None else {"prefect.worker.name": worker}
    return FlowRun(id=uuid4(), flow_id=uuid4(), name="r", state=state, labels=labels)


@pytest.mark.parametrize(
    ("worker", "state", "age_seconds", "is_lost"),
    [
        ("gone", Pending(), 100, True),
        ("gone", Running(), 100, True),
        ("gone", Pending(), 5, False),
        ("here", Pending(), 1000, False),
        (None, Pending(), 5, False),
        (None, Pending(), 100, True),
    ],
)
def test_a_run_whose_worker_is_gone_is_ended(
    worker: str | None, state: State[Any], age_seconds: float, is_lost: bool
) -> None:
    """Also one that never sent a heartbeat; not one that was taken a moment ago, nor one whose worker is there."""
    run = run_of(worker, state, age_seconds=age_seconds)
    server: Any = Server([run], "here")
    end_lost([run.id], "gpu", server, at_once)

    assert server.ended == ([run.id] if is_lost else [])


def test_a_run_that_somebody_deleted_is_lost() -> None:
    """The server will never say that it has ended; the others are left alone."""
    run, deleted = run_of("here", Running(), age_seconds=100), uuid4()
    server: Any = Server([run], "here")
    (lost,) = end_lost([run.id, deleted], "gpu", server, at_once)

    assert (lost.id, lost.state and lost.state.type.value, server.ended) == (deleted, "CRASHED", [])
    assert end_lost([run.id], "gpu", server, at_once) == []


def refused(code: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://server")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(code, request=request))


def test_what_is_away_is_waited_for() -> None:
    """A server or a store that does not answer is asked again; what it refuses is not."""
    answers: list[Any] = [httpx.ConnectError("refused"), StoreError("away"), "here"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert patiently(ask, at_once) == "here"
    answers.append(refused(404))
    with pytest.raises(httpx.HTTPStatusError):
        patiently(ask, at_once)


@pytest.mark.parametrize(
    ("names", "num_workers"), [((), 1), (("a",), 1), (("a", "b"), 2), (("a (4 at once)", "b", "c (2 at once)"), 7)]
)
def test_shards_are_dealt_to_gpus_not_to_machines(names: tuple[str, ...], num_workers: int) -> None:
    """A worker counts for what it takes at once; where none is there yet, one is reckoned with."""
    nothing: Any = None
    server: Any = Server([], *names)
    away = Distribution(direct=nothing, pool="gpu", traits=nothing, episode="e")
    assert away._num_workers(server) == num_workers


def test_a_wait_for_what_is_away_ends_with_whoever_waits() -> None:
    """Ctrl-C ends a run though its server or its store never comes back."""

    def ask() -> str:
        raise StoreError("away")

    def told_to_stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        patiently(ask, told_to_stop)


def test_runs_are_cancelled_as_far_as_the_server_can_be_told() -> None:
    """One that is gone hinders no other; a server that is away is asked once, not for each."""
    asked: list[int] = []

    def told(run: Any, state: State[Any]) -> None:
        asked.append(run)
        if run == 1:
            raise ObjectNotFound(refused(404))
        if run == 2:
            raise httpx.ConnectError("refused")

    server: Any = SimpleNamespace(set_flow_run_state=told)
    runs: Any = range(5)
    cancel(runs, "over", server)

    assert asked == [0, 1, 2]


class Unsteady:
    """A server of rows that refuses one question, and then says that every run has ended."""

    def __init__(self) -> None:
        self.run = run_of(None, Completed(), age_seconds=0)
        self.refusals = [refused(429)]

    def create_flow_run_from_deployment(self, *_: Any, **wanted: Any) -> FlowRun:
        return self.run.model_copy(update={"state": Pending()})

    def read_flow_runs(self, **wanted: Any) -> list[FlowRun]:
        if self.refusals:
            raise self.refusals.pop()
        return [self.run]


def test_one_refusal_leaves_no_row_waiting_for_ever() -> None:
    """The thread that asks for all rows goes on after what it did not expect."""
    client, memory = Unsteady(), SimpleNamespace(remember=lambda *_: None, store=SimpleNamespace(uri="file:/x"))
    memory.recall = lambda *_: Outcome(id="e", state="done")
    rows = object.__new__(ServerRows)
    vars(rows).update(
        _pool="cpu", _workspace=memory, _client=client, _context=nullcontext(), _deployment=uuid4(),
        _poll_seconds=0.01, _waiting={}, _lock=Lock(), _end=Event(),
    )  # fmt: skip
    rows._watcher = Thread(target=rows._watch, daemon=True)
    rows._watcher.start()
    with ThreadPoolExecutor(1) as threads:
        outcome = threads.submit(rows, Order(id="e", document="", folder="/"))
        try:
            assert outcome.result(10).state == "done"
        finally:
            rows.close()
