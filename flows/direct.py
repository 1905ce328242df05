"""Runs the pipeline in this process: nothing to set up, all cores for clips, one progress line a stage.

Knows no Prefect. Retries follow the class of an error (`policy.may_pass`); Ctrl-C ends within three seconds and leaves
nothing half-written, because every result is written beside and renamed.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self

from flows.interrupt import heard
from flows.logs import about
from flows.memory import identity, recall, remember
from flows.policy import BACKOFF_SECONDS, POLICY, Policy, Stage, may_pass
from flows.pool import POLL_SECONDS, Pool, watch_for
from flows.progress import Line, Progress
from flows.record import Record, Tally
from flows.settings import Settings
from flows.wiring import Wiring
from s2v_model.contract import Stopped
from tasks.domain.editing import Clip, Shot
from tasks.domain.errors import EngineError

log = logging.getLogger(__name__)

Watch = Callable[[float, float], None]


class Direct:
    """A `Run` (flows/pipeline.py) on this machine's cores."""

    def __init__(
        self,
        settings: Settings,
        wiring: Wiring,
        progress: Progress,
        record: Record,
        *,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """sleep: waits before a retry; by default a wait that a stop request ends."""
        self.wiring, self.progress, self.record = wiring, progress, record
        # A card bears one copy of a model, whatever the number of cores.
        on_card = wiring.traits.cost.device == "gpu"
        self.num_workers = settings.workers or (1 if on_card else os.cpu_count() or 1)
        self._sleep = sleep or self._rest
        self._pool = Pool(settings, wiring.quality, self.num_workers)
        self._interrupts = heard(self._pool.request_stop)

    def __enter__(self) -> Self:
        self._interrupts.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._interrupts.__exit__(None, None, None)
        self._pool.close(stop=error is not None)

    def __call__(self, stage: Stage, *values: Any) -> Any:
        """One call of a stage, or what it remembers of it."""
        policy = POLICY[stage]
        with self.record.tally(stage.__name__) as tally, self.progress.line(policy.title) as line:
            return self._tried(stage, values, policy, tally, line)

    def each(self, stage: Stage, items: Sequence[tuple[Any, ...]], *, lenient: bool = False) -> list[Any]:
        """Many calls; those that are remembered, or equal to another, cost nothing."""
        policy = POLICY[stage]
        with self.record.tally(stage.__name__, len(items)) as tally, self.progress.line(policy.title) as line:
            names = [identity(stage, item) or str(place) for place, item in enumerate(items)]
            work = dict(zip(names, items, strict=True))
            tally.remembered += len(items) - len(work)
            at_once = self.num_workers if policy.in_processes else 1
            done = self._spread(stage, work, policy, tally, line, at_once, lenient)
            return [done[name] for name in names]

    def _spread(
        self,
        stage: Stage,
        work: dict[str, tuple[Any, ...]],
        policy: Policy,
        tally: Tally,
        line: Line,
        at_once: int,
        lenient: bool,
    ) -> dict[str, Any]:
        """Longest first; a thread only waits for a process, or does what takes milliseconds."""
        order = sorted(work, key=lambda name: -cost_of(work[name]))
        done: dict[str, Any] = {}

        def one(name: str) -> None:
            if self.is_stopped:
                raise Stopped
            try:
                done[name] = self._tried(stage, work[name], policy, tally, line.part(len(done), len(work)))
            except EngineError as error:
                if not (lenient and may_pass(error)):
                    raise
                done[name] = self.record.failed(tally, work[name][0].id, error)
            line(len(done), len(work))

        if at_once == 1:
            for name in work:
                one(name)
            return done
        with ThreadPoolExecutor(at_once, thread_name_prefix=stage.__name__) as threads:
            self._wait([threads.submit(copy_context().run, one, name) for name in order])
        return done

    def _wait(self, calls: Sequence[Future[None]]) -> None:
        """Until all are done or one has failed; then the others are told to stop."""
        pending = set(calls)
        try:
            while pending:
                # Short waits keep the main thread awake for Ctrl-C.
                landed, pending = wait(pending, timeout=0.5, return_when=FIRST_EXCEPTION)
                for call in landed:
                    call.result()
        except BaseException:
            self.request_stop()
            for call in pending:
                call.cancel()
            raise

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked for the end."""
        return self._pool.is_stopped

    def request_stop(self) -> None:
        """Work under way ends at its next look at `watch`, and none begins."""
        self._pool.request_stop()

    def _rest(self, seconds: float) -> None:
        """Wait, but not for longer than nobody asks for the end."""
        end = time.monotonic() + seconds
        while not self.is_stopped and time.monotonic() < end:
            time.sleep(POLL_SECONDS)

    def once(self, stage: Stage, values: tuple[Any, ...], tally: Tally, line: Line | None = None) -> Any:
        """One attempt at one call, or what is remembered of it, which `tally` then counts."""
        if self.is_stopped:
            raise Stopped
        known = recall(stage, values, self.wiring.workspace)
        if known is not None:
            tally.remembered += 1
            return known
        with about(**_subject(values)):
            began = time.monotonic()
            if POLICY[stage].in_processes and self.num_workers > 1:
                result, cpu_seconds = self._pool.call(stage, values)
                tally.cpu_seconds += cpu_seconds
            else:
                engines = self.wiring.supply(stage)
                result = stage(*values, **engines, **watch_for(stage, self._watch(line)))
            remember(stage, values, result, self.wiring.workspace)
            took = time.monotonic() - began
            if isinstance(result, Clip):
                tally.clips[result.fingerprint] = took
            log.info("%s: %.1f s", POLICY[stage].title, took)
        return result

    def _watch(self, line: Line | None) -> Watch:
        def watch(done: float, total: float) -> None:
            if self.is_stopped:
                raise Stopped
            if line is not None:
                line(done, total)

        return watch

    def _tried(self, stage: Stage, values: tuple[Any, ...], policy: Policy, tally: Tally, line: Line) -> Any:
        """A call with the retries that its policy allows."""
        for attempt in range(policy.retries + 1):
            try:
                return self.once(stage, values, tally, line)
            except Exception as error:
                if attempt == policy.retries or not may_pass(error) or self.is_stopped:
                    raise
                tally.retries += 1
                log.warning("%s failed and is tried again: %s", policy.title, error)
                self._sleep(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
        raise AssertionError("a policy allows at least one attempt")


def _subject(values: tuple[Any, ...]) -> dict[str, str]:
    """What a log line of a call is about, where that is a shot."""
    shot = values[0] if values else None
    return {"shot": shot.id, "fingerprint": shot.fingerprint} if isinstance(shot, Shot) else {}


def cost_of(values: tuple[Any, ...]) -> float:
    """Expected seconds of a shot; other values are all alike."""
    return float(getattr(values[0], "cost_seconds", 0.0)) if values else 0.0
