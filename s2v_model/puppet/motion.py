"""The life of a face between and beside the sounds: head, eyes, brows, breath.

In: how loud the speech is, where stresses lie, a seed. Out: pose tracks. A clip begins and ends in the portrait's own
pose, so two clips of one speaker can be cut hard against each other. Knows no picture.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array
from s2v_model.puppet.pose import CHANNEL, rest
from s2v_model.puppet.visemes import CONTROL_HZ, MOUTH_CHANNELS, per_frame, smoothed

FloatArray = npt.NDArray[np.float64]

EASE_SECONDS = 0.24
_MOUTH_EASE_SECONDS = 0.05
_MAX_TURN = 0.052
"""Radians, three degrees: beyond it the flat portrait shows."""
_BREATHS_HZ = 0.27
_SPOKEN = 0.12
"""Loudness from which on somebody speaks."""
_NODS_SHARE, _NODS_APART = 0.85, 1.6
"""A listener nods after so many of the other's pauses, and no sooner than so many seconds after the last nod."""
_BLINK_EVERY = (2.5, 5.6)
"""Seconds between blinks: 11 to 24 a minute."""
_BLINK_SHAPE = ((0.00, 0.0), (0.07, 0.85), (0.10, 1.0), (0.14, 1.0), (0.22, 0.45), (0.32, 0.0))
"""Seconds since the lids started, and how far they are shut."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Speaking:
    """What motion needs to know of a take."""

    loudness: FloatArray
    """(n,) at CONTROL_HZ."""
    stresses: tuple[float, ...]
    """Seconds: of stressed words, or of a listener, at which the other pauses."""
    listening: bool
    gaze: float
    questions: tuple[float, ...] = ()
    """Seconds at which the voice goes up at the end of a phrase."""


def animate(mouth: Float32Array | None, speaking: Speaking, num_frames: int, rate: Fraction, seed: int) -> Float32Array:
    """(num_frames, pose channels): the whole face for one take; `mouth` at CONTROL_HZ, None for a listener."""
    random = np.random.default_rng(seed)
    live = _alive(speaking, random)
    track = rest(num_frames)
    at = np.array([float(Fraction(k) / rate) for k in range(num_frames)])
    steps = (np.arange(len(speaking.loudness)) + 0.5) / CONTROL_HZ
    for name, values in live.items():
        track[:, CHANNEL[name]] = np.interp(at, steps, values)
    _add_blinks(track, at, speaking, random)
    if mouth is not None:
        frames = per_frame(mouth, num_frames, rate)
        for column, name in enumerate(MOUTH_CHANNELS):
            track[:, CHANNEL[name]] += frames[:, column]
    _ease(track, at)
    return track


def _alive(speaking: Speaking, random: np.random.Generator) -> dict[str, FloatArray]:
    loud = np.clip(speaking.loudness, 0, 1.3)
    count = len(loud)
    talk = smoothed((loud > _SPOKEN).astype(float), 1.0)
    swing = smoothed(loud, 0.28)
    stresses = () if speaking.listening else speaking.stresses
    accent = smoothed(np.clip(swing - smoothed(loud, 1.6), 0, 1), 0.2) + _bumps(count, stresses, 0.32)
    accent = np.clip(accent, 0, 0.8)
    asking = _bumps(count, speaking.questions, 0.9)
    drift = _Drift(count, random)
    nods = _nods(speaking, random)
    side = speaking.gaze
    glance = _glances(count, random)
    attend = 1.0 if speaking.listening else 0.35
    yaw = 0.022 * drift(1.6) * (0.5 + 0.7 * talk) + 0.040 * side * attend + 0.012 * smoothed(glance, 0.45)
    pitch = 0.012 * drift(1.3) * (0.5 + 0.6 * talk) + 0.050 * accent - 0.030 * asking - 0.006 * talk + nods
    return {
        "yaw": _limited(yaw),
        "pitch": _limited(pitch),
        "roll": _limited(0.012 * drift(1.9) * (0.4 + 0.8 * talk) + (0.012 * side if speaking.listening else 0.0)),
        "shift_x": 0.010 * drift(2.2) + 0.016 * side * attend,
        "shift_y": 0.005 * drift(1.7) + 0.018 * accent + 0.4 * nods,
        "breath": 0.012 * np.sin(2 * np.pi * (_BREATHS_HZ * np.arange(count) / CONTROL_HZ + random.uniform())),
        "brow": np.clip(0.9 * accent - 0.05, 0, 0.5) + 1.2 * asking + 0.06 * np.clip(drift(1.0), 0, 2),
        "gaze_x": np.clip((0.9 * side if speaking.listening else 0.15 * side) + 0.55 * glance, -1, 1),
        "gaze_y": np.clip(0.25 * drift(1.5) * np.abs(glance), -1, 1),
        "own": 1 - smoothed(_held(loud > _SPOKEN, 0.30).astype(float), 0.30),
    }


def _limited(angle: FloatArray) -> FloatArray:
    return np.asarray(_MAX_TURN * np.tanh(angle / _MAX_TURN))


class _Drift:
    """Slow wandering of unit size, another one at each call."""

    def __init__(self, count: int, random: np.random.Generator) -> None:
        self._count, self._random = count, random

    def __call__(self, seconds: float) -> FloatArray:
        margin = int(4 * seconds * CONTROL_HZ)
        noise = self._random.normal(size=self._count + 2 * margin)
        slow = smoothed(smoothed(noise, seconds), seconds / 2)
        # The spread of white noise under both averages, so that a short clip is as calm as a long one.
        long, short = (np.hanning(int(s * CONTROL_HZ) | 1) for s in (seconds, seconds / 2))
        kernel = np.convolve(long, short)
        spread = float(np.sqrt((kernel**2).sum()) / kernel.sum())
        return np.asarray(np.clip(slow[margin : margin + self._count] / spread, -2.5, 2.5))


def _bumps(count: int, times: tuple[float, ...], seconds: float) -> FloatArray:
    """A soft bump at each of `times`."""
    clock = (np.arange(count) + 0.5) / CONTROL_HZ
    bumps = np.zeros(count)
    for time in times:
        bumps = np.maximum(bumps, 0.45 * np.exp(-(((clock - time - 0.08) / (seconds / 2)) ** 2)))
    return bumps


def _nods(speaking: Speaking, random: np.random.Generator) -> FloatArray:
    """Small nods of a listener, one or two dips where the other pauses; a speaker's come from the stresses."""
    count = len(speaking.loudness)
    nods = np.zeros(count)
    if not speaking.listening:
        return nods
    clock = (np.arange(count) + 0.5) / CONTROL_HZ
    for time in _nod_times(speaking, count / CONTROL_HZ, random):
        size = random.uniform(0.022, 0.038)
        for k in range(int(random.integers(1, 3))):
            nods += size * 0.7**k * np.exp(-(((clock - time - 0.42 * k) / 0.16) ** 2))
    return nods


def _nod_times(speaking: Speaking, seconds: float, random: np.random.Generator) -> list[float]:
    """Soon after pauses of the other, not after all of them; every few seconds where nothing is known of those."""
    times: list[float] = []
    if not speaking.stresses:
        time = random.uniform(0.8, 2.2)
        while time < seconds:
            times.append(time)
            time += random.uniform(2.6, 5.5)
    for pause in speaking.stresses:
        time = pause + random.uniform(0.15, 0.40)
        if random.uniform() < _NODS_SHARE and (not times or time - times[-1] > _NODS_APART):
            times.append(time)
    return times


def _glances(count: int, random: np.random.Generator) -> FloatArray:
    """Now and then the eyes go aside for a moment: quick away, quick back."""
    clock = (np.arange(count) + 0.5) / CONTROL_HZ
    glances = np.zeros(count)
    time = random.uniform(1.5, 4.0)
    while time < count / CONTROL_HZ:
        length, size = random.uniform(0.5, 1.3), random.uniform(0.4, 1.0) * random.choice((-1, 1))
        glances += size * (np.abs(clock - time - length / 2) < length / 2)
        time += length + random.uniform(2.5, 6.0)
    return smoothed(glances, 0.09)


def _held(flags: npt.NDArray[np.bool_], seconds: float) -> npt.NDArray[np.bool_]:
    """True for that long before and after each True."""
    width = int(seconds * CONTROL_HZ)
    return np.convolve(flags.astype(float), np.ones(2 * width + 1), "full")[width : width + len(flags)] > 0.5


def _add_blinks(track: Float32Array, at: FloatArray, speaking: Speaking, random: np.random.Generator) -> None:
    """Blinks at phrase ends where there are some in reach, else after a natural while."""
    spoken = _held(speaking.loudness > _SPOKEN, 0.06)
    ends = np.flatnonzero(spoken[:-1] & ~spoken[1:]) / CONTROL_HZ
    times, lids = zip(*_BLINK_SHAPE, strict=True)
    blink = track[:, CHANNEL["blink"]]
    time = random.uniform(0.8, 2.6)
    while time < at[-1] - times[-1]:
        np.maximum(blink, np.interp(at - time, times, lids, left=0, right=0), out=blink)
        low, high = time + _BLINK_EVERY[0], time + _BLINK_EVERY[1]
        drawn = float(np.clip(time + random.gamma(4, 0.95), low, high))
        reachable = ends[(ends > low) & (ends < high)]
        time = float(reachable[0]) if len(reachable) and random.uniform() < 0.7 else drawn


def _ease(track: Float32Array, at: FloatArray) -> None:
    """The portrait's own pose at the first and the last frame."""
    to_end = np.minimum(at, at[-1] - at)
    still, mouth_still = (np.clip(to_end / s, 0, 1) for s in (EASE_SECONDS, _MOUTH_EASE_SECONDS))
    still, mouth_still = (x * x * (3 - 2 * x) for x in (still, mouth_still))
    mouth = [CHANNEL[name] for name in MOUTH_CHANNELS]
    own = CHANNEL["own"]
    track[:, own] = 1 - (1 - track[:, own]) * mouth_still
    for column in range(track.shape[1]):
        if column != own:
            track[:, column] *= mouth_still if column in mouth else still
