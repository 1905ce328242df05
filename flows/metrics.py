"""Metrics of a site, as OpenMetrics text on a port: what Prometheus and OpenTelemetry's collector scrape.

In: the API of the configured Prefect server. Out: gauges of the moment, and counters since this process began. It reads
runs as they end, their times and the labels that producing runs bear (flows/report.py): runs are short, this is not.
"""

import logging
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from flows.report import RENDERED, REUSED
from flows.settings import Settings
from flows.status import AT_ONCE, TAG, read_pools, server
from tasks.domain.errors import EngineError, SettingsError

log = logging.getLogger(__name__)

EVERY_SECONDS = 15.0
OVERLAP = timedelta(seconds=60)
"""A run's end is told late now and then: ends are looked for so far back, and each is counted once."""
_ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
_EXCEPTION = re.compile(r"Flow run encountered an exception: (\w+)")
"""Prefect's words for a run that an exception ended; others are counted by their state: Crashed, Refused."""
_FAILED = (StateType.FAILED, StateType.CRASHED)


class Meter:
    """The metrics, and what they were read from."""

    def __init__(self, began: datetime) -> None:
        self.registry = CollectorRegistry()
        self._began, self._counted = began, dict[str, datetime]()

        def gauge(name: str, told: str, *labels: str) -> Gauge:
            return Gauge(f"troupe_{name}", told, labels, registry=self.registry)

        def counter(name: str, told: str, *labels: str) -> Counter:
            return Counter(f"troupe_{name}", told, labels, registry=self.registry)

        self._queue = gauge("queue_age_seconds", "For how long the oldest run of a pool has waited.", "pool")
        self._waiting = gauge("runs_waiting", "Runs of a pool that wait for a worker.", "pool")
        self._running = gauge("runs_running", "Runs of a pool that run.", "pool")
        self._workers = gauge("workers", "Workers of a pool.", "pool", "state")
        self._ratio = gauge("reuse_ratio", "Reused clips of all clips, since this process began.")
        self._clips = counter("clips", "Clips of programmes.", "clip")
        self._gpu = counter("gpu_seconds", "Seconds that workers of a pool were rendering.", "pool")
        self._failures = counter("failures", "Runs that failed, by the class of the error.", "error")
        for clip in ("rendered", "reused"):
            self._clips.labels(clip)
        self._sums = {"rendered": 0.0, "reused": 0.0}

    def read(self, client: SyncPrefectClient, now: datetime) -> None:
        """Bring every metric up to date."""
        for pool in read_pools(client, now):
            self._queue.labels(pool.name).set(pool.queue_seconds)
            self._waiting.labels(pool.name).set(pool.waiting)
            self._running.labels(pool.name).set(pool.running)
            self._workers.labels(pool.name, "online").set(pool.online)
            self._workers.labels(pool.name, "offline").set(pool.offline)
        since = max([self._began, *self._counted.values()]) - OVERLAP
        self._counted = {run: end for run, end in self._counted.items() if end >= since}
        for run in _ended(client, max(since, self._began)):
            if str(run.id) not in self._counted and run.end_time is not None:
                self._counted[str(run.id)] = run.end_time
                self._count(run)

    def _count(self, run: FlowRun) -> None:
        labels = run.labels
        for clip, label in (("rendered", RENDERED), ("reused", REUSED)):
            number = float(labels.get(label, 0))
            self._clips.labels(clip).inc(number)
            self._sums[clip] += number
        if every := sum(self._sums.values()):
            self._ratio.set(self._sums["reused"] / every)
        if "shard" in run.parameters:  # a run of `render_shots`
            self._gpu.labels(str(run.work_pool_name)).inc(run.total_run_time.total_seconds())
        if run.state is not None and run.state.type in _FAILED:
            named = _EXCEPTION.match(run.state.message or "")
            self._failures.labels(named[1] if named else str(run.state.name)).inc()


def _ended(client: SyncPrefectClient, since: datetime) -> Iterable[FlowRun]:
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[TAG]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_ENDED))),
        end_time=FlowRunFilterEndTime(after_=since),
    )
    offset = 0
    while True:
        runs = client.read_flow_runs(
            flow_run_filter=wanted, limit=AT_ONCE, offset=offset, sort=FlowRunSort.END_TIME_DESC
        )  # fmt: skip
        yield from runs
        offset += len(runs)
        if len(runs) < AT_ONCE:
            return


def serve_metrics(settings: Settings) -> None:
    """Serve metrics until stopped; a server that is away leaves them as they were. Raises SettingsError."""
    chosen = settings.metrics
    if not chosen.port:
        raise SettingsError("metrics are off: metrics.port is 0.", remedy="Set it to a port, for example 9464.")
    meter = Meter(datetime.now(UTC))
    try:
        start_http_server(chosen.port, chosen.host, registry=meter.registry)
    except OSError as error:
        where = f"{chosen.host}:{chosen.port}"
        raise SettingsError(f"{where} cannot be listened at: {error.strerror}.", remedy="Set metrics.port.") from error
    while True:
        try:
            with server() as client:
                meter.read(client, datetime.now(UTC))
        except EngineError as error:
            log.warning("%s", error)
        time.sleep(EVERY_SECONDS)
