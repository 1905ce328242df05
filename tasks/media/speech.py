"""The speech that drives a renderer: cut from a stem by frames, muted where somebody else is heard.

In: WAV files (mono, 16 kHz, s16) and a span of programme frames. Out: samples. Knows no speakers and no gain.
"""

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.domain.timing import SPEECH_RATE_HZ, index_at, instant_of
from tasks.media.wav import read_speech_pcm

Int16Array = npt.NDArray[np.int16]
FADE_MS = 10


def cut_speech(
    pieces: Sequence[tuple[Path, int]],
    *,
    start_frame: int,
    end_frame: int,
    rate: Fraction,
    keep_ms: Sequence[tuple[int, int]],
) -> Int16Array:
    """(n,) samples of [start_frame, end_frame), silent between the pieces and outside `keep_ms`.

    pieces: files and the programme sample at which each starts. keep_ms: (start, end) from the first frame; each
    fades in and out within 10 ms.
    """
    first = index_at(instant_of(start_frame, rate), SPEECH_RATE_HZ)
    last = index_at(instant_of(end_frame, rate), SPEECH_RATE_HZ)
    mixed = np.zeros(last - first)
    if not keep_ms:
        return mixed.astype(np.int16)
    for path, starts_at in pieces:
        if starts_at >= last:
            continue
        samples = read_speech_pcm(path, max(0, first - starts_at), last - starts_at)
        at = max(0, starts_at - first)
        mixed[at : at + len(samples)] += samples
    return np.rint(np.clip(mixed * _gate(len(mixed), keep_ms), -32768, 32767)).astype(np.int16)


def _gate(num_samples: int, keep_ms: Sequence[tuple[int, int]]) -> npt.NDArray[np.float64]:
    """1 within the spans, 0 outside, with straight ramps; a span at an edge of the cut starts or ends open."""
    gain = np.zeros(num_samples)
    at = np.arange(num_samples, dtype=np.float64)
    fade = FADE_MS * SPEECH_RATE_HZ / 1000
    for start_ms, end_ms in keep_ms:
        start, end = start_ms * SPEECH_RATE_HZ / 1000, end_ms * SPEECH_RATE_HZ / 1000
        rise = np.ones(num_samples) if start_ms <= 0 else np.clip((at - start) / fade, 0, 1)
        fall = np.ones(num_samples) if end >= num_samples - 1 else np.clip((end - at) / fade, 0, 1)
        gain = np.maximum(gain, np.minimum(rise, fall))
    return gain


def pcm_digest(samples: Int16Array) -> str:
    """SHA-256 of samples as little-endian s16."""
    return hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
