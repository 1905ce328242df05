"""What a recording sounds like, channel by channel, and how its channels become one or two: pure arithmetic.

In: float blocks (channels, n). Out: levels, and mixing matrices with a sentence that says what was chosen.
Knows no files.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

SILENT_BELOW_DB = 30.0
"""A channel this far below the loudest holds nothing but crosstalk."""
QUIET_DBFS = -45.0
"""Below this level 16 bits are too coarse for what comes after, and speech engines hear silence."""
SPEECH_LEVEL_DBFS = -23.0
"""What the driving speech of a very quiet recording is raised to."""
SPEECH_PEAK = 0.7
"""No gain raises a peak beyond this."""
OPPOSED = -0.8
"""Correlation of two channels below which their sum cancels what is heard."""
DC_OFFSET = 0.01
CLIPPED_SHARE = 0.001
FLAT_RUN = 4
"""Equal samples in a row, near the block's peak, that count as clipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Of each channel of a whole recording; full scale is 1.0."""

    num_samples: int
    level_dbfs: tuple[float, ...]
    """RMS of the loud seconds (95th percentile), without DC; -inf for silence."""
    peak: tuple[float, ...]
    usual_peak: tuple[float, ...]
    """90th percentile of the peaks of each second: a single click does not count."""
    dc: tuple[float, ...]
    clipped: tuple[float, ...]
    """Share of samples that stand flat at the top."""
    stereo_correlation: float = 1.0
    """Of the first two channels."""
    is_dual_mono: bool = False
    """Whether two channels are equal."""


class LevelMeter:
    """Measures blocks as they come."""

    def __init__(self, channels: int) -> None:
        """channels: rows of every block."""
        self._rms: list[Float64Array] = []
        self._peaks: list[Float64Array] = []
        self._sum, self._peak, self._clipped = np.zeros(channels), np.zeros(channels), np.zeros(channels)
        self._cross = np.zeros(3)
        self._is_dual_mono = channels == 2
        self._num_samples = 0

    def add(self, block: Float32Array) -> None:
        """block: float32 (channels, n)."""
        if block.shape[1] == 0:
            return
        mean = block.mean(axis=1, dtype=np.float64)
        energy = np.einsum("cn,cn->c", block, block, dtype=np.float64) / block.shape[1]
        self._rms.append(np.sqrt(np.maximum(energy - mean**2, 0.0)))
        self._sum += mean * block.shape[1]
        peak = np.abs(block).max(axis=1).astype(np.float64)
        self._peak = np.maximum(self._peak, peak)
        self._peaks.append(peak)
        self._clipped += [num_flat_samples(channel, top) for channel, top in zip(block, peak, strict=True)]
        self._num_samples += block.shape[1]
        if block.shape[0] == 2:
            left, right = block[0] - mean[0], block[1] - mean[1]
            self._cross += (float(left @ right), float(left @ left), float(right @ right))
            self._is_dual_mono = self._is_dual_mono and bool(np.array_equal(block[0], block[1]))

    def levels(self) -> Levels:
        """Of all blocks so far. Raises ValueError when there was none."""
        if not self._num_samples:
            raise ValueError("no samples were measured")
        loud = np.percentile(np.stack(self._rms), 95, axis=0)
        norm = float(np.sqrt(self._cross[1] * self._cross[2]))
        return Levels(
            num_samples=self._num_samples,
            level_dbfs=tuple(decibels(float(value)) for value in loud),
            peak=tuple(float(value) for value in self._peak),
            usual_peak=tuple(float(value) for value in np.percentile(np.stack(self._peaks), 90, axis=0)),
            dc=tuple(float(value) for value in self._sum / self._num_samples),
            clipped=tuple(float(value) for value in self._clipped / self._num_samples),
            stereo_correlation=float(self._cross[0]) / norm if norm > 0 else 1.0,
            is_dual_mono=self._is_dual_mono,
        )


def decibels(amplitude: float) -> float:
    """20 log10; -inf for 0."""
    return 20 * float(np.log10(amplitude)) if amplitude > 0 else float("-inf")


def num_flat_samples(samples: Float32Array, peak: float) -> int:
    """Samples in runs of equal values near the peak: what clipping leaves, at any level.

    A loud low tone has runs of two or three at its crests, hence FLAT_RUN.
    """
    if peak < 0.05:
        return 0
    near = np.abs(samples) >= 0.98 * peak
    if np.count_nonzero(near) < FLAT_RUN:
        return 0
    # Lossy coding ripples what was flat, hence the tolerance at full scale.
    tolerance = 0.02 if peak > 0.98 else 1e-6
    same = near[1:] & near[:-1] & (np.abs(np.diff(samples)) <= tolerance)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], same.astype(np.int8), [0]))))
    runs = edges[1::2] - edges[::2] + 1
    return int(runs[runs >= FLAT_RUN].sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How channels become the master and the driving speech. Rows are what comes out, columns what came in."""

    master: tuple[tuple[float, ...], ...]
    """One or two rows."""
    speech: tuple[float, ...]
    dc: tuple[float, ...]
    """Subtracted from each channel first."""
    speech_gain: float = 1.0
    """Over the recording's own level; 1 unless it is very quiet."""
    note: str = ""
    """What a person should know of the choice; "" for the ordinary."""


_STEREO_OF_LAYOUT = {
    # Left and right share of each channel. Source: ITU-R BS.775-4, annex 4, table 2; the LFE channel is left out.
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (0.7071, 0.7071),
    "LFE": (0.0, 0.0),
    "BL": (0.7071, 0.0),
    "BR": (0.0, 0.7071),
    "SL": (0.7071, 0.0),
    "SR": (0.0, 0.7071),
    "BC": (0.5, 0.5),
    "FLC": (0.9239, 0.3827),
    "FRC": (0.3827, 0.9239),
}


def choose_mix(levels: Levels, channel_names: tuple[str, ...]) -> Mix:
    """The mixing of a recording whose channels are called `channel_names` (FFmpeg's: FL, FR, FC, LFE, ...).

    Never simply channel 0: silent channels are left out, opposed ones are not added, a centre that talks is the speech.
    """
    loudest = max(levels.level_dbfs)
    loud = [k for k, level in enumerate(levels.level_dbfs) if level > loudest - SILENT_BELOW_DB]
    dc = tuple(offset if abs(offset) > DC_OFFSET else 0.0 for offset in levels.dc)
    master, speech, note = _matrices(levels, channel_names, loud or [0])
    row_peak = max(
        sum(abs(weight) * peak for weight, peak in zip(row, levels.usual_peak, strict=True))
        for row in (*master, speech)
    )
    # Turned down where it would be clipped again and again; a lone peak is cut, as every player does.
    scale = 1.0 / row_peak if row_peak > 1.0 else 1.0
    return Mix(
        master=tuple(tuple(weight * scale for weight in row) for row in master),
        speech=tuple(weight * scale for weight in speech),
        dc=dc,
        speech_gain=_speech_gain(loudest, max(levels.peak)),
        note=note,
    )


_Rows = tuple[tuple[float, ...], ...]


def _matrices(levels: Levels, names: tuple[str, ...], loud: list[int]) -> tuple[_Rows, tuple[float, ...], str]:
    count = len(levels.level_dbfs)
    if count == 1:
        return ((1.0,),), (1.0,), ""
    if len(loud) == 1:
        row = tuple(float(k == loud[0]) for k in range(count))
        return (row,), row, f"only channel {loud[0] + 1} of {count} ({_named(names, loud[0])}) holds sound; it is used."
    if count == 2:
        return _stereo(levels)
    mean = tuple(1.0 / len(loud) if k in loud else 0.0 for k in range(count))
    if not all(name in _STEREO_OF_LAYOUT for name in names) or "FL" not in names:
        return (mean,), mean, f"its {count} channels are mixed to one."
    shares = np.array([_STEREO_OF_LAYOUT[name] for name in names]).T
    master = tuple(tuple(float(value) for value in row) for row in shares)
    centre = names.index("FC") if "FC" in names else None
    if centre is not None and levels.level_dbfs[centre] > max(levels.level_dbfs) - 20:
        speech = tuple(float(k == centre) for k in range(count))
        return master, speech, f"speech is taken from the centre of its {count} channels."
    both = shares.mean(axis=0)
    return master, tuple(float(value) for value in both), f"its {count} channels are mixed to two."


def _stereo(levels: Levels) -> tuple[_Rows, tuple[float, ...], str]:
    if levels.is_dual_mono:
        return ((1.0, 0.0),), (1.0, 0.0), ""
    if levels.stereo_correlation < OPPOSED:
        loudest = int(levels.level_dbfs[1] > levels.level_dbfs[0])
        row = tuple(float(k == loudest) for k in range(2))
        side = ("left", "right")[loudest]
        return (row,), row, f"its two channels are of opposite phase and cancel each other; the {side} one is used."
    return ((1.0, 0.0), (0.0, 1.0)), (0.5, 0.5), ""


def _named(names: tuple[str, ...], index: int) -> str:
    words = {"FL": "left", "FR": "right", "FC": "centre", "LFE": "low-frequency"}
    return words.get(names[index], names[index]) if index < len(names) else "unnamed"


def _speech_gain(loudest_dbfs: float, peak: float) -> float:
    if loudest_dbfs >= QUIET_DBFS or peak <= 0 or not np.isfinite(loudest_dbfs):
        return 1.0
    return float(min(10 ** ((SPEECH_LEVEL_DBFS - loudest_dbfs) / 20), SPEECH_PEAK / peak))
