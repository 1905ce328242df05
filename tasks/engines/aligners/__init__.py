"""Aligners: when each word and each of its sounds is said. One Protocol; engines are imported when asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from tasks.domain.errors import EngineMissing
from tasks.domain.options import EngineId
from tasks.domain.speech import Phone
from tasks.domain.timing import Span

Float32Array = npt.NDArray[np.float32]

ENGINES = {"pocketsphinx": "tasks.engines.aligners.pocketsphinx:PocketsphinxAligner"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedWord:
    """A word with its time; the grid is 10 ms."""

    text: str
    """As it was given."""
    span: Span
    phones: tuple[Phone, ...]
    """Its sounds in IPA, within `span`; () for a word without any ("-")."""
    is_measured: bool
    """True where the times were found in the sound; False where they were spread over it by usual durations."""


class Aligner(Protocol):
    """Finds known words in speech."""

    def identity(self) -> EngineId:
        """Constant for the life of the engine."""
        ...

    def align(
        self,
        speech: Float32Array,
        words: tuple[str, ...],
        *,
        language: str = "en",
        times: tuple[Span, ...] | None = None,
        watch: Watch | None = None,
    ) -> tuple[AlignedWord, ...]:
        """One aligned word for each of `words`, in order, without overlap, within the speech.

        speech: (n,) mono at 16 kHz, one speaker. language: BCP 47. times: of each word, where a transcript tells them;
        they may be a little off. Where words cannot be found in the sound - other words than were said, noise - they
        are spread over it, and say so.
        """
        ...


def load(name: str, *, options: Mapping[str, Any] | None = None) -> Aligner:
    """The engine `name`; `options` are the engine's own. Raises EngineMissing where it cannot run."""
    if name not in ENGINES:
        raise EngineMissing(f"there is no aligner {name!r}; known are {', '.join(sorted(ENGINES))}.")
    module, attribute = ENGINES[name].split(":")
    make: Any = getattr(import_module(module), attribute)
    return cast(Aligner, make(**(options or {})))
