"""The worker of warm processes, without a server."""

import asyncio
from typing import Any

import pytest
from prefect.workers.base import BaseWorker

from infra import warm_worker
from infra.warm_worker import Slot, WarmWorker


def test_a_worker_without_a_free_gpu_seldom_asks_for_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one it asks at every look; without, once in BUSY_SECONDS, so that its health check sees it ask."""
    asked: list[float] = []
    now = 1000.0

    async def ask(worker: BaseWorker[Any, Any, Any]) -> list[Any]:
        asked.append(now)
        return []

    async def look(*free: Slot, seconds: int) -> list[float]:
        nonlocal now
        asked.clear()
        worker = WarmWorker("gpu")
        for slot in free:
            worker._free.put_nowait(slot)
        for second in range(0, seconds, 2):
            now = 1000.0 + second
            await worker.get_and_submit_flow_runs()
        return list(asked)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(BaseWorker, "get_and_submit_flow_runs", ask)
    monkeypatch.setattr(warm_worker.time, "monotonic", lambda: now)

    assert len(asyncio.run(look(Slot("0", "gpu"), seconds=40))) == 20
    assert asyncio.run(look(seconds=60)) == [1000, 1020, 1040]
