"""The voice that every machine has."""

import os
import signal
import time

import numpy as np
import pytest

from tasks.domain.errors import EngineError
from tasks.engines.voices import Voice, load
from tasks.engines.voices.espeak import Espeak


@pytest.fixture(scope="module")
def espeak() -> Voice:
    """One child process for the module."""
    return load("espeak")


def test_equal_text_gives_equal_samples(espeak: Voice) -> None:
    """What was said before does not change what is said now."""
    first = espeak.speak("Good morning, everybody.", "en-us/f2", language="en")
    espeak.speak("Etwas ganz anderes.", "de/m3", language="de")
    again = espeak.speak("Good morning, everybody.", "en-us/f2", language="en")

    assert np.array_equal(first.speech, again.speech)
    assert first.phones == again.phones


def test_a_breathy_voice_sounds_alike_in_every_process() -> None:
    """The noise in a breathy voice is the same whenever and wherever a line is spoken."""
    heard = []
    for _ in range(2):
        engine = Espeak()
        heard.append(engine.speak("Hello there.", "en-us/f2", language="en").speech)
        engine.close()
        time.sleep(1.1)  # the library's generator would start by the second
    assert np.array_equal(*heard)


def test_words_and_sounds_have_their_times(espeak: Voice) -> None:
    """Words come as written and in order; sounds lie within the speech, one behind the other."""
    text = "It says my account will be closed at 5 p.m., Leo!"
    spoken = espeak.speak(text, "en-us/m3", language="en")
    length = len(spoken.speech) / spoken.rate_hz

    assert " ".join(word.text for word in spoken.words) == text
    assert all(0 <= w.start < w.end <= length + 1e-9 for w in spoken.words)
    assert all(a.end <= b.start for a, b in zip(spoken.phones, spoken.phones[1:], strict=False))
    assert {"m"} & {phone.symbol for phone in spoken.phones}
    assert any(word.is_stressed for word in spoken.words)


def test_speech_has_no_silence_at_its_ends(espeak: Voice) -> None:
    """The first and the last 40 ms hold sound."""
    spoken = espeak.speak("Papa.", "en-us/f4", language="en")
    edge = spoken.rate_hz // 25

    assert np.abs(spoken.speech[:edge]).max() > 0.001
    assert np.abs(spoken.speech[-edge:]).max() > 0.001


@pytest.mark.parametrize("language", ["en", "en-GB", "it", "es", "zh", "ar", "pt-BR", "ja", "hi", "fr"])
def test_every_common_language_has_a_voice(espeak: Voice, language: str) -> None:
    """A voice is found for the languages that people make programmes in, and exists."""
    assert espeak.refuses(espeak.choose(language, "female", "adult", ())) == ""


def test_a_cast_gets_different_voices(espeak: Voice) -> None:
    """Eight people of two sexes get eight voices, and those fit what the cast says."""
    taken: tuple[str, ...] = ()
    for number in range(8):
        taken = (*taken, espeak.choose("en", ("female", "male")[number % 2], "adult", taken))

    assert len(set(taken)) == 8
    assert espeak.choose("en", "male", "elderly", ()).endswith("/m1")


@pytest.mark.parametrize("text", ["\0\0\0", "   ", "[[]]", "<>"])
def test_text_without_words_is_refused(espeak: Voice, text: str) -> None:
    """Nothing to say is an error that names the voice, not a silent clip."""
    with pytest.raises(EngineError, match="makes no sound"):
        espeak.speak(text, "en-us/f2", language="en")


@pytest.mark.parametrize("text", ["<speak><break time='99s'/>Hello</speak>", "[[h@l'oU]] hello", "a\0b", "\u202eabc"])
def test_markup_is_only_text(espeak: Voice, text: str) -> None:
    """Markup of the synthesizer does not reach it: nothing pauses for 99 seconds."""
    spoken = espeak.speak(text, "en-us/f2", language="en")

    assert len(spoken.speech) < 8 * spoken.rate_hz


def test_too_long_a_line_is_refused(espeak: Voice) -> None:
    """A limit with its number ends what would take minutes."""
    with pytest.raises(EngineError, match="at most 5000"):
        espeak.speak("word " * 2000, "en-us/f2", language="en")


def test_a_child_that_dies_is_started_again(espeak: Voice) -> None:
    """A crash of the library costs one try, not the run."""
    espeak.speak("One.", "en-us/f2", language="en")
    child = espeak._child  # type: ignore[attr-defined]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()

    assert len(espeak.speak("Two.", "en-us/f2", language="en").speech) > 1000


def test_an_unknown_voice_is_named(espeak: Voice) -> None:
    """The sentence says what does not exist."""
    assert "zzz" in espeak.refuses("en-us/zzz")
    assert "xx" in espeak.refuses("xx/f2")
