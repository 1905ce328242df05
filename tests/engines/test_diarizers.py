"""The contract of every diarizer, and what the embedded one does with real recordings."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from s2v_model.contract import Stopped
from tasks.domain.errors import EngineMissing
from tasks.domain.speech import Turn
from tasks.domain.timing import Span
from tasks.engines import diarizers
from tasks.engines.model_files import GE2E_ENCODER, SILERO_VAD
from tasks.formats.rttm import read_rttm
from tasks.media.audio import decode_recording
from tasks.media.wav import read_speech
from tests.model_cache import model_cache
from tests.scoring import diarization_errors

RATE = 16_000


@pytest.fixture(scope="module")
def embedded() -> diarizers.Diarizer:
    return diarizers.load("embedded", cache=model_cache([SILERO_VAD, GE2E_ENCODER]))


def speech_of(path: Path, folder: Path) -> np.ndarray:
    decode_recording(path, speech_out=folder / "speech.wav", master_out=folder / "master.flac")
    return read_speech(folder / "speech.wav")


def test_an_unknown_engine_is_named():
    """The message lists the engines there are."""
    with pytest.raises(EngineMissing, match="no diarizer 'magic'; known are embedded, pyannote"):
        diarizers.load("magic", cache=Path("/nowhere"))


def test_without_model_files_the_engine_does_not_run(tmp_path):
    """It says which file is missing, and becomes no other engine."""
    with pytest.raises(EngineMissing, match=r"silero_vad_v6\.onnx is not in"):
        diarizers.load("embedded", cache=tmp_path)


SILENT = {
    "nothing": np.zeros(0, np.float32),
    "one sample": np.ones(1, np.float32),
    "silence": np.zeros(5 * RATE, np.float32),
    "noise": np.random.default_rng(0).normal(0, 0.01, 5 * RATE).astype(np.float32),
    "tone": (0.3 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE)).astype(np.float32),
    "no numbers": np.full(2 * RATE, np.nan, np.float32),
    "beyond full scale": np.full(2 * RATE, np.inf, np.float32),
}


@pytest.mark.parametrize("sound", SILENT, ids=str)
def test_no_speech_gives_no_turns(embedded, sound):
    """Silence, noise, tones and broken samples have no speaker."""
    assert embedded.turns(SILENT[sound]) == ()


def test_identity_names_the_weights(embedded):
    """New weights are another engine."""
    identity = embedded.identity()
    assert (identity.role, identity.name) == ("diarizer", "embedded")
    assert len(bytes.fromhex(identity.weights)) == 32


@pytest.mark.data
def test_turns_keep_the_contract(embedded, shared_data, tmp_path):
    """Grid of 10 ms, within the recording, in order, speakers named by first speech, own turns apart; equal twice.

    int16 sound, as a memory map of a file gives it, is the same speech.
    """
    speech = speech_of(shared_data / "conversations" / "three_voices_19s.flac", tmp_path)
    turns = embedded.turns(speech)
    assert [turn.span.start for turn in turns] == sorted(turn.span.start for turn in turns)
    assert all(0 <= turn.span.start < turn.span.end <= Fraction(speech.size, RATE) for turn in turns)
    assert all((100 * edge).denominator == 1 for turn in turns for edge in (turn.span.start, turn.span.end))
    assert list(dict.fromkeys(turn.speaker for turn in turns)) == ["S1", "S2", "S3"]
    for speaker in ("S1", "S2", "S3"):
        own = [turn.span for turn in turns if turn.speaker == speaker]
        assert all(left.end < right.start for left, right in pairwise(own))
    assert embedded.turns(speech) == turns
    assert embedded.turns((speech * 32768).astype(np.int16)) == turns


@pytest.mark.data
def test_a_hint_is_followed_and_a_watch_can_stop(embedded, shared_data, tmp_path):
    """num_speakers bounds the speakers; watch sees progress up to its end and may raise."""
    speech = speech_of(shared_data / "conversations" / "three_voices_19s.flac", tmp_path)
    shares: list[float] = []
    turns = embedded.turns(speech, num_speakers=2, watch=lambda done, total: shares.append(done / total))
    assert {turn.speaker for turn in turns} == {"S1", "S2"}
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1

    def stop(done: float, total: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        embedded.turns(speech, watch=stop)


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "speaks"),
    [
        *((name, False) for name in ("silence_20s.flac", "noise_only.flac", "tone_440.flac", "music_only.opus")),
        *((name, False) for name in ("wav_wrong_header.wav", "blip_50ms.flac")),
        *((name, True) for name in ("snr_0db.opus", "very_quiet.flac", "speech_double_speed.flac")),
    ],
)
def test_speech_and_only_speech_has_turns(embedded, shared_data, tmp_path, file, speaks):
    """Recordings with nothing to say give nothing; noisy, quiet and fast speech is speech."""
    speech = speech_of(shared_data / "media_bad" / file, tmp_path)
    assert bool(embedded.turns(speech)) == speaks


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "most"),
    [
        ("simulated/dev_sim_2spk.flac", 0.07),
        pytest.param("simulated/dev_sim_3spk.flac", 0.08, marks=pytest.mark.release),
        pytest.param("simulated/dev_sim_4spk_music.opus", 0.08, marks=pytest.mark.release),
        pytest.param("simulated/dev_sim_6spk_noisy.opus", 0.13, marks=pytest.mark.release),
        ("conversations/call_auto_repairs_40.flac", 0.12),
    ],
)
def test_errors_stay_small(embedded, shared_data, tmp_path, file, most):
    """The right number of speakers, and a diarization error rate (no collar, overlap scored) below the mark."""
    path = shared_data / file
    reference = read_rttm(path.with_suffix(".rttm").read_text())
    errors = diarization_errors(reference, embedded.turns(speech_of(path, tmp_path)))
    assert errors.num_found == errors.num_true
    assert errors.rate <= most


def test_scoring_counts_every_kind():
    """One second each of missed speech, false alarm and confusion in ten seconds of speech."""

    def turn(speaker: str, start: int, end: int) -> Turn:
        return Turn(speaker=speaker, span=Span(Fraction(start), Fraction(end)))

    reference = [turn("a", 0, 5), turn("b", 5, 10)]
    errors = diarization_errors(reference, [turn("x", 0, 6), turn("y", 6, 9), turn("y", 10, 11)])
    assert (errors.missed, errors.false_alarm, errors.confused, errors.speech) == pytest.approx((1, 1, 1, 10))
