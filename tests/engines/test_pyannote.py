"""The adapter of pyannote.audio: refusals that need no package, and the real way on a pipeline of random weights."""

import os
import pickle
import socket
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from s2v_model.contract import Stopped
from tasks.domain.errors import EngineError, EngineMissing
from tasks.engines import diarizers
from tests.pyannote_models import CONFIG, write_pyannote
from tests.synthetic import speech_like

RATE = 16_000


def load(folder: Path | str) -> diarizers.Diarizer:
    return diarizers.load("pyannote", cache=Path("/nowhere"), options={"model": str(folder)})


# --- what is refused before anything is imported ----------------------------------------------------------------------


def test_without_a_model_it_says_what_to_set():
    """The setting's name is in the message."""
    with pytest.raises(EngineMissing, match="set `pyannote_model` to the folder"):
        load("")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "is no folder with a config.yaml"),
        ("[", "is not the config"),
        ("a: 1", "is not the config"),
        ("x" * 200_000, "too long"),
        (CONFIG.replace("$model/segmentation", "somebody/segmentation"), "names 'somebody/segmentation'"),
        (CONFIG.replace("$model/embedding", "$model/../other"), "everything must lie in its folder"),
        (CONFIG.replace("pyannote.audio.pipelines.SpeakerDiarization", "os.system"), "names the pipeline 'os.system'"),
        (CONFIG + "preprocessors:\n  audio: {name: os.system}\n", "without preprocessors"),
    ],
)
def test_a_config_that_reaches_outside_is_refused(tmp_path, config, message):
    """Only one kind of pipeline, and only files of its own folder: nothing is fetched, no class is imported by name."""
    if config is not None:
        (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(EngineMissing, match=message):
        load(tmp_path)


# --- with the package -------------------------------------------------------------------------------------------------

pytestmark = [pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def package() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    try:
        from tasks.engines.diarizers.pyannote import _import_pyannote

        _import_pyannote()
    except EngineMissing:
        pytest.skip("the extra `speech` (pyannote.audio) is not installed")


@pytest.fixture(scope="module")
def folder(package, tmp_path_factory) -> Path:
    return write_pyannote(tmp_path_factory.mktemp("pyannote"))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return np.concatenate([speech_like(4.0, 1, pitch_hz=110.0), speech_like(4.0, 2, pitch_hz=220.0)])


@pytest.mark.wan
def test_turns_keep_the_contract_and_nothing_is_reported(folder, speech, monkeypatch):
    """Grid of 10 ms, in order, speakers by first speech; equal twice; no connection is opened, telemetry is off."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    engine = load(folder)
    turns = engine.turns(speech)
    assert os.environ["PYANNOTE_METRICS_ENABLED"] in {"0", "false"}
    assert turns
    assert turns[0].speaker == "S1"
    assert [turn.span.start for turn in turns] == sorted(turn.span.start for turn in turns)
    assert all(0 <= turn.span.start < turn.span.end <= Fraction(speech.size, RATE) for turn in turns)
    assert all((100 * edge).denominator == 1 for turn in turns for edge in (turn.span.start, turn.span.end))
    for speaker in {turn.speaker for turn in turns}:
        own = [turn.span for turn in turns if turn.speaker == speaker]
        assert all(left.end < right.start for left, right in pairwise(own))
    assert engine.turns(speech) == turns
    assert engine.turns(np.zeros(10, np.float32)) == ()


@pytest.mark.wan
def test_a_hint_bounds_the_speakers_and_a_watch_stops(folder, speech):
    """num_speakers is handed on; watch sees shares that grow, and may raise."""
    engine = load(folder)
    shares: list[float] = []
    turns = engine.turns(speech, num_speakers=1, watch=lambda done, total: shares.append(done / total))
    assert len({turn.speaker for turn in turns}) <= 1
    assert shares == sorted(shares)

    def stop(done: float, total: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        engine.turns(speech, watch=stop)


@pytest.mark.wan
def test_identity_names_the_weights(folder, tmp_path):
    """Every file of the folder counts."""
    other = write_pyannote(tmp_path / "other", seed=1)
    assert load(folder).identity().weights != load(other).identity().weights


@pytest.mark.wan
def test_a_checkpoint_that_is_more_than_weights_is_not_loaded(package, speech, tmp_path):
    """A pickle that would run a command is refused, and the command has not run."""
    folder = write_pyannote(tmp_path / "hostile")
    proof = tmp_path / "proof"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {proof}",)

    (folder / "segmentation" / "pytorch_model.bin").write_bytes(pickle.dumps({"state_dict": Hostile()}))
    with pytest.raises(EngineMissing, match="is no checkpoint of weights alone"):
        load(folder).turns(speech)
    assert not proof.exists()


@pytest.mark.wan
def test_a_failing_pipeline_is_an_engine_error(folder, speech, monkeypatch):
    """What the package raises meanwhile is mapped where it enters."""
    engine = load(folder)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setitem(engine.__dict__, "_pipeline", fail)
    with pytest.raises(EngineError, match="failed on 8 s: out of luck"):
        engine.turns(speech)
