"""What goes on at the configured Prefect server: runs that run, wait or failed, and the workers of each pool.

In: the server's API. Out: values, and the document of `troupe status`. Counts what is tagged "troupe" alone, but for
pools: those are counted whole, since a foreign run in a queue delays ours.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import ValidationError

from flows.settings import prefect_api_url
from tasks.domain.errors import EngineError, SettingsError

TAG = "troupe"
AT_ONCE = 200
SHOWN = 10
"""Runs of each kind; the document has up to AT_ONCE."""
LATELY = timedelta(hours=24)
_FAILED = (StateType.FAILED, StateType.CRASHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A flow run."""

    name: str
    state: str
    seconds: float
    """Since it began; for one that waits, since it should have."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A work pool."""

    name: str
    type: str
    is_paused: bool
    online: int
    """Workers with a heartbeat."""
    offline: int
    running: int
    waiting: int
    queue_seconds: float
    """For how long the oldest run that waits has waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything at once."""

    server: str
    pools: tuple[Pool, ...]
    running: tuple[Run, ...]
    waiting: tuple[Run, ...]
    failed: tuple[Run, ...]


@contextmanager
def server() -> Iterator[SyncPrefectClient]:
    """A client of the configured server.

    Raises SettingsError where none is or it wants other credentials, EngineError where it does not answer.
    """
    url = prefect_api_url()
    if not url:
        raise SettingsError("there is no Prefect server: PREFECT_API_URL is not set.", remedy="Run `troupe serve`.")
    try:
        with get_client(sync_client=True) as client:
            yield client
    except PrefectHTTPStatusError as error:  # an httpx.HTTPError, too
        code = error.response.status_code
        if code == 401:
            remedy = "Set PREFECT_API_AUTH_STRING."
            raise SettingsError(f"the Prefect server at {url} wants other credentials.", remedy=remedy) from error
        raise EngineError(f"the Prefect server at {url} answers {code}; look at its log.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise EngineError(f"the Prefect server at {url} does not answer ({type(error).__name__}).") from error
    except (json.JSONDecodeError, ValidationError) as error:
        raise EngineError(f"what answers at {url} is no Prefect server; correct PREFECT_API_URL.") from error


def read_status(client: SyncPrefectClient, now: datetime) -> Status:
    """What goes on."""
    ours = FlowRunFilterTags(all_=[TAG])
    lately = FlowRunFilterEndTime(after_=now - LATELY)
    running = _runs(client, FlowRunFilter(tags=ours, state=_of(StateType.RUNNING, StateType.CANCELLING)))
    failed = _runs(client, FlowRunFilter(tags=ours, state=_of(*_FAILED), end_time=lately), FlowRunSort.END_TIME_DESC)
    return Status(
        server=str(client.api_url),
        pools=tuple(read_pools(client, now)),
        running=tuple(_run(run, run.start_time, now) for run in running),
        waiting=tuple(_run(run, run.expected_start_time, now) for run in _runs(client, _due(now, ours))),
        failed=tuple(_run(run, run.end_time, now) for run in failed),
    )


def read_pools(client: SyncPrefectClient, now: datetime) -> Iterator[Pool]:
    """Every work pool, with its workers and its queue."""
    for pool in client.read_work_pools(limit=AT_ONCE):
        named = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool.name]))
        workers = [str(worker.status) for worker in client.read_workers_for_work_pool(pool.name, limit=AT_ONCE)]
        online = sum("ONLINE" in state for state in workers)
        oldest = client.read_flow_runs(
            flow_run_filter=_due(now), work_pool_filter=named, limit=1, sort=FlowRunSort.EXPECTED_START_TIME_ASC
        )
        running = FlowRunFilter(state=_of(StateType.RUNNING))
        yield Pool(
            name=pool.name,
            type=pool.type,
            is_paused=pool.is_paused,
            online=online,
            offline=len(workers) - online,
            running=client.count_flow_runs(flow_run_filter=running, work_pool_filter=named),
            waiting=client.count_flow_runs(flow_run_filter=_due(now), work_pool_filter=named),
            queue_seconds=_since(oldest[0].expected_start_time, now) if oldest else 0.0,
        )


def document(status: Status) -> dict[str, Any]:
    """For `--json`, with the lines for a person under "text"."""
    text = [line for pool in status.pools for line in _told_pool(pool)]
    for word, runs in (("runs", status.running), ("waits", status.waiting), ("failed", status.failed)):
        text += [_told_run(word, run) for run in runs[:SHOWN]]
        if len(runs) > SHOWN:
            text.append(f"{word:7} and {len(runs) - SHOWN} more")
    if not (status.running or status.waiting or status.failed):
        text.append("nothing runs or waits, and nothing has failed for a day.")
    return {**asdict(status), "text": [f"{status.server}", *text]}


def _told_pool(pool: Pool) -> Iterator[str]:
    paused = ", paused" if pool.is_paused else ""
    lost = f", {pool.offline} offline" if pool.offline else ""
    queue = f"{pool.waiting} wait, the oldest for {_clock(pool.queue_seconds)}" if pool.waiting else "none waits"
    yield f"pool {pool.name} ({pool.type}{paused}): {pool.online} workers online{lost}; {pool.running} run, {queue}"
    if pool.waiting and not pool.online:
        yield f"pool {pool.name} has no worker: troupe worker {pool.name}"


def _told_run(word: str, run: Run) -> str:
    ago = " ago" if word == "failed" else ""
    line = f"{word:7} {run.name}  {run.state}  {_clock(run.seconds)}{ago}"
    return f"{line}  {run.message[:200]}" if run.message and word == "failed" else line


def _runs(
    client: SyncPrefectClient, wanted: FlowRunFilter, sort: FlowRunSort = FlowRunSort.EXPECTED_START_TIME_ASC
) -> Sequence[FlowRun]:
    return client.read_flow_runs(flow_run_filter=wanted, limit=AT_ONCE, sort=sort)


def _of(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


def _due(now: datetime, tags: FlowRunFilterTags | None = None) -> FlowRunFilter:
    """Runs whose time has come and which no worker has begun."""
    return FlowRunFilter(
        tags=tags,
        state=_of(StateType.SCHEDULED, StateType.PENDING),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
    )


def _run(run: FlowRun, since: datetime | None, now: datetime) -> Run:
    state = run.state
    return Run(
        name=run.name,
        state=str(state.name) if state else "",
        seconds=_since(since, now),
        message=" ".join((state.message or "").split()) if state else "",
    )


def _since(moment: datetime | None, now: datetime) -> float:
    return round(max(0.0, (now - moment).total_seconds()), 1) if moment else 0.0


def _clock(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{left:02d}" if minutes >= 60 else f"{minutes}:{left:02d}"


def show_status() -> dict[str, Any]:
    """The document of `troupe status`."""
    with server() as client:
        return document(read_status(client, datetime.now(UTC)))
