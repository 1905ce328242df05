"""Loudness and true peak of sound in blocks, and the gain that brings a programme to its target.

In: float32 blocks (channels, n), one or two channels, at one rate. Out: LUFS, dBTP, and blocks at another level.
Memory does not grow with the length but by 8 bytes for each 100 ms. Knows no files.
Sources: ITU-R BS.1770-4 (annex 1: loudness, annex 2: true peak), EBU R 128, EBU Tech 3341 for the signals of the tests.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil, log10, pi, tan

import numpy as np
import numpy.typing as npt
from scipy.ndimage import minimum_filter1d
from scipy.signal import sosfilt, upfirdn

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

SILENCE_LUFS = -70.0
"""The absolute gate: what lies below it has no loudness, and this is what we call it."""
SILENCE_DBTP = -150.0
_RELATIVE_GATE_LU = -10.0
_STEPS_PER_BLOCK = 4
"""A gating block is 400 ms, overlapping by 75 %: four steps of 100 ms."""

_PHASE_0 = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
_PHASE_1 = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip
_OVERSAMPLING = 4
_TAPS_PER_PHASE = len(_PHASE_0)
_INTERPOLATOR = np.array([_PHASE_0, _PHASE_1, _PHASE_1[::-1], _PHASE_0[::-1]], np.float32).T.reshape(-1)
"""The interpolating filter of BS.1770-4, annex 2, as one 48-tap filter at four times the rate."""
_MOST_OVERSHOOT = float(np.abs(_INTERPOLATOR.reshape(-1, _OVERSAMPLING)).sum(axis=0).max())
"""No true peak exceeds the largest sample nearby by more than this factor: quiet stretches need no interpolation."""

_STRETCH = 2048
"""Samples that are looked at together."""

LIMITER_REACH_SECONDS = 0.012
"""The limiter sees a peak so long ahead and lets go so long behind it: too short to hear, too long to click."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """What was measured on a whole programme."""

    integrated_lufs: float
    """Gated; SILENCE_LUFS where nothing passes the absolute gate."""
    true_peak_dbtp: float
    """SILENCE_DBTP for digital silence."""


class Meter:
    """Measures a programme block by block."""

    def __init__(self, channels: int, rate_hz: int) -> None:
        """channels: one or two."""
        if channels not in (1, 2):
            raise ValueError(f"loudness is measured on one or two channels, got {channels}")
        self._filter = _k_weighting(rate_hz)
        self._state = np.zeros((self._filter.shape[0], channels, 2))
        self._step = rate_hz // 10
        self._rest = np.zeros((channels, 0))
        self._powers: list[Float64Array] = []
        self._peak = TruePeak(channels)

    def add(self, block: Float32Array) -> None:
        """Hear the next block: (channels, n), any n."""
        self._peak.add(block)
        weighted, self._state = sosfilt(self._filter, block, axis=1, zi=self._state)
        joined = np.concatenate((self._rest, weighted), axis=1)
        num_steps = joined.shape[1] // self._step
        whole = joined[:, : num_steps * self._step].reshape(joined.shape[0], num_steps, self._step)
        self._powers.append(np.einsum("cns,cns->n", whole, whole) / self._step)
        self._rest = joined[:, num_steps * self._step :]

    def result(self) -> Loudness:
        """What has been heard so far. Sound shorter than one gating block counts as one block."""
        powers = np.concatenate([*self._powers, np.zeros(0)])
        if powers.size < _STEPS_PER_BLOCK:
            total = powers.sum() + float((self._rest**2).sum()) / self._step
            length = powers.size + self._rest.shape[1] / self._step
            blocks = np.array([total / length]) if length else np.zeros(0)
        else:
            blocks = np.convolve(powers, np.full(_STEPS_PER_BLOCK, 1 / _STEPS_PER_BLOCK), mode="valid")
        return Loudness(integrated_lufs=_gated(blocks), true_peak_dbtp=self._peak.dbtp)


class TruePeak:
    """The largest value of a signal between its samples, to the precision of BS.1770-4, annex 2."""

    def __init__(self, channels: int) -> None:
        """channels: how many rows a block has."""
        self._tail = np.zeros((channels, _TAPS_PER_PHASE - 1), np.float32)
        self._largest = 0.0

    @property
    def dbtp(self) -> float:
        """Of everything heard so far."""
        return 20 * log10(self._largest) if self._largest > 0 else SILENCE_DBTP

    def add(self, block: Float32Array) -> None:
        """Hear the next block."""
        joined = np.concatenate((self._tail, block), axis=1)
        self._tail = joined[:, joined.shape[1] - (_TAPS_PER_PHASE - 1) :]
        # The loudest stretch first: most others then need no interpolation.
        stretches = [joined[:, at : at + _STRETCH + _TAPS_PER_PHASE - 1] for at in range(0, joined.shape[1], _STRETCH)]
        tops = [float(np.abs(stretch).max(initial=0.0)) for stretch in stretches]
        for index in sorted(range(len(tops)), key=tops.__getitem__, reverse=True):
            if tops[index] * _MOST_OVERSHOOT <= self._largest:
                break
            self._largest = max(self._largest, float(_envelope(stretches[index]).max(initial=0.0)))


def limited(
    blocks: Iterable[Float32Array], gain_db: float, ceiling_dbtp: float, rate_hz: int
) -> Iterator[Float32Array]:
    """The same sound, `gain_db` louder, its true peaks held under `ceiling_dbtp`; as many samples as came in.

    The gain that a peak asks for is spread over LIMITER_REACH_SECONDS before and after it by a minimum and a smooth
    average of the same length, so that it is never above what the peak allows. All channels share one gain.
    """
    factor, ceiling = np.float32(10 ** (gain_db / 20)), 10 ** (ceiling_dbtp / 20)
    reach = ceil(LIMITER_REACH_SECONDS * rate_hz)
    margin = 2 * reach + _TAPS_PER_PHASE
    held: Float32Array | None = None
    for block in blocks:
        louder = block * factor
        # Silence ahead of the first sample gives every sample its full neighbourhood.
        held = np.pad(louder, ((0, 0), (margin, 0))) if held is None else np.concatenate((held, louder), axis=1)
        if held.shape[1] > 2 * margin:
            yield _held_under(held, ceiling, reach, margin)
            held = held[:, held.shape[1] - 2 * margin :]
    if held is not None:
        yield _held_under(np.pad(held, ((0, 0), (0, margin))), ceiling, reach, margin)


def _held_under(louder: Float32Array, ceiling: float, reach: int, margin: int) -> Float32Array:
    """The inner samples of `louder`, `margin` at both ends left out, limited."""
    inner = louder[:, margin : louder.shape[1] - margin]
    if float(np.abs(louder).max(initial=0.0)) * _MOST_OVERSHOOT <= ceiling:
        return inner
    allowed = ceiling / np.maximum(_envelope_above(louder, ceiling), ceiling)
    lowest = minimum_filter1d(allowed, 2 * reach + 1, mode="nearest")
    window = np.hanning(2 * reach + 3)[1:-1]
    smooth = _average(lowest, window / window.sum())
    return (inner * smooth[margin : louder.shape[1] - margin]).astype(np.float32)


def _average(values: Float64Array, window: Float64Array) -> Float64Array:
    """`values` averaged with `window`, only where they differ from one: nearly all of speech needs no limiting."""
    half = window.size // 2
    touched = np.flatnonzero(values < 1.0)
    result = np.ones_like(values)
    if touched.size:
        first, last = max(0, touched[0] - half), min(values.size, touched[-1] + half + 1)
        padded = np.pad(values[first:last], half, mode="edge")
        result[first:last] = np.convolve(padded, window, mode="valid")
    return result


def _envelope(samples: Float32Array) -> Float32Array:
    """(4 n',): absolute values at four times the rate, all channels; edges that lack neighbours are left out."""
    full = upfirdn(_INTERPOLATOR, samples, up=_OVERSAMPLING, axis=1)
    edge = _OVERSAMPLING * (_TAPS_PER_PHASE - 1)
    return np.asarray(np.abs(full[:, edge : full.shape[1] - edge]), np.float32)


def _envelope_above(samples: Float32Array, ceiling: float) -> Float64Array:
    """(n,): as `_envelope_at_samples` wherever that may exceed `ceiling`, the plain samples elsewhere."""
    plain: Float64Array = np.abs(samples).max(axis=0).astype(np.float64)
    for at in range(0, samples.shape[1], _STRETCH):
        start, end = max(0, at - _TAPS_PER_PHASE), min(samples.shape[1], at + _STRETCH + _TAPS_PER_PHASE)
        if plain[start:end].max() * _MOST_OVERSHOOT > ceiling:
            near = _envelope_at_samples(samples[:, start:end])[at - start :][:_STRETCH]
            plain[at : at + near.size] = near
    return plain


def _envelope_at_samples(samples: Float32Array) -> Float64Array:
    """(n,): for each sample the largest absolute value at it and on either side of it, over all channels."""
    full = np.abs(upfirdn(_INTERPOLATOR, samples, up=_OVERSAMPLING, axis=1)).max(axis=0)
    # The filter delays by half its length.
    delay = _OVERSAMPLING * _TAPS_PER_PHASE // 2 - _OVERSAMPLING
    centred = full[delay : delay + _OVERSAMPLING * (samples.shape[1] + 1)]
    between = centred.reshape(-1, _OVERSAMPLING).max(axis=1)
    nearest = np.maximum(between[:-1], between[1:])
    return np.asarray(np.maximum(nearest, np.abs(samples).max(axis=0)), np.float64)


def _gated(blocks: Float64Array) -> float:
    """Integrated loudness of gating blocks' powers. Source: BS.1770-4, annex 1, equations 4-7."""
    loud = blocks[_lufs(blocks) > SILENCE_LUFS]
    if not loud.size:
        return SILENCE_LUFS
    gate = float(_lufs(np.array([loud.mean()]))[0]) + _RELATIVE_GATE_LU
    return float(_lufs(np.array([loud[_lufs(loud) > gate].mean()]))[0])


def _lufs(powers: Float64Array) -> Float64Array:
    return -0.691 + 10 * np.log10(np.maximum(powers, 1e-20))


def _k_weighting(rate_hz: int) -> Float64Array:
    """The two stages of K-weighting as second-order sections, at any rate.

    Source: BS.1770-4, annex 1, tables 1 and 2 (given for 48 kHz); the analogue prototypes behind them.
    """
    return np.array([_high_shelf(1681.974450955533, 3.999843853973347, 0.7071752369554196, rate_hz),
                     _high_pass(38.13547087602444, 0.5003270373238773, rate_hz)])  # fmt: skip


def _high_shelf(corner_hz: float, gain_db: float, quality: float, rate_hz: int) -> list[float]:
    k = tan(pi * corner_hz / rate_hz)
    high = 10 ** (gain_db / 20)
    middle = high**0.4996667741545416
    a0 = 1 + k / quality + k * k
    b = (high + middle * k / quality + k * k, 2 * (k * k - high), high - middle * k / quality + k * k)
    return [*(value / a0 for value in b), 1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0]


def _high_pass(corner_hz: float, quality: float, rate_hz: int) -> list[float]:
    k = tan(pi * corner_hz / rate_hz)
    a0 = 1 + k / quality + k * k
    return [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / quality + k * k) / a0]
