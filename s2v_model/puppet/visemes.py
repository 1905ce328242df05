"""Speech sounds with times -> how the mouth moves.

In: phones in IPA. Out: a track of mouth channels at CONTROL_HZ, from which `per_frame` takes frames. Neighbouring
sounds blend by dominance (Cohen and Massaro, "Modeling Coarticulation in Synthetic Visual Speech", 1993); closed lips
and the lip on the teeth are not blended but reached. Knows no audio and no picture.
"""

import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array, Phone

FloatArray = npt.NDArray[np.float64]

CONTROL_HZ = 100
MOUTH_CHANNELS = ("jaw", "round", "spread", "press", "fv", "lowdn", "upup", "tongue")
_JAW, _ROUND, _SPREAD, _PRESS, _FV, _LOWDN, _UPUP, _TONGUE = range(8)
LEAD_SECONDS = 0.04
"""The mouth is on its way before the sound is heard."""

SHAPES: dict[str, tuple[float, ...]] = {
    #        jaw   round spread press fv lowdn upup tongue
    "sil": (0.00, 0.00, 0.00, 0, 0, 0.00, 0.00, 0.0),
    "p": (0.00, 0.12, 0.00, 1, 0, 0.00, 0.00, 0.0),
    "f": (0.06, 0.00, 0.10, 0, 1, 0.00, 0.20, 0.0),
    "th": (0.16, 0.00, 0.20, 0, 0, 0.25, 0.10, 1.0),
    "t": (0.16, 0.00, 0.25, 0, 0, 0.22, 0.08, 0.7),
    "l": (0.22, 0.00, 0.20, 0, 0, 0.18, 0.08, 0.9),
    "k": (0.22, 0.00, 0.15, 0, 0, 0.10, 0.00, 0.0),
    "sh": (0.10, 0.60, 0.00, 0, 0, 0.55, 0.35, 0.2),
    "s": (0.06, 0.00, 0.40, 0, 0, 0.50, 0.22, 0.2),
    "r": (0.15, 0.50, 0.00, 0, 0, 0.15, 0.00, 0.2),
    "w": (0.08, 1.00, 0.00, 0, 0, 0.00, 0.00, 0.0),
    "j": (0.12, 0.00, 0.70, 0, 0, 0.10, 0.00, 0.3),
    "aa": (0.66, 0.00, 0.10, 0, 0, 0.10, 0.05, 0.0),
    "ae": (0.58, 0.00, 0.40, 0, 0, 0.15, 0.12, 0.0),
    "ah": (0.36, 0.00, 0.12, 0, 0, 0.08, 0.00, 0.0),
    "schwa": (0.24, 0.00, 0.10, 0, 0, 0.05, 0.00, 0.0),
    "aw": (0.52, 0.55, 0.00, 0, 0, 0.00, 0.00, 0.0),
    "ow": (0.36, 0.85, 0.00, 0, 0, 0.00, 0.00, 0.0),
    "uw": (0.15, 1.00, 0.00, 0, 0, 0.00, 0.00, 0.0),
    "uh": (0.22, 0.65, 0.00, 0, 0, 0.00, 0.00, 0.0),
    "iy": (0.13, 0.00, 0.95, 0, 0, 0.20, 0.12, 0.2),
    "ih": (0.22, 0.00, 0.55, 0, 0, 0.12, 0.05, 0.1),
    "eh": (0.40, 0.00, 0.42, 0, 0, 0.12, 0.08, 0.0),
    "ey": (0.28, 0.00, 0.70, 0, 0, 0.15, 0.08, 0.1),
    "er": (0.24, 0.42, 0.00, 0, 0, 0.10, 0.00, 0.1),
    "yy": (0.15, 0.80, 0.10, 0, 0, 0.00, 0.00, 0.2),
}
_VOWELS = frozenset(("aa", "ae", "ah", "aw", "ow", "uw", "uh", "iy", "ih", "eh", "ey", "er", "yy"))
_WEAK = {"schwa": 0.5, "k": 0.55, "t": 0.55, "th": 0.75, "l": 0.55}
_BREATH = "h"
"""Takes the shape of the sound that follows."""

_SOUNDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *(("aɪ", ("aa", "ih")), ("ai", ("aa", "ih")), ("aʊ", ("aa", "uh")), ("au", ("aa", "uh")), ("eɪ", ("ey", "ih"))),
    *(("ei", ("ey", "ih")), ("oʊ", ("ow", "uh")), ("ou", ("ow", "uh")), ("əʊ", ("ow", "uh")), ("ɔɪ", ("aw", "iy"))),
    *(("ɔʏ", ("aw", "iy")), ("ɪə", ("ih", "schwa")), ("eə", ("eh", "schwa")), ("ʊə", ("uh", "schwa"))),
    *(("tʃ", ("sh",)), ("dʒ", ("sh",)), ("tɕ", ("sh",)), ("dʑ", ("sh",)), ("tʂ", ("sh",)), ("ts", ("s",))),
    *(("dz", ("s",)), ("pf", ("p", "f"))),
    *((s, ("aa",)) for s in "ɑaäɶ"),
    *((s, ("ah",)) for s in "ɐʌ"),
    *((s, ("schwa",)) for s in "əɘɵɤɯ"),
    *((s, ("aw",)) for s in "ɔɒ"),
    *((s, ("er",)) for s in "ɚɜɝɞ"),
    *((s, ("ih",)) for s in "ɪᵻɨI"),
    *((s, ("yy",)) for s in "yʏø"),
    *((s, ("p",)) for s in "pbmɓ"),
    *((s, ("f",)) for s in "fvʋɱɸβ"),
    *((s, ("th",)) for s in "θð"),
    *((s, ("t",)) for s in "tdnɾɲʈɖɳɟc"),
    *((s, ("l",)) for s in "lɫɭʎɬɮ"),
    *((s, ("k",)) for s in "kgɡŋxɣqɢχʁɴħʕʔɰ"),
    *((s, ("sh",)) for s in "ʃʒɕʑʂʐ"),
    *((s, ("s",)) for s in "szç"),
    *((s, ("r",)) for s in "ɹrɻɽ"),
    *((s, ("w",)) for s in "wʍɥ"),
    *(("æ", ("ae",)), ("o", ("ow",)), ("u", ("uw",)), ("ʊ", ("uh",)), ("ʉ", ("uw",)), ("i", ("iy",)), ("œ", ("uh",))),
    *(("ɛ", ("eh",)), ("e", ("ey",)), ("j", ("j",)), ("ʝ", ("j",)), ("h", (_BREATH,)), ("ɦ", (_BREATH,))),
)


def shapes_of(symbol: str) -> tuple[str, ...]:
    """The mouth shapes of one IPA symbol: none for silence, two for a diphthong; a sound unknown here is a schwa."""
    bare = "".join(c for c in unicodedata.normalize("NFD", symbol) if unicodedata.category(c) not in ("Mn", "Lm", "Nd"))
    bare = "".join(c for c in bare if c.isalpha() or c == "ʔ")
    if not bare:
        return ()
    return next((shapes for sound, shapes in _SOUNDS if bare.startswith(sound)), ("schwa",))


def mouth_track(phones: Sequence[Phone], seconds: float) -> Float32Array:
    """(ceil(seconds * CONTROL_HZ), 8): MOUTH_CHANNELS for `phones`, at rest where nothing is said."""
    count = max(1, ceil(seconds * CONTROL_HZ))
    time = (np.arange(count) + 0.5) / CONTROL_HZ + LEAD_SECONDS
    blended, weight = np.zeros((count, 8)), np.full(count, 0.05)
    closures = np.zeros((count, 2))
    for start, end, shape in _segments(phones, seconds):
        near = slice(*np.searchsorted(time, (start - 0.6, end + 0.6)))
        shares = _Shares(blended[near], weight[near], closures[near])
        _add(shares, time[near], start, end, shape)
    return _closed(blended / weight[:, None], closures)


def per_frame(track: Float32Array, num_frames: int, rate: Fraction) -> Float32Array:
    """(num_frames, channels): means over each frame, but the largest closure in it: a short p must not be missed."""
    edges = np.array([float(Fraction(k) / rate * CONTROL_HZ) for k in range(num_frames + 1)])
    first = np.clip(np.floor(edges[:-1]).astype(int), 0, len(track) - 1)
    last = np.clip(np.ceil(edges[1:]).astype(int), first + 1, len(track))
    frames = np.empty((num_frames, track.shape[1]), np.float32)
    for k, (a, b) in enumerate(zip(first, last, strict=True)):
        frames[k] = track[a:b].mean(0)
        frames[k, [_PRESS, _FV]] = track[a:b, [_PRESS, _FV]].max(0)
    return frames


def _segments(phones: Sequence[Phone], seconds: float) -> list[tuple[float, float, str]]:
    """Shapes with times, diphthongs split, breaths resolved, silence between."""
    found: list[tuple[float, float, str]] = []
    clock = 0.0
    for phone in sorted(phones, key=lambda p: p.start_seconds):
        if phone.start_seconds > clock + 0.02:
            found.append((clock, phone.start_seconds, "sil"))
        shapes = shapes_of(phone.symbol)
        for k, shape in enumerate(shapes):
            length = (phone.end_seconds - phone.start_seconds) / len(shapes)
            found.append((phone.start_seconds + k * length, phone.start_seconds + (k + 1) * length, shape))
        clock = max(clock, phone.end_seconds)
    if seconds > clock + 0.02:
        found.append((clock, seconds, "sil"))
    for k, (start, end, shape) in enumerate(found):
        if shape == _BREATH:
            after = found[k + 1][2] if k + 1 < len(found) else "schwa"
            found[k] = (start, end, after if after in _VOWELS else "schwa")
    return found


class _Shares(NamedTuple):
    """Sums over the sounds near one another, filled in place."""

    blended: FloatArray
    weight: FloatArray
    closures: FloatArray


def _add(shares: _Shares, time: FloatArray, start: float, end: float, shape: str) -> None:
    length = max(end - start, 0.03)
    away = np.abs(time - (start + end) / 2)
    strength = 1.15 if shape in _VOWELS else _WEAK.get(shape, 0.9)
    if shape == "sil":
        # A short pause does not close the mouth.
        strength = 0.55 if length < 0.12 else 1.0
    dominance = strength * np.exp(-((np.maximum(away - length * 0.30, 0) / (length * 0.42 + 0.018)) ** 1.4))
    target = np.array(SHAPES[shape])
    target[[_PRESS, _FV]] = 0
    shares.blended[:] += dominance[:, None] * target
    shares.weight[:] += dominance
    if shape in ("p", "f"):
        held = np.exp(-((np.maximum(away - max(length * 0.5, 0.035) * 0.55, 0) / 0.030) ** 2))
        column = 0 if shape == "p" else 1
        shares.closures[:, column] = np.maximum(shares.closures[:, column], held)


def _closed(track: FloatArray, closures: FloatArray) -> Float32Array:
    either = closures.max(1)
    track[:, _JAW] *= (1 - 0.97 * closures[:, 0]) * (1 - 0.80 * closures[:, 1])
    track[:, [_LOWDN, _UPUP, _TONGUE]] *= (1 - either)[:, None]
    track[:, _SPREAD] *= 1 - 0.6 * closures[:, 0]
    track[:, _PRESS], track[:, _FV] = closures[:, 0], closures[:, 1]
    track[:, _UPUP] += 0.2 * closures[:, 1]
    return smoothed(track, 0.055).astype(np.float32)


def smoothed(track: FloatArray, seconds: float) -> FloatArray:
    """`track` (n,) or (n, channels) at CONTROL_HZ, averaged over a raised cosine of that length."""
    kernel = np.hanning(max(3, int(seconds * CONTROL_HZ) | 1) + 2)[1:-1]
    kernel /= kernel.sum()
    half = len(kernel) // 2
    columns = track.reshape(len(track), -1)
    out = np.stack([np.convolve(np.pad(c, half, mode="edge"), kernel, "valid") for c in columns.T], 1)
    return np.asarray(out.reshape(track.shape))
