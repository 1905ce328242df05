"""Questions are heard from the pitch."""

import numpy as np
import pytest

from s2v_model.puppet.prosody import questions
from s2v_model.puppet.sounds import loudness


def phrase(*hz: float, seconds: float = 1.6) -> np.ndarray:
    """A voiced phrase whose pitch goes through `hz`, then a pause."""
    count = int(seconds * 16000)
    pitch = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(hz)), hz)
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    voice = sum(np.sin(k * phase) / k for k in range(1, 9)) * 0.1
    return np.concatenate([voice, np.zeros(9600)]).astype(np.float32)


@pytest.mark.parametrize(
    ("hz", "asks"),
    [((120, 118, 116, 118, 190), 1), ((220, 210, 215, 330), 1), ((130, 125, 120, 100), 0), ((140,) * 4, 0)],
)
def test_a_rise_at_the_end_asks(hz: tuple[float, ...], asks: int) -> None:
    """A phrase whose pitch ends well above its body is a question; one that falls or stays is none."""
    speech = phrase(*hz)
    found = questions(speech, loudness(speech, len(speech) / 16000))

    assert len(found) == asks
    assert all(1.2 < time < 1.6 for time in found)


def test_silence_and_noise_ask_nothing() -> None:
    """Without a voice there is no question, and nothing fails on a single sample."""
    noise = np.random.default_rng(2).normal(0, 0.1, 32000).astype(np.float32)
    for speech in (np.zeros(16000, np.float32), noise, noise[:1]):
        assert questions(speech, loudness(speech, max(len(speech), 160) / 16000)) == ()
