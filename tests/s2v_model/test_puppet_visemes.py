"""Phones become mouth shapes."""

from fractions import Fraction

import numpy as np
import pytest

from s2v_model.contract import Phone
from s2v_model.puppet.visemes import CONTROL_HZ, MOUTH_CHANNELS, mouth_track, per_frame, shapes_of

JAW, ROUND, PRESS, FV, TONGUE = (MOUTH_CHANNELS.index(name) for name in ("jaw", "round", "press", "fv", "tongue"))


def said(*symbols: str, each: float = 0.12) -> tuple[Phone, ...]:
    return tuple(
        Phone(start_seconds=0.3 + k * each, end_seconds=0.3 + (k + 1) * each, symbol=s) for k, s in enumerate(symbols)
    )


@pytest.mark.parametrize(
    ("symbol", "shapes"),
    [
        ("m", ("p",)),
        ("ˈiː", ("iy",)),
        ("aɪ", ("aa", "ih")),
        ("tʃ", ("sh",)),
        ("t", ("t",)),
        ("ɫ", ("l",)),
        ("pʰ", ("p",)),
        ("ɑ̃", ("aa",)),
        ("ʙ", ("schwa",)),
        ("", ()),
        ("_:", ()),
        ("ˈ", ()),
    ],
)
def test_ipa_symbols_find_their_shapes(symbol: str, shapes: tuple[str, ...]) -> None:
    """Stress, length and diacritics do not matter; diphthongs have two shapes; unknown sounds are a schwa."""
    assert shapes_of(symbol) == shapes


@pytest.mark.parametrize("symbol", ["p", "b", "m"])
def test_lips_close_on_p_b_m(symbol: str) -> None:
    """Between two open vowels the lips press together and the jaw comes up."""
    track = mouth_track(said("a", symbol, "a"), 1.0)
    closed = track[:, PRESS].argmax()

    assert track[closed, PRESS] > 0.9
    assert track[closed, JAW] < 0.06
    assert track[:, JAW].max() > 0.35


def test_a_short_closure_survives_the_frames() -> None:
    """A p of 30 ms is closed in some frame at 25 and at 16 frames per second."""
    phones = (
        Phone(start_seconds=0.2, end_seconds=0.35, symbol="a"),
        Phone(start_seconds=0.35, end_seconds=0.38, symbol="p"),
        Phone(start_seconds=0.38, end_seconds=0.55, symbol="a"),
    )
    for rate in (Fraction(25), Fraction(16), Fraction(30000, 1001)):
        frames = per_frame(mouth_track(phones, 0.8), int(0.8 * rate), rate)
        assert frames[:, PRESS].max() > 0.8


def test_sounds_have_their_marks() -> None:
    """An oo rounds the lips, f brings the lip to the teeth, th shows the tongue, ah opens widest."""
    peaks = {s: mouth_track(said(s, each=0.2), 0.9).max(0) for s in ("uː", "f", "θ", "a", "iː")}

    assert peaks["uː"][ROUND] > 0.6
    assert peaks["f"][FV] > 0.9
    assert peaks["θ"][TONGUE] > 0.5
    assert peaks["a"][JAW] == max(peak[JAW] for peak in peaks.values())


def test_silence_rests() -> None:
    """Without phones nothing moves, and a pause closes the mouth again."""
    assert not mouth_track((), 1.0).any()
    after = mouth_track(said("a"), 2.0)[int(1.2 * CONTROL_HZ) :]
    assert after[:, JAW].max() < 0.02


def test_the_mouth_leads_the_sound() -> None:
    """The widest opening comes before the middle of the vowel, by 20 to 60 ms."""
    phone = said("a", each=0.2)[0]
    widest = mouth_track((phone,), 1.0)[:, JAW].argmax() / CONTROL_HZ
    middle = (phone.start_seconds + phone.end_seconds) / 2

    assert 0.02 < middle - widest < 0.06


def test_no_track_leaves_its_range() -> None:
    """Random phones give values from 0 to 1 without a jump of more than a tenth in 10 ms but for closures."""
    random = np.random.default_rng(5)
    symbols = random.choice(list("aeioumpbfvtdsklrwθ"), 60)
    track = mouth_track(said(*map(str, symbols), each=0.07), 5.0)

    assert track.min() >= 0
    assert track.max() <= 1.01
    assert np.abs(np.diff(track[:, JAW])).max() < 0.2
