"""Voice prints: what a voice sounds like, as 256 numbers. One Protocol; engines are imported when asked for."""

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from tasks.domain.errors import EngineMissing
from tasks.domain.options import EngineId

Float32Array = npt.NDArray[np.float32]

ENGINES = {"ge2e": "tasks.engines.voiceprints.ge2e:Ge2e"}


class Voiceprints(Protocol):
    """Tells voices apart."""

    def identity(self) -> EngineId:
        """Constant for the life of the engine."""
        ...

    def embed(self, speech: Float32Array) -> Float32Array:
        """A print of length 1, (256,), of speech (n,) mono at 16 kHz by one speaker; zeros for no sample at all.

        Equal speech gives an equal print. The cosine of two prints says how alike two voices are.
        """
        ...


def load(name: str, *, cache: Path) -> Voiceprints:
    """The engine `name`, with its model files in `cache`. Raises EngineMissing where it cannot run."""
    if name not in ENGINES:
        raise EngineMissing(f"there is no voice print engine {name!r}; known are {', '.join(sorted(ENGINES))}.")
    module, attribute = ENGINES[name].split(":")
    make: Any = getattr(import_module(module), attribute)
    return cast(Voiceprints, make(cache))
