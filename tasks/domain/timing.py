"""Time: exact fractions of seconds, and the one rule that turns an instant into a frame or a sample.

The only module that rounds. Knows no media and no speakers.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Generic, TypeVar

T = TypeVar("T")

PROGRAMME_RATE = Fraction(25)
"""Frames per second of a delivered programme, unless an episode says otherwise."""
MASTER_RATE_HZ = 48_000
"""Samples per second of the master audio."""
SPEECH_RATE_HZ = 16_000
"""Samples per second of driving speech."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of time [start, end), in seconds."""

    start: Fraction
    end: Fraction

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"a span cannot end before it starts: [{self.start}, {self.end})")

    @property
    def duration(self) -> Fraction:
        """Seconds from start to end."""
        return self.end - self.start

    def overlap(self, other: "Span") -> Fraction:
        """Seconds shared with `other`; 0 where they do not meet."""
        return max(Fraction(0), min(self.end, other.end) - max(self.start, other.start))

    def shifted(self, by: Fraction) -> "Span":
        """The same stretch, `by` seconds later."""
        return Span(self.start + by, self.end + by)


def index_at(instant: Fraction, rate: Fraction | int) -> int:
    """The smallest frame or sample index that does not lie before `instant`.

    Neighbouring spans tile under this rule, with no gap and no overlap, at any rate.
    """
    return ceil(instant * rate)


def instant_of(index: int, rate: Fraction | int) -> Fraction:
    """When frame or sample `index` begins, in seconds."""
    return Fraction(index) / Fraction(rate)


def seconds(value: float | str | Fraction, *, grid: int = 1000) -> Fraction:
    """A number from outside (float, text) as exact seconds on a grid of 1/grid s (milliseconds)."""
    return Fraction(round(Fraction(value) * grid), grid)


def native_frames(num_frames: int, native: Fraction, programme: Fraction) -> int:
    """How many native frames a renderer makes for `num_frames` programme frames."""
    return ceil(num_frames * native / programme)


def native_index(frame: int, native: Fraction, programme: Fraction) -> int:
    """Which native frame is shown at programme frame `frame` of a shot."""
    return floor(frame * native / programme)


class Spans(Generic[T]):
    """Spans that can be asked what overlaps a stretch of time, without a look at all of them."""

    def __init__(self, items: Iterable[T], span_of: Callable[[T], Span]) -> None:
        self._span_of = span_of
        self._items = sorted(items, key=lambda item: span_of(item).start)
        self._starts = [float(span_of(item).start) for item in self._items]
        self._longest = max((float(span_of(item).duration) for item in self._items), default=0.0)

    def over(self, span: Span) -> list[T]:
        """The items that share time with `span`, in order of start."""
        first = bisect_left(self._starts, float(span.start) - self._longest - 1.0)
        last = bisect_right(self._starts, float(span.end))
        return [item for item in self._items[first:last] if self._span_of(item).overlap(span) > 0]
