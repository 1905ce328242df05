"""The resident process of one GPU: loads the renderers once, then runs the flow runs that its worker names.

In, on standard input: one JSON object a line, {"flow_run_id"}. Out: one JSON line {"ready", "resident_mb"} when the
renderers are loaded, then {"state", "resident_mb"} for each run. The end of input is the worker's death: a run under
way is reported as crashed, and the GPU is left.
"""

import asyncio
import contextlib
import importlib
import json
import os
import queue
import resource
import sys
import threading
import uuid
from io import TextIOWrapper
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.engine import handle_engine_signals
from prefect.flow_engine import run_flow
from prefect.flows import Flow, load_flow_from_flow_run
from prefect.states import Crashed

BROKEN = 3
"""Exit code of a child that could not load."""


class Child:
    """Runs one flow run after another."""

    def __init__(self, orders: TextIOWrapper, answers: TextIOWrapper) -> None:
        self._orders, self._answers = orders, answers
        self._commands: queue.SimpleQueue[dict[str, str] | None] = queue.SimpleQueue()
        self._current: uuid.UUID | None = None
        self._flows: dict[uuid.UUID | None, Flow[..., Any]] = {}

    def serve(self, pool: str) -> None:
        """Load what `pool` renders with, then run what is ordered until standard input ends."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._load(pool)
        self._say(ready=True)
        # One client for the life of the process: only one that has connected before outlives a refused connection.
        with get_client(sync_client=True) as client:
            while (command := self._commands.get()) is not None:
                self._say(state=self._run(uuid.UUID(command["flow_run_id"]), client))

    def _load(self, pool: str) -> None:
        rendering = importlib.import_module("flows.render_shots")
        settings = rendering.load_settings()
        try:
            rendering.preload(rendering.qualities_of(pool, settings))
        except Exception as error:  # noqa: BLE001 - whatever keeps a renderer from loading, this GPU takes no runs
            sys.stderr.write(f"the renderer of pool {pool!r} cannot load: {error}\n")
            os._exit(BROKEN)

    def _run(self, run_id: uuid.UUID, client: SyncPrefectClient) -> str | None:
        self._current = run_id
        state: Any = None
        try:
            with handle_engine_signals(run_id):
                run = client.read_flow_run(run_id)
                if run.deployment_id not in self._flows:
                    loaded = asyncio.run(load_flow_from_flow_run(run, use_placeholder_flow=False))
                    self._flows[run.deployment_id] = loaded
                state = run_flow(self._flows[run.deployment_id], flow_run=run, return_type="state")
        except BaseException as error:  # noqa: BLE001
            # A normal exit was seen to hang on the listening thread.
            if not (isinstance(error, SystemExit) and error.code in (0, None)):
                os._exit(1)
        self._current = None
        return state.type.value if state is not None else None

    def _listen(self) -> None:
        for line in self._orders:
            self._commands.put(json.loads(line))
        if self._current is not None:
            with contextlib.suppress(Exception), get_client(sync_client=True) as client:
                client.set_flow_run_state(self._current, Crashed(message="The worker of this renderer died."))
            os._exit(1)
        self._commands.put(None)

    def _say(self, **message: Any) -> None:
        self._answers.write(json.dumps({**message, "resident_mb": _resident_mb()}) + "\n")


def _resident_mb() -> float:
    """Memory of this process now; its peak where the system does not tell."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/statm", encoding="ascii") as figures:
        return int(figures.read().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Serve the worker that started this process.

    The protocol gets descriptors of its own, and prints go to standard error. sys.stdin must stay free: Prefect's
    handle_engine_signals calls exit(), which closes sys.stdin and hangs for ever if a thread is reading it.
    """
    orders = os.fdopen(os.dup(0))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    Child(orders, answers).serve(sys.argv[1])


if __name__ == "__main__":
    main()
