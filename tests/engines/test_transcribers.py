"""The contract of every transcriber, on a Whisper model of random weights: its words are noise, the way is the real
one.
"""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from s2v_model.contract import Stopped
from tasks.domain.errors import EngineError, EngineMissing, RecordingError
from tasks.engines import transcribers, voices
from tasks.engines.transcribers import whisper

RATE = 16_000


def unwatched(done: float, total: float) -> None:
    """Nobody looks."""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    pytest.importorskip("faster_whisper", reason="the extra `speech` is not installed")
    from tests.whisper_models import write_whisper

    return write_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def engine(model):
    return transcribers.load("whisper", options={"model": str(model)})


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """A sentence that voice activity takes for speech."""
    voice = voices.load("espeak")
    said = voice.speak("The harbour was quiet that morning, and nobody had noticed the small boat.", "en-us/m3")
    voice.close()
    return signal.resample_poly(said.speech, RATE, said.rate_hz).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("magic", {}, "no transcriber 'magic'; known are whisper"),
        ("whisper", {"model": ""}, "needs a model; set `whisper_model`"),
    ],
)
def test_an_engine_that_cannot_run_says_why(name, options, message):
    """An unknown name, or no model."""
    with pytest.raises(EngineMissing, match=message):
        transcribers.load(name, options=options)


def test_a_model_that_cannot_be_loaded_is_named(model, tmp_path):
    """A folder without a model, one without its tokenizer, one with rubbish in it: one sentence each, no download."""
    rubbish = tmp_path / "rubbish"
    rubbish.mkdir()
    for file in ("model.bin", "config.json", "tokenizer.json"):
        (rubbish / file).write_bytes(b"rubbish")
    for folder, message in ((tmp_path, "is incomplete: model.bin, config.json"), (rubbish, "cannot be loaded")):
        with pytest.raises(EngineMissing, match=message):
            transcribers.load("whisper", options={"model": str(folder)}).identity()


def test_words_lie_on_the_grid_within_the_recording(engine, speech):
    """Cues and words in order, on 10 ms; a cue's text is its words; equal speech gives equal cues; int16 is the
    same.
    """
    cues = engine.transcribe(speech, language="en", watch=unwatched)
    assert cues
    assert all(left.span.start <= right.span.start for left, right in pairwise(cues))
    for cue in cues:
        assert cue.text.split() == [word.text for word in cue.words]
        assert 0 <= cue.span.start <= cue.span.end <= Fraction(speech.size, RATE)
        assert all(left.span.end <= right.span.start for left, right in pairwise(cue.words))
        assert all((100 * edge).denominator == 1 for w in cue.words for edge in (w.span.start, w.span.end))
    assert engine.transcribe(speech, language="en-GB", watch=unwatched) == cues
    stored = (speech * 32768).astype(np.int16)
    assert engine.transcribe(stored, language="en", watch=unwatched) == engine.transcribe(
        stored.astype(np.float32) / 32768, language="en", watch=unwatched
    )


def test_silence_has_no_words(engine):
    """A transcriber invents words in silence unless voice activity keeps it from listening there."""
    assert engine.transcribe(np.zeros(5 * RATE, np.float32), language="en", watch=unwatched) == ()
    assert engine.transcribe(np.zeros(0, np.float32), language="en", watch=unwatched) == ()


def test_a_language_that_the_model_lacks_is_named(engine):
    """With what to do."""
    with pytest.raises(RecordingError, match=r"whisper has no language 'tlh'.*Supply a transcript"):
        engine.transcribe(np.zeros(RATE, np.float32), language="tlh", watch=unwatched)


def test_a_watch_stops_it(engine, speech):
    """Progress may raise."""

    def stop(done: float, total: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        engine.transcribe(speech, language="en", watch=stop)


def test_identity_names_the_models_weights(engine, model, tmp_path):
    """Another model is another engine."""
    from tests.whisper_models import write_whisper

    other = transcribers.load("whisper", options={"model": str(write_whisper(tmp_path / "other", seed=1))})
    assert engine.identity().name == "faster-whisper"
    assert engine.identity().weights != other.identity().weights


def test_hours_are_heard_in_pieces_cut_at_quiet_moments():
    """Pieces tile the recording; each ends where nobody speaks."""
    speech = np.full(25 * 60 * RATE, 1000, np.int16)
    speech[575 * RATE : 576 * RATE] = 0
    found = list(whisper.pieces(speech))
    assert found[0] == (0, int(575.1 * RATE))
    assert found[-1][1] == speech.size
    assert all(left[1] == right[0] for left, right in pairwise(found))
    assert list(whisper.pieces(speech[:RATE])) == [(0, RATE)]
    assert list(whisper.pieces(speech[:0])) == []


def heard(*words: tuple[float, float, str]) -> whisper._Heard:
    return whisper._Heard(words[0][0], words[-1][1], "", tuple(whisper._Heard(*word) for word in words))


def test_tokens_without_a_blank_go_on_with_the_word_before():
    """The halves of a short form are one word; times never go back; blanks alone are no word."""
    cue = whisper._cue(
        heard((0.5, 0.7, " don"), (0.6, 0.9, "'t"), (0.8, 1.234, " go"), (1.2, 1.3, " ")), Fraction(10), Fraction(100)
    )
    assert [(w.text, float(w.span.start), float(w.span.end)) for w in cue.words] == [
        ("don't", 10.5, 10.9),
        ("go", 10.9, 11.23),
    ]
    assert cue.text == "don't go"
    assert whisper._cue(heard((0.0, 1.0, " ")), Fraction(0), Fraction(5)) is None


def test_a_failing_model_is_an_engine_error(engine, monkeypatch):
    """What the package raises while it decodes is mapped where it enters."""

    def fail(speech: np.ndarray, language: str) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(engine._model, "hear", fail)
    with pytest.raises(EngineError, match="failed on 1 s of speech: out of luck"):
        engine.transcribe(np.zeros(RATE, np.float32), language="en", watch=unwatched)
