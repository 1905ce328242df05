"""Runs that workers took and nobody will end; servers that are away for a while."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending, Running, State

from flows.distribute import Distribution
from flows.waiting import end_lost, patiently
from tasks.domain.errors import StoreError


class Server:
    """As much of a client as is asked here."""

    # ruff: noqa: D102
    def __init__(self, runs: list[FlowRun], *online: str) -> None:
        self.runs, self.online = runs, online
        self.ended: list[UUID] = []

    def read_flow_runs(self, **wanted: Any) -> list[FlowRun]:
        return self.runs

    def read_workers_for_work_pool(self, pool: str, **wanted: Any) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.online]

    def set_flow_run_state(self, run: UUID, state: State[Any], *, force: bool) -> None:
        assert (state.type.value, force) == ("CRASHED", True)
        self.ended.append(run)


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
    end_lost([run.id], "gpu", server, 0.0)

    assert server.ended == ([run.id] if is_lost else [])


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

    assert patiently(ask, 0.0) == "here"
    answers.append(refused(404))
    with pytest.raises(httpx.HTTPStatusError):
        patiently(ask, 0.0)


@pytest.mark.parametrize(
    ("names", "num_workers"), [((), 1), (("a",), 1), (("a", "b"), 2), (("a (4 at once)", "b", "c (2 at once)"), 7)]
)
def test_shards_are_dealt_to_gpus_not_to_machines(names: tuple[str, ...], num_workers: int) -> None:
    """A worker counts for what it takes at once; where none is there yet, one is reckoned with."""
    nothing: Any = None
    server: Any = Server([], *names)
    away = Distribution(direct=nothing, pool="gpu", traits=nothing, episode="e")
    assert away._num_workers(server) == num_workers
