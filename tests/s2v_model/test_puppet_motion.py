"""The life of a face beside its sounds."""

from fractions import Fraction

import numpy as np
import pytest

from s2v_model.puppet.motion import Speaking, _nods, animate
from s2v_model.puppet.pose import CHANNEL, rest

RATE = Fraction(25)


def talking(seconds: float, *, listening: bool = False, gaze: float = 0.0) -> Speaking:
    """Phrases of two seconds with pauses of half a second."""
    time = np.arange(int(seconds * 100)) / 100
    loud = (0.7 + 0.3 * np.sin(2 * np.pi * 4 * time)) * (time % 2.5 < 2.0)
    return Speaking(loudness=loud * (not listening), stresses=(0.4, 1.2), listening=listening, gaze=gaze)


@pytest.mark.parametrize("frames", [1, 2, 9, 250])
def test_a_clip_begins_and_ends_at_rest(frames: int) -> None:
    """The first and the last pose are the portrait's own, so clips of one speaker can be cut together."""
    mouth = np.full((1000, 8), 0.5, np.float32)
    track = animate(mouth, talking(frames / 25 + 0.02), frames, RATE, seed=4)

    np.testing.assert_array_equal(track[0], rest(1)[0])
    np.testing.assert_array_equal(track[-1], rest(1)[0])


@pytest.mark.parametrize("seed", range(6))
def test_blinks_are_as_many_as_a_person_s(seed: int) -> None:
    """10 to 25 blinks a minute, none of them half shut for more than half a second."""
    blink = animate(None, talking(120), 3000, RATE, seed)[:, CHANNEL["blink"]]
    shut = blink > 0.5
    starts = np.flatnonzero(shut & ~np.r_[False, shut[:-1]])
    longest = max(len(run) for run in np.split(shut, np.flatnonzero(np.diff(shut)) + 1) if run[0])

    assert 20 <= len(starts) <= 50
    assert longest <= 12


@pytest.mark.parametrize("seed", range(4))
def test_the_head_never_turns_further_than_a_flat_picture_bears(seed: int) -> None:
    """Three degrees at most; from frame to frame half a degree, more only on the way from and to rest."""
    track = animate(None, talking(60, gaze=1.0), 1500, RATE, seed)
    turns = track[:, [CHANNEL["yaw"], CHANNEL["pitch"], CHANNEL["roll"]]]

    assert np.degrees(np.abs(turns).max()) <= 3.0
    assert np.degrees(np.abs(np.diff(turns[7:-7], axis=0)).max()) < 0.5
    assert np.degrees(np.abs(np.diff(turns, axis=0)).max()) < 0.8


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_listener_looks_to_where_the_talk_is(side: float) -> None:
    """Eyes and head go to the side of the gaze; the listener nods, blinks and keeps the portrait's own mouth."""
    track = animate(None, talking(20, listening=True, gaze=side), 500, RATE, seed=2)
    middle = track[50:-50]

    assert (middle[:, CHANNEL["gaze_x"]].mean()) * side > 0.3
    assert (middle[:, CHANNEL["yaw"]].mean()) * side > 0.01
    assert np.ptp(middle[:, CHANNEL["pitch"]]) > 0.015
    assert middle[:, CHANNEL["blink"]].max() > 0.9
    assert middle[:, CHANNEL["jaw"]].max() == 0
    assert middle[:, CHANNEL["own"]].min() > 0.99


@pytest.mark.parametrize("seed", range(4))
def test_a_listener_nods_where_the_other_pauses(seed: int) -> None:
    """Dips of the head follow most pauses within a second, and there are no others."""
    pauses = (2.0, 5.5, 9.0, 13.0, 16.5)
    silence = np.zeros(2000)
    quiet = Speaking(loudness=silence, stresses=(19.9,), listening=True, gaze=0.0)
    nodding = Speaking(loudness=silence, stresses=pauses, listening=True, gaze=0.0)
    dips = _nods(nodding, np.random.default_rng(seed))
    deep = np.flatnonzero(dips > 0.012) / 100

    assert _nods(quiet, np.random.default_rng(seed)).max() < 0.04
    assert 3 <= sum(bool(((deep > pause) & (deep < pause + 1.2)).any()) for pause in pauses) <= 5
    assert all(any(-0.1 < time - pause < 1.4 for pause in pauses) for time in deep)


def test_a_stressed_word_nods_and_lifts_the_brows() -> None:
    """Pitch and brows are higher about a stress than without one."""
    plain = Speaking(loudness=np.zeros(300), stresses=(), listening=False, gaze=0.0)
    stressed = Speaking(loudness=np.zeros(300), stresses=(1.5,), listening=False, gaze=0.0)
    without, with_one = (animate(None, s, 75, RATE, seed=9) for s in (plain, stressed))
    rise = (with_one - without)[36:46]

    assert rise[:, CHANNEL["pitch"]].max() > 0.01
    assert rise[:, CHANNEL["brow"]].max() > 0.2


def test_another_seed_is_another_performance() -> None:
    """Equal seeds move equally, different ones do not."""
    one, same, other = (animate(None, talking(4), 100, RATE, seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01
