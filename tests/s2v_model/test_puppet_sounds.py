"""The mouth heard out of the sound."""

import numpy as np
import pytest

from s2v_model.puppet import sounds
from s2v_model.puppet.visemes import MOUTH_CHANNELS
from tests.synthetic import speech_like

JAW = MOUTH_CHANNELS.index("jaw")


def test_silence_moves_nothing() -> None:
    """Digital silence and a whisper of noise leave the mouth at rest."""
    noise = np.random.default_rng(1).normal(0, 1e-4, 16000).astype(np.float32)
    for quiet in (np.zeros(16000, np.float32), noise):
        assert not sounds.mouth_from_sound(quiet, 1.0).any()


def test_the_jaw_follows_the_speech() -> None:
    """Where there is speech the jaw moves, in the pause it rests."""
    speech = np.concatenate([speech_like(1.5, seed=2), np.zeros(16000, np.float32), speech_like(1.5, seed=3)])
    jaw = sounds.mouth_from_sound(speech, 4.0)[:, JAW]

    assert jaw[10:140].max() > 0.12
    assert jaw[170:230].max() < 0.03
    assert jaw[270:].max() > 0.12


@pytest.mark.parametrize("gain", [0.05, 0.3, 1.0])
def test_level_does_not_matter(gain: float) -> None:
    """The same words quieter open the mouth as wide."""
    speech = speech_like(2.0, seed=5)
    loud, quiet = (sounds.mouth_from_sound((speech * g).astype(np.float32), 2.0)[:, JAW] for g in (1.0, gain))

    assert np.abs(loud - quiet).mean() < 0.03


@pytest.mark.parametrize("seconds", [0.01, 0.04, 0.5])
def test_any_length_has_its_rows(seconds: float) -> None:
    """A track has a row for every hundredth of a second, however short the speech, missing or too long."""
    for samples in (0, 1, int(seconds * 16000), int(seconds * 16000) + 700):
        speech = np.resize(speech_like(0.5, seed=1), samples).astype(np.float32)
        assert len(sounds.mouth_from_sound(speech, seconds)) == np.ceil(seconds * 100)
        assert len(sounds.loudness(speech, seconds)) == np.ceil(seconds * 100)


def test_the_weights_are_small_and_plain() -> None:
    """The committed weights are under 1 MB and need no pickle."""
    assert sounds.WEIGHTS.stat().st_size < 1_000_000
    with np.load(sounds.WEIGHTS, allow_pickle=False) as file:
        assert all(file[name].dtype.kind == "f" for name in file.files)
