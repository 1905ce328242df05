"""How many voices there are, on prints drawn from a seed."""

import numpy as np
import pytest

from tasks.engines.diarizers.clusters import ClusterOptions, Windows, nearest, voices

SIZE, HOP, RATE = 25_600, 6_400, 16_000
OWN = 0.75
"""The mean cosine of two windows of a drawn voice: what GE2E shows on real speech."""


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def drawn(num_windows: list[int], *, alike: float = 0.5, seed: int = 0, mixed: int = 0) -> tuple[Windows, np.ndarray]:
    """Windows of as many voices, each talking in spans of 12 windows; `mixed` windows lie between voices 0 and 1."""
    rng = np.random.default_rng(seed)
    common = unit(rng.normal(size=256))
    own = unit(rng.normal(size=(len(num_windows), 256)))
    typical = unit(np.sqrt(alike) * common + np.sqrt(1 - alike) * own)
    truth = [v for v, n in enumerate(num_windows) for _ in range(n)]
    order = rng.permutation(-(-len(truth) // 12))
    truth = [v for block in order for v in truth[12 * block : 12 * block + 12]]
    means = [typical[v] for v in truth] + [unit(typical[0] + typical[1]) for _ in range(mixed)]
    noise = unit(rng.normal(size=(len(means), 256)))
    prints = unit(np.sqrt(OWN) * np.stack(means) + np.sqrt(1 - OWN) * noise)
    spans = np.arange(len(means)) // 12
    starts = np.arange(len(means)) * HOP + spans * 4 * SIZE
    return Windows(starts, starts + SIZE, prints, spans), np.array([*truth, *[-1] * mixed])


@pytest.mark.parametrize("num_windows", [[90], [60, 24], [40, 40, 40], [80, 12, 30, 9], [30, 30, 30, 30, 30, 30]])
@pytest.mark.parametrize("alike", [0.3, 0.6, 0.75])
def test_every_voice_is_found_once(num_windows, alike):
    """The number of voices follows from the prints, whether voices are unlike or fairly alike."""
    windows, truth = drawn(num_windows, alike=alike)
    found = voices(windows, ClusterOptions())
    assert len(found) == len(num_windows)
    labels = nearest(windows.prints, found)
    for voice in range(len(num_windows)):
        assert len(set(labels[truth == voice])) == 1


@pytest.mark.parametrize("mixed", [5, 12])
def test_two_voices_at_once_are_no_third(mixed):
    """Windows of overlapping speech lie between two voices and make no new one."""
    windows, _ = drawn([60, 50], mixed=mixed)
    assert len(voices(windows, ClusterOptions())) == 2


def test_hours_give_the_voices_of_minutes():
    """Windows are grouped in blocks; a voice that speaks in many of them is still one."""
    windows, _ = drawn([1500, 900, 300])
    assert len(voices(windows, ClusterOptions())) == 3


@pytest.mark.parametrize("hint", [1, 2, 3, 5])
def test_a_hint_sets_the_number(hint):
    """With a hint, voices are merged or split up to it."""
    windows, _ = drawn([60, 40, 40])
    assert len(voices(windows, ClusterOptions(), hint)) <= max(hint, 3)
    if hint <= 3:
        assert len(voices(windows, ClusterOptions(), hint)) == hint


def test_thresholds_move_the_number_slowly():
    """Between 0.80 and 0.92 the answer is the same: no cliff."""
    windows, _ = drawn([60, 40, 20], alike=0.6)
    counts = {len(voices(windows, ClusterOptions(same_voice=value))) for value in (0.80, 0.84, 0.88, 0.92)}
    assert counts == {3}


def test_a_single_window_is_a_voice():
    """Whoever says one word is somebody; nobody is nobody."""
    windows, _ = drawn([1])
    assert voices(windows, ClusterOptions()).shape == (1, 256)
    nothing = Windows(*(np.zeros(0, np.int64) for _ in range(2)), np.zeros((0, 256), np.float32), np.zeros(0, np.int64))
    assert voices(nothing, ClusterOptions()).shape == (0, 256)


def test_a_recording_played_over_and_over_has_the_same_voices():
    """Odd windows add up as the recording grows, and repeated ones are as alike as can be: they make no new voice."""
    windows, _ = drawn([60, 40, 30], mixed=8)
    span, number = int(windows.ends[-1]) + SIZE, int(windows.spans[-1]) + 1
    again = Windows(
        *(np.concatenate([edge + span * i for i in range(12)]) for edge in (windows.starts, windows.ends)),
        np.tile(windows.prints, (12, 1)),
        np.concatenate([windows.spans + number * i for i in range(12)]),
    )
    assert len(voices(again, ClusterOptions())) == 3


def test_a_caller_in_an_hours_talk_is_a_voice():
    """Half a minute of somebody quite different counts, however long the rest is."""
    windows, _ = drawn([5000, 3000, 60], alike=0.4)
    assert len(voices(windows, ClusterOptions())) == 3
