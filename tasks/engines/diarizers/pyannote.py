"""The diarizer of pyannote.audio 4, from a local folder (community-1 or another pipeline of its kind).

In: mono speech at 16 kHz. Out: turns on a grid of 10 ms. Nothing is reported and nothing fetched: telemetry is off, the
folder must hold all that its config names, and the sound is handed over as samples, never as a path. Its files are
pickles: they are read with `weights_only` first, and refused where that fails. Knows no names.
"""

import hashlib
import sys
import types
import warnings
from fractions import Fraction
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from s2v_model.contract import Stopped, Watch
from tasks.domain.errors import EngineError, EngineMissing, OutOfMemory
from tasks.domain.options import EngineId
from tasks.domain.speech import Turn
from tasks.engines.diarizers import Speech
from tasks.engines.diarizers.grid import turns_on_grid

REVISION = 1
RATE_HZ = 16_000
LEAST_SAMPLES = RATE_HZ // 4
PIPELINES = frozenset(
    {"pyannote.audio.pipelines.SpeakerDiarization", "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization"}
)
PARTS = ("segmentation", "embedding", "plda")
INSTALL = "Install the extra `speech`: pip install 'troupe[speech]'."
_CHECKPOINTS = (".bin", ".ckpt", ".pt", ".pth")
_MAX_CONFIG_BYTES = 100_000
_STEPS = 8.0
"""At least as many as a pipeline reports."""


class PyannoteDiarizer:
    """A pipeline of pyannote.audio, on the GPU where there is one."""

    def __init__(self, cache: Path, model: str = "") -> None:
        """model: the pipeline's folder, with its config.yaml. cache: not used. Raises EngineMissing where it cannot
        run.
        """
        del cache
        if not model:
            raise EngineMissing(
                "the diarizer pyannote needs a model: set `pyannote_model` to the folder of a pipeline."
            )
        self._folder = Path(model)
        _check_config(self._folder)

    def identity(self) -> EngineId:
        """Weights: SHA-256 over all files of the folder."""
        try:
            version = metadata.version("pyannote.audio")
        except metadata.PackageNotFoundError as error:
            raise EngineMissing(f"the diarizer pyannote needs the package pyannote.audio. {INSTALL}") from error
        return EngineId(role="diarizer", name="pyannote", version=f"{version}.{REVISION}", weights=self._weights)

    def turns(self, speech: Speech, *, num_speakers: int | None = None, watch: Watch | None = None) -> tuple[Turn, ...]:
        """See the Protocol. Raises EngineError where the pipeline fails."""
        if speech.size < LEAST_SAMPLES:
            return ()
        pipeline = self._pipeline
        torch: Any = import_module("torch")
        samples = speech.astype(np.float32) / 32768 if speech.dtype == np.int16 else np.nan_to_num(speech)
        sound = {"waveform": torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None], "sample_rate": RATE_HZ}
        hint = {} if num_speakers is None else {"num_speakers": num_speakers}
        try:
            with torch.random.fork_rng(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.manual_seed(0)
                found = pipeline(sound, hook=_hook(watch), **hint)
        except Stopped:
            raise
        except torch.cuda.OutOfMemoryError as error:
            seconds = speech.size / RATE_HZ
            raise OutOfMemory(f"pyannote does not find enough memory for {seconds:.0f} s on this GPU.") from error
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"the diarizer pyannote failed on {speech.size / RATE_HZ:.0f} s: {error}.") from error
        end = Fraction(speech.size * 100 // RATE_HZ, 100)
        tracks = found.speaker_diarization.itertracks(yield_label=True)
        return turns_on_grid(
            (max(Fraction(segment.start), Fraction(0)), min(Fraction(segment.end), end), label)
            for segment, _, label in tracks
        )

    @cached_property
    def _weights(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            digest.update(path.relative_to(self._folder).as_posix().encode())
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    @cached_property
    def _pipeline(self) -> Any:
        pyannote = _import_pyannote()
        import torch

        for path in sorted(self._folder.rglob("*")):
            if path.suffix in _CHECKPOINTS:
                _check_pickle(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pipeline = pyannote.Pipeline.from_pretrained(self._folder)
        except Exception as error:  # whatever a broken folder makes torch, lightning or yaml raise
            raise EngineMissing(f"pyannote cannot load the pipeline in {self._folder}: {_first_line(error)}") from error
        return pipeline.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def _check_config(folder: Path) -> None:
    """The folder's config names one kind of pipeline and files of the folder alone. Raises EngineMissing."""
    path = folder / "config.yaml"
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise EngineMissing(f"{path} is too long for the config of a pipeline.")
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        name, params = config["pipeline"]["name"], config["pipeline"]["params"]
        parts = [str(params[part]) for part in PARTS if part in params]
    except OSError as error:
        raise EngineMissing(
            f"pyannote model {str(folder)!r} is no folder with a config.yaml: name a local one."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise EngineMissing(f"{path} is not the config of a pyannote pipeline.") from error
    if name not in PIPELINES or config.get("preprocessors"):
        raise EngineMissing(
            f"{path} names the pipeline {name!r}; only SpeakerDiarization without preprocessors is run."
        )
    for part in parts:
        inside = folder / part.removeprefix("$model/")
        if not part.startswith("$model/") or ".." in part or not inside.is_dir():
            raise EngineMissing(f"{path} names {part!r}; everything must lie in its folder, as $model/NAME.")


def _import_pyannote() -> Any:
    """The package, with its telemetry off: it would report every model and pipeline from their making on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _import_torchaudio()
            import pyannote.audio
            from pyannote.audio.telemetry import set_telemetry_metrics
    except ImportError as error:
        raise EngineMissing(f"the diarizer pyannote needs the package pyannote.audio. {INSTALL}") from error
    set_telemetry_metrics(False)
    return pyannote.audio


def _import_torchaudio() -> None:
    """Import torchaudio beside a torch for the CPU too: its published library is linked to CUDA, its Python half is
    enough.
    """
    try:
        import_module("torchaudio")
    except OSError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        without: Any = types.ModuleType("torchaudio._extension")
        without._IS_TORCHAUDIO_EXT_AVAILABLE = without._IS_ALIGN_AVAILABLE = False
        without.fail_if_no_align = lambda function: function
        without._check_cuda_version = lambda: None
        sys.modules["torchaudio._extension"] = without
        import_module("torchaudio")


def _check_pickle(path: Path) -> None:
    """A checkpoint holds tensors, numbers and the few plain classes that pyannote keeps in one. Raises
    EngineMissing.
    """
    import torch
    from pyannote.audio.core import task

    allowed = [task.Specifications, task.Problem, task.Resolution, torch.torch_version.TorchVersion]
    try:
        with torch.serialization.safe_globals(allowed):
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a hostile pickle raises what it likes; nothing of it has run
        raise EngineMissing(
            f"{path} is no checkpoint of weights alone and is not loaded: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _hook(watch: Watch | None) -> Any:
    """The package's report of progress as a watch: its steps count alike, and what is done never shrinks."""
    steps: list[str] = []
    furthest = 0.0

    def report(step: str, *_: Any, total: int | None = None, completed: int | None = None, **__: Any) -> None:
        nonlocal furthest
        if watch is None:
            return
        if step not in steps:
            steps.append(step)
        share = completed / total if total and completed is not None else 0.0
        furthest = max(furthest, min(len(steps) - 1 + share, _STEPS))
        watch(furthest, _STEPS)

    return report
