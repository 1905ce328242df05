"""What the sound alone tells: loudness over time, and the mouth that made it, in any language.

In: mono speech at 16 kHz. Out: tracks at CONTROL_HZ. A small network looks at a mel spectrum; it was trained by
`tests/bench/train_sounds.py` on synthetic speech whose phone times are exact. Knows no text and no language.
"""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from s2v_model.contract import SPEECH_RATE_HZ, Float32Array
from s2v_model.puppet.visemes import CONTROL_HZ, MOUTH_CHANNELS, smoothed

FloatArray = npt.NDArray[np.float64]

WEIGHTS = Path(__file__).with_name("sounds.npz")
NUM_BANDS = 40
CONTEXT = (-24, -16, -11, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 11, 16, 24)
"""Steps of CONTROL_HZ around the present one that the network sees."""
CLOSURES = tuple(MOUTH_CHANNELS.index(name) for name in ("press", "fv"))
"""Channels that the network gives as log odds."""
_HOP = SPEECH_RATE_HZ // CONTROL_HZ
_WINDOW, _FFT = 400, 512
_FLOOR = 10 ** (-50 / 20)
"""Below -50 dBFS nothing is said."""
_CLOSED_FROM, _CLOSED_AT = 0.14, 0.36
"""Probability of closed lips at which they begin to close, and at which they are closed."""
_JAW_HIGH, _JAW_MARGIN = 0.24, 0.08
"""Jaw above which heard closures do not count."""
_LOUDNESS_POWER, _GAIN_RANGE = 0.35, (0.35, 1.2)


def loudness(speech: Float32Array, seconds: float) -> FloatArray:
    """(ceil(seconds * CONTROL_HZ),): loudness against the loud parts of this speech, about 0 .. 1.5; 0 in silence."""
    level = np.sqrt((_framed(speech, seconds) ** 2).mean(1))
    said = level[level > _FLOOR]
    if not len(said):
        return np.zeros(len(level))
    reference = float(np.percentile(said, 75))
    return np.clip(smoothed(np.where(level > _FLOOR, level, 0) / reference, 0.05), 0, 2)


def louder_is_wider(mouth: Float32Array, level: FloatArray) -> None:
    """Open the mouth of a track more where `level` (as of `loudness`) is high; in place."""
    gain = smoothed(np.clip(np.clip(level, 0, 2) ** _LOUDNESS_POWER, *_GAIN_RANGE), 0.16)
    for name in ("jaw", "lowdn", "upup"):
        mouth[:, MOUTH_CHANNELS.index(name)] *= gain


def mouth_from_sound(speech: Float32Array, seconds: float) -> Float32Array:
    """(ceil(seconds * CONTROL_HZ), 8): MOUTH_CHANNELS heard out of `speech`."""
    count = len(_framed(speech, seconds))
    level = loudness(speech, seconds)
    if not level.any():
        return np.zeros((count, len(MOUTH_CHANNELS)), np.float32)
    track = network_output(features(speech, count)).astype(float)
    closed = np.stack([_closed(track[:, channel]) for channel in CLOSURES], 1)
    # Closed lips are believed where the jaw is heard to be high as well: half of the false ones go.
    closed *= np.clip((_JAW_HIGH - track[:, :1]) / _JAW_MARGIN, 0, 1)
    track = np.clip(track, 0, 1)
    track[:, list(CLOSURES)] = closed
    track[:, 0] = smoothed(track[:, 0], 0.12)
    for name in ("lowdn", "upup", "tongue"):
        track[:, MOUTH_CHANNELS.index(name)] *= 1 - closed.max(1)
    # In silence the mouth rests, whatever noise there is.
    track *= smoothed((level > 0.04).astype(float), 0.12)[:, None]
    return smoothed(track, 0.04).astype(np.float32)


def _closed(odds: FloatArray) -> FloatArray:
    probability = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    return np.asarray(np.clip((probability - _CLOSED_FROM) / (_CLOSED_AT - _CLOSED_FROM), 0, 1))


def features(speech: Float32Array, count: int) -> Float32Array:
    """(count, NUM_BANDS): log mel spectrum, level taken out, one row a CONTROL_HZ step."""
    margin = (_WINDOW - _HOP) // 2
    padded = np.zeros(count * _HOP + 2 * margin, np.float32)
    kept = min(len(speech), count * _HOP)
    padded[margin : margin + kept] = speech[:kept]
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:count]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), _FFT)) ** 2
    logs = np.log(power @ _mel_bands().T + 1e-7)
    # Neighbouring bands are averaged: the harmonics of the voice say nothing about the mouth.
    padded_logs = np.pad(logs, ((0, 0), (1, 1)), mode="edge")
    logs = 0.25 * padded_logs[:, :-2] + 0.5 * logs + 0.25 * padded_logs[:, 2:]
    logs -= np.percentile(logs, 95)
    logs = np.clip(logs, -12, 3) / 4
    # The long-term spectrum goes: microphones and voices differ more between people than vowels do.
    said = logs.mean(1) >= np.percentile(logs.mean(1), 30)
    return np.asarray((logs - logs[said].mean(0)) / (2 * logs[said].std() + 1e-2), np.float32)


def in_context(bands: Float32Array) -> Float32Array:
    """(n, NUM_BANDS * len(CONTEXT)): each row with its neighbours."""
    reach = max(CONTEXT)
    padded = np.pad(bands, ((reach, reach), (0, 0)), mode="edge")
    return np.concatenate([padded[reach + k : reach + k + len(bands)] for k in CONTEXT], 1)


def network_output(bands: Float32Array) -> Float32Array:
    """(n, 8): MOUTH_CHANNELS before clipping; CLOSURES as log odds."""
    seen = in_context(bands)
    outputs = [_through(layers, seen) for layers in _networks()]
    # Rounded, because the last bits of a matrix product depend on the number of threads.
    return np.asarray(np.round(np.mean(outputs, axis=0), 3), np.float32)


Layers = tuple[tuple[Float32Array, Float32Array], ...]


def _through(layers: Layers, seen: Float32Array) -> Float32Array:
    values = (seen - layers[0][0]) * layers[0][1]
    for weight, bias in layers[1:-1]:
        values = np.maximum(values @ weight + bias, 0)
    weight, bias = layers[-1]
    return np.asarray(values @ weight + bias, np.float32)


@cache
def _networks() -> tuple[Layers, ...]:
    """For each network first (mean, scale) of the inputs, then (weight, bias) of each layer."""
    with np.load(WEIGHTS, allow_pickle=False) as file:
        counts = [sum(name.startswith(f"n{net}w") for name in file.files) for net in range(len(file.files))]
        return tuple(
            tuple(
                (file[f"n{net}w{k}"].astype(np.float32), file[f"n{net}b{k}"].astype(np.float32)) for k in range(count)
            )
            for net, count in enumerate(counts)
            if count
        )


@cache
def _mel_bands() -> FloatArray:
    """(NUM_BANDS, bins): triangles on the mel scale, 60 to 7600 Hz."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (60.0, 7600.0))
    edges = np.linspace(low, high, NUM_BANDS + 2)
    centres = 700 * (10 ** (edges / 2595) - 1)
    bins = np.arange(_FFT // 2 + 1) * SPEECH_RATE_HZ / _FFT
    rise = (bins - centres[:-2, None]) / (centres[1:-1] - centres[:-2])[:, None]
    fall = (centres[2:, None] - bins) / (centres[2:] - centres[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rise, fall)))


def _framed(speech: Float32Array, seconds: float) -> FloatArray:
    """(ceil(seconds * CONTROL_HZ), samples a step)."""
    count = max(1, int(np.ceil(seconds * CONTROL_HZ)))
    padded = np.zeros(count * _HOP)
    padded[: min(len(speech), len(padded))] = speech[: len(padded)]
    return padded.reshape(count, _HOP)
