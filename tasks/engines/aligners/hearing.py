"""Spread words moved to where their sounds are heard, in any language. Pure.

In: speech and words whose sounds have guessed times. Out: the words with times found in the sound, or as they came in
where the text does not fit it.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from s2v_model import contract
from s2v_model.puppet.placing import placed
from s2v_model.puppet.visemes import shapes_of
from tasks.domain.speech import Phone
from tasks.domain.timing import Span
from tasks.engines.aligners import AlignedWord

Float32Array = npt.NDArray[np.float32]

GRID = 100
FEWEST_PHONES = 3
"""Fewer cannot be told from any other sound."""


def heard(speech: Float32Array, words: Sequence[AlignedWord], *, unsure_seconds: float) -> tuple[AlignedWord, ...]:
    """`words` in their order; each spans its sounds. unsure_seconds: how far off the guessed times may well be."""
    sounds = [tuple(phone for phone in word.phones if shapes_of(phone.symbol)) for word in words]
    guessed = [phone for phones in sounds for phone in phones]
    found = None
    if len(guessed) >= FEWEST_PHONES:
        found = placed(speech, [_plain(phone) for phone in guessed], unsure_seconds=unsure_seconds)
    if found is None:
        return tuple(words)
    rest = iter(found)
    aligned, last = [], Fraction(0)
    for word, guesses in zip(words, sounds, strict=True):
        phones = tuple(_on_grid(next(rest)) for _ in guesses)
        span = Span(phones[0].span.start, phones[-1].span.end) if phones else Span(last, last)
        aligned.append(replace(word, span=span, phones=phones, is_measured=True))
        last = span.end
    return tuple(aligned)


def _plain(phone: Phone) -> contract.Phone:
    return contract.Phone(start_seconds=float(phone.span.start), end_seconds=float(phone.span.end), symbol=phone.symbol)


def _on_grid(phone: contract.Phone) -> Phone:
    start, end = (Fraction(round(seconds * GRID), GRID) for seconds in (phone.start_seconds, phone.end_seconds))
    return Phone(symbol=phone.symbol, span=Span(start, end))
