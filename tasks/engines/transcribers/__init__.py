"""Transcribers: speech becomes words with times. One Protocol; engines are imported when asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from tasks.domain.errors import EngineMissing
from tasks.domain.options import EngineId
from tasks.domain.speech import CaptionCue

Speech = npt.NDArray[np.float32] | npt.NDArray[np.int16]

ENGINES = {"whisper": "tasks.engines.transcribers.whisper:WhisperTranscriber"}


class Transcriber(Protocol):
    """Hears words."""

    def identity(self) -> EngineId:
        """Constant for the life of the engine."""
        ...

    def transcribe(self, speech: Speech, *, language: str, watch: Watch) -> tuple[CaptionCue, ...]:
        """What is said in speech (n,) mono at 16 kHz, in order, a cue for each phrase; with the times of its words.

        language: BCP 47. Times lie on a grid of 10 ms. Equal speech gives equal cues. Raises RecordingError for a
        language that the model does not know.
        """
        ...


def load(name: str, *, options: Mapping[str, Any]) -> Transcriber:
    """The engine `name`. Raises EngineMissing where it cannot run."""
    if name not in ENGINES:
        raise EngineMissing(f"there is no transcriber {name!r}; known are {', '.join(sorted(ENGINES))}.")
    module, attribute = ENGINES[name].split(":")
    make: Any = getattr(import_module(module), attribute)
    return cast(Transcriber, make(**options))
