"""A renderer that sleeps as long as its clips cost, and notes what it does: `engines.final = "tests.sleeping:load"`.

SLEEPING_SECONDS: for a clip. SLEEPING_RATE: more, for a megapixel of each frame. SLEEPING_LOG: file of notes, one JSON
object a line. SLEEPING_GROWTH_MB: memory that each clip leaves taken. SLEEPING_BROKEN: while this file is there, no
renderer loads. A prompt with the word "poison" fails every time, one with "fatal" kills the process.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from s2v_model.contract import Chunks, Cost, RendererMissing, RenderError, Take, Traits, UInt8Array, Watch

NAME = "tests.sleeping:load"


class Sleeping:
    """Frames of one colour, which is the take's seed."""

    def __init__(self, log: str, cost: Cost, growth_mb: int) -> None:
        self._log, self._cost, self._growth_mb = log, cost, growth_mb
        self._kept: list[bytes] = []
        self.note("load")

    # A fake's methods are those of its Protocol, which says what they do.
    # ruff: noqa: D102
    def note(self, event: str, **more: Any) -> None:
        if self._log:
            with open(self._log, "a", encoding="utf-8") as file:
                now = {"at": time.time(), "cpu": time.process_time()}
                file.write(json.dumps({"event": event, "pid": os.getpid(), **now, **more}) + "\n")

    def traits(self) -> Traits:
        return Traits(name=NAME, revision=1, weights="", rate=Fraction(25), cost=self._cost)

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        self.note("begin", seed=take.seed)
        if "poison" in take.prompt:
            raise RenderError("the renderer cannot make this take.")
        if "fatal" in take.prompt:
            os.kill(os.getpid(), signal.SIGKILL)
        began, cost = time.monotonic(), self._cost.seconds(take.num_frames, take.width, take.height)
        frame = np.full((take.height, take.width, 3), [take.seed >> shift & 255 for shift in (0, 8, 16)], np.uint8)
        for number in range(take.num_frames):
            # Frames come as they would from a device that works all the time: what is done with them costs no more.
            while (left := began + cost * (number + 1) / take.num_frames - time.monotonic()) > 0:
                watch(number, take.num_frames)
                time.sleep(min(0.2, left))
            yield frame
        self._kept.append(os.urandom(self._growth_mb << 20))
        self.note("end", seed=take.seed, cost=cost)


def load(options: Mapping[str, Any]) -> Sleeping:
    """As `s2v_model.load` asks for it."""
    if os.path.exists(os.environ.get("SLEEPING_BROKEN", "")):
        raise RendererMissing("this device is broken.")
    cost = Cost(
        device="gpu",
        fixed_seconds=float(os.environ.get("SLEEPING_SECONDS", "0")),
        seconds_per_frame_megapixel=float(os.environ.get("SLEEPING_RATE", "0")),
    )
    return Sleeping(os.environ.get("SLEEPING_LOG", ""), cost, int(os.environ.get("SLEEPING_GROWTH_MB", "0")))


def notes(log: Path, event: str) -> list[dict[str, Any]]:
    """What renderers noted."""
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return [note for note in map(json.loads, lines) if note["event"] == event]
