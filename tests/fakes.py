"""Engines and a store in memory. Each passes the contract of what it replaces."""

# ruff: noqa: D102  (a fake's methods are those of its Protocol, which says what they do)

# --- stores -----------------------------------------------------------------------------------------------------------

import signal
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.domain.errors import StoreError
from tasks.engines.stores import MANIFEST, Stored, check_key, check_prefix


class MemoryStore:
    """A store in memory, whose clock a test may set, and which fails when told to."""

    uri = "file:/memory"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.ahead = timedelta(0)
        """How much later than the machine's this store's clock is."""
        self.fail_at: int | None = None
        """The call with this number, counted from 1, raises StoreError."""
        self.num_calls = 0
        self.calls: list[str] = []
        self._lock = threading.RLock()

    @property
    def now(self) -> datetime:
        """By this store's clock."""
        return datetime.now(UTC) + self.ahead

    def check(self, *, write: bool = False) -> None:
        self._called("check")

    def stat(self, key: str) -> Stored | None:
        with self._called(f"stat {check_key(key)}"):
            if key not in self.objects:
                return None
            content, modified = self.objects[key]
            return Stored(key=key, size=len(content), modified=modified)

    def local(self, key: str) -> Path | None:
        check_key(key)
        return None

    def fetch(self, key: str, target: Path) -> bool:
        content = self.read(key)
        if content is not None:
            target.write_bytes(content)
        return content is not None

    def read(self, key: str, *, limit: int = 64 << 20) -> bytes | None:
        with self._called(f"read {check_key(key)}"):
            content = self.objects.get(key, (None, None))[0]
        if content is not None and len(content) > limit:
            raise StoreError(f"{key} is larger than the {limit} bytes that such a document may have.")
        return content

    def put(self, key: str, source: Path, media_type: str) -> None:
        self.write(key, source.read_bytes(), media_type)

    def write(self, key: str, content: bytes, media_type: str) -> None:
        with self._called(f"write {check_key(key)}"):
            self.objects[key] = (content, self.now)

    def create(self, key: str, content: bytes, media_type: str) -> bool:
        with self._called(f"create {check_key(key)}"):
            is_new = key not in self.objects
            if is_new:
                self.objects[key] = (content, self.now)
            return is_new

    def touch(self, key: str) -> bool:
        with self._called(f"touch {check_key(key)}"):
            if key in self.objects:
                self.objects[key] = (self.objects[key][0], self.now)
            return key in self.objects

    def delete(self, key: str) -> None:
        with self._called(f"delete {check_key(key)}"):
            self.objects.pop(key, None)

    def list(self, prefix: str) -> Iterator[Stored]:
        with self._called(f"list {check_prefix(prefix)}"):
            found = [(key, *held) for key, held in self.objects.items() if key.startswith(prefix)]
        for key, content, modified in found:
            yield Stored(key=key, size=len(content), modified=modified)

    def copy(self, source: str, target: str) -> None:
        with self._called(f"copy {check_key(source)} {check_key(target)}"):
            if source not in self.objects:
                raise StoreError(f"{source} is gone. Run again.")
            self.objects[target] = (self.objects[source][0], self.now)

    def publish(self, prefix: str, files: Mapping[str, str], manifest: bytes) -> bool:
        with self._called(f"publish {check_key(prefix)}"):
            if f"{prefix}/{MANIFEST}" in self.objects:
                return False
            if gone := [key for key in files.values() if key not in self.objects]:
                raise StoreError(f"{gone[0]} is gone. Run again.")
            for name, key in files.items():
                self.objects[f"{prefix}/{name}"] = (self.objects[key][0], self.now)
            self.objects[f"{prefix}/{MANIFEST}"] = (manifest, self.now)
            return True

    def tidy(self, before: datetime) -> int:
        return 0

    def address(self, key: str) -> str:
        return f"/memory/{check_key(key)}"

    def link(self, key: str, seconds: int) -> str:
        return f"memory:{check_key(key)}"

    def _called(self, what: str) -> threading.RLock:
        self.num_calls += 1
        self.calls.append(what)
        if self.num_calls == self.fail_at:
            raise StoreError(f"The store failed at call {self.num_calls} ({what}).")
        return self._lock


# --- end of stores ----------------------------------------------------------------------------------------------------


# --- renderers --------------------------------------------------------------------------------------------------------

import numpy as np  # noqa: E402

from s2v_model.contract import Chunks, Take, Traits, UInt8Array, Watch  # noqa: E402


class FlatRenderer:
    """One colour a take, at once: for tests of everything around rendering."""

    def traits(self) -> Traits:
        return Traits(name="flat", revision=1, weights="")

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        frame = np.full((take.height, take.width, 3), take.seed % 256, dtype=np.uint8)
        for number in range(take.num_frames):
            watch(number, take.num_frames)
            yield frame


# --- end of renderers -------------------------------------------------------------------------------------------------


# --- engines of speech ------------------------------------------------------------------------------------------------

import itertools  # noqa: E402
from collections.abc import Collection  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from fractions import Fraction  # noqa: E402

from tasks.domain.errors import CastError  # noqa: E402
from tasks.domain.options import EngineId  # noqa: E402
from tasks.domain.speech import CaptionCue, Phone, Turn, Word  # noqa: E402
from tasks.domain.timing import SPEECH_RATE_HZ, Span  # noqa: E402
from tasks.engines.aligners import AlignedWord  # noqa: E402
from tasks.engines.voices import Spoken, VoiceFacts  # noqa: E402

Samples = np.ndarray


@dataclass
class KnownTurns:
    """A diarizer that was told; keeps the hints that it was given."""

    known: tuple[Turn, ...]
    hints: list[int | None] = field(default_factory=list)

    def identity(self) -> EngineId:
        return EngineId(role="diarizer", name="known", version="1")

    def turns(
        self, speech: Samples, *, num_speakers: int | None = None, watch: Watch | None = None
    ) -> tuple[Turn, ...]:
        self.hints.append(num_speakers)
        return self.known


class LoudBlocks:
    """Voice activity that takes every block of 20 ms with a sample in it for speech."""

    def spans(self, speech: Samples, watch: Watch | None = None) -> list[tuple[int, int]]:
        whole = np.abs(speech[: len(speech) // 320 * 320].reshape(-1, 320).astype(np.int32)).max(axis=1) > 30
        edges = np.flatnonzero(np.diff(np.concatenate([[0], whole.astype(np.int8), [0]]))) * 320
        return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


@dataclass
class KnownWords:
    """A transcriber that was told."""

    cues: tuple[CaptionCue, ...]

    def identity(self) -> EngineId:
        return EngineId(role="transcriber", name="known", version="1")

    def transcribe(self, speech: Samples, *, language: str, watch: Watch) -> tuple[CaptionCue, ...]:
        return self.cues


@dataclass
class EvenAligner:
    """Gives every word the same time, on a grid of 10 ms, and one sound: its first letter."""

    is_measured: bool = True
    lengths: list[int] = field(default_factory=list)
    """Samples of the speech that it was given."""

    def identity(self) -> EngineId:
        return EngineId(role="aligner", name="even", version="1")

    def align(
        self,
        speech: Samples,
        words: tuple[str, ...],
        *,
        language: str = "en",
        times: tuple[Span, ...] | None = None,
        watch: Watch | None = None,
    ) -> tuple[AlignedWord, ...]:
        self.lengths.append(len(speech))
        hundredths = len(speech) * 100 // SPEECH_RATE_HZ
        edges = [Fraction(hundredths * place // max(1, len(words)), 100) for place in range(len(words) + 1)]
        spans = [Span(start, end) for start, end in itertools.pairwise(edges)]
        return tuple(
            AlignedWord(
                text=word,
                span=span,
                phones=(Phone(symbol=word[0], span=span),) if span.duration else (),
                is_measured=self.is_measured,
            )
            for word, span in zip(words, spans, strict=True)
        )


class HummingVoice:
    """Hums for 0.2 s a word. Knows LANGUAGE/f1, f2, m1 and m2 in English and Italian; "..." says nothing."""

    def __init__(self, level: float = 0.1, rate_hz: int = 22_050) -> None:
        self.level, self.rate_hz = level, rate_hz

    def identity(self) -> EngineId:
        return EngineId(role="voice", name="hum", version="1")

    def speak(
        self,
        text: str,
        voice: str,
        *,
        language: str | None = None,
        rate_wpm: int | None = None,
        pitch: int | None = None,
    ) -> Spoken:
        self.resolve(voice, language or "en")
        said = [] if text == "..." else text.split()
        spans = [Span(Fraction(place, 5), Fraction(place + 1, 5)) for place in range(len(said))]
        time = np.arange(len(said) * self.rate_hz // 5) / self.rate_hz
        return Spoken(
            speech=(self.level * np.sin(2 * np.pi * (100 + len(voice)) * time)).astype(np.float32),
            rate_hz=self.rate_hz,
            phones=tuple(Phone(symbol="m", span=span) for span in spans),
            words=tuple(Word(text=word, span=span) for word, span in zip(said, spans, strict=True)),
        )

    def resolve(self, voice: str, language: str) -> str:
        variant = voice.partition("/")[2]
        if f"{language}/{variant}" not in {facts.id for facts in self.catalogue(language)}:
            raise CastError(f"there is no voice {voice!r}.", remedy="Name f1, f2, m1 or m2.")
        return f"{language}/{variant}"

    def catalogue(self, language: str) -> tuple[VoiceFacts, ...]:
        sexes = {"f1": "female", "m1": "male", "f2": "female", "m2": "male"} if language in ("en", "it") else {}
        return tuple(
            VoiceFacts(id=f"{language}/{name}", language=language, sex=sex, age="adult") for name, sex in sexes.items()
        )

    def choose(self, language: str, sex: str | None, age: str | None, taken: Collection[str]) -> str:
        fitting = [facts.id for facts in self.catalogue(language) if sex in (None, facts.sex)]
        if not fitting:
            raise CastError(f"there is no voice for {language!r}.")
        return next((voice for voice in fitting if voice not in taken), fitting[0])


class PitchPrints:
    """Voice prints of hums: two that are 600 Hz apart have a cosine of about 0.92, 2400 Hz apart of 0."""

    def identity(self) -> EngineId:
        return EngineId(role="voiceprints", name="pitch", version="1")

    def embed(self, speech: Samples) -> Samples:
        found = np.zeros(256, np.float32)
        if len(speech):
            hertz = float(np.abs(np.fft.rfft(speech)).argmax()) * SPEECH_RATE_HZ / len(speech)
            angle = (hertz - 500) / 2400 * np.pi / 2
            found[:2] = np.cos(angle), np.sin(angle)
        return found


# --- end of engines of speech -----------------------------------------------------------------------------------------


# --- interruptions ----------------------------------------------------------------------------------------------------


class Forgetful:
    """Interrupts this process where Python forgets the exception: at the end of an object's life."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


# --- end of interruptions ---------------------------------------------------------------------------------------------
