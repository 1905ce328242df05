"""Time: one rule from instants to frames and samples."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.timing import Span, Spans, index_at, instant_of, native_frames, native_index, seconds

RATES = [Fraction(25), Fraction(30000, 1001), Fraction(16), Fraction(48000)]
instants = st.fractions(min_value=0, max_value=100_000, max_denominator=10_000)


@settings(max_examples=60, deadline=None)
@given(st.lists(instants, min_size=2, max_size=20), st.sampled_from(RATES))
def test_neighbouring_spans_tile(edges: list[Fraction], rate: Fraction) -> None:
    """Spans that touch in time touch in frames, with no gap and no overlap, at any rate."""
    ordered = sorted(edges)
    frames = [(index_at(a, rate), index_at(b, rate)) for a, b in itertools.pairwise(ordered)]

    assert all(left[1] == right[0] for left, right in itertools.pairwise(frames))


@pytest.mark.parametrize("rate", RATES)
def test_a_frame_begins_at_its_own_instant(rate: Fraction) -> None:
    """The index of an index's instant is that index."""
    assert [index_at(instant_of(index, rate), rate) for index in range(1000)] == list(range(1000))


@pytest.mark.parametrize("native", [Fraction(16), Fraction(25), Fraction(30000, 1001), Fraction(12)])
def test_native_frames_cover_a_shot_exactly(native: Fraction) -> None:
    """Every programme frame shows a native frame that exists, and the last one made is needed or next to it."""
    for num_frames in (1, 2, 7, 25, 250, 1001):
        made = native_frames(num_frames, native, Fraction(25))
        shown = [native_index(frame, native, Fraction(25)) for frame in range(num_frames)]

        assert min(shown) >= 0
        assert max(shown) < made <= max(shown) + 2


def test_a_span_cannot_run_backwards() -> None:
    """A span that ends before it starts is refused with both of its ends."""
    with pytest.raises(ValueError, match=r"\[2, 1\)"):
        Span(Fraction(2), Fraction(1))


def test_numbers_from_outside_fall_on_a_grid() -> None:
    """Floats become exact milliseconds, so that equal text gives equal time."""
    assert seconds(0.1 + 0.2) == Fraction(3, 10)
    assert seconds("1.23456", grid=100) == Fraction(123, 100)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(instants, st.fractions(0, 50, max_denominator=100)), max_size=30), instants)
def test_spans_find_what_a_look_at_all_finds(pieces: list[tuple[Fraction, Fraction]], at: Fraction) -> None:
    """`Spans.over` gives exactly the items that overlap."""
    items = [Span(start, start + length) for start, length in pieces]
    asked = Span(at, at + 7)

    assert sorted(Spans(items, lambda span: span).over(asked)) == sorted(i for i in items if i.overlap(asked) > 0)
