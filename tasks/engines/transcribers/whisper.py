"""Whisper: speech becomes phrases with the times of their words. Through faster-whisper, or through openai-whisper.

In: mono speech at 16 kHz of any length. Out: cues on a grid of 10 ms. The model is a folder (converted for
CTranslate2), a file of openai-whisper (.pt), or a name that the installed package knows and fetches by itself. No
torch but for a .pt file. Greedy but for beams, no sampling: equal speech gives equal words. Knows no speakers.
"""

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from tasks.domain.errors import EngineError, EngineMissing, RecordingError
from tasks.domain.options import EngineId
from tasks.domain.speech import CaptionCue, Word
from tasks.domain.timing import Span
from tasks.engines.transcribers import Speech
from tasks.media.storage import file_sha256

Float32Array = npt.NDArray[np.float32]

REVISION = 1
RATE_HZ, GRID = 16_000, 100
PIECE_SECONDS = 600
"""Hours are heard in pieces: the features of a whole recording would fill the memory."""
SEARCH_SECONDS = 60
"""A piece ends at the quietest moment of its last minute."""
QUIET_SAMPLES = RATE_HZ // 5
BEAM_SIZE = 5
MAX_PHRASE_CHARACTERS = 2_000
INSTALL = "Install the extra `speech`: pip install 'troupe[speech]'."
_MODEL_FILES = ("model.bin", "config.json", "tokenizer.json")


class _Heard(NamedTuple):
    """A word or a phrase in seconds of the piece."""

    start: float
    end: float
    text: str
    words: tuple["_Heard", ...] = ()


class _Model(Protocol):
    """One of both packages, with a model loaded."""

    package: str
    weights: str
    """SHA-256."""
    languages: frozenset[str]

    def hear(self, speech: Float32Array, language: str) -> Iterable[_Heard]:
        """Phrases of one piece, with their words."""
        ...


class WhisperTranscriber:
    """Transcribes with a Whisper model that the user supplies."""

    def __init__(self, model: str) -> None:
        """model: a folder, a .pt file, or a name. Raises EngineMissing where it cannot be loaded."""
        if not model:
            raise EngineMissing(
                "the transcriber whisper needs a model; set `whisper_model` to a folder that ct2-transformers-"
                "converter made, or to a name such as `small`."
            )
        self._model_name = model

    def identity(self) -> EngineId:
        """Name and version of the package that runs; the weights are those of the model's file."""
        version = f"{metadata.version(self._model.package)}.{REVISION}"
        return EngineId(role="transcriber", name=self._model.package, version=version, weights=self._model.weights)

    def transcribe(self, speech: Speech, *, language: str, watch: Watch) -> tuple[CaptionCue, ...]:
        """See the Protocol. Cues come with the times of their words. Raises RecordingError for an unknown language."""
        code = language.lower().partition("-")[0]
        if code not in self._model.languages:
            raise RecordingError(
                f"whisper has no language {language!r} in the model {Path(self._model_name).name!r}.",
                remedy="Supply a transcript, or name another model.",
            )
        cues: list[CaptionCue] = []
        for start, end in pieces(speech):
            watch(start, speech.size)
            sound = _as_float(speech[start:end])
            for phrase in self._heard(sound, code):
                watch(start + min(phrase.end * RATE_HZ, end - start), speech.size)
                cue = _cue(phrase, Fraction(start, RATE_HZ), Fraction(end * GRID // RATE_HZ, GRID))
                if cue is not None:
                    cues.append(cue)
        return _in_order(cues)

    def _heard(self, sound: Float32Array, code: str) -> Iterator[_Heard]:
        """Phrase by phrase, as the model finds them; what it raises meanwhile is mapped."""
        try:
            phrases = iter(self._model.hear(sound, code))
            phrase = next(phrases, None)
            while phrase is not None:
                yield phrase
                phrase = next(phrases, None)
        except (RuntimeError, ValueError) as error:
            text = f"the transcriber whisper failed on {sound.size / RATE_HZ:.0f} s of speech: {error}."
            raise EngineError(text) from error

    @cached_property
    def _model(self) -> _Model:
        """Loaded with the first question."""
        if self._model_name.endswith(".pt") or (not _has("faster_whisper") and _has("whisper")):
            return _OpenAi(self._model_name)
        return _Faster(self._model_name)


def _has(package: str) -> bool:
    return find_spec(package) is not None


class _Faster:
    """faster-whisper: CTranslate2, no torch."""

    package = "faster-whisper"

    def __init__(self, name: str) -> None:
        try:
            from faster_whisper import WhisperModel
            from faster_whisper.utils import download_model
        except ImportError as error:
            raise EngineMissing(f"the transcriber whisper needs the package faster-whisper. {INSTALL}") from error
        folder = Path(name)
        try:
            if not folder.is_dir():
                folder = Path(download_model(name))
            absent = [file for file in _MODEL_FILES if not (folder / file).is_file()]
            if absent:
                raise EngineMissing(
                    f"whisper model {name!r} is incomplete: {', '.join(absent)} is missing in its folder."
                )
            self._model: Any = WhisperModel(str(folder), device="auto", local_files_only=True)
        except (ValueError, RuntimeError, OSError) as error:
            raise EngineMissing(
                f"whisper model {name!r} cannot be loaded; give a folder that ct2-transformers-converter made, "
                "or a name that faster-whisper knows and can fetch."
            ) from error
        self.weights = file_sha256(folder / "model.bin")
        self.languages = frozenset(self._model.supported_languages)

    def hear(self, speech: Float32Array, language: str) -> Iterator[_Heard]:
        """Sampling at higher temperatures is off; speech is sought by the package's own voice activity."""
        segments, _ = self._model.transcribe(
            speech,
            language=language,
            beam_size=BEAM_SIZE,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=True,
        )
        for segment in segments:
            words = tuple(_Heard(word.start, word.end, word.word) for word in segment.words or ())
            yield _Heard(segment.start, segment.end, segment.text, words)


class _OpenAi:
    """openai-whisper: torch, where it is installed."""

    package = "openai-whisper"

    def __init__(self, name: str) -> None:
        try:
            import whisper
            from whisper.tokenizer import LANGUAGES
        except ImportError as error:
            raise EngineMissing("a whisper model of type .pt needs the package openai-whisper: install it.") from error
        try:
            self._model: Any = whisper.load_model(name)
        except (RuntimeError, OSError) as error:
            raise EngineMissing(f"whisper model {name!r} cannot be loaded; give a .pt file or a known name.") from error
        path = Path(name)
        if not path.is_file():
            path = Path.home() / ".cache" / "whisper" / f"{name}.pt"
        self.weights = file_sha256(path) if path.is_file() else hashlib.sha256(name.encode()).hexdigest()
        self.languages = frozenset(LANGUAGES if self._model.is_multilingual else ("en",))

    def hear(self, speech: Float32Array, language: str) -> Iterator[_Heard]:
        """As above."""
        result = self._model.transcribe(
            speech,
            language=language,
            beam_size=BEAM_SIZE,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            fp16=False,
        )
        for segment in result["segments"]:
            words = tuple(_Heard(word["start"], word["end"], word["word"]) for word in segment.get("words", ()))
            yield _Heard(segment["start"], segment["end"], segment["text"], words)


def pieces(speech: Speech) -> Iterator[tuple[int, int]]:
    """(start, end) in samples of parts of at most ten minutes, cut at quiet moments."""
    start = 0
    while speech.size - start > PIECE_SECONDS * RATE_HZ:
        end = start + PIECE_SECONDS * RATE_HZ
        last = _as_float(speech[end - SEARCH_SECONDS * RATE_HZ : end]).reshape(-1, QUIET_SAMPLES)
        quietest = int(np.square(last, dtype=np.float64).mean(axis=1).argmin())
        end += -last.size + quietest * QUIET_SAMPLES + QUIET_SAMPLES // 2
        yield start, end
        start = end
    if speech.size > start:
        yield start, speech.size


def _as_float(speech: Speech) -> Float32Array:
    if speech.dtype == np.int16:
        return speech.astype(np.float32) * np.float32(1 / 32768)
    return np.nan_to_num(np.asarray(speech, np.float32))


def _cue(phrase: _Heard, origin: Fraction, limit: Fraction) -> CaptionCue | None:
    """A phrase on the grid and on the recording's time; None for one without a word.

    Its text is that of its words, so that both can be split alike.
    """
    words: list[Word] = []
    last = _instant(phrase.start, origin, limit)
    for heard in phrase.words or (phrase,):
        text = " ".join(heard.text.split())[:MAX_PHRASE_CHARACTERS]
        if not text:
            continue
        first = max(_instant(heard.start, origin, limit), last)
        last = max(_instant(heard.end, origin, limit), first)
        # A token that does not begin with a blank goes on with the word before it.
        if words and not heard.text.startswith(" ") and phrase.words:
            words[-1] = Word(text=words[-1].text + text, span=Span(words[-1].span.start, last))
        else:
            words.append(Word(text=text, span=Span(first, last)))
    if not words:
        return None
    text = " ".join(word.text for word in words)
    return CaptionCue(span=Span(words[0].span.start, words[-1].span.end), text=text, words=tuple(words))


def _instant(seconds: float, origin: Fraction, limit: Fraction) -> Fraction:
    return min(max(Fraction(round((origin + Fraction(seconds)) * GRID), GRID), Fraction(0)), limit)


def _in_order(cues: Iterable[CaptionCue]) -> tuple[CaptionCue, ...]:
    return tuple(sorted(cues, key=lambda cue: (cue.span.start, cue.span.end)))
