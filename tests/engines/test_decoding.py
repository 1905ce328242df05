"""The path through voices and pairs, on prints of which the right answer is known."""

from itertools import pairwise

import numpy as np
import pytest

from tasks.engines.diarizers.decoding import DecodingOptions, States, adjacent_pairs, clearest, decode

STEP = 3_200


def states() -> States:
    prints = np.zeros((3, 256), np.float32)
    prints[0, 0] = 1
    prints[1, :2] = 0.5, np.sqrt(0.75)
    prints[2] = (prints[0] + prints[1]) / np.sqrt(3)
    return States((frozenset({0}), frozenset({1}), frozenset({0, 1})), prints)


def path(kinds: list[int]) -> list[tuple[int, int, frozenset[int]]]:
    """Windows every 0.2 s of which each is like the state `kinds[i]`."""
    middles = np.arange(len(kinds)) * STEP + STEP // 2
    prints = states().prints[kinds]
    return decode((0, len(kinds) * STEP), middles, prints, states(), DecodingOptions())


def test_stretches_tile_the_span():
    """They begin at the span's start, end at its end, and meet."""
    found = path([0] * 10 + [1] * 10 + [2] * 8 + [0] * 4)
    assert (found[0][0], found[-1][1]) == (0, 32 * STEP)
    assert all(left[1] == right[0] for left, right in pairwise(found))


def test_a_change_is_found_where_it_is():
    """Voice 0 for two seconds, then voice 1; a moment of both between them lasts 0.4 s at most."""
    found = path([0] * 10 + [1] * 10)
    assert (found[0][2], found[-1][2]) == (frozenset({0}), frozenset({1}))
    assert abs(found[0][1] - 10 * STEP) <= 4_800
    assert found[-1][0] - found[0][1] <= 6_400


def test_one_odd_window_changes_nothing():
    """A single window like another voice does not make a turn."""
    assert [voices for *_, voices in path([0] * 10 + [1] + [0] * 10)] == [frozenset({0})]


def test_overlap_is_a_stretch_of_both():
    """One voice, both, the other."""
    assert [sorted(v) for *_, v in path([0] * 10 + [2] * 8 + [1] * 10)] == [[0], [0, 1], [1]]


@pytest.mark.parametrize("limit", [1, 5])
def test_pairs_are_those_that_follow_one_another(limit):
    """Most frequent first; a change across two spans counts for nothing."""
    labels, spans = np.array([0, 1, 0, 1, 2, 2, 3]), np.array([0, 0, 0, 0, 0, 1, 1])
    assert adjacent_pairs(labels, spans, limit) == [(0, 1), (1, 2), (2, 3)][:limit]


def test_clear_windows_are_spread_and_far_from_others():
    """The half with the largest margin, in order of time."""
    alike = np.array([[0.9, 0.1], [0.6, 0.5], [0.9, 0.2], [0.5, 0.5], [0.8, 0.1], [0.6, 0.55]], np.float32)
    assert clearest(alike, 0, range(6), 2) == [0, 4]
