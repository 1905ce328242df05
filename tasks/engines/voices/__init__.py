"""Voices: text becomes speech. One Protocol; engines are imported when asked for, and either run or fail."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from tasks.domain.errors import EngineMissing
from tasks.domain.options import EngineId
from tasks.domain.speech import Phone, Word

Float32Array = npt.NDArray[np.float32]

MAX_CHARACTERS = 10_000
"""Of one text: about ten minutes of speech."""

ENGINES = {"espeak": "tasks.engines.voices.espeak:EspeakVoice"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spoken:
    """What an engine said. Times run from the first sample, exact."""

    speech: Float32Array
    """(n,), mono, in [-1, 1], at `rate_hz`; (0,) for a text without a sound in it."""
    rate_hz: int
    phones: tuple[Phone, ...]
    """In order, without stress marks; pauses have none."""
    words: tuple[Word, ...]
    """As written, with their punctuation, in order; scripts without blanks give a word per character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceFacts:
    """A voice of the catalogue. `id` is what `speak` takes and a cast names: LANGUAGE/VARIANT."""

    id: str
    language: str
    sex: str
    """"male" or "female"."""
    age: str
    """"child", "young", "adult" or "elderly"."""


class Voice(Protocol):
    """Speaks."""

    def identity(self) -> EngineId:
        """Constant for the life of the engine."""
        ...

    def speak(
        self,
        text: str,
        voice: str,
        *,
        language: str | None = None,
        rate_wpm: int | None = None,
        pitch: int | None = None,
    ) -> Spoken:
        """Say `text` with the voice called `voice` (an id of the catalogue).

        language: BCP 47; where it is another than the voice's own, the voice speaks that one. rate_wpm: words per
        minute. pitch: 0..100, 50 is the voice's own. Equal arguments give equal samples, whatever was said before.
        Raises CastError for a voice that does not exist, ScriptError for a text that is too long, EngineError.
        """
        ...

    def resolve(self, voice: str, language: str) -> str:
        """The id of the voice that a person named, for `language`: its own, or the same variant of that language.

        Raises CastError for a voice that does not exist.
        """
        ...

    def catalogue(self, language: str) -> tuple[VoiceFacts, ...]:
        """The voices for `language` (BCP 47), those that differ most first; () where it has none."""
        ...

    def choose(self, language: str, sex: str | None, age: str | None, taken: Collection[str]) -> str:
        """The id of a voice for a cast member: of that sex and age as far as there are any, unlike those in `taken`.

        Raises CastError for a language without a voice.
        """
        ...


def load(name: str, *, options: Mapping[str, Any] | None = None) -> Voice:
    """The engine `name`; `options` are the engine's own. Raises EngineMissing where it cannot run."""
    if name not in ENGINES:
        raise EngineMissing(f"there is no voice engine {name!r}; known are {', '.join(sorted(ENGINES))}.")
    module, attribute = ENGINES[name].split(":")
    make: Any = getattr(import_module(module), attribute)
    return cast(Voice, make(**(options or {})))
