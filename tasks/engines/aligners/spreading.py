"""Words spread over speech by usual durations: what stands in where no aligner can find them. Pure.

In: when a synthetic voice would say each word, and the speech. Out: times on the grid of 10 ms. Time passes in a
text only while there is sound: the synthetic voice's running time is mapped onto the running time of what is audible.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tasks.domain.speech import Phone
from tasks.domain.timing import Span
from tasks.engines.aligners import AlignedWord
from tasks.engines.voices import Spoken

Float32Array = npt.NDArray[np.float32]

RATE_HZ = 16_000
GRID = 100
SECONDS_PER_LETTER = Fraction(7, 100)
AUDIBLE_DB = -35.0
"""Below the loud parts (95th percentile): what is quieter is a pause."""


def spread(speech: Float32Array, words: Sequence[str], spoken: Spoken) -> tuple[AlignedWord, ...]:
    """One word for each of `words`; `spoken` is " ".join(words) as a synthetic voice says it."""
    clock = _audible_clock(speech)
    shares = _shares(words, spoken)
    end = Fraction(speech.size * GRID // RATE_HZ, GRID)
    total = sum((share for share, _ in shares), Fraction(0)) or Fraction(1)
    done, aligned, last = Fraction(0), [], Fraction(0)
    for word, (share, phones) in zip(words, shares, strict=True):
        span = _placed(clock, done / total, (done + share) / total, last, end)
        last = span.end
        aligned.append(AlignedWord(text=word, span=span, phones=_within(span, phones), is_measured=False))
        done += share
    return tuple(aligned)


def spread_within(
    speech: Float32Array, words: Sequence[str], spoken: Spoken, times: Sequence[Span]
) -> tuple[AlignedWord, ...]:
    """As `spread`, but every word has a time, and only its sounds are spread over it."""
    aligned, last, latest = [], Fraction(0), Fraction(speech.size * GRID // RATE_HZ, GRID)
    for word, time, (_, phones) in zip(words, times, _shares(words, spoken), strict=True):
        edges = (Fraction(round(instant * GRID), GRID) for instant in (time.start, time.end))
        start, end = (min(max(last, edge), latest) for edge in edges)
        span, last = Span(start, end), end
        aligned.append(AlignedWord(text=word, span=span, phones=_within(span, phones), is_measured=False))
    return tuple(aligned)


def _audible_clock(speech: Float32Array) -> npt.NDArray[np.float64]:
    """(m + 1,): the share of audible time that has passed at each hundredth of a second; 0 to 1."""
    step = RATE_HZ // GRID
    frames = speech[: speech.size // step * step].reshape(-1, step)
    level = np.sqrt(np.square(frames, dtype=np.float64).mean(axis=1)) if len(frames) else np.zeros(0)
    loud = float(np.percentile(level, 95)) if len(level) else 0.0
    audible = (level > loud * 10 ** (AUDIBLE_DB / 20)).astype(np.float64)
    if not audible.any():
        audible[:] = 1.0
    passed = np.concatenate([[0.0], np.cumsum(audible)])
    return np.asarray(passed / max(passed[-1], 1.0))


def _placed(
    clock: npt.NDArray[np.float64], start: Fraction, end: Fraction, earliest: Fraction, latest: Fraction
) -> Span:
    """From the last instant at which `start` of the audible time has passed to the first at which `end` has."""
    first = Fraction(int(np.searchsorted(clock, float(start) + 1e-9, side="right")) - 1, GRID)
    until = Fraction(int(np.searchsorted(clock, float(end) - 1e-9, side="left")), GRID)
    first = min(max(first, earliest), latest)
    return Span(first, min(max(until, first), latest))


def _shares(words: Sequence[str], spoken: Spoken) -> list[tuple[Fraction, tuple[Phone, ...]]]:
    """For each word the seconds that the synthetic voice takes, and its phones. A voice may break a word in several."""
    shares = []
    rest = list(spoken.words)
    for word in words:
        size, parts = len("".join(word.split())), []
        while rest and size > 0:
            parts.append(rest.pop(0))
            size -= len(parts[-1].text)
        seconds = sum((part.span.duration for part in parts), Fraction(0))
        if not parts:
            # Beyond what the voice says at once: letters stand in for seconds.
            seconds = SECONDS_PER_LETTER * len(word)
        phones = tuple(p for p in spoken.phones if any(part.span.overlap(p.span) > 0 for part in parts))
        shares.append((seconds, phones))
    return shares


def _within(span: Span, phones: tuple[Phone, ...]) -> tuple[Phone, ...]:
    """Phones squeezed or stretched into `span`, on the grid; those that get no time are left out."""
    total = sum((phone.span.duration for phone in phones), Fraction(0))
    if not total:
        return ()
    placed, done = [], Fraction(0)
    for phone in phones:
        edges = [done, done := done + phone.span.duration]
        first, last = (Fraction(round((span.start + span.duration * edge / total) * GRID), GRID) for edge in edges)
        if last > first:
            placed.append(Phone(symbol=phone.symbol, span=Span(first, last)))
    return tuple(placed)
