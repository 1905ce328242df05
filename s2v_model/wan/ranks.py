"""Several cards at one clip: this process is the first rank, and starts one more for each further card.

In: options with `gpus`, and for each clip its take and what is saved of it. Out: a process group in which every rank
runs the same chunks, each with its share (`parallel.py`). The ranks stay from clip to clip, as their weights do; a
clip that breaks off ends them, because they would wait for the first rank for ever.
Knows no chunk: the ranks run what `work` is.
"""

import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from s2v_model.contract import RenderError, Take
from s2v_model.wan.options import Options

Work = Callable[[Options, Take, Sequence[dict[str, np.ndarray]]], None]
"""A further rank's part of a clip; its frames are the first rank's to keep."""
PATIENCE = timedelta(minutes=10)
"""So long a rank waits for the others: loading weights from a slow disk is the longest wait."""

_log = logging.getLogger(__name__)


class Ranks:
    """The further ranks of this process."""

    def __init__(self, options: Options, work: Work) -> None:
        self._options, self._work = options, work
        self._others: list[Any] = []
        self._pipes: list[Any] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @contextmanager
    def at(self, take: Take, saved: Sequence[dict[str, np.ndarray]]) -> Iterator[None]:
        """Within, every rank is at this clip. Raises RenderError where one was lost."""
        try:
            if not self._others:
                self._start()
            for pipe in self._pipes:
                pipe.send((take, list(saved)))
            yield
        except BaseException as error:
            lost = [number + 1 for number, other in enumerate(self._others) if not other.is_alive()]
            self.stop()
            if lost and isinstance(error, RuntimeError | OSError) and not isinstance(error, torch.OutOfMemoryError):
                raise RenderError(
                    f"Rank {lost[0]} of {self._options.gpus} was lost; its own lines say why. "
                    "Most likely its card is too small or in use: see `troupe doctor --wan`."
                ) from error
            raise

    def stop(self) -> None:
        """End the further ranks and leave the group; the next clip starts them anew."""
        for other in self._others:
            other.terminate()
        for other in self._others:
            other.join()
        self._others, self._pipes = [], []
        if dist.is_initialized():
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _start(self) -> None:
        _log.info("Starting %d more ranks.", self._options.gpus - 1)
        context = processes.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="troupe-ranks-")
        meet = str(Path(self._folder.name) / "meet")
        for rank in range(1, self._options.gpus):
            ours, theirs = context.Pipe()
            other = context.Process(target=_serve, args=(rank, self._options, meet, theirs, self._work), daemon=True)
            other.start()
            theirs.close()
            self._others.append(other)
            self._pipes.append(ours)
        for other, pipe in zip(self._others, self._pipes, strict=True):
            wait([pipe, other.sentinel])  # meeting one that died while it started would take all of PATIENCE
            if not pipe.poll():
                raise RuntimeError("a rank died while it started")
            pipe.recv()
        _join(0, self._options, meet)


def _serve(rank: int, options: Options, meet: str, pipe: Any, work: Work) -> None:
    """A further rank: clip after clip, until the first rank ends."""
    threading.Thread(target=_leave_with_the_first, daemon=True).start()
    pipe.send("here")
    _join(rank, options, meet)
    own = replace(options, device=device_of(rank, options.device))
    with contextlib.suppress(EOFError):
        while True:
            work(own, *pipe.recv())
    dist.destroy_process_group()


def _leave_with_the_first() -> None:
    """A first rank that is killed tells nobody, and a card would stay taken."""
    first = processes.parent_process()
    if first is not None:
        first.join()
        os._exit(1)


def _join(rank: int, options: Options, meet: str) -> None:
    on_cards = options.device.startswith("cuda")
    if on_cards:
        torch.cuda.set_device(device_of(rank, options.device))
    dist.init_process_group(
        "nccl" if on_cards else "gloo", init_method=f"file://{meet}", rank=rank, world_size=options.gpus,
        timeout=PATIENCE,
    )  # fmt: skip


def device_of(rank: int, device: str) -> str:
    """The card of a rank: cards are counted from that of the option `device`."""
    kind, _, first = device.partition(":")
    return f"{kind}:{int(first or 0) + rank}" if kind == "cuda" else device
