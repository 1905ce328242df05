"""The worker of warm processes, without a server."""

import asyncio
from typing import Any

import pytest
from prefect.workers.base import BaseWorker

from flows.places import num_places
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


@pytest.mark.parametrize(
    ("gpus", "given", "name", "places"),
    [
        ("0", {"name": "box"}, "box", 1),
        ("0,1,2,3", {"name": "box"}, "box (4 GPUs)", 4),
        ("0,1,2,3", {"name": "box", "limit": 2}, "box (2 GPUs)", 2),
        ("0,1,2,3", {}, None, 4),
    ],
)
def test_a_worker_says_how_many_gpus_it_has(
    monkeypatch: pytest.MonkeyPatch, gpus: str, given: dict[str, Any], name: str | None, places: int
) -> None:
    """In its name, which a server keeps: shards are dealt, and the quote is made, for as many as that."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    worker = WarmWorker("gpu", **given)

    assert name is None or worker.name == name
    assert num_places(worker.name) == places
    assert [num_places(other) for other in ("ProcessWorker 1f", "box (of 4 GPUs)", "box (0 GPUs)")] == [1, 1, 1]
