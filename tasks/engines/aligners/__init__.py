"""Aligners: known words get their times and sounds in speech. One Protocol; engines are imported when asked for."""

from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from tasks.domain.errors import EngineMissing

Float32Array = npt.NDArray[np.float32]

ENGINES: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedPhone:
    """A speech sound in IPA: [start, end) in seconds from the first sample."""

    symbol: str
    start: Fraction
    end: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedWord:
    """A word as written: [start, end) in seconds from the first sample."""

    text: str
    start: Fraction
    end: Fraction
    phones: tuple[AlignedPhone, ...] = ()


class Aligner(Protocol):
    """Finds known words in speech."""

    def align(self, speech: Float32Array, words: tuple[str, ...]) -> tuple[AlignedWord, ...]:
        """Every word of `words`, in order, with its times in speech (n,) mono at 16 kHz, on a grid of 10 ms."""
        ...


def load(name: str) -> Aligner:
    """The engine `name`. Raises EngineMissing where it cannot run."""
    if name not in ENGINES:
        raise EngineMissing(f"there is no aligner {name!r}; known are {', '.join(sorted(ENGINES)) or 'none'}.")
    module, attribute = ENGINES[name].split(":")
    make: Any = getattr(import_module(module), attribute)
    return cast(Aligner, make())
