"""Rows of a batch as flow runs on a Prefect server: the other `Submit` (flows/batch.py). One row, one run, one process.

Orders go through the store, and so do their outcomes: what a worker made of a row is known though the worker has died
since. The same order begun by two batches is one run. Attempts are as those of shards: three for each submission.
"""

import atexit
import logging
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from itertools import count
from typing import Any
from uuid import UUID

import httpx
from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound, PrefectException, PrefectHTTPStatusError
from prefect.states import Completed, Failed

from flows.batch import produce_order
from flows.orders import Batch
from flows.progress import unwatched
from flows.report import escaped, linked, log_run
from flows.settings import Settings, load_settings
from flows.shards import MAX_ATTEMPTS
from flows.status import server
from flows.steps import Steps
from flows.waiting import LOOK_SECONDS, cancel, end_lost, ended, patiently
from flows.wiring import Wiring
from s2v_model.contract import Stopped
from tasks.domain.batch import Order, Outcome, told_state
from tasks.domain.errors import SettingsError
from tasks.formats.canonical import digest

log = logging.getLogger(__name__)

DEPLOYMENT = "produce-row/{pool}"
AT_ONCE = 16
"""Rows under way where settings do not say how many."""
_ORDER, _OUTCOME = "order", "outcome"


@flow(name="produce-row", persist_result=False)
def produce_row(row: str, order: str, store: str, attempt: int = 1) -> State[Any]:
    """Produce one row of a batch.

    Args:
        row: Its id.
        order: Digest of the order, as the batch kept it.
        store: file:FOLDER or s3://BUCKET/PREFIX that holds the order and takes the programmes.
        attempt: How often this order was begun, this time included.

    """
    workspace = _wired(store, "draft").workspace
    log_run(_wired(store, "draft").settings)
    found = workspace.recall(_ORDER, order, Order)
    if found is None:
        return Failed(message=f"There is no order {order[:12]} in {store}. Submit the batch again.")
    outcome = produce_order(found, Steps, wiring=_wired(store, found.quality), watch=unwatched)
    workspace.remember(_OUTCOME, digest([order, attempt]), outcome)
    made = f"{outcome.rendered} rendered, {outcome.reused} reused"
    made += f", {outcome.stills} shown as a still" if outcome.stills else ""
    return Completed(message=made) if outcome.state == "done" else Failed(message=outcome.error)


@cache
def _wired(store: str, quality: str) -> Wiring:
    """Engines stay loaded in a process that has one row after another."""
    wiring = Wiring(load_settings(store=store), quality=quality)
    atexit.register(wiring.close)
    return wiring


class ServerRows:
    """A `Submit` that hands each order to a worker of the pool of rows, and waits for it."""

    def __init__(self, settings: Settings, wiring: Wiring) -> None:
        """Raises SettingsError where the server knows no rows, EngineError where it does not answer."""
        self._pool, self._workspace = settings.batch.pool, wiring.workspace
        self._poll_seconds = settings.production.poll_seconds
        self._waiting: dict[UUID, Future[FlowRun]] = {}
        self._lock, self._end = threading.Lock(), threading.Event()
        try:
            with server() as client:
                self._deployment = client.read_deployment_by_name(DEPLOYMENT.format(pool=self._pool)).id
        except ObjectNotFound as error:
            raise SettingsError(
                f"the Prefect server has no deployment {DEPLOYMENT.format(pool=self._pool)!r}.",
                remedy="Run `troupe serve`, or `python -m infra.deployments`, against it; or take --direct.",
            ) from error
        self._context = get_client(sync_client=True)
        self._client = self._context.__enter__()
        self._watcher = threading.Thread(target=self._watch, name="rows", daemon=True)
        self._watcher.start()

    def __call__(self, order: Order) -> Outcome:
        """As many attempts as it takes, and no more than allowed."""
        name, begun = digest(order), 0
        patiently(lambda: self._workspace.remember(_ORDER, name, order), self._pause)
        for attempt in count(1):
            run = self._begin(order, name, attempt)
            if run.state is not None and run.state.is_final():
                continue  # of an earlier batch
            begun += 1
            run = self._ended(run)
            recall = partial(self._workspace.recall, _OUTCOME, digest([name, attempt]), Outcome)
            outcome = patiently(recall, self._pause)
            if outcome is not None:
                return replace(outcome, id=order.id)
            told = f"its run ended {run.state.name}: {run.state.message}" if run.state else "its run was lost"
            if begun == MAX_ATTEMPTS or (run.state is not None and run.state.is_cancelled()):
                break
            log.warning("row %s: %s; it is begun again", order.id, told)
        return Outcome(id=order.id, state="failed", error=told)

    def _begin(self, order: Order, name: str, attempt: int) -> FlowRun:
        """The run of this order and attempt, whoever began it."""
        parameters = {"row": order.id, "order": name, "store": self._workspace.store.uri, "attempt": attempt}
        return patiently(
            lambda: self._client.create_flow_run_from_deployment(
                self._deployment,
                parameters=parameters,
                name=f"{order.id}.{attempt}",
                tags=["troupe", f"row:{order.id}"],
                idempotency_key=f"{self._workspace.store.uri}/{name}/{attempt}",
            ),
            self._pause,
        )

    def _ended(self, run: FlowRun) -> FlowRun:
        with self._lock:
            if self._end.is_set():
                raise Stopped
            future = self._waiting.setdefault(run.id, Future())
        return future.result()

    def _pause(self) -> None:
        """Between two looks. Raises Stopped."""
        if self._end.wait(self._poll_seconds):
            raise Stopped

    def _watch(self) -> None:
        """Asks for all runs at once, in one thread: a hundred that ask would be a load of their own."""
        looked = time.monotonic()
        with suppress(Stopped):
            while True:
                self._pause()
                try:
                    looked = self._look(looked)
                except (httpx.HTTPError, PrefectException) as error:  # every row waits for this thread
                    log.warning("the server is waited for: %s", error or type(error).__name__)

    def _look(self, looked: float) -> float:
        """Tell rows whose runs have ended; now and then, end those that nobody else will. Returns when it last did."""
        with self._lock:
            runs = tuple(self._waiting)
        lost: list[FlowRun] = []
        if time.monotonic() - looked > LOOK_SECONDS:
            lost = end_lost(runs, self._pool, self._client, self._pause)
            looked = time.monotonic()
        for run in (*lost, *ended(runs, self._client, self._pause)):
            with self._lock:
                self._waiting.pop(run.id).set_result(run)
        return looked

    def close(self, *, stop: bool = False) -> None:
        """Let the server go; with `stop`, cancel what is under way."""
        self._end.set()
        self._watcher.join()
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(Stopped())
        if stop:
            cancel(waiting, "The batch was stopped.", self._client)
        self._context.__exit__(None, None, None)

    def report(self, batch: Batch, rows: list[dict[str, Any]]) -> None:
        """The summary as a table in the control room."""
        shown = [
            {
                "id": row["id"],
                "state": told_state(row["state"], row["stills"]),
                **{key: row[key] for key in ("programme", "shots", "rendered")},
                "review": linked("review page", row["review"]),
                "error": escaped(row["error"]),  # a cell is Markdown
            }
            for row in rows
        ]
        with suppress(httpx.HTTPError, PrefectHTTPStatusError):
            create_table_artifact(table=shown, key=f"batch-{batch.name}".lower().replace("_", "-"), description="Batch")
