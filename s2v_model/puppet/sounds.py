"""Loudness of speech over time, and the mouth that follows it where no phones are known.

In: mono speech at 16 kHz. Out: tracks at CONTROL_HZ. Knows no text and no language.
"""

import numpy as np
import numpy.typing as npt

from s2v_model.contract import SPEECH_RATE_HZ, Float32Array
from s2v_model.puppet.visemes import CONTROL_HZ, MOUTH_CHANNELS, smoothed

FloatArray = npt.NDArray[np.float64]

_HOP = SPEECH_RATE_HZ // CONTROL_HZ
_FLOOR = 10 ** (-50 / 20)
"""Below -50 dBFS nothing is said."""


def loudness(speech: Float32Array, seconds: float) -> FloatArray:
    """(ceil(seconds * CONTROL_HZ),): loudness against the loud parts of this speech, about 0 .. 1.5; 0 in silence."""
    count = max(1, int(np.ceil(seconds * CONTROL_HZ)))
    padded = np.zeros(count * _HOP)
    padded[: min(len(speech), len(padded))] = speech[: len(padded)]
    level = np.sqrt((padded.reshape(count, _HOP) ** 2).mean(1))
    said = level[level > _FLOOR]
    if not len(said):
        return np.zeros(count)
    reference = float(np.percentile(said, 75))
    return np.clip(smoothed(np.where(level > _FLOOR, level, 0) / reference, 0.05), 0, 2)


def mouth_from_sound(speech: Float32Array, seconds: float) -> Float32Array:
    """(ceil(seconds * CONTROL_HZ), 8): MOUTH_CHANNELS guessed from the sound alone."""
    level = loudness(speech, seconds)
    track = np.zeros((len(level), len(MOUTH_CHANNELS)))
    track[:, MOUTH_CHANNELS.index("jaw")] = 0.45 * np.clip(level, 0, 1.4) ** 0.8
    track[:, MOUTH_CHANNELS.index("spread")] = 0.15 * np.clip(level, 0, 1)
    track[:, MOUTH_CHANNELS.index("lowdn")] = 0.12 * np.clip(level, 0, 1)
    return smoothed(track, 0.09).astype(np.float32)
