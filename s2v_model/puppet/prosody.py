"""Where speech asks: phrases whose pitch goes up at their end.

In: mono speech at 16 kHz and its loudness. Out: instants. Knows no words.
"""

import numpy as np
import numpy.typing as npt

from s2v_model.contract import SPEECH_RATE_HZ, Float32Array
from s2v_model.puppet.visemes import CONTROL_HZ

FloatArray = npt.NDArray[np.float64]

_SPOKEN = 0.10
_PAUSE_SECONDS = 0.22
"""A phrase ends where nothing is said for so long."""
_TAIL_SECONDS, _BODY_SECONDS = 0.22, 1.2
_RISE = 1.18
"""The tail must lie this much above the body of the phrase and end above where it began."""
_LOWEST_HZ, _HIGHEST_HZ = 70, 420
_WINDOW = 640
_VOICED = 0.5


def questions(speech: Float32Array, loudness: FloatArray) -> tuple[float, ...]:
    """Seconds at which the tails of rising phrases begin; `loudness` at CONTROL_HZ."""
    spoken = loudness > _SPOKEN
    rising = []
    for start, end in _phrases(spoken):
        if end - start < 0.4:
            continue
        body = _pitches(speech, max(start, end - _BODY_SECONDS), end - _TAIL_SECONDS)
        tail = _pitches(speech, end - _TAIL_SECONDS, end)
        if len(body) >= 5 and len(tail) >= 4:
            half = len(tail) // 2
            if np.median(tail) > _RISE * np.median(body) and tail[half:].mean() > tail[:half].mean():
                rising.append(float(end - _TAIL_SECONDS))
    return tuple(rising)


def _phrases(spoken: npt.NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Spans of talk, short pauses bridged, in seconds."""
    edges = np.flatnonzero(np.diff(np.r_[False, spoken, False].astype(int)))
    spans: list[tuple[float, float]] = []
    for first, last in edges.reshape(-1, 2):
        start, end = first / CONTROL_HZ, last / CONTROL_HZ
        if spans and start - spans[-1][1] < _PAUSE_SECONDS:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _pitches(speech: Float32Array, start: float, end: float) -> FloatArray:
    """Hz every 20 ms between two instants, where there is a voice."""
    found = []
    for centre in np.arange(start, end, 0.02):
        first = int(centre * SPEECH_RATE_HZ) - _WINDOW // 2
        window = speech[max(0, first) : max(0, first) + _WINDOW].astype(float)
        if len(window) < _WINDOW:
            continue
        pitch = _pitch(window - window.mean())
        if pitch is not None:
            found.append(pitch)
    return np.array(found)


def _pitch(window: FloatArray) -> float | None:
    """Hz by autocorrelation, or None without a voice."""
    spectrum = np.fft.rfft(window * np.hanning(len(window)), 2 * len(window))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: len(window)]
    shortest, longest = SPEECH_RATE_HZ // _HIGHEST_HZ, SPEECH_RATE_HZ // _LOWEST_HZ
    lag = shortest + int(np.argmax(correlation[shortest:longest]))
    if correlation[0] <= 0 or correlation[lag] < _VOICED * correlation[0]:
        return None
    return SPEECH_RATE_HZ / lag
