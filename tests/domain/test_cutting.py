"""Where the picture changes."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.cutting import SHORTEST_FRAMES, Stretch, plan_stretches
from tasks.domain.speech import Scene, Utterance, Word
from tasks.domain.timing import Span

RATE = Fraction(25)


def said(number: int, speaker: str, start: float, end: float, *others: str) -> Utterance:
    """An utterance, times in seconds."""
    span = Span(Fraction(str(start)), Fraction(str(end)))
    return Utterance(id=f"u{number}", speaker=speaker, span=span, text="words", with_speakers=others)


def stretches(
    utterances: list[Utterance], seconds: float = 20, layout: str = "active", longest: int = 500, *scenes: Scene
) -> tuple[Stretch, ...]:
    """The stretches of some utterances."""
    return plan_stretches(
        utterances, scenes, num_frames=int(seconds * 25), rate=RATE, layout=layout, longest_frames=longest
    )


def test_the_speaker_is_seen() -> None:
    """Each cut goes to who speaks, a little before the first sound."""
    found = stretches([said(1, "anna", 0.4, 3), said(2, "ben", 3.4, 6), said(3, "anna", 6.4, 9)], 10)

    assert [(s.speakers, s.start_frame, s.end_frame) for s in found] == [
        (("anna",), 0, 82),
        (("ben",), 82, 157),
        (("anna",), 157, 250),
    ]


def test_an_edit_moves_later_stretches_by_whole_frames() -> None:
    """A longer line lengthens its own stretch and shifts the others, which keep their lengths."""
    before = stretches([said(1, "a", 0.4, 3), said(2, "b", 3.32, 6), said(3, "a", 6.32, 9)], 10)
    after = stretches([said(1, "a", 0.4, 5), said(2, "b", 5.32, 8), said(3, "a", 8.32, 11)], 12)

    assert [s.num_frames for s in after[1:]] == [s.num_frames for s in before[1:]]
    assert after[0].num_frames - before[0].num_frames == 50


def test_a_murmur_does_not_take_the_picture() -> None:
    """A short word inside somebody else's speech changes nothing on screen."""
    found = stretches([said(1, "anna", 0, 6), said(2, "ben", 2, 2.4), said(3, "anna", 6.2, 8)], 9)

    assert [s.speakers for s in found] == [("anna",)]


def test_a_joint_line_is_shared() -> None:
    """A line of two speakers shows both, side by side."""
    found = stretches([said(1, "anna", 0, 3), said(2, "anna", 3.4, 6, "ben")], 7)

    assert [(s.layout, s.speakers) for s in found] == [("active", ("anna",)), ("split", ("anna", "ben"))]


def test_a_scene_has_its_own_span() -> None:
    """A scene shows nobody and lies exactly where it was put."""
    scene = Scene(id="x", span=Span(Fraction(3), Fraction(7)), text="A harbour")
    found = stretches([said(1, "anna", 0, 2.5), said(2, "anna", 7, 9)], 10, "active", 500, scene)

    assert [(s.speakers, s.scene, s.start_frame, s.end_frame) for s in found] == [
        (("anna",), None, 0, 75),
        ((), "x", 75, 175),
        (("anna",), None, 175, 250),
    ]


def test_a_long_turn_is_divided_at_a_pause() -> None:
    """A clip stays below the longest, and the cut falls into the longest silence of its later half."""
    words = [Word(text="w", span=Span(Fraction(n), Fraction(n) + Fraction(9, 10))) for n in range(40)]
    words[13] = Word(text="w", span=Span(Fraction(13), Fraction(135, 10)))
    turn = Utterance(id="u1", speaker="anna", span=Span(Fraction(0), Fraction(40)), words=tuple(words))
    found = stretches([turn], 40, "active", 400)

    assert max(s.num_frames for s in found) <= 400
    assert found[0].end_frame == 344  # 13.5 .. 14.0 s


def test_quick_exchanges_are_shared_in_auto() -> None:
    """Four turns within nine seconds are shown side by side."""
    talk = [said(n, "ab"[n % 2], n * 2, n * 2 + 1.7) for n in range(8)]
    found = stretches(talk, 16, "auto")

    assert {s.layout for s in found} == {"split"}
    assert all(s.speakers == ("a", "b") for s in found)


def test_split_shows_both_all_the_time() -> None:
    """In a split layout the listener stays in the picture, on his own side."""
    found = stretches([said(1, "a", 0, 3), said(2, "b", 3.4, 6), said(3, "a", 6.4, 9)], 10, "split")

    assert [s.speakers for s in found] == [("a", "b")] * 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-20, 60), st.integers(1, 300)), min_size=1, max_size=40),
    st.sampled_from(["active", "split", "grid", "auto"]),
    st.integers(60, 500),
)
def test_stretches_tile_the_programme(talk: list[tuple[str, int, int]], layout: str, longest: int) -> None:
    """Whatever is said, stretches tile the whole programme, none is empty, and clips stay below the longest."""
    utterances, at = [], 0
    for number, (speaker, gap, length) in enumerate(talk):
        at = max(0, at + gap)
        utterances.append(said(number, speaker, at / 100, (at + length) / 100))
        at += length
    num_frames = max(int(float(u.span.end) * 25) for u in utterances) + 30
    found = plan_stretches(utterances, (), num_frames=num_frames, rate=RATE, layout=layout, longest_frames=longest)

    assert found[0].start_frame == 0
    assert found[-1].end_frame == num_frames
    assert all(left.end_frame == right.start_frame for left, right in itertools.pairwise(found))
    assert all(0 < s.num_frames <= longest for s in found)


@pytest.mark.parametrize("length", [2, SHORTEST_FRAMES - 1])
def test_nothing_flickers(length: int) -> None:
    """Somebody who speaks for less than a moment between two others is heard and not cut to."""
    end = 3.0 + length / 25
    found = stretches([said(1, "a", 0, 3), said(2, "b", 3.0, end), said(3, "c", end, 9)], 10)

    assert all(s.num_frames >= SHORTEST_FRAMES for s in found)
