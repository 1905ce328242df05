"""Stages on their own: a store in memory, sounds that are recordings, and engines by the names of keywords.

A stage is run as the flows run it: it gets its values, what its keywords ask for, and nothing else.
"""

import inspect
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tasks.domain.assets import Asset
from tasks.domain.casting import Portrait
from tasks.domain.speech import Recording, SpokenLine, Turn
from tasks.domain.timing import MASTER_RATE_HZ, SPEECH_RATE_HZ, Span, seconds
from tasks.engines.workspace import Workspace
from tasks.media.audio import read_blocks
from tasks.media.pictures import write_png
from tasks.media.wav import write_wav
from tests.fakes import MemoryStore


class Bench:
    """Where a stage is run alone, with the engines that a test has put there."""

    def __init__(self, folder: Path, **engines: Any) -> None:
        """engines: by the names of the stages' keywords; a workspace and a watch are there."""
        self.folder = folder
        self.store = MemoryStore()
        self.workspace = Workspace(self.store, folder / "scratch")
        self.engines = {"workspace": self.workspace, "watch": lambda done, total: None, **engines}

    def run(self, stage: Callable[..., Any], *values: Any) -> Any:
        """What the stage gives for these values."""
        wanted = [p.name for p in inspect.signature(stage).parameters.values() if p.kind is p.KEYWORD_ONLY]
        return stage(*values, **{name: self.engines[name] for name in wanted})

    def sound(self, samples: np.ndarray, rate_hz: int = SPEECH_RATE_HZ) -> Asset:
        """A kept WAV of float samples in [-1, 1]."""
        path = self.workspace.new(".wav")
        write_wav(path, samples, rate_hz)
        return self.workspace.keep(path)

    def recording(self, samples: np.ndarray, **fields: Any) -> Recording:
        """A recording of (n,) samples at 16 kHz; its master holds each of them three times."""
        return Recording(
            speech=self.sound(samples),
            master=self.sound(np.repeat(samples, 3), MASTER_RATE_HZ),
            duration=Fraction(len(samples), SPEECH_RATE_HZ),
            **fields,
        )

    def spoken(
        self, line: str, speaker: str, length: float | Fraction, level: float = 0.1, **fields: Any
    ) -> SpokenLine:
        """A line of one speaker that lasts `length` seconds: a constant, so that one knows it again."""
        samples = np.full(round(length * SPEECH_RATE_HZ), level, np.float32)
        recording = self.recording(samples)
        return SpokenLine(
            line=line,
            speaker=speaker,
            sound=recording.master,
            speech=recording.speech,
            duration=recording.duration,
            **fields,
        )

    def portrait(self, shade: int = 120, size: int = 320) -> Portrait:
        """A plain square with a face box in its middle."""
        path = self.workspace.new(".png")
        path.write_bytes(write_png(np.full((size, size, 3), shade, np.uint8)))
        box = (size * 0.3, size * 0.25, size * 0.4, size * 0.5)
        return Portrait(picture=self.workspace.keep(path), width=size, height=size, face_box=box, brow_to_chin_px=100.0)

    def samples(self, asset: Asset) -> np.ndarray:
        """(n,) of a kept sound, of its first channel."""
        return np.concatenate(list(read_blocks(self.workspace.path(asset))), axis=1)[0]


def at(start: float | str, end: float | str) -> Span:
    """A span of seconds, to the millisecond."""
    return Span(seconds(start), seconds(end))


def turn(speaker: str, start: float, end: float) -> Turn:
    """Who speaks when."""
    return Turn(speaker=speaker, span=at(start, end))


def loud(length: float, *spans: tuple[float, float], level: float = 0.2, seed: int = 0) -> np.ndarray:
    """Noise of `level` within some spans of seconds, else silence: float32 (n,) at 16 kHz."""
    samples = np.zeros(round(length * SPEECH_RATE_HZ), np.float32)
    noise = np.random.default_rng(seed).standard_normal(len(samples)).astype(np.float32) * np.float32(level)
    for start, end in spans:
        cut = slice(round(start * SPEECH_RATE_HZ), round(end * SPEECH_RATE_HZ))
        samples[cut] = np.clip(noise[cut], -1, 1)
    return samples
