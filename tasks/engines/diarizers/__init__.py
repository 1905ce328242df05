"""Diarizers: who spoke when. One Protocol; engines are imported when asked for, and either run or fail."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from tasks.domain.errors import EngineMissing
from tasks.domain.options import EngineId
from tasks.domain.speech import Turn

Float32Array = npt.NDArray[np.float32]
Speech = npt.NDArray[np.float32] | npt.NDArray[np.int16]
"""(n,) mono at 16 kHz: float32 in [-1, 1], or int16; a memory map keeps a long recording out of memory."""

ENGINES = {
    "embedded": "tasks.engines.diarizers.embedded:EmbeddedDiarizer",
    "pyannote": "tasks.engines.diarizers.pyannote:PyannoteDiarizer",
}


class Diarizer(Protocol):
    """Finds speakers and their turns."""

    def identity(self) -> EngineId:
        """Constant for the life of the engine."""
        ...

    def turns(self, speech: Speech, *, num_speakers: int | None = None, watch: Watch | None = None) -> tuple[Turn, ...]:
        """Who spoke when, in order of start; () where nobody speaks.

        speech: (n,) mono at 16 kHz. num_speakers: a hint. Speakers are named "S1", "S2" ... in order of first speech;
        turns of one speaker neither touch nor overlap, those of different speakers may overlap. Times lie on a grid of
        10 ms within the recording. Equal speech gives equal turns. watch: told of progress; may raise Stopped.
        """
        ...


def load(name: str, *, cache: Path, options: Mapping[str, Any] | None = None) -> Diarizer:
    """The engine `name`, with its model files in `cache`; `options` are the engine's own.

    Raises EngineMissing where the engine cannot run: its text names the extra or the files to install.
    """
    if name not in ENGINES:
        raise EngineMissing(f"there is no diarizer {name!r}; known are {', '.join(sorted(ENGINES))}.")
    module, attribute = ENGINES[name].split(":")
    make: Any = getattr(import_module(module), attribute)
    return cast(Diarizer, make(cache, **(options or {})))
