"""The contract of every voice engine, the embedded one's catalogue, and what it does with hostile text."""

import os
import time
from itertools import pairwise

import numpy as np
import pytest

from tasks.domain.errors import CastError, EngineError, EngineMissing, ScriptError
from tasks.engines import voices
from tasks.engines.voices import catalogue, espeak

TEXT = "Hello there! The record of 1999 is a photograph, don't you think?"


@pytest.fixture(scope="module")
def voice():
    engine = voices.load("espeak")
    yield engine
    engine.close()


def test_an_unknown_engine_is_named():
    """The message lists the engines there are."""
    with pytest.raises(EngineMissing, match="no voice engine 'magic'; known are espeak"):
        voices.load("magic")


@pytest.mark.parametrize("name", ["en-us/f2", "en-us/m3", "en-gb/grandma", "de/boy"])
def test_what_is_spoken_keeps_the_contract(voice, name):
    """Samples at a level, phones and words in order within them, words as written."""
    spoken = voice.speak(TEXT, name)
    assert spoken.speech.dtype == np.float32
    assert 0.05 < np.abs(spoken.speech).max() <= 1
    seconds = spoken.speech.size / spoken.rate_hz
    assert 2 < seconds < 9
    assert " ".join(word.text for word in spoken.words) == TEXT
    for items in (spoken.phones, spoken.words):
        assert items[0].span.start >= 0
        assert items[-1].span.end <= seconds + 0.01
        assert all(left.span.end <= right.span.start for left, right in pairwise(items))
    assert not any("ˈ" in phone.symbol for phone in spoken.phones)
    assert {"Hello", "photograph,"} <= {word.text for word in spoken.words if word.is_stressed}


def test_words_lie_where_their_sound_is(voice):
    """A pause that the text asks for is silent between its words."""
    spoken = voice.speak("Stop. Go.", "en-us/m3")
    gap = spoken.words[0].span.end, spoken.words[1].span.start
    assert gap[1] - gap[0] > 0.1
    first, last = (int(edge * spoken.rate_hz) for edge in gap)
    assert np.abs(spoken.speech[first + 200 : last - 200]).max() < 0.02


def test_equal_text_gives_equal_samples(voice):
    """Whatever was said in between, and by another process too."""
    first = voice.speak(TEXT, "en-us/f2").speech
    voice.speak("Something else altogether.", "en-us/croak")
    np.testing.assert_array_equal(first, voice.speak(TEXT, "en-us/f2").speech)
    other = voices.load("espeak")
    np.testing.assert_array_equal(first, other.speak(TEXT, "en-us/f2").speech)
    other.close()


def test_rate_and_pitch_are_heard(voice):
    """More words a minute take less time; a higher pitch crosses zero more often."""

    def crossings(pitch: int) -> int:
        return int((np.diff(np.signbit(voice.speak("mama mama", "en-us/m3", pitch=pitch).speech)) != 0).sum())

    slow, fast = (voice.speak(TEXT, "en-us/m3", rate_wpm=rate).speech.size for rate in (110, 280))
    assert slow > 1.6 * fast
    assert crossings(95) > crossings(5)


def test_a_voice_speaks_other_languages(voice):
    """The text's language counts where the voice has another one; scripts without blanks give a word per character."""
    italian = voice.speak("Già così tardi?", "en-us/f3", language="it")
    np.testing.assert_array_equal(italian.speech, voice.speak("Già così tardi?", "it/f3").speech)
    assert len(voice.speak("今天天气很好。", "en-us/f3", language="zh-CN").words) == 6
    assert (
        voice.speak("hello", "en-us/f3", language="en-GB").speech.size == voice.speak("hello", "en-us/f3").speech.size
    )


@pytest.mark.parametrize("text", ["", "   ", "\x00\x01", "\u202e\u200b"])
def test_nothing_to_say_is_silence(voice, text):
    """No samples, no words."""
    spoken = voice.speak(text, "en-us/f2")
    assert (spoken.speech.size, spoken.phones, spoken.words) == (0, (), ())


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b\x1b[31m",
        '<speak><audio src="/etc/passwd"/>hello</speak>',
        "[[h@'loU]] &amp; %s %n {0} $(id) `id`",
        "\ud800 lone surrogate",
        "e\u0301" * 500,
        "😀🏳️‍🌈 \u202eabc",
        "wow!!!!!!!!" * 50,
        "9" * 400,
        "a" * 2000,
    ],
)
def test_hostile_text_is_only_text(voice, text):
    """Markup, control characters and endless words are spoken or passed over; the engine lives on."""
    spoken = voice.speak(text, "en-us/m3")
    assert np.isfinite(spoken.speech).all()
    assert voice.speak("fine", "en-us/m3").speech.size > 0


def test_endless_text_is_refused(voice):
    """200 000 characters are no utterance."""
    with pytest.raises(ScriptError, match=r"200000 characters is too long.*10000 are allowed. Break it"):
        voice.speak("x" * 200_000, "en-us/f2")


@pytest.mark.parametrize("name", ["en-us", "en-us/../../../etc/passwd", "en-us/nosuch", "zz/f2", "", "en-us/f2\n+m1"])
def test_a_voice_that_does_not_exist_is_named(voice, name):
    """With what is allowed; a name is never a path."""
    with pytest.raises(CastError):
        voice.speak("hello", name)


def test_a_dead_child_is_replaced(voice):
    """A killed process costs nothing but its start."""
    before = voice.speak("hello", "en-us/f2").speech
    os.kill(voice._child._process.pid, 9)
    time.sleep(0.1)
    np.testing.assert_array_equal(before, voice.speak("hello", "en-us/f2").speech)


def test_a_silent_child_is_an_engine_error(monkeypatch):
    """The wait for an answer ends, and the next text is spoken again."""
    engine = espeak.EspeakVoice()
    monkeypatch.setattr(espeak, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(espeak, "ANSWER_SECONDS_PER_CHARACTER", 0.0)
    with pytest.raises(EngineError, match="did not answer within 0 s"):
        engine.speak("hello", "en-us/f2")
    monkeypatch.undo()
    assert engine.speak("hello", "en-us/f2").speech.size > 0
    engine.close()


def test_identity_names_library_and_data(voice):
    """Another library or other data are another engine."""
    identity = voice.identity()
    assert (identity.role, identity.name) == ("voice", "espeak")
    assert len(bytes.fromhex(identity.weights)) == 32


# --- the catalogue ----------------------------------------------------------------------------------------------------


def test_english_has_voices_enough(voice):
    """At least sixteen, all of them distinct, and every one speaks."""
    facts = voice.catalogue("en")
    assert len({fact.id for fact in facts}) == len(facts) >= 16
    sizes = {voice.speak("hello there", fact.id).speech.tobytes() for fact in facts}
    assert len(sizes) == len(facts)


@pytest.mark.parametrize("age", [None, *catalogue.AGES])
@pytest.mark.parametrize("sex", [None, *catalogue.SEXES])
def test_a_voice_fits_what_the_cast_says(voice, sex, age):
    """Sex always, age where a voice of that age is free."""
    chosen = catalogue.BY_NAME[voice.choose("en", sex, age, ()).split("/")[1]]
    assert sex in {None, chosen.sex}
    assert chosen.age == (age or "adult")


def test_speakers_get_different_voices(voice):
    """Sixteen of them, and without a wish the sexes take turns."""
    taken: list[str] = []
    for _ in range(16):
        taken.append(voice.choose("en", None, None, taken))
    assert len(set(taken)) == 16
    sexes = [catalogue.BY_NAME[name.split("/")[1]].sex for name in taken]
    assert sexes[:4] == ["female", "male", "female", "male"]


def test_a_crowd_of_one_sex_shares_voices(voice):
    """When all voices of a sex are taken, somebody's is used again; the sex stays right."""
    taken: list[str] = []
    for _ in range(30):
        taken.append(voice.choose("en", "female", None, taken))
    assert {catalogue.BY_NAME[name.split("/")[1]].sex for name in taken} == {"female"}


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        *[("en", "en-us"), ("en-GB", "en-gb"), ("zh-Hans", "cmn"), ("zh", "cmn"), ("pt", "pt-br"), ("pt-PT", "pt")],
        *[("fr", "fr-fr"), ("de-AT", "de"), ("no", "nb"), ("ES_mx", "es-419"), ("tlh", None), ("", None)],
    ],
)
def test_language_tags_find_their_code(tag, code):
    """BCP 47 on the left, espeak-ng's own code on the right."""
    known = {"en-us", "en-gb", "cmn", "pt", "pt-br", "fr-fr", "fr-be", "de", "nb", "es", "es-419"}
    assert catalogue.espeak_language(tag, known) == code


def test_every_language_speaks(voice):
    """Whatever code is offered makes sound; three have no digits."""
    for code in set(voice._languages) - {"chr-us-qaaa-x-west", "cv", "sjn"}:
        assert voice.speak("1 2 3", f"{code}/m3").speech.size > 0, code


def test_a_language_without_a_voice_is_named(voice):
    """Klingon has none."""
    assert voice.catalogue("tlh") == ()
    with pytest.raises(CastError, match="no voice for the language 'tlh'"):
        voice.choose("tlh", None, None, ())
    with pytest.raises(CastError, match="sex 'other' is none of female, male"):
        voice.choose("en", "other", None, ())
