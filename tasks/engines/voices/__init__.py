"""Voices: written words become speech, with the times of words and sounds.

One Protocol; engines are imported when asked for, and either run or fail.
"""

from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from tasks.domain.errors import EngineMissing
from tasks.domain.options import EngineId

Float32Array = npt.NDArray[np.float32]

ENGINES = {"espeak": "tasks.engines.voices.espeak:Espeak"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenPhone:
    """A speech sound in IPA: [start, end) in seconds from the first sample."""

    symbol: str
    start: Fraction
    end: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWord:
    """A word as written: [start, end) in seconds from the first sample."""

    text: str
    start: Fraction
    end: Fraction
    is_stressed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spoken:
    """What a voice made of a text."""

    speech: Float32Array
    """(n,) mono in [-1, 1], without silence at its ends."""
    rate_hz: int
    words: tuple[SpokenWord, ...] = ()
    phones: tuple[SpokenPhone, ...] = ()


class Voice(Protocol):
    """Speaks."""

    def identity(self) -> EngineId:
        """Constant for the life of the engine."""
        ...

    def speak(self, text: str, voice: str, *, language: str) -> Spoken:
        """Say `text` in `voice`, a name of this engine. Equal text and voice give equal samples.

        Raises EngineError where no sound comes of it.
        """
        ...

    def choose(self, language: str, sex: str | None, age: str | None, taken: tuple[str, ...]) -> str:
        """A voice for this language, sex and age, unlike those in `taken`. Raises EngineError without one."""
        ...

    def refuses(self, voice: str) -> str:
        """Why there is no such voice, as a sentence; "" where there is one."""
        ...


def load(name: str) -> Voice:
    """The engine `name`. Raises EngineMissing where it cannot run."""
    if name not in ENGINES:
        raise EngineMissing(f"there is no voice engine {name!r}; known are {', '.join(sorted(ENGINES))}.")
    module, attribute = ENGINES[name].split(":")
    make: Any = getattr(import_module(module), attribute)
    return cast(Voice, make())
