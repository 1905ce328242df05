"""The worker of warm processes, without a server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prefect.workers.base import BaseWorker

from flows.places import num_places
from flows.settings import visible_gpus
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
        ("0,1,2,3", {"name": "box"}, "box (4 at once)", 4),
        ("0,1,2,3", {"name": "box", "limit": 2}, "box (2 at once)", 2),
        ("0,1,2,3", {}, None, 4),
    ],
)
def test_a_worker_says_how_many_runs_it_takes(
    monkeypatch: pytest.MonkeyPatch, gpus: str, given: dict[str, Any], name: str | None, places: int
) -> None:
    """In its name, which a server keeps: shards are dealt, and the quote is made, for as many as that."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    worker = WarmWorker("gpu", **given)

    assert name is None or worker.name == name
    assert num_places(worker.name) == places
    assert [num_places(other) for other in ("ProcessWorker 1f", "box (of 4 at once)", "box (0 at once)")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("gpus", "wan", "pool", "shares"),
    [
        ("0,1,2,3", {}, "gpu", ["0", "1", "2", "3"]),
        ("0,1,2,3", {"gpus": 2}, "gpu", ["0,1", "2,3"]),
        ("0,1,2,3", {"gpus": 2}, "other", ["0", "1", "2", "3"]),
        ("4,5,7", {"gpus": 2}, "gpu", ["4,5"]),
        ("0", {"gpus": 4}, "gpu", ["0"]),
    ],
)
def test_a_process_has_the_gpus_that_its_renderer_asks_for(
    monkeypatch: pytest.MonkeyPatch, gpus: str, wan: dict[str, Any], pool: str, shares: list[str]
) -> None:
    """As many as share a clip. With fewer on the machine it gets them all, and its renderer says that they are few."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    monkeypatch.setenv("TROUPE_POOLS", '{"wan-s2v": "gpu"}')
    monkeypatch.setenv("TROUPE_ENGINES__WAN", json.dumps(wan))

    assert [slot.gpus for slot in WarmWorker(pool).slots] == shares


@pytest.mark.parametrize(
    ("named", "files", "gpus"),
    [
        ("2,3", ["nvidia0"], ("2", "3")),
        (None, ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"], ("0", "1")),
        (None, ["nvidia6"], ("0",)),
        (None, ["null"], ("0",)),
    ],
)
def test_every_gpu_of_a_machine_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str | None, files: list[str], gpus: tuple[str, ...]
) -> None:
    """Those of CUDA_VISIBLE_DEVICES, else all that there are; CUDA counts them from 0, whatever their files."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    for name in files:
        (tmp_path / name).touch()

    assert visible_gpus(tmp_path) == gpus
