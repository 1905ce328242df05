"""Canonical JSON and the way back."""

import json
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.assets import Asset
from tasks.domain.casting import Consent, Portrait
from tasks.domain.editing import Framing, Shot, ShotPhone
from tasks.domain.errors import StoreError
from tasks.domain.speech import CaptionCue, Script, ScriptLine, Transcript
from tasks.domain.timing import Span
from tasks.formats.canonical import canonical, digest, from_json, to_json

times = st.fractions(min_value=0, max_value=10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    b: Fraction
    a: tuple[int, ...] = ()


def test_keys_are_sorted_and_fractions_exact() -> None:
    """A dataclass is written with sorted keys, without spaces, its Fractions as "n/d"."""
    assert canonical(Note(b=Fraction(3), a=(1, 2))) == '{"a":[1,2],"b":"3/1"}'


@pytest.mark.parametrize(
    ("left", "right"),
    [((1, 2), [1, 2]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), (0.0, -0.0), (Fraction(2, 4), Fraction(1, 2))],
)
def test_equal_values_have_one_digest(left: object, right: object) -> None:
    """What is equal to us has the same text, whatever container or order it came in."""
    assert digest(left) == digest(right)


def test_digest_is_fixed() -> None:
    """The digest of a known value never changes: fingerprints in old stores depend on it."""
    value = {"text": "Grüße 你好", "at": Fraction(1, 3), "day": date(2026, 1, 2), "x": 1.5, "none": None, "yes": True}
    assert canonical(value) == '{"at":"1/3","day":"2026-01-02","none":null,"text":"Grüße 你好","x":1.5,"yes":true}'
    assert digest(value) == "2540911fc12524aacc537fe006c22f0d2ca42d34733d80f7f5e64035cfd9ff0f"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_only_finite_numbers(value: object) -> None:
    """A float that is not finite is refused at any depth."""
    with pytest.raises(ValueError, match="finite"):
        canonical(value)


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), {1: "a"}, frozenset()])
def test_types_without_one_text_are_refused(value: object) -> None:
    """Sets, bytes and keys that are no text have no canonical form."""
    with pytest.raises(TypeError):
        canonical(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
@settings(max_examples=60, deadline=None)
def test_canonical_text_is_json_of_the_same_value(value: object) -> None:
    """Canonical text reads back as the value that it was made of."""
    assert json.loads(canonical(value)) == value


@given(times, times, st.text(max_size=40), st.text(max_size=10) | st.none())
@settings(max_examples=60, deadline=None)
def test_a_transcript_comes_back_exactly(start: Fraction, length: Fraction, text: str, speaker: str | None) -> None:
    """A nested frozen value comes back equal, its Fractions exact."""
    cue = CaptionCue(span=Span(start, start + length), text=text, speaker=speaker)
    transcript = Transcript(cues=(cue, cue), language="en")
    assert from_json(Transcript, to_json(transcript)) == transcript


def test_a_shot_a_script_and_a_consent_come_back_exactly() -> None:
    """The values that a store keeps come back equal, down to boxes, dates and nested tuples."""
    picture = Asset(sha256="0" * 64, size=3, extension=".png")
    portrait = Portrait(picture=picture, width=10, height=20, face_box=(1.5, 2, 3, 4.25), brow_to_chin_px=7.125)
    shot = Shot(
        id="s1",
        speaker="anna",
        utterances=("a", "b"),
        start_frame=0,
        end_frame=25,
        framing=Framing(crop=(0, 0, 10, 20), width=64, height=64, face_box=(1, 1, 2, 2)),
        portrait=portrait,
        speech=None,
        speech_digest="d",
        phones=(ShotPhone(symbol="ə", start_ms=0, end_ms=40),),
        rate=Fraction(30000, 1001),
    )
    line = ScriptLine(id="x", speaker="A", text="t", translations=(("it", "u"),), pause_after=Fraction(2, 5))
    for value in (shot, Script(lines=(line,)), Consent(state="recorded", who="A", until=date(2027, 5, 1))):
        assert from_json(type(value), to_json(value)) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Transcript, b""),
        (Span, b"{}"),
        (Transcript, b'{"cues": 3}'),
        (Transcript, b"\xff\xfe"),
        (Span, b'{"start":"1/0","end":"2"}'),
        (Span, b'{"start":"3","end":"2"}'),
    ],
)
def test_a_kept_text_that_is_none_is_a_store_error(kind: type, text: bytes) -> None:
    """Text that does not hold the asked type is the store's fault, said in a sentence."""
    with pytest.raises(StoreError, match=f"a kept {kind.__name__} cannot be read"):
        from_json(kind, text)
