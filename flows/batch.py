"""A table of episodes: one production a row, so many at once, no row in another's way.

In: a `Batch` of orders. Out: what came of every row, also as a summary beside the programmes. A table that is made
again renders nothing that is there. `Submit` is the seam: `Rows` produces in processes of this machine, another
one may hand orders to workers. Knows no Prefect.
"""

import csv
import io
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol

from flows.choices import choices_for
from flows.direct import Direct
from flows.interrupt import heard
from flows.logs import about
from flows.orders import Batch, now, open_order, wrong
from flows.pipeline import Run, production
from flows.pool import Pool
from flows.progress import Silent
from flows.record import Record, published, shown_at
from flows.settings import Settings
from flows.wiring import Wiring
from s2v_model.contract import Stopped, Watch
from tasks.domain.batch import STATES, Order, Outcome
from tasks.domain.errors import EngineError, InputError, PipelineError, StoreError
from tasks.engines.stores import Store

log = logging.getLogger(__name__)

SUMMARY_EVERY_SECONDS = 30.0
"""A batch that is killed leaves a summary no older than this."""
_COUNTS = ("shots", "rendered", "reused", "stills")
_COLUMNS = ("id", "state", "programme", *_COUNTS, "seconds", "finished", "deadline", "late", "review", "error")
_FORMULA = ("=", "+", "-", "@", "\t")


class Submit(Protocol):
    """Has one order produced, and waits for it."""

    def __call__(self, order: Order) -> Outcome:
        """What came of it. Called from many threads; what it raises, but Stopped, fails this row alone."""
        ...


def produce_order(
    order: Order, make_run: Callable[[Direct, str], Run] = lambda direct, _: direct, *, wiring: Wiring, watch: Watch
) -> Outcome:
    """One row, produced with the engines at hand. Its errors are its outcome; raises Stopped alone.

    make_run: from a direct run and the episode's id, for the other way of running.
    """
    started = time.monotonic()
    record = Record(run=uuid.uuid4().hex)
    try:
        watch(0, 1)
        episode = open_order(order)
        alone = wiring.settings.model_copy(update={"workers": 1})  # rows share the cores, not clips
        with about(episode=episode.id), Direct(alone, wiring, Silent(), record) as direct:
            programmes = production(episode, choices_for(episode, wiring), make_run(direct, episode.id))
        made = published(programmes, record, wiring)
    except InputError as error:
        return wrong(order.id, error)
    except PipelineError as error:
        return Outcome(id=order.id, state="failed", error=str(error), finished=now())
    except (Stopped, KeyboardInterrupt):
        raise
    except Exception as error:  # a defect in one row's way must not end the others
        log.warning("row %s met an unexpected fault", order.id, exc_info=True)
        fault = f"unexpected fault: {type(error).__name__}: {error}"
        return Outcome(id=order.id, state="failed", error=fault, finished=now())
    return Outcome(
        id=order.id,
        state="done",
        programme=made["programme"],
        revision=made["revision"],
        **{key: sum(one[key] for one in (made, *made["others"])) for key in _COUNTS},
        seconds=round(time.monotonic() - started, 3),
        finished=now(),
        others=tuple(one["programme"] for one in made["others"]),
        review=shown_at(wiring.store, record.pages[0]) if record.pages else "",
    )


class Rows:
    """A `Submit` on this machine: rows in processes of their own, wired once for each quality."""

    def __init__(self, settings: Settings, at_once: int) -> None:
        self._settings, self._at_once = settings, at_once
        self._pools: dict[str, Pool] = {}
        self._lock, self._alone = threading.Lock(), threading.Lock()
        self._stopped = False

    def __call__(self, order: Order) -> Outcome:
        """In a worker. After a worker died under a row, the row is tried once more with no other beside it."""
        try:
            return self._in(self._pool(order.quality), order)
        except EngineError:
            log.warning("a worker died while it made %s; it is tried again alone.", order.id)
        lonely = Pool(self._settings, order.quality, 1)
        try:
            with self._alone:
                return self._in(lonely, order)
        except EngineError as error:
            return Outcome(id=order.id, state="failed", error=str(error), finished=now())
        finally:
            lonely.close()

    def _in(self, pool: Pool, order: Order) -> Outcome:
        if self._stopped:
            raise Stopped
        outcome, _ = pool.call(produce_order, (order,))
        assert isinstance(outcome, Outcome)
        return outcome

    def _pool(self, quality: str) -> Pool:
        with self._lock:
            if quality not in self._pools:
                # A renderer of final quality fills a device: one at a time.
                self._pools[quality] = Pool(self._settings, quality, self._at_once if quality == "draft" else 1)
            return self._pools[quality]

    def report(self, batch: Batch, rows: Sequence[dict[str, Any]]) -> None:
        """The summary's file is all that there is."""

    def close(self, *, stop: bool = False) -> None:
        """Wait for the workers to end; with `stop`, at once."""
        self._stopped = self._stopped or stop
        with self._lock:  # a row may be about to ask for a pool of another quality
            pools = tuple(self._pools.values())
        for pool in pools:
            pool.close(stop=stop)


def run_batch(
    batch: Batch, submit: Submit, *, at_once: int, store: Store, told: Callable[[Outcome], None]
) -> tuple[Outcome, ...]:
    """Have every order produced, `at_once` at a time. Out: an outcome for each row, in the table's order.

    told: hears of each row as it ends. The summary in the store is renewed as rows end, and when the batch does, even
    by KeyboardInterrupt, which is raised again.
    """
    done = {outcome.id: outcome for outcome in batch.refused}
    for outcome in batch.refused:
        told(outcome)
    keep = _Keeper(batch, done, store)
    threads = ThreadPoolExecutor(at_once, thread_name_prefix="row")
    asked: list[bool] = []
    try:
        with heard(partial(asked.append, True)):
            for landed in _rounds(batch.orders, lambda order: threads.submit(submit, order), at_once):
                for outcome in landed:
                    done[outcome.id] = outcome
                    told(outcome)
                keep.now_and_then()
                if asked:
                    raise KeyboardInterrupt
    except BaseException:
        keep.if_possible()  # the store may be what ended the batch
        raise
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    keep.now()
    return _in_order(batch, done)


def _rounds(
    orders: Sequence[Order], begin: Callable[[Order], Future[Outcome]], at_once: int
) -> Iterator[Iterator[Outcome]]:
    """What has landed, twice a second at least, until every order has; only what can start is begun.

    So an urgent stop leaves no queue behind.
    """
    waiting = iter(orders)
    running: dict[Future[Outcome], Order] = {}
    while True:
        while len(running) < at_once and (order := next(waiting, None)) is not None:
            running[begin(order)] = order
        if not running:
            return
        landed, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        yield (_landed(row, running.pop(row)) for row in landed)


def _landed(row: Future[Outcome], order: Order) -> Outcome:
    """What a submit gave; whatever it raised but Stopped is the row's own failure."""
    try:
        return row.result()
    except Stopped:
        raise
    except Exception as error:  # one row in a thousand may meet what nobody foresaw
        log.warning("row %s could not be submitted", order.id, exc_info=True)
        return Outcome(id=order.id, state="failed", error=f"{type(error).__name__}: {error}", finished=now())


def _in_order(batch: Batch, done: dict[str, Outcome]) -> tuple[Outcome, ...]:
    return tuple(done.get(name) or Outcome(id=name, state="waiting") for name in batch.ids)


class _Keeper:
    """Writes the summary: JSON for programs, CSV for people."""

    def __init__(self, batch: Batch, done: dict[str, Outcome], store: Store) -> None:
        self._batch, self._done, self._store = batch, done, store
        self._last = time.monotonic()

    def now_and_then(self) -> None:
        if time.monotonic() - self._last > SUMMARY_EVERY_SECONDS:
            self.if_possible()

    def if_possible(self) -> None:
        """The rows go on without a summary: it is written again."""
        self._last = time.monotonic()
        try:
            self.now()
        except StoreError as error:
            log.warning("the summary waits: %s", error)

    def now(self) -> None:
        outcomes = _in_order(self._batch, self._done)
        document = {"schema": "batch/1", "batch": self._batch.name, **summary(self._batch, outcomes)}
        for name, text, media_type in (
            ("summary.json", json.dumps(document, ensure_ascii=False), "application/json"),
            ("summary.csv", as_csv(document["rows"]), "text/csv"),
        ):
            self._store.write(summary_key(self._batch, name), text.encode(), media_type)


def summary_key(batch: Batch, name: str = "summary.csv") -> str:
    """Where the store has the summary."""
    return f"batches/{batch.name}/{name}"


def summary(batch: Batch, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts by state, and a row for each: the document of `troupe batch`."""
    orders = {order.id: order for order in batch.orders}
    rows = []
    for outcome in outcomes:
        order = orders.get(outcome.id)
        deadline = order.deadline if order else None
        late = bool(deadline) and (outcome.finished or now()) > str(deadline)
        ordered = {"priority": order.priority if order else None, "deadline": deadline, "late": late}
        rows.append({**asdict(outcome), **ordered, "others": list(outcome.others)})
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in STATES}
    return {"counts": counts, "rows": rows}


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table that a spreadsheet opens without taking any cell for a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in _COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def rows_at_once(settings: Settings) -> int:
    """How many rows are produced side by side on this machine."""
    return settings.batch.at_once or settings.workers or os.cpu_count() or 1
