"""A written line becomes speech: at one level for all voices, in whole samples, and once for each text."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tasks import dub
from tasks.domain.errors import ScriptError
from tasks.domain.options import EngineId
from tests.fakes import HummingVoice
from tests.staging import Bench

BY = EngineId(role="voice", name="hum", version="1")
LINE = {
    "line": "l1",
    "speaker": "anna",
    "text": "one two three",
    "voice": "hum:en/f1",
    "language": "en",
    "by": BY,
}


def spoken(bench: Bench, **fields):
    return bench.run(dub.dub, *{**LINE, **fields}.values())


def loudness_dbfs(samples: np.ndarray) -> float:
    return 10 * float(np.log10(np.square(samples).mean()))


@pytest.mark.parametrize("level", [0.003, 0.1, 0.99])
def test_every_voice_is_brought_to_one_level(tmp_path, level):
    """Soft or loud, the engine's hum comes out at -23 dBFS, for the programme and for the lips alike."""
    bench = Bench(tmp_path, voices=HummingVoice(level))
    line = spoken(bench)

    assert [loudness_dbfs(bench.samples(sound)) for sound in (line.sound, line.speech)] == pytest.approx(
        [dub.LEVEL_DBFS] * 2, abs=0.2
    )


def test_a_peaky_voice_is_not_clipped(tmp_path):
    """A click far above the speech stays below -1 dBFS, and all of the line gets as much less."""
    voice = HummingVoice(0.01)
    plain = voice.speak

    def with_click(text, name, **options):
        said = plain(text, name, **options)
        said.speech[4000] = 0.9
        return said

    voice.speak = with_click
    bench = Bench(tmp_path, voices=voice)
    samples = bench.samples(spoken(bench).sound)

    assert 0.5 < np.abs(samples).max() < 0.95
    assert loudness_dbfs(samples[: len(samples) // 4]) < dub.LEVEL_DBFS - 10


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_a_line_is_whole_samples_at_both_rates(tmp_path, rate_hz):
    """Whatever the engine's rate and length: so many samples at 16 kHz, three times as many at 48, nothing lost."""
    voice = HummingVoice(rate_hz=rate_hz)
    whole = voice.speak("one two three", "en/f1", language="en")
    length = len(whole.speech) - 6
    voice.speak = lambda *values, **options: replace(whole, speech=whole.speech[:length])
    bench = Bench(tmp_path, voices=voice)
    line = spoken(bench)

    assert len(bench.samples(line.speech)) == line.duration * 16_000
    assert len(bench.samples(line.sound)) == line.duration * 48_000
    assert 0 <= line.duration - Fraction(length, rate_hz) < Fraction(1, 16_000)


def test_pauses_make_a_line_no_louder(tmp_path):
    """The level is that of the loud parts: a line with a long pause in it is spoken as loudly as one without."""
    voice = HummingVoice()
    hum = voice.speak("one two three", "en/f1", language="en")
    paused = np.concatenate([hum.speech, np.zeros(len(hum.speech) * 9 // 10, np.float32)])
    voice.speak = lambda *values, **options: replace(hum, speech=paused)
    bench = Bench(tmp_path, voices=voice)
    samples = bench.samples(spoken(bench).speech)

    assert loudness_dbfs(samples[: len(samples) // 2]) == pytest.approx(dub.LEVEL_DBFS, abs=0.3)


def test_words_and_sounds_come_from_the_engine(tmp_path):
    """Times are the engine's own, from the start of the line, which keeps its name and its speaker."""
    bench = Bench(tmp_path, voices=HummingVoice())
    line = spoken(bench)

    assert (line.line, line.speaker) == ("l1", "anna")
    assert [(word.text, word.span.start) for word in line.words] == [
        ("one", 0),
        ("two", Fraction(1, 5)),
        ("three", Fraction(2, 5)),
    ]
    assert [phone.symbol for phone in line.phones] == ["m", "m", "m"]


def test_a_line_without_a_word_is_named(tmp_path):
    """What nobody can say is an error of the script, with its words and its speaker."""
    with pytest.raises(ScriptError, match=r"'\.\.\.' \(speaker anna\) holds nothing that can be said"):
        spoken(Bench(tmp_path, voices=HummingVoice()), text="...")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("line", "l2"),
        ("speaker", "ben"),
        ("text", "one two four"),
        ("voice", "hum:en/f2"),
        ("language", "it"),
        ("by", EngineId(role="voice", name="hum", version="2")),
    ],
)
def test_a_key_changes_with_every_value(field, value):
    """Each value of a line is part of its key."""
    assert dub.key(**LINE) == dub.key(**LINE)
    assert dub.key(**{**LINE, field: value}) != dub.key(**LINE)
