"""A renderer that sleeps as long as its clips cost, and notes what it does: `engines.final = "tests.sleeping:load"`.

SLEEPING_SECONDS: for a clip. SLEEPING_LOG: file of notes, one JSON object a line. A prompt with the word "poison" fails
every time.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from s2v_model.contract import Chunks, Cost, RenderError, Take, Traits, UInt8Array, Watch

NAME = "tests.sleeping:load"


class Sleeping:
    """Frames of one colour, which is the take's seed."""

    def __init__(self, seconds: float, log: str) -> None:
        self.seconds, self._log = seconds, log
        self.note("load")

    # A fake's methods are those of its Protocol, which says what they do.
    # ruff: noqa: D102
    def note(self, event: str, **more: Any) -> None:
        if self._log:
            with open(self._log, "a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event, "pid": os.getpid(), "at": time.time(), **more}) + "\n")

    def traits(self) -> Traits:
        cost = Cost(device="gpu", fixed_seconds=self.seconds, seconds_per_frame_megapixel=0.0)
        return Traits(name=NAME, revision=1, weights="", rate=Fraction(25), cost=cost)

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        self.note("begin", seed=take.seed)
        if "poison" in take.prompt:
            raise RenderError("the renderer cannot make this take.")
        end = time.monotonic() + self.seconds
        while (left := end - time.monotonic()) > 0:
            watch(self.seconds - left, self.seconds)
            time.sleep(min(0.2, left))
        colour = [take.seed >> shift & 255 for shift in (0, 8, 16)]
        for _ in range(take.num_frames):
            yield np.full((take.height, take.width, 3), colour, np.uint8)
        self.note("end", seed=take.seed)


def load(options: Mapping[str, Any]) -> Sleeping:
    """As `s2v_model.load` asks for it."""
    return Sleeping(float(os.environ.get("SLEEPING_SECONDS", "0")), os.environ.get("SLEEPING_LOG", ""))


def notes(log: Path, event: str) -> list[dict[str, Any]]:
    """What renderers noted."""
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    return [note for note in map(json.loads, lines) if note["event"] == event]
