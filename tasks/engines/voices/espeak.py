"""The embedded voice: espeak-ng in a process of its own, with the exact times of its phonemes.

In: text and a voice id, LANGUAGE/VARIANT ("en-us/f2"). Out: speech at the library's rate, phones, words.
VARIANT is one of the catalogue or any variant of the library. Knows no cast and no programme.
"""

import hashlib
import json
import logging
import os
import re
import select
import subprocess
import sys
import threading
import time
import unicodedata
import weakref
from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.domain.errors import CastError, EngineError, EngineMissing, ScriptError
from tasks.domain.options import EngineId
from tasks.domain.speech import Phone, Word
from tasks.domain.timing import Span
from tasks.engines.voices import MAX_CHARACTERS, Spoken, VoiceFacts, catalogue

_LOG = logging.getLogger(__name__)
Float32Array = npt.NDArray[np.float32]

REVISION = 1
"""Bump when an equal text would sound otherwise."""
DEFAULT_RATE_WPM, MIN_RATE_WPM, MAX_RATE_WPM = 165, 80, 450
LEVEL = 10 ** (-23 / 20)
"""Variants differ by 18 dB; the voiced part of every text is brought to -23 dBFS ..."""
PEAK = 0.95
"""... as far as its peaks allow."""
TAIL_SECONDS = Fraction(6, 100)
"""What is kept behind the last phone: the library's own pause after a sentence is the planner's to make."""
ANSWER_SECONDS, ANSWER_SECONDS_PER_CHARACTER = 20.0, 0.05
SEED = 1

_WORD, _PHONEME = 1, 7
_TOKEN = re.compile(
    # Scripts written without blanks: each character with the marks that follow it is a word.
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff][^\w\s]*"
    r"|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_VOICE_ID = re.compile(r"([A-Za-z0-9-]{2,40})/([A-Za-z0-9_ -]{1,40})")
_WITHOUT_DICTIONARY = frozenset({"fo", "kaa", "xex"})
"""Languages that the library lists and its package has no dictionary for."""
_STRESS = str.maketrans("", "", "ˈˌ")


class _Child:
    """The worker process and the conversation with it. One request at a time."""

    def __init__(self, library: Path, data: Path) -> None:
        worker = Path(__file__).with_name("espeak_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(worker), str(library)],
            cwd=data.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._pid = os.getpid()
        self.close = weakref.finalize(self, _end, self._process)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked: a copy of this process has no child of its own."""
        return self._process.poll() is None and self._pid == os.getpid()

    def ask(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytes]:
        """The head of the answer and its samples. Raises EOFError or TimeoutError, and is of no more use then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end = time.monotonic() + seconds
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = bytearray()
            while not line.endswith(b"\n"):
                line += self._read(end)
                if (cut := line.find(b"\n") + 1) and cut < len(line):
                    break
            head = json.loads(line[: line.find(b"\n") + 1])
            body = bytearray(line[line.find(b"\n") + 1 :])
            while len(body) < int(head.get("num_bytes", 0)):
                body += self._read(end)
        except BrokenPipeError as error:
            raise EOFError from error
        except BaseException:
            self.close()
            raise
        return head, bytes(body)

    def _read(self, end: float) -> bytes:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(self._process.stdout.fileno(), 1 << 20)
        if not part:
            raise EOFError
        return part


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue


class EspeakVoice:
    """espeak-ng 1.52 through one long-lived child process; one that dies is replaced with the next text."""

    def __init__(self) -> None:
        """Raises EngineMissing without the library's package."""
        try:
            import espeakng_loader
        except ImportError as error:
            raise EngineMissing(
                "the voice engine espeak needs the package espeakng-loader: install Troupe anew."
            ) from error
        self._library = Path(espeakng_loader.get_library_path())
        self._data = Path(espeakng_loader.get_data_path())
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def identity(self) -> EngineId:
        """Weights: SHA-256 over the library and all its data."""
        version = metadata.version("espeakng-loader")
        return EngineId(role="voice", name="espeak", version=f"{version}.{REVISION}", weights=self._weights)

    def speak(
        self,
        text: str,
        voice: str,
        *,
        language: str | None = None,
        rate_wpm: int | None = None,
        pitch: int | None = None,
    ) -> Spoken:
        """See the Protocol. Markup in `text` is text; control characters count as blanks."""
        name, own_pitch = self._resolve(voice, language)
        clean = _cleaned(text)
        if len(clean) > MAX_CHARACTERS:
            raise ScriptError(
                f"a text of {len(clean)} characters is too long for one utterance; {MAX_CHARACTERS} are allowed.",
                remedy="Break it into several lines.",
            )
        rate = min(max(rate_wpm or DEFAULT_RATE_WPM, MIN_RATE_WPM), MAX_RATE_WPM)
        request = {
            "text": clean,
            "voice": name,
            "rate": rate,
            "pitch": min(max(own_pitch + (50 if pitch is None else pitch) - 50, 0), 99),
            "seed": SEED,
        }
        head, body = self._ask(request, ANSWER_SECONDS + ANSWER_SECONDS_PER_CHARACTER * len(clean))
        if head.get("error") == "voice":
            raise CastError(f"voice {voice!r} is not known to espeak.", remedy=_HOW_TO_NAME)
        if "error" in head:
            raise EngineError(f"the voice engine espeak failed on a text of {len(clean)} characters: {head['error']}.")
        return _spoken(clean, head["events"], np.frombuffer(body, "=i2"), head["rate_hz"])

    def resolve(self, voice: str, language: str) -> str:
        """See the Protocol."""
        self._resolve(voice, language)
        own, _, variant = voice.rpartition("/")
        code, wanted = self._code(own), self._code(language)
        return f"{code if code.split('-')[0] == wanted.split('-')[0] else wanted}/{variant}"

    def catalogue(self, language: str) -> tuple[VoiceFacts, ...]:
        """See the Protocol."""
        code = catalogue.espeak_language(language, self._languages)
        if code is None:
            return ()
        return tuple(
            VoiceFacts(id=f"{code}/{variant.name}", language=code, sex=variant.sex, age=variant.age)
            for variant in catalogue.VARIANTS
        )

    def choose(self, language: str, sex: str | None, age: str | None, taken: Collection[str]) -> str:
        """See the Protocol."""
        return catalogue.choose(self._code(language), sex, age, taken)

    def close(self) -> None:
        """End the child process; the next text starts another."""
        with self._lock:
            if self._child is not None:
                self._child.close()
                self._child = None

    @cached_property
    def _languages(self) -> dict[str, str]:
        """The library's identifier for each language code."""
        head, _ = self._ask({"ask": "facts"}, ANSWER_SECONDS)
        return {code.lower(): identifier for code, identifier in head["voices"] if code not in _WITHOUT_DICTIONARY}

    @cached_property
    def _weights(self) -> str:
        digest = hashlib.sha256()
        for path in [self._library, *sorted(path for path in self._data.rglob("*") if path.is_file())]:
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def _code(self, language: str) -> str:
        code = catalogue.espeak_language(language, self._languages)
        if code is None:
            raise CastError(f"espeak has no voice for the language {language[:40]!r}.", remedy="Name another language.")
        return code

    def _resolve(self, voice: str, language: str | None) -> tuple[str, int]:
        """The library's name for a voice id, and its pitch."""
        parts = _VOICE_ID.fullmatch(voice)
        if parts is None:
            raise CastError(f"voice {voice[:80]!r} is not LANGUAGE/VARIANT.", remedy=_HOW_TO_NAME)
        code = self._code(parts[1])
        if language is not None and (wanted := self._code(language)).split("-")[0] != code.split("-")[0]:
            code = wanted
        known = catalogue.BY_NAME.get(parts[2])
        if known is not None:
            return f"{self._languages[code]}+{known.espeak}", known.pitch
        if not (self._data / "voices" / "!v" / parts[2]).is_file():
            raise CastError(f"voice {voice!r}: espeak has no variant {parts[2]!r}.", remedy=_HOW_TO_NAME)
        return f"{self._languages[code]}+{parts[2]}", 50

    def _ask(self, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytes]:
        """Ask the child; one that died is replaced once."""
        with self._lock:
            for attempt in (1, 2):
                if self._child is None or not self._child.is_alive:
                    self._child = _Child(self._library, self._data)
                try:
                    return self._child.ask(request, seconds)
                except EOFError as error:
                    self._child.close()
                    self._child = None
                    _LOG.warning("the voice engine espeak ended unexpectedly (attempt %d)", attempt)
                    last: Exception = error
                except TimeoutError as error:
                    self._child = None
                    raise EngineError(f"the voice engine espeak did not answer within {seconds:.0f} s.") from error
            raise EngineError("the voice engine espeak ended twice on the same text.") from last


_HOW_TO_NAME = 'Name one such as "en-us/f2", or give sex and age and leave the voice out.'


def _cleaned(text: str) -> str:
    """One blank for every control or private character and for every run of blanks; marks of direction and format go.

    Joiners stay, for Persian and Indic scripts need them. NFC: what looks equal sounds equal.
    """
    normal = unicodedata.normalize("NFC", text)
    seen = "".join(c for c in normal if unicodedata.category(c) != "Cf" or c in "\u200c\u200d")
    return " ".join("".join(" " if unicodedata.category(c) in {"Cc", "Cs", "Co", "Cn"} else c for c in seen).split())


def _spoken(text: str, events: list[list[Any]], samples: npt.NDArray[np.int16], rate_hz: int) -> Spoken:
    phones = _phones(events, samples.size, rate_hz)
    if not phones:
        return Spoken(speech=np.zeros(0, np.float32), rate_hz=rate_hz, phones=(), words=())
    last = int((phones[-1].span.end + TAIL_SECONDS) * rate_hz)
    speech = _levelled(samples[:last].astype(np.float32) / np.float32(32768))
    return Spoken(speech=speech, rate_hz=rate_hz, phones=phones, words=_words(text, events, phones, rate_hz))


def _phones(events: list[list[Any]], num_samples: int, rate_hz: int) -> tuple[Phone, ...]:
    """Each phone lasts to the next one's start, a pause included; pauses themselves have no symbol and are left out."""
    sounds = [event for event in events if event[0] == _PHONEME]
    ends = [min(event[1], num_samples) for event in sounds[1:]] + [num_samples]
    return tuple(
        Phone(symbol=symbol, span=Span(Fraction(min(event[1], end), rate_hz), Fraction(end, rate_hz)))
        for event, end in zip(sounds, ends, strict=True)
        if (symbol := event[4].translate(_STRESS).strip()) and end > event[1]
    )


def _words(text: str, events: list[list[Any]], phones: tuple[Phone, ...], rate_hz: int) -> tuple[Word, ...]:
    """The words of `text` with the time of what is said for each: a number may be several words to the library."""
    tokens = list(_TOKEN.finditer(text))
    owners: dict[Fraction, tuple[int, bool]] = {}
    token = 0
    for kind, sample, position, _, symbol in events:
        if kind == _WORD:
            # Positions count from 1 and now and then point at the blank before the word; they never go back.
            token = max(token, next((i for i, t in enumerate(tokens) if t.end() >= position), len(tokens) - 1))
        elif kind == _PHONEME and symbol:
            owners[Fraction(sample, rate_hz)] = (token, "ˈ" in symbol)
    spans: dict[int, list[Any]] = {}
    for phone in phones:
        index, stressed = owners.get(phone.span.start, (token, False))
        start, _, was_stressed = spans.get(index, [phone.span.start, None, False])
        spans[index] = [start, phone.span.end, was_stressed or stressed]
    words: list[Word] = []
    for i, match in enumerate(tokens):
        start, end, stressed = spans.get(i, [words[-1].span.end if words else phones[0].span.start] * 2 + [False])
        words.append(Word(text=match.group(), span=Span(start, end), is_stressed=stressed))
    return _shared(words)


def _shared(words: list[Word]) -> tuple[Word, ...]:
    """A word that the library said as part of the one before it takes its share of that one's time, by length."""
    done: list[Word] = []
    first = 0
    while first < len(words):
        last = first + 1
        while last < len(words) and words[last].span.duration == 0 and any(c.isalnum() for c in words[last].text):
            last += 1
        sizes = [len(word.text) for word in words[first:last]]
        start, duration = words[first].span.start, words[first].span.duration
        for i, word in enumerate(words[first:last]):
            edges = [start + duration * Fraction(sum(sizes[:k]), sum(sizes)) for k in (i, i + 1)]
            done.append(replace(word, span=Span(*edges)))
        first = last
    return tuple(done)


def _levelled(speech: Float32Array) -> Float32Array:
    """Brought to LEVEL, measured over what is louder than a tenth of the whole's level."""
    level = float(np.sqrt(np.mean(np.square(speech, dtype=np.float64)))) if speech.size else 0.0
    loud = np.abs(speech) > level / 10
    if level <= 0 or not loud.any():
        return speech
    voiced = float(np.sqrt(np.mean(np.square(speech[loud], dtype=np.float64))))
    gain = min(LEVEL / voiced, PEAK / float(np.abs(speech).max()))
    return np.asarray(speech * np.float32(gain), np.float32)
