"""From what a network says to turns: times on a grid of 10 ms, speakers named by first speech. Pure."""

from collections.abc import Hashable, Iterable
from fractions import Fraction

from tasks.domain.speech import Turn
from tasks.domain.timing import Span

GRID = 100
"""Turns start and end on hundredths of a second: what comes out of networks differs by less from machine to machine."""


def turns_on_grid(stretches: Iterable[tuple[Fraction, Fraction, Hashable]]) -> tuple[Turn, ...]:
    """Turns in order of start of (start, end, speaker) in seconds; those of one speaker that touch become one."""
    rounded = [(round(start * GRID), round(end * GRID), speaker) for start, end, speaker in stretches]
    spans: dict[Hashable, list[list[int]]] = {}
    for first, last, speaker in sorted(rounded, key=lambda stretch: stretch[:2]):
        own = spans.setdefault(speaker, [])
        if own and own[-1][1] >= first:
            own[-1][1] = max(own[-1][1], last)
        elif last > first:
            own.append([first, last])
    places = {speaker: place for place, speaker in enumerate(spans)}
    found = sorted((a, b, places[speaker]) for speaker, own in spans.items() for a, b in own)
    names = {place: f"S{i + 1}" for i, place in enumerate(dict.fromkeys(place for _, _, place in found))}
    return tuple(Turn(speaker=names[place], span=Span(Fraction(a, GRID), Fraction(b, GRID))) for a, b, place in found)
