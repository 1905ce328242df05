"""Voice prints, the small ONNX writer behind them, and the match of voices to samples."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tasks.domain.errors import EngineMissing
from tasks.domain.speech import Turn
from tasks.domain.timing import Span, seconds
from tasks.engines import voiceprints
from tasks.engines.model_files import GE2E_ENCODER
from tasks.engines.voiceprints import onnx_graph
from tasks.engines.voiceprints.ge2e import mel_power
from tasks.engines.voiceprints.matching import Voice, described, excerpt, match
from tasks.formats.rttm import read_rttm
from tasks.media.audio import decode_recording
from tasks.media.wav import read_speech
from tests.model_cache import model_cache

RATE = 16_000


@pytest.fixture(scope="module")
def prints() -> voiceprints.Voiceprints:
    return voiceprints.load("ge2e", cache=model_cache([GE2E_ENCODER]))


def hum(hertz: float, num_seconds: float) -> np.ndarray:
    time = np.arange(int(num_seconds * RATE)) / RATE
    return (0.1 * sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 20))).astype(np.float32)


def test_a_written_graph_runs_in_onnxruntime():
    """A matrix and a bias, written byte for byte, compute x @ A + b."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    nodes = [onnx_graph.node("MatMul", ["x", "a"], ["xa"]), onnx_graph.node("Add", ["xa", "b"], ["y"])]
    constants = [onnx_graph.constant("a", a), onnx_graph.constant("b", b)]
    model = onnx_graph.model("affine", nodes, constants, ("x", ("n", 5)), ("y", ("n", 3)))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    x = rng.normal(size=(300, 5)).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], x @ a + b, rtol=1e-5, atol=1e-6)


def test_mel_power_follows_level_and_pitch():
    """One frame per 10 ms; twice the amplitude is four times the power; a tone lies in its own band."""
    time = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    mel = mel_power(tone)
    assert mel.shape == (100, 40)
    np.testing.assert_allclose(mel_power(2 * tone), 4 * mel, rtol=1e-4, atol=1e-6)
    assert set(mel[10:90].argmax(axis=1)) == {int(mel[50].argmax())}


def test_prints_have_length_one_and_do_not_hear_level(prints):
    """Equal speech gives an equal print; louder speech nearly the same one; none gives zeros."""
    speech = hum(140, 3.0)
    first = prints.embed(speech)
    assert first.shape == (256,)
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(first, prints.embed(speech))
    assert float(first @ prints.embed(0.01 * speech)) > 0.999
    assert not prints.embed(np.zeros(0, np.float32)).any()
    assert np.isfinite(prints.embed(np.zeros(RATE, np.float32))).all()


def test_an_unknown_engine_is_named(tmp_path):
    """And so is a missing file."""
    with pytest.raises(EngineMissing, match="no voice print engine 'magic'"):
        voiceprints.load("magic", cache=tmp_path)
    with pytest.raises(EngineMissing, match=GE2E_ENCODER):
        voiceprints.load("ge2e", cache=tmp_path)


def test_an_excerpt_is_the_speakers_own_speech():
    """Longest turns first, nothing that others talk into, a minute at most."""
    speech = np.arange(200 * RATE, dtype=np.float32)

    def turn(speaker: str, start: float, end: float) -> Turn:
        return Turn(speaker=speaker, span=Span(seconds(start), seconds(end)))

    turns = [turn("a", 0, 2), turn("a", 10, 60), turn("b", 1.5, 3), turn("a", 70, 100)]
    own = excerpt(speech, turns, "a")
    assert own.size == 60 * RATE
    assert (own[0], own[50 * RATE]) == (10 * RATE, 70 * RATE)
    assert excerpt(speech, turns, "b")[0] == 1.5 * RATE
    assert excerpt(speech, turns, "c").size == 0
    assert excerpt(np.full(200 * RATE, 16384, np.int16), turns, "a")[0] == 0.5


def voice(*weights: float, is_narrow: bool = False) -> Voice:
    """A voice whose cosines with others follow from its first components."""
    full = np.zeros(256, np.float32)
    full[: len(weights)] = weights
    full[-1] = np.sqrt(max(0.0, 1 - float(full @ full)))
    return Voice(full=full, narrow=full, is_narrow=is_narrow)


def test_clear_voices_find_their_samples():
    """Each to its own, with the numbers; a cast member who is silent is no doubt."""
    samples = {"anna": voice(1), "ben": voice(0, 1), "cleo": voice(0, 0, 1)}
    found = match({"S1": voice(0, 0.95), "S2": voice(0.9, 0.1)}, samples)
    assert [(m.label, m.key) for m in found.matches] == [("S1", "ben"), ("S2", "anna")]
    assert found.doubts == ()
    assert float(found.matches[0].similarity) == pytest.approx(0.95, abs=2e-3)


def test_two_samples_of_one_person_are_a_doubt():
    """A voice that is equally like two samples is given to neither."""
    found = match({"S1": voice(0.95)}, {"anna": voice(1), "anne": voice(0.99)})
    assert found.matches == ()
    assert found.doubts[0].reason == "two samples"
    assert {found.doubts[0].closest[0][0], found.doubts[0].rival} == {"anna", "anne"}


def test_an_unknown_voice_is_a_doubt():
    """With its closest samples and how alike they are."""
    samples = {"anna": voice(1), "ben": voice(0, 1), "cy": voice(0, 0, 1)}
    found = match({"S1": voice(0.8, 0.1), "S2": voice(0, 0.95)}, samples)
    assert [m.key for m in found.matches] == ["ben"]
    assert (found.doubts[0].label, found.doubts[0].reason) == ("S1", "unknown")
    assert found.doubts[0].closest[0][0] == "anna"
    assert match({"S1": voice(1)}, {}).doubts[0].closest == ()


def test_two_voices_of_one_person_are_a_doubt():
    """Where a speaker was split in two, neither half is guessed."""
    found = match({"S1": voice(0.95), "S2": voice(0.94)}, {"anna": voice(1), "ben": voice(0, 1)})
    assert found.matches == ()
    assert {(d.reason, d.rival) for d in found.doubts} == {("two voices", "S2"), ("two voices", "S1")}


def test_the_last_pair_may_be_less_alike():
    """When all others have found each other, likely is enough; far off is not."""
    samples = {"anna": voice(1), "ben": voice(0, 1)}
    found = match({"S1": voice(0.95), "S2": voice(0, 0.78)}, samples)
    assert [m.key for m in found.matches] == ["anna", "ben"]
    assert match({"S1": voice(0.95), "S2": voice(0, 0.6)}, samples).doubts[0].label == "S2"


# --- real voices ------------------------------------------------------------------------------------------------------


def sound_of(path: Path, folder: Path) -> np.ndarray:
    decode_recording(path, speech_out=folder / "speech.wav", master_out=folder / "master.flac")
    return read_speech(folder / "speech.wav")


@pytest.mark.data
@pytest.mark.parametrize(
    "episode",
    [
        "dev_sim_2spk",
        pytest.param("dev_sim_3spk", marks=pytest.mark.release),
        pytest.param("dev_sim_4spk_music", marks=pytest.mark.release),
        "dev_sim_6spk_noisy",
    ],
)
def test_every_voice_of_an_episode_finds_its_sample(prints, shared_data, tmp_path, episode):
    """Of all samples of the episode's cast the right one, for each speaker of the reference, without a doubt.

    A sample that is taken away leaves its speaker unmatched; the others keep theirs.
    """
    facts = json.loads((shared_data / "simulated" / f"{episode}.json").read_text())
    speech = sound_of(shared_data / "simulated" / facts["audio"], tmp_path)
    turns = read_rttm((shared_data / "simulated" / f"{episode}.rttm").read_text())
    readers = {speaker["id"]: speaker["librispeech_reader"] for speaker in facts["speakers"]}
    voices = {label: described(prints, excerpt(speech, turns, label)) for label in readers}
    samples = {
        reader: described(prints, sound_of(shared_data / "voices" / f"voice_{reader}_1.flac", tmp_path))
        for reader in readers.values()
    }
    found = match(voices, samples)
    assert {m.label: m.key for m in found.matches} == readers
    assert found.doubts == ()
    for absent, reader in readers.items():
        others = match(voices, {key: voice for key, voice in samples.items() if key != reader})
        assert absent in {doubt.label for doubt in others.doubts}
        assert all(m.key == readers[m.label] for m in others.matches)
