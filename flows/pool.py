"""Processes for clips: one a core, each wired once, all of them gone within three seconds of a request to stop.

In: a stage and its values. Out: its result and the CPU it took. Knows no order and no retries. A worker whose parent
dies ends itself: a killed run leaves no process behind.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.util import Finalize
from typing import Any

from flows.policy import Stage
from flows.settings import Settings
from s2v_model.contract import Stopped
from tasks.domain.errors import EngineError

POLL_SECONDS = 0.1
GRACE_SECONDS = 2.0
"""A worker that has not looked at the stop flag by then ends where it stands; nothing half-written is visible."""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

StopFlag = Any
"""A shared byte (ctypes): 1 asks for the end."""

_worker: dict[str, Any] = {}


class Pool:
    """Workers that start with the first order and stay for the run. Safe to call from many threads."""

    def __init__(self, settings: Settings, quality: str, size: int) -> None:
        self._settings, self._quality, self.size = settings, quality, size
        self._context = multiprocessing.get_context("forkserver")
        # A bare byte, not an Event: setting one waits for ever for a sleeper that was killed.
        self._stop: StopFlag = self._context.RawValue("b", 0)
        self._lock = threading.Lock()
        self._executor: ProcessPoolExecutor | None = None

    def call(self, stage: Stage, values: tuple[Any, ...]) -> tuple[Any, float]:
        """(result, CPU seconds) of one call in a worker.

        Raises what the stage raises; EngineError, which may be tried again, where the worker died.
        """
        executor = None
        try:
            executor = self._workers()
            return executor.submit(_work, stage, values).result()
        except BrokenProcessPool as error:
            self._renew(executor)
            if self._stop.value:
                raise Stopped from error
            raise EngineError(
                "a render process died, most likely for lack of memory. Set `workers` lower if it happens again."
            ) from error
        except CancelledError as error:
            raise Stopped from error

    def _workers(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._context.set_forkserver_preload(["flows.wiring"])
                with _one_thread_each():
                    executor = ProcessPoolExecutor(
                        self.size, self._context, _begin, (self._settings, self._quality, self._stop)
                    )
                    executor.submit(_nothing).result()  # the fork server inherits the environment of now
                self._executor = executor
            return self._executor

    def _renew(self, broken: ProcessPoolExecutor | None) -> None:
        """After a worker died, its whole executor is spent; the first caller who notices drops it.

        broken: None where the worker died while it started.
        """
        if broken is None:
            return
        with self._lock:
            if self._executor is broken:
                self._executor = None
        broken.shutdown(wait=False, cancel_futures=True)

    def request_stop(self) -> None:
        """Tell the workers to end; `close` waits for them."""
        self._stop.value = 1

    @property
    def is_stopped(self) -> bool:
        """Whether they were told to."""
        return bool(self._stop.value)

    def close(self, *, stop: bool = False) -> None:
        """Wait for the workers to end; with `stop`, at once."""
        if stop:
            self.request_stop()
        with self._lock:
            if self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
                self._executor = None


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers inherit one thread for BLAS each: as many processes as cores leave none over."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _nothing() -> None:
    """A first order, so that the workers' home is up."""


def _begin(settings: Settings, quality: str, stop: StopFlag) -> None:
    """Once in each worker."""
    import cv2

    from flows.wiring import Wiring

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; a terminal sends Ctrl-C to all
    cv2.setNumThreads(1)
    _worker.update(wiring=Wiring(settings, quality=quality), stop=stop)
    Finalize(None, _worker["wiring"].close, exitpriority=0)  # a worker that is no longer needed runs no `atexit`
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    threading.Thread(target=_leave_on_stop, args=(stop,), daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _worker["wiring"].close()
        os._exit(1)


def _leave_on_stop(stop: StopFlag) -> None:
    while not stop.value:
        time.sleep(POLL_SECONDS)
    time.sleep(GRACE_SECONDS)
    _worker["wiring"].close()
    os._exit(130)


def _work(stage: Stage, values: tuple[Any, ...]) -> tuple[Any, float]:
    engines = _worker["wiring"].supply(stage)
    result = stage(*values, **engines, **watch_for(stage, _watch))
    before, _worker["cpu"] = _worker.get("cpu", 0.0), time.process_time()
    return result, _worker["cpu"] - before  # the first order bears the start of its process


def watch_for(stage: Stage, watch: Any) -> dict[str, Any]:
    """`watch` by keyword, where the stage asks for it."""
    return {"watch": watch} if "watch" in stage.__annotations__ else {}


def _watch(done: float, total: float) -> None:
    if _worker["stop"].value:
        raise Stopped
