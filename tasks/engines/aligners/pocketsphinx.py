"""Forced alignment of English words by pocketsphinx and its en-us acoustic model, both out of one package.

In: mono speech at 16 kHz and the words said in it. Out: words and phones on the decoder's grid of 10 ms. Words that its
dictionary lacks are pronounced by espeak-ng. Long speech is aligned in windows that slide along. Other languages are
pronounced by espeak-ng and sought by the mouth's shapes (hearing.py).
Knows no speakers; a text that does not fit the sound is spread over it.
"""

import hashlib
import logging
import re
import threading
from fractions import Fraction
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from s2v_model.puppet.sounds import WEIGHTS
from tasks.domain.errors import EngineMissing
from tasks.domain.options import EngineId
from tasks.domain.speech import Phone
from tasks.domain.timing import Span
from tasks.engines import voices
from tasks.engines.aligners import AlignedWord
from tasks.engines.aligners.hearing import heard
from tasks.engines.aligners.phonemes import ARPA_TO_IPA, SILENCE, arpa
from tasks.engines.aligners.spreading import spread, spread_within

_LOG = logging.getLogger(__name__)
Float32Array = npt.NDArray[np.float32]

REVISION = 2
RATE_HZ, GRID = 16_000, 100
WINDOW_SECONDS = 20
FILLS = (0.8, 0.6, 0.45)
"""A window is given the words that take this share of it at the speech's own pace; fewer where they are too many ..."""
KEEP = 0.75
"""... and only this share of them is kept: the last ones take up what is left of the window."""
MAX_WORD_SECONDS = 4
"""A word that lasts longer was not said: the text does not fit the sound."""
CUE_DOUBT, WORD_DOUBT = 1.0, 0.1
"""Seconds by which sounds are off that were spread over a cue, and over a word whose time a transcript tells."""
PRONOUNCER = "en-us/m3"
MAX_SPELLING = 40
"""Letters of a word that are pronounced."""

_EDGES = re.compile(r"^[^\w]+|[^\w]+$")
_PARTS = re.compile(r"[-\u2010-\u2015/_]+")


class _Sound(NamedTuple):
    """A word as the decoder found it, in frames of 10 ms from the start of the speech."""

    first: int
    last: int
    phones: tuple[tuple[str, int, int], ...]


class _NotFound(Exception):
    """The words cannot be aligned with the sound."""


class PocketsphinxAligner:
    """Words and phones of English speech."""

    def __init__(self, pronouncer: voices.Voice | None = None) -> None:
        """pronouncer: says words that the dictionary lacks (default: espeak). Raises EngineMissing without the
        package.
        """
        try:
            import pocketsphinx
        except ImportError as error:
            raise EngineMissing("the aligner needs the package pocketsphinx: install Troupe anew.") from error
        self._pocketsphinx: Any = pocketsphinx
        self._pronouncer = pronouncer or voices.load("espeak")
        self._lock = threading.Lock()

    def identity(self) -> EngineId:
        """Weights: SHA-256 over the acoustic model, the dictionary and the network that hears shapes."""
        version = metadata.version("pocketsphinx")
        return EngineId(role="aligner", name="pocketsphinx", version=f"{version}.{REVISION}", weights=self._weights)

    def align(
        self,
        speech: Float32Array,
        words: tuple[str, ...],
        *,
        language: str = "en",
        times: tuple[Span, ...] | None = None,
        watch: Watch | None = None,
    ) -> tuple[AlignedWord, ...]:
        """See the Protocol."""
        if not words:
            return ()
        if language.lower().partition("-")[0] == "en" and speech.size:
            try:
                with self._lock:
                    found = self._found(speech, words, watch)
                return _aligned(words, found, speech.size * GRID // RATE_HZ)
            except _NotFound as error:
                _LOG.info("%d words are sought by their shapes in %.1f s: %s", len(words), speech.size / RATE_HZ, error)
        text = " ".join(words)
        spoken = self._pronouncer.speak(text[: voices.MAX_CHARACTERS], PRONOUNCER, language=language)
        guesses = spread(speech, words, spoken) if times is None else spread_within(speech, words, spoken, times)
        return heard(speech, guesses, unsure_seconds=CUE_DOUBT if times is None else WORD_DOUBT)

    def _found(self, speech: Float32Array, words: tuple[str, ...], watch: Watch | None) -> list[_Sound | None]:
        """A sound for each word; None for one without any ("-")."""
        tokens = [self._token(word) for word in words]
        if not any(tokens):
            raise _NotFound("no word has a sound")
        found: list[_Sound | None] = [None] * len(words)
        start, first = 0, 0
        while first < len(words):
            if watch is not None:
                watch(first, len(words))
            start, first = self._window(speech, tokens, found, start, first)
        return found

    def _window(
        self, speech: Float32Array, tokens: list[str], found: list[_Sound | None], start: int, first: int
    ) -> tuple[int, int]:
        """Align the words from `first` on in the window at `start` (frames); returns where the next one begins."""
        left = speech.size * GRID // RATE_HZ - start
        frames = left if left <= WINDOW_SECONDS * GRID * 3 // 2 else WINDOW_SECONDS * GRID
        samples = speech[start * RATE_HZ // GRID : (start + frames) * RATE_HZ // GRID]
        if frames == left:
            here = [i for i in range(first, len(tokens)) if tokens[i]]
            _keep(found, here, self._decode(samples, tokens, here), start)
            return start, len(tokens)
        letters = np.cumsum([len(token) + 1 for token in tokens[first:]])
        for fill in FILLS:
            count = max(1, int(np.searchsorted(letters, fill * letters[-1] * frames / left)))
            here = [i for i in range(first, first + count) if tokens[i]]
            if not here:
                return start, first + count
            try:
                sounds = self._decode(samples, tokens, here)[: max(1, int(KEEP * len(here)))]
                _keep(found, here, sounds, start)
            except _NotFound:
                if fill == FILLS[-1]:
                    raise
                continue
            return start + sounds[-1].last, here[len(sounds) - 1] + 1
        raise AssertionError("the last fill returns or raises")

    def _decode(self, samples: Float32Array, tokens: list[str], here: list[int]) -> list[_Sound]:
        """Two passes over one window: the words `here`, then their phones. Raises _NotFound."""
        if not here:
            return []
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes()
        decoder = self._decoder
        try:
            decoder.set_align_text(" ".join(tokens[i] for i in here))
            self._run(pcm)
            if decoder.seg() is None or decoder.hyp() is None:
                raise _NotFound("the words do not fit the sound")
            decoder.set_alignment()
            self._run(pcm)
            alignment = decoder.get_alignment()
        except (RuntimeError, IndexError) as error:  # IndexError: hardly any sample
            raise _NotFound("the decoder refused") from error
        if alignment is None:
            raise _NotFound("no phones were found")
        sounds = [
            _Sound(
                word.start,
                word.start + word.duration,
                tuple((phone.name, phone.start, phone.start + phone.duration) for phone in word),
            )
            for word in alignment
            if not word.name.startswith(("<", "["))
        ]
        if len(sounds) != len(here):
            raise _NotFound(f"{len(sounds)} of {len(here)} words were found")
        return sounds

    def _run(self, pcm: bytes) -> None:
        decoder = self._decoder
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()

    def _token(self, word: str) -> str:
        """The decoder's name for a word, which it then can pronounce; "" for a word without a sound."""
        plain = _EDGES.sub("", word.replace("\u2019", "'")).lower()
        if not plain:
            return ""
        if plain.isascii() and self._decoder.lookup_word(plain):
            return plain
        # Names of added words cannot meet a word of the dictionary: none holds a "#".
        name = f"#{hashlib.sha256(plain.encode()).hexdigest()[:16]}"
        if not self._decoder.lookup_word(name):
            phones = self._pronounced(plain)
            if not phones:
                return ""
            self._decoder.add_word(name, " ".join(phones), True)
        return name

    def _pronounced(self, word: str) -> list[str]:
        """ARPAbet phones: of the dictionary for each part of a compound that is in it, of espeak for any other."""
        phones: list[str] = []
        for part in filter(None, _PARTS.split(word[:MAX_SPELLING])):
            known = self._decoder.lookup_word(part) if part.isascii() else None
            if known:
                phones += known.split()
            else:
                spoken = self._pronouncer.speak(part, PRONOUNCER)
                phones += arpa(phone.symbol for phone in spoken.phones)
        return phones

    @cached_property
    def _decoder(self) -> Any:
        # Normalisation over the whole of a window: the running one would remember what was aligned before.
        return self._pocketsphinx.Decoder(samprate=RATE_HZ, lm=None, bestpath=False, cmn="batch", loglevel="FATAL")

    @cached_property
    def _weights(self) -> str:
        folder = Path(self._pocketsphinx.get_model_path()) / "en-us"
        digest = hashlib.sha256()
        for path in sorted([*(folder / "en-us").iterdir(), folder / "cmudict-en-us.dict"]):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        digest.update(WEIGHTS.read_bytes())
        return digest.hexdigest()


def _keep(found: list[_Sound | None], here: list[int], sounds: list[_Sound], start: int) -> None:
    """Enter the sounds of a window that begins at frame `start`. Raises _NotFound for one far too long."""
    if any(sound.last - sound.first > MAX_WORD_SECONDS * GRID for sound in sounds):
        raise _NotFound("a word takes too long to have been said")
    for i, sound in zip(here, sounds, strict=False):
        moved = tuple((name, a + start, b + start) for name, a, b in sound.phones)
        found[i] = _Sound(sound.first + start, sound.last + start, moved)


def _aligned(words: tuple[str, ...], found: list[_Sound | None], num_frames: int) -> tuple[AlignedWord, ...]:
    """Words in order on the grid; one without a sound has no length, at the end of the word before it."""
    aligned, last = [], 0
    for word, sound in zip(words, found, strict=True):
        if sound is None:
            aligned.append(AlignedWord(text=word, span=_span(last, last), phones=(), is_measured=True))
            continue
        first = min(max(sound.first, last), num_frames)
        last = min(max(sound.last, first), num_frames)
        phones = tuple(
            Phone(symbol=ARPA_TO_IPA[name], span=_span(max(a, first), min(b, last)))
            for name, a, b in sound.phones
            if name != SILENCE and name in ARPA_TO_IPA and min(b, last) > max(a, first)
        )
        aligned.append(AlignedWord(text=word, span=_span(first, last), phones=phones, is_measured=True))
    return tuple(aligned)


def _span(first: int, last: int) -> Span:
    return Span(Fraction(first, GRID), Fraction(last, GRID))
