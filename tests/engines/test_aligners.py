"""Forced alignment, on speech of which the times are known because a synthetic voice made it."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy import signal

from tasks.domain.errors import EngineMissing
from tasks.engines import aligners, voices
from tasks.engines.aligners.phonemes import ARPA_TO_IPA, arpa
from tasks.engines.aligners.spreading import spread
from tasks.engines.voices import Spoken

RATE = 16_000
TEXT = "The harbour was quiet that morning, and nobody had yet noticed the small boat."


@pytest.fixture(scope="module")
def voice():
    engine = voices.load("espeak")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def aligner(voice) -> aligners.Aligner:
    return aligners.load("pocketsphinx", options={"pronouncer": voice})


def said(spoken: Spoken) -> np.ndarray:
    """At 16 kHz."""
    return signal.resample_poly(spoken.speech, RATE, spoken.rate_hz).astype(np.float32)


def check(words: tuple[str, ...], aligned: tuple[aligners.AlignedWord, ...], speech: np.ndarray) -> None:
    """What the Protocol promises of every answer."""
    assert tuple(word.text for word in aligned) == words
    assert all(left.span.end <= right.span.start for left, right in pairwise(aligned))
    for word in aligned:
        assert 0 <= word.span.start <= word.span.end <= Fraction(speech.size, RATE)
        assert (100 * word.span.start).denominator == (100 * word.span.end).denominator == 1
        for phone in word.phones:
            assert word.span.start <= phone.span.start < phone.span.end <= word.span.end


def test_an_unknown_engine_is_named():
    """The message lists the engines there are."""
    with pytest.raises(EngineMissing, match="no aligner 'magic'; known are pocketsphinx"):
        aligners.load("magic")


def test_words_are_found_where_they_were_said(aligner, voice):
    """Every word within 0.15 s of the time at which the voice said it, most of them much nearer; sounds are IPA."""
    spoken = voice.speak(TEXT, "en-us/m3")
    speech, words = said(spoken), tuple(word.text for word in spoken.words)
    aligned = aligner.align(speech, words)
    check(words, aligned, speech)
    assert all(word.is_measured for word in aligned)
    errors = [abs(float(a.span.start - b.span.start)) for a, b in zip(aligned, spoken.words, strict=True)]
    assert max(errors) < 0.25
    assert np.median(errors) < 0.05
    assert [phone.symbol for phone in aligned[0].phones] in (["ð", "ʌ"], ["ð", "i"])
    assert aligner.align(speech, words) == aligned


def test_unknown_words_are_pronounced_for_it(aligner, voice):
    """Names, numbers and compounds that no dictionary has; a dash has no sound and no length."""
    spoken = voice.speak("Doctor Zorbakian counted 42 tea-cups again.", "en-us/m3")
    words = ("Doctor", "Zorbakian", "—", "counted", "42", "tea-cups", "again.")
    aligned = aligner.align(said(spoken), words)
    check(words, aligned, said(spoken))
    assert all(word.is_measured for word in aligned)
    assert all(word.phones for word in aligned if word.text != "—")
    assert aligned[2].span.duration == 0


def test_long_speech_is_aligned_in_windows(aligner, voice):
    """A minute and more: still every word within 0.3 s."""
    spoken = voice.speak(" ".join([TEXT] * 14), "en-us/m3", rate_wpm=150)
    speech, words = said(spoken), tuple(word.text for word in spoken.words)
    assert speech.size > 50 * RATE
    aligned = aligner.align(speech, words)
    check(words, aligned, speech)
    errors = [abs(float(a.span.start - b.span.start)) for a, b in zip(aligned, spoken.words, strict=True)]
    assert all(word.is_measured for word in aligned)
    assert np.percentile(errors, 99) < 0.3


@pytest.mark.parametrize("num_samples", [0, 1, 100, 1600, 16_000])
def test_words_that_were_not_said_are_spread(aligner, num_samples):
    """Silence and the shortest sounds take any number of words; they say that they are guesses."""
    speech, words = np.zeros(num_samples, np.float32), ("hello", "there", "my", "friend", "of", "old") * 5
    aligned = aligner.align(speech, words)
    check(words, aligned, speech)
    assert not any(word.is_measured for word in aligned)


def test_other_languages_are_found_by_the_shapes_of_the_mouth(aligner, voice):
    """Italian words and their sounds are found past a pause, with and without rough times of the words."""
    spoken = voice.speak("Vorrei prenotare un tavolo per due", "it/m3")
    speech = np.concatenate([np.zeros(RATE, np.float32), said(spoken), np.zeros(RATE, np.float32)])
    words = tuple(word.text for word in spoken.words)
    rough = tuple(word.span.shifted(Fraction(107 if k % 2 else 94, 100)) for k, word in enumerate(spoken.words))
    for times, limit in ((None, 0.2), (rough, 0.1)):
        aligned = aligner.align(speech, words, language="it-IT", times=times)
        check(words, aligned, speech)
        assert all(word.is_measured for word in aligned)
        assert [len(word.phones) > 0 for word in aligned] == [True] * len(words)
        errors = [abs(float(a.span.start - b.span.start) - 1) for a, b in zip(aligned, spoken.words, strict=True)]
        assert max(errors) < limit


def test_other_words_than_were_said_are_spread(aligner, voice):
    """A text of another length and rhythm is not forced onto the sound."""
    speech = said(voice.speak("Vorrei prenotare un tavolo per due", "it/m3"))
    words = ("schwarze", "Katzen", "jagen", "nachts", "im", "Garten", "junge", "Mäuse", "und", "schlafen", "dann")
    aligned = aligner.align(speech, words, language="de")
    check(words, aligned, speech)
    assert not any(word.is_measured for word in aligned)


def test_no_words_are_no_words(aligner):
    """Nothing in, nothing out."""
    assert aligner.align(np.zeros(RATE, np.float32), ()) == ()


def test_words_beyond_the_voices_limit_get_time_too():
    """Where the voice did not say them, letters stand in."""
    words = ("one", "two", "three")
    nothing = Spoken(speech=np.zeros(0, np.float32), rate_hz=RATE, phones=(), words=())
    aligned = spread(np.ones(2 * RATE, np.float32), words, nothing)
    check(words, aligned, np.ones(2 * RATE))
    assert aligned[2].span.duration > aligned[0].span.duration > 0


def test_every_espeak_phoneme_of_english_has_a_counterpart(voice):
    """ARPAbet for all of a pangram's phonemes; what the table yields is in the model's phone set."""
    spoken = voice.speak(
        "The quick brown fox jumps over the lazy dog, joyfully measuring thin church yachts.", "en-us/m3"
    )
    for phone in spoken.phones:
        assert arpa([phone.symbol]), phone
        assert set(arpa([phone.symbol])) <= set(ARPA_TO_IPA)
    assert arpa(["ˈ", "ː", "1"]) == []
