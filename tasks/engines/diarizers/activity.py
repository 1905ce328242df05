"""Where somebody speaks: the silero network on two views of the sound, and the spans that follow from it.

In: mono speech at 16 kHz of any length. Out: spans in samples, sorted, apart. Knows no speaker.
The second view is for voices through a telephone: the network, trained on full-band speech, misses four fifths of a
narrow voice among wide ones. Rectifying the wave brings the pitch and the upper band back (harmonics of what is
left), as in Makhoul and Berouti, High-frequency regeneration in speech coding systems, 1979; then it misses an eighth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import signal

from s2v_model.contract import Watch
from tasks.engines import model_files

Float32Array = npt.NDArray[np.float32]
Speech = npt.NDArray[np.float32] | npt.NDArray[np.int16]
"""(n,) at 16 kHz: float32 in [-1, 1], or int16 as a file holds it (a memory map of it keeps hours out of memory)."""

RATE_HZ = 16_000
STEP_SAMPLES = 512
"""The network says one probability for so many samples."""
_CONTEXT_SAMPLES = 64
_STATE = (1, 1, 128)
BLOCK_STEPS = 2048
"""About a minute: what is worked on at once, whatever the length."""

QUIET = 10 ** (-40 / 20)
TARGET = 10 ** (-23 / 20)
"""A recording whose loud parts stay under -40 dBFS is brought to -23 dBFS first."""
LOUD_PERCENTILE = 95.0
MAX_GAIN = 1000.0

_PITCH_BAND = signal.butter(2, [60, 400], "bandpass", fs=RATE_HZ, output="sos")
_UPPER_BAND = signal.butter(2, 3500, "highpass", fs=RATE_HZ, output="sos")
_PITCH_GAIN, _UPPER_GAIN = 2.0, 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityOptions:
    """When probabilities become spans. Boundaries err outward at the start, where consonants are weak."""

    on: float = 0.5
    off: float = 0.25
    min_speech_seconds: float = 0.2
    min_pause_seconds: float = 0.3
    lead_seconds: float = 0.05
    tail_seconds: float = 0.0


@dataclass(slots=True)
class _View:
    """What one view of the sound carries from block to block."""

    hidden: Float32Array
    cell: Float32Array
    tail: Float32Array


class VoiceActivity:
    """Silero v6 in onnxruntime, on one thread."""

    def __init__(self, cache: Path, options: ActivityOptions | None = None) -> None:
        """cache: the folder of model files. Raises EngineMissing without the network's file."""
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        path = model_files.locate(model_files.SILERO_VAD, cache)
        self._session: Any = onnxruntime.InferenceSession(
            path.read_bytes(), settings, providers=["CPUExecutionProvider"]
        )
        self.options = options or ActivityOptions()

    def spans(self, speech: Speech, *, watch: Watch | None = None) -> list[tuple[int, int]]:
        """Stretches of speech as (start, end) in samples, sorted, apart by `min_pause_seconds`."""
        return spans_of(self.probabilities(speech, watch=watch), speech.size, self.options)

    def probabilities(self, speech: Speech, *, watch: Watch | None = None) -> Float32Array:
        """How sure the network is of speech, for each 512 samples: the larger of its two views."""
        gain = _gain_for(speech)
        plain, voiced = _new_view(), _new_view()
        pitch, upper = (np.zeros((filters.shape[0], 2)) for filters in (_PITCH_BAND, _UPPER_BAND))
        parts: list[Float32Array] = []
        for start, block in blocks(speech, BLOCK_STEPS * STEP_SAMPLES):
            if watch is not None:
                watch(start, speech.size)
            sound = np.clip(block * gain, -1, 1).astype(np.float32)
            rectified = np.abs(sound)
            low, pitch = signal.sosfilt(_PITCH_BAND, rectified, zi=pitch)
            high, upper = signal.sosfilt(_UPPER_BAND, rectified, zi=upper)
            second = np.clip(sound + _PITCH_GAIN * low + _UPPER_GAIN * high, -1, 1).astype(np.float32)
            parts.append(np.maximum(self._run(sound, plain), self._run(second, voiced)))
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _run(self, sound: Float32Array, view: _View) -> Float32Array:
        steps = np.pad(sound, (0, -sound.size % STEP_SAMPLES)).reshape(-1, STEP_SAMPLES)
        before = np.vstack([view.tail[None], steps[:-1, -_CONTEXT_SAMPLES:]])
        feed = {"input": np.hstack([before, steps]), "h": view.hidden, "c": view.cell}
        probabilities, view.hidden, view.cell = self._session.run(None, feed)
        view.tail = steps[-1, -_CONTEXT_SAMPLES:].copy()
        return np.asarray(probabilities, np.float32).ravel()


def _new_view() -> _View:
    return _View(np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32), np.zeros(_CONTEXT_SAMPLES, np.float32))


def as_float(speech: Speech) -> Float32Array:
    """A piece of speech as float32 in [-1, 1], whichever of both forms it has; what is not a number is silence."""
    if speech.dtype == np.int16:
        return speech.astype(np.float32) / np.float32(32768)
    return np.nan_to_num(np.asarray(speech, np.float32), posinf=0.0, neginf=0.0)


def blocks(speech: Speech, size: int) -> Iterator[tuple[int, Float32Array]]:
    """(start, samples) of successive blocks."""
    for start in range(0, speech.size, size):
        yield start, as_float(speech[start : start + size])


def _gain_for(speech: Speech) -> float:
    """1 for a recording at a usual level; more for one whose loud parts are quiet."""
    levels = [np.zeros(1)]
    for _, block in blocks(speech, BLOCK_STEPS * STEP_SAMPLES):
        whole = block[: block.size // STEP_SAMPLES * STEP_SAMPLES].reshape(-1, STEP_SAMPLES)
        levels.append(np.sqrt(np.square(whole, dtype=np.float64).mean(axis=1)))
    loud = float(np.percentile(np.concatenate(levels), LOUD_PERCENTILE))
    return min(TARGET / max(loud, 1e-9), MAX_GAIN) if loud < QUIET else 1.0


def spans_of(probabilities: Float32Array, num_samples: int, options: ActivityOptions) -> list[tuple[int, int]]:
    """Hysteresis between `off` and `on`, then short pauses closed, then short spans dropped."""
    spans: list[list[int]] = []
    start: int | None = None
    for step, value in enumerate(np.append(probabilities, 0.0)):
        if start is None and value >= options.on:
            start = step
        elif start is not None and value < options.off:
            spans.append([start * STEP_SAMPLES, min(step * STEP_SAMPLES, num_samples)])
            start = None
    joined: list[list[int]] = []
    for span in spans:
        if joined and span[0] - joined[-1][1] < options.min_pause_seconds * RATE_HZ:
            joined[-1][1] = span[1]
        else:
            joined.append(span)
    lead, tail = (int(seconds * RATE_HZ) for seconds in (options.lead_seconds, options.tail_seconds))
    long_enough = options.min_speech_seconds * RATE_HZ
    return [(max(0, a - lead), min(b + tail, num_samples)) for a, b in joined if b - a >= long_enough]
