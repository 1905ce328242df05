"""Which cast member is which voice of a recording: prints on both sides in, matches or stated doubts out.

Pure but for `excerpt` and `described`, which prepare sound. Never guesses: what is not clear is returned as
uncertain, with its numbers. Two recordings of one voice are compared in full, and also as through a telephone: a
guest on a telephone is like no full-band sample (cosine 0.64 with his own), but like its narrow version (0.84).

Observed, mean of both cosines: one voice 0.87 to 0.98, two voices up to 0.84; narrow only: one voice 0.84 and more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import signal

from tasks.domain.casting import VoiceMatch
from tasks.domain.speech import Turn
from tasks.domain.timing import index_at
from tasks.engines.voiceprints import Voiceprints

Float32Array = npt.NDArray[np.float32]
Speech = npt.NDArray[np.float32] | npt.NDArray[np.int16]

RATE_HZ = 16_000
EXCERPT_SECONDS = 60
SURE = 0.86
"""At least this alike, with the margin: the same voice."""
LIKELY = 0.75
"""Enough for the one voice and the one sample that are left when all others have found each other."""
MARGIN = 0.05
"""How much more alike than the second best, on both sides."""
_TELEPHONE = signal.butter(4, [300, 3400], "bandpass", fs=RATE_HZ, output="sos")
_NARROW_DB = -30.0
"""Power above 4 kHz against 300-3400 Hz, in the loudest quarter: telephones -37 and less, full band -26 and more."""
_FRAME = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voice:
    """What a stretch of one speaker's speech sounds like."""

    full: Float32Array
    """Its print, (256,)."""
    narrow: Float32Array
    """The print of the same as through a telephone."""
    is_narrow: bool
    """Whether it came through a telephone (or an 8 kHz file)."""

    def similarity(self, other: "Voice") -> float:
        """Mean cosine of the prints; of the narrow ones alone where either side has nothing else."""
        narrow = float(self.narrow @ other.narrow)
        if self.is_narrow or other.is_narrow:
            return narrow
        return (float(self.full @ other.full) + narrow) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A voice that no sample can be given to. `closest`: (key, similarity) of the best samples, best first."""

    label: str
    closest: tuple[tuple[str, Fraction], ...]
    reason: str
    """One of "unknown" (like no sample), "two samples" (equally like both), "two voices" (another is equally like
    it)."""
    rival: str = ""
    """The other sample or voice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Matches in order of the voices given, and doubts."""

    matches: tuple[VoiceMatch, ...]
    doubts: tuple[Doubt, ...]


def excerpt(speech: Speech, turns: Sequence[Turn], speaker: str) -> Float32Array:
    """Up to a minute of `speaker`'s own speech, (n,) float32 at 16 kHz: longest turns first, without overlapping ones.

    With nothing but overlapping turns, those are taken. speech: the recording that `turns` belong to.
    """
    own = [turn for turn in turns if turn.speaker == speaker]
    others = [turn.span for turn in turns if turn.speaker != speaker]
    clear = [turn for turn in own if not any(turn.span.overlap(span) for span in others)]
    parts, left = [], EXCERPT_SECONDS * RATE_HZ
    for turn in sorted(clear or own, key=lambda turn: (-turn.span.duration, turn.span.start)):
        first = index_at(turn.span.start, RATE_HZ)
        part = speech[first : min(index_at(turn.span.end, RATE_HZ), first + left)]
        scale = np.float32(1 / 32768) if part.dtype == np.int16 else np.float32(1)
        parts.append(part.astype(np.float32) * scale)
        left -= part.size
        if left <= 0:
            break
    return np.concatenate([np.zeros(0, np.float32), *parts])


def described(prints: Voiceprints, speech: Float32Array) -> Voice:
    """The voice of `speech`, (n,) at 16 kHz, by one speaker."""
    telephone = np.asarray(signal.sosfilt(_TELEPHONE, speech), np.float32) if speech.size else speech
    return Voice(full=prints.embed(speech), narrow=prints.embed(telephone), is_narrow=_is_narrow(speech))


def _is_narrow(speech: Float32Array) -> bool:
    frames = speech[: speech.size // _FRAME * _FRAME].reshape(-1, _FRAME) * np.hanning(_FRAME)
    if not len(frames):
        return False
    power = np.square(np.abs(np.fft.rfft(frames)))
    loudest = power[np.argsort(power.sum(axis=1))[-max(1, len(frames) // 4) :]].mean(axis=0)
    hertz = np.arange(loudest.size) * RATE_HZ / _FRAME
    upper, speech_band = (loudest[(hertz > low) & (hertz < high)].mean() for low, high in ((4000, 7500), (300, 3400)))
    return bool(10 * np.log10((upper + 1e-12) / (speech_band + 1e-12)) < _NARROW_DB)


def match(voices: Mapping[str, Voice], samples: Mapping[str, Voice]) -> Matching:
    """Give each of `voices` (label -> voice) its one sample (cast key -> voice), or say why not.

    A match needs SURE similarity and a MARGIN over the second best sample for the voice and over the second best
    voice for the sample. One voice and one sample that are left over may match at LIKELY, with the same margins. A
    sample that no voice is like is no doubt: who does not speak needs no match.
    """
    labels, keys = list(voices), list(samples)
    alike = np.array([[voices[label].similarity(samples[key]) for key in keys] for label in labels])
    alike = alike.reshape(len(labels), len(keys))
    given: dict[int, int] = {}
    if keys:
        given = {i: j for i in range(len(labels)) if _is_match(alike, i, j := int(alike[i].argmax()), SURE)}
        rest = [i for i in range(len(labels)) if i not in given]
        free = [j for j in range(len(keys)) if j not in given.values()]
        if len(rest) == len(free) == 1 and _is_match(alike, rest[0], free[0], LIKELY):
            given[rest[0]] = free[0]
    matches = tuple(
        VoiceMatch(label=labels[i], key=keys[j], similarity=_exact(alike[i, j]), margin=_exact(_margin(alike, i, j)))
        for i, j in sorted(given.items())
    )
    doubts = tuple(_doubt(alike, i, labels, keys) for i in range(len(labels)) if i not in given)
    return Matching(matches=matches, doubts=doubts)


def _margin(alike: npt.NDArray[np.float64], voice: int, sample: int) -> float:
    """How far this pair is ahead of the best other one of its voice or its sample."""
    rivals = np.concatenate([np.delete(alike[voice], sample), np.delete(alike[:, sample], voice), np.zeros(1)])
    return float(alike[voice, sample] - rivals.max())


def _is_match(alike: npt.NDArray[np.float64], voice: int, sample: int, least: float) -> bool:
    return bool(alike[voice, sample] >= least and _margin(alike, voice, sample) >= MARGIN)


def _doubt(alike: npt.NDArray[np.float64], voice: int, labels: list[str], keys: list[str]) -> Doubt:
    order = [int(j) for j in np.argsort(-alike[voice], kind="stable")]
    closest = tuple((keys[j], _exact(alike[voice, j])) for j in order[:3])
    if not order or alike[voice, order[0]] < SURE:
        return Doubt(label=labels[voice], closest=closest, reason="unknown")
    best = order[0]
    if len(order) > 1 and alike[voice, best] - alike[voice, order[1]] < MARGIN:
        return Doubt(label=labels[voice], closest=closest, reason="two samples", rival=keys[order[1]])
    column = alike[:, best].copy()
    column[voice] = -1.0
    return Doubt(label=labels[voice], closest=closest, reason="two voices", rival=labels[int(column.argmax())])


def _exact(value: float) -> Fraction:
    return Fraction(round(float(value) * 1000), 1000)
