"""Sounds of a text are put where they are heard."""

from itertools import pairwise

import numpy as np
import pytest

from s2v_model.contract import Phone
from s2v_model.puppet import placing
from s2v_model.puppet.sounds import CLOSURES
from s2v_model.puppet.visemes import CONTROL_HZ, mouth_track

SOUNDS = ("p", "a", "m", "i", "v", "o", "t", "a", "b", "u", "s", "e", "l", "aɪ")
SECONDS = 3.0


def said(lengths: np.ndarray, start: float) -> tuple[Phone, ...]:
    """SOUNDS one after another."""
    edges = start + np.concatenate([[0], np.cumsum(lengths)])
    return tuple(
        Phone(start_seconds=a, end_seconds=b, symbol=s) for s, (a, b) in zip(SOUNDS, pairwise(edges), strict=True)
    )


def parted(phones: tuple[Phone, ...], by: float) -> tuple[Phone, ...]:
    """`phones`, the second half of them that much later."""
    late = [by * (2 * k >= len(phones)) for k in range(len(phones))]
    return tuple(
        Phone(start_seconds=p.start_seconds + d, end_seconds=p.end_seconds + d, symbol=p.symbol)
        for p, d in zip(phones, late, strict=True)
    )


TRUE = said(np.random.default_rng(4).uniform(0.06, 0.16, len(SOUNDS)), 0.6)


@pytest.fixture
def perfect_ear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that hears the mouth of TRUE."""

    def heard(bands: np.ndarray) -> np.ndarray:
        track = mouth_track(TRUE, len(bands) / CONTROL_HZ)[: len(bands)].copy()
        for channel in CLOSURES:
            track[:, channel] = 8 * (track[:, channel] - 0.5)
        return track

    monkeypatch.setattr(placing, "network_output", heard)


def speech(seconds: float) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, int(16000 * seconds)).astype(np.float32)


@pytest.mark.usefixtures("perfect_ear")
@pytest.mark.parametrize("doubt", [0.1, 1.0])
def test_evenly_spread_sounds_find_their_places(doubt: float) -> None:
    """From sounds of even length, all of them too late, come boundaries within 50 ms of the truth, half within 15."""
    shift = 0.02 if doubt < 0.5 else 0.15
    total = TRUE[-1].end_seconds - TRUE[0].start_seconds
    guesses = said(np.full(len(SOUNDS), total / len(SOUNDS)), TRUE[0].start_seconds + shift)
    found = placing.placed(speech(SECONDS), guesses, unsure_seconds=doubt)

    assert found is not None
    assert [phone.symbol for phone in found] == list(SOUNDS)
    errors = [abs(a.start_seconds - b.start_seconds) for a, b in zip(found, TRUE, strict=True)]
    assert np.median(errors) < 0.015
    assert max(errors) < 0.05
    assert all(a.end_seconds <= b.start_seconds + 1e-9 for a, b in pairwise(found))


@pytest.mark.usefixtures("perfect_ear")
def test_a_pause_that_nobody_guessed_is_found() -> None:
    """Sounds guessed as if said in one go keep out of a pause of half a second."""
    with_pause = parted(TRUE, 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.TRUE", with_pause)
        found = placing.placed(speech(SECONDS), parted(with_pause, -0.5), unsure_seconds=1.0)

    assert found is not None
    errors = [abs(a.start_seconds - b.start_seconds) for a, b in zip(found, with_pause, strict=True)]
    assert max(errors) < 0.1


def test_what_does_not_fit_is_said_to_be_unknown() -> None:
    """Noise fits no text; more sounds than there is time for, none at all, and no speech are no text either."""
    assert placing.placed(speech(SECONDS), TRUE, unsure_seconds=0.1) is None
    assert placing.placed(speech(0.1), TRUE, unsure_seconds=0.1) is None
    assert placing.placed(speech(SECONDS), (), unsure_seconds=0.1) is None
    assert placing.placed(np.zeros(0, np.float32), TRUE, unsure_seconds=0.1) is None
