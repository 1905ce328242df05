"""The embedded diarizer: voice activity, prints of windows, their clusters, a path through voices and pairs of them.

In: mono speech at 16 kHz of any length. Out: turns on a grid of 10 ms. One thread; memory grows by some 8 KB per
second of speech (the prints), whatever the block. Knows no names and no faces.

Windows of 1.6 s find the voices; windows of 0.8 s say when each speaks. What two voices sound like at once is not
guessed: the clearest windows of both are added and given to the network, and the print of that is a state of the
path like any voice.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from s2v_model.contract import Watch
from tasks.domain.options import EngineId
from tasks.domain.speech import Turn
from tasks.engines import model_files
from tasks.engines.diarizers.activity import ActivityOptions, Float32Array, Speech, VoiceActivity, as_float, blocks
from tasks.engines.diarizers.clusters import ClusterOptions, Windows, nearest, voices
from tasks.engines.diarizers.decoding import DecodingOptions, States, adjacent_pairs, clearest, decode
from tasks.engines.diarizers.grid import turns_on_grid
from tasks.engines.voiceprints.ge2e import WINDOW_SAMPLES, Ge2e, unit

RATE_HZ = 16_000
LONG_HOP = RATE_HZ * 2 // 5
SHORT_SAMPLES, SHORT_HOP = RATE_HZ * 4 // 5, RATE_HZ // 5
REST_SAMPLES = RATE_HZ // 10
"""A span's last window is added where the regular ones leave more than this."""
PIECE_SAMPLES = 60 * RATE_HZ
"""Speech without a pause is decoded in pieces of a minute."""
BATCH = 256
MAX_PAIRS = 15
PAIR_WINDOWS = 10
"""How many mixtures tell what a pair of voices sounds like."""
LEAST_SPEECH_SECONDS = 0.25
SPARSE_SECONDS, SPARSE_SHARE = 2.0, 0.1
"""Less speech than both - 2 s, and a tenth of what sounds at all - is a noise that passed for a voice."""
SOUNDING = 10 ** (-50 / 20)
"""Of the loudest half second: what is quieter is not counted as sounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedOptions:
    """The thresholds of the three steps."""

    activity: ActivityOptions = field(default_factory=ActivityOptions)
    clusters: ClusterOptions = field(default_factory=ClusterOptions)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)


class EmbeddedDiarizer:
    """Runs from the model files alone, on the CPU."""

    def __init__(self, cache: Path, options: EmbeddedOptions | None = None) -> None:
        """cache: the folder of model files. Raises EngineMissing where they are absent."""
        self.options = options or EmbeddedOptions()
        self._activity = VoiceActivity(cache, self.options.activity)
        self._prints = Ge2e(cache)

    def identity(self) -> EngineId:
        """The weights are those of both networks."""
        names = (model_files.SILERO_VAD, model_files.GE2E_ENCODER)
        return EngineId(role="diarizer", name="embedded", version="1", weights=model_files.joint_digest(names))

    def turns(self, speech: Speech, *, num_speakers: int | None = None, watch: Watch | None = None) -> tuple[Turn, ...]:
        """See the Protocol. Raises nothing of its own."""
        spans = self._spans(speech, _part(watch, 0.0, 0.2))
        if not spans:
            return ()
        long = self._windows(speech, spans, WINDOW_SAMPLES, LONG_HOP, _part(watch, 0.2, 0.6))
        typical = voices(long, self.options.clusters, num_speakers)
        if len(typical) == 1:
            return turns_on_grid((Fraction(a, RATE_HZ), Fraction(b, RATE_HZ), 0) for a, b in spans)
        short = self._windows(speech, spans, SHORT_SAMPLES, SHORT_HOP, _part(watch, 0.6, 1.0))
        states = self._states(speech, short, typical)
        stretches: list[tuple[int, int, frozenset[int]]] = []
        for index, (start, end) in enumerate(spans):
            here = slice(*np.searchsorted(short.spans, [index, index + 1]))
            middles = (short.starts[here] + short.ends[here]) // 2
            stretches += decode((start, end), middles, short.prints[here], states, self.options.decoding)
        return turns_on_grid(
            (Fraction(start, RATE_HZ), Fraction(end, RATE_HZ), voice)
            for start, end, members in stretches
            for voice in sorted(members)
        )

    def _spans(self, speech: Speech, watch: Watch | None) -> list[tuple[int, int]]:
        """Speech in pieces of at most a minute; none at all for a recording that only seems to hold some."""
        spans = self._activity.spans(speech, watch=watch)
        total = sum(end - start for start, end in spans) / RATE_HZ
        sparse = total < SPARSE_SECONDS and total < SPARSE_SHARE * _sounding_seconds(speech)
        if total < LEAST_SPEECH_SECONDS or sparse:
            return []
        return [piece for start, end in spans for piece in _pieces(start, end)]

    def _windows(
        self, speech: Speech, spans: list[tuple[int, int]], size: int, hop: int, watch: Watch | None
    ) -> Windows:
        """Windows of `size` within the spans, with their prints; a span shorter than a window is one window."""
        places = [(i, a, b) for i, span in enumerate(spans) for a, b in _window_places(*span, size, hop)]
        parts = []
        for first in range(0, len(places), BATCH):
            if watch is not None:
                watch(first, len(places))
            sounds = [as_float(speech[start:end]) for _, start, end in places[first : first + BATCH]]
            parts.append(self._prints.embed_windows(sounds, size))
        index, starts, ends = (np.array(column, np.int64) for column in zip(*places, strict=True))
        return Windows(starts, ends, np.concatenate(parts), index)

    def _states(self, speech: Speech, short: Windows, typical: Float32Array) -> States:
        """Every voice, and every pair of voices that follow one another somewhere, as short windows hear them."""
        labels = nearest(short.prints, typical)
        sums = [short.prints[labels == voice].sum(axis=0) for voice in range(len(typical))]
        singles = unit(np.stack([total if total.any() else typical[i] for i, total in enumerate(sums)]))
        alike = short.prints @ singles.T
        clear = [self._clear_windows(short, alike, voice) for voice in range(len(singles))]
        members, prints = [frozenset({voice}) for voice in range(len(singles))], list(singles)
        for left, right in adjacent_pairs(labels, short.spans, MAX_PAIRS):
            mixed = [_mixture(speech, short, a, b) for a, b in zip(clear[left], clear[right], strict=False)]
            if mixed:
                members.append(frozenset({left, right}))
                prints.append(unit(self._prints.embed_windows(mixed, SHORT_SAMPLES).sum(axis=0)))
        return States(tuple(members), np.stack(prints))

    def _clear_windows(self, short: Windows, alike: Float32Array, voice: int) -> list[int]:
        whole = (short.ends - short.starts == SHORT_SAMPLES) & (alike.argmax(axis=1) == voice)
        return clearest(alike, voice, np.flatnonzero(whole).tolist(), PAIR_WINDOWS)


def _part(watch: Watch | None, start: float, end: float) -> Watch | None:
    """The share of a watch from `start` to `end` of the whole work."""
    if watch is None:
        return None

    def inner(done: float, total: float) -> None:
        watch(start + (end - start) * done / max(total, 1), 1.0)

    return inner


def _sounding_seconds(speech: Speech) -> float:
    """How long the recording is not silent."""
    half = RATE_HZ // 2
    levels = [
        float(np.sqrt(np.square(block[i : i + half], dtype=np.float64).mean()))
        for _, block in blocks(speech, 120 * half)
        for i in range(0, block.size, half)
    ]
    loudest = max(levels, default=0.0)
    return sum(level > SOUNDING * loudest for level in levels) / 2


def _pieces(start: int, end: int) -> list[tuple[int, int]]:
    """Equal parts of at most a minute."""
    number = -(-(end - start) // PIECE_SAMPLES)
    edges = [start + (end - start) * i // number for i in range(number + 1)]
    return list(pairwise(edges))


def _window_places(start: int, end: int, size: int, hop: int) -> list[tuple[int, int]]:
    if end - start <= size:
        return [(start, end)]
    starts = list(range(start, end - size + 1, hop))
    if end - starts[-1] - size > REST_SAMPLES:
        starts.append(end - size)
    return [(first, first + size) for first in starts]


def _mixture(speech: Speech, windows: Windows, left: int, right: int) -> Float32Array:
    """Two windows at once, at the level that each has in the recording."""
    sounds = [as_float(speech[windows.starts[i] : windows.ends[i]]) for i in (left, right)]
    return np.asarray(sounds[0] + sounds[1], np.float32)
