"""espeak-ng as a voice: 140 languages, exact times of every sound, robotic. Runs in a process of its own.

Names are LANGUAGE/VARIANT ("en-us/f2"). Knows no cast: `choose` is told what somebody is and which voices are taken.
"""

import atexit
import json
import re
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tasks.domain.errors import EngineError, EngineMissing
from tasks.domain.options import EngineId
from tasks.engines.voices import Float32Array, Spoken, SpokenPhone, SpokenWord

MAX_CHARACTERS = 5_000
"""Of one line: some eight minutes of speech."""
SILENCE = 60 / 32768
"""Samples below this at both ends are not speech."""
MARGIN_MS = 20
"""So much is kept around the speech."""

# Variants that sound like people, by sex and age, most natural first; ages of children come from high pitch.
_VARIANTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("female", "adult"): ("f2", "Annie", "f4", "steph", "f5", "belinda", "f3", "Alicia", "aunty"),
    ("female", "young"): ("Alicia", "anika", "f5", "belinda", "Andrea", "f3", "f2"),
    ("female", "elderly"): ("grandma", "f1", "aunty", "steph2", "f4"),
    ("female", "child"): ("anika", "Andrea", "zac", "belinda"),
    ("male", "adult"): ("m3", "m7", "Michael", "m6", "Denis", "travis", "m4", "paul", "robert", "Mario"),
    ("male", "young"): ("travis", "Andy", "m6", "Reed", "m2", "Diogo", "m3"),
    ("male", "elderly"): ("m1", "grandpa", "m8", "croak", "quincy", "m4"),
    ("male", "child"): ("zac", "anika", "shelby"),
}
_PACE = {"child": 160, "young": 168, "adult": 160, "elderly": 142}
_AGE_OF = {variant: age for (_, age), variants in _VARIANTS.items() for variant in variants[:3]}
_DEFAULT_WORDS_PER_MINUTE = 158
_STRESS = "\u02c8"
_NOT_A_SOUND = re.compile(r"^[\s_|:;,.ˈˌː]*$")


class Espeak:
    """One child process, started when first asked to speak, again where it died."""

    def __init__(self) -> None:
        """Raises EngineMissing where the library is not installed."""
        try:
            import espeakng_loader
        except ImportError as error:
            raise EngineMissing("voice engine espeak needs espeakng-loader: pip install espeakng-loader.") from error
        self._folder = Path(espeakng_loader.get_data_path())
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def identity(self) -> EngineId:
        """The library's release is all that decides its sound."""
        return EngineId(role="voice", name="espeak", version=version("espeakng-loader"))

    def speak(self, text: str, voice: str, *, language: str) -> Spoken:
        """Say `text`. Raises EngineError where it holds nothing that can be said."""
        said = _sayable(text)
        if len(said) > MAX_CHARACTERS:
            raise EngineError(f"a line of {len(said)} characters is too long to speak; at most {MAX_CHARACTERS}.")
        own_language, _, variant = voice.partition("/")
        order = {
            "text": said,
            "voice": "+".join(part for part in (self._languages.get(own_language.casefold()), variant) if part),
            "words_per_minute": _PACE.get(_AGE_OF.get(variant, ""), _DEFAULT_WORDS_PER_MINUTE),
            "pitch": 50,
        }
        answer, samples = self._asked(order)
        if "error" in answer:
            raise EngineError(f"espeak: {answer['error']}.")
        speech = np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(32768)
        first, last = _heard(speech, answer["rate_hz"])
        if last <= first:
            raise EngineError(f"voice {voice} makes no sound of {text[:60]!r}. Write words of the language {language}.")
        return _spoken(speech[first:last], answer, said, first)

    def _asked(self, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """One order to the child; a child that dies is started again once."""
        with self._lock:
            for attempt in (1, 2):
                child = self._running()
                try:
                    assert child.stdin is not None
                    assert child.stdout is not None
                    child.stdin.write(json.dumps(order).encode() + b"\n")
                    child.stdin.flush()
                    answer = json.loads(child.stdout.readline())
                    samples = child.stdout.read(answer.get("num_bytes", 0))
                except (OSError, ValueError) as error:
                    self.close()
                    if attempt == 2:
                        raise EngineError("the process of espeak died twice on one line.") from error
                else:
                    return answer, samples
        raise AssertionError("either an answer or an error")

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self.close()
            script = Path(__file__).with_name("espeak_child.py")
            self._child = subprocess.Popen(
                [sys.executable, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the parent's to act on
            )
        return self._child

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(OSError):  # it died with something unread
                        pipe.close()
            child.kill()
            child.wait()

    @cached_property
    def _languages(self) -> dict[str, str]:
        """Language names that the library knows, in lower case -> the file by whose name it finds them."""
        files = sorted(path for path in (self._folder / "lang").rglob("*") if path.is_file())
        named: dict[str, str] = {}
        for path in files:
            for line in path.read_text("utf-8", errors="replace").splitlines():
                if line.startswith("language") and line.split()[1:]:
                    named.setdefault(line.split()[1].casefold(), path.name)
        return named | {path.name.casefold(): path.name for path in files}

    @cached_property
    def _variants(self) -> dict[str, str]:
        """Variants that the library knows: in lower case -> as spelled."""
        return {path.name.casefold(): path.name for path in (self._folder / "voices" / "!v").iterdir()}

    def refuses(self, voice: str) -> str:
        """Why there is no such voice; "" where there is one."""
        language, _, variant = voice.partition("/")
        if language.casefold() not in self._languages:
            return f"espeak does not speak {language!r}."
        if variant and variant not in self._variants.values():
            return f"espeak has no variant {variant!r} (of voice {voice!r})."
        return ""

    def choose(self, language: str, sex: str | None, age: str | None, taken: tuple[str, ...]) -> str:
        """The most natural voice that fits and is not taken; a taken one only where all are."""
        spoken = self._language(language)
        group = _group(sex, age, len(taken))
        used = [name.rpartition("/")[2] for name in taken]
        near = [_VARIANTS[group], *(_VARIANTS[other] for other in _VARIANTS if other[0] == group[0])]
        order = [variant for variants in near for variant in variants if variant.casefold() in self._variants]
        free = [variant for variant in order if variant not in used]
        return f"{spoken}/{(free or order)[0]}"

    def _language(self, language: str) -> str:
        """The library's name of a BCP 47 language: the nearest that it has."""
        wanted = language.casefold()
        base = wanted.split("-")[0]
        for name in (_PREFERRED.get(wanted), wanted, _PREFERRED.get(base), base):
            if name and name in self._languages:
                return name
        near = sorted(name for name in self._languages if name.split("-")[0] == base)
        if near:
            return near[0]
        raise EngineError(f"espeak does not speak {language!r}. Name a voice of another engine in the cast.")


_PREFERRED = {"en": "en-us", "zh": "cmn", "zh-hans": "cmn", "zh-cn": "cmn", "zh-hk": "yue", "no": "nb", "fr": "fr-fr"}


def _group(sex: str | None, age: str | None, num_taken: int) -> tuple[str, str]:
    """The variants that fit what the cast says; where it says nothing, sexes alternate."""
    known_sex = sex if sex in ("female", "male") else ("female", "male")[num_taken % 2]
    return known_sex, age if age in ("child", "young", "adult", "elderly") else "adult"


def _sayable(text: str) -> str:
    """Text without what only a machine would read out: control characters, and angle brackets that ask for markup."""
    shown = "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Cn", "Co") else " " for c in text)
    return " ".join(shown.replace("<", " ").replace(">", " ").replace("[[", " ").replace("]]", " ").split())


def _heard(speech: Float32Array, rate_hz: int) -> tuple[int, int]:
    """First and last sample of what is heard, with a small margin."""
    loud = np.flatnonzero(np.abs(speech) > SILENCE)
    if not len(loud):
        return 0, 0
    margin = rate_hz * MARGIN_MS // 1000
    return max(0, int(loud[0]) - margin), min(len(speech), int(loud[-1]) + margin)


def _spoken(speech: Float32Array, answer: dict[str, Any], text: str, first: int) -> Spoken:
    """Samples and the library's events, on one clock that starts with the first sample kept."""
    rate = answer["rate_hz"]
    origin = Fraction(first, rate)
    length = Fraction(len(speech), rate)

    def at(milliseconds: int) -> Fraction:
        return min(max(Fraction(milliseconds, 1000) - origin, Fraction(0)), length)

    sounds = [(at(ms), symbol) for kind, ms, symbol, *_ in answer["events"] if kind == "phone"]
    starts = [(at(event[1]), event[2], event[3]) for event in answer["events"] if event[0] == "word"]
    phones = _phones(sounds, length)
    return Spoken(speech=speech, rate_hz=rate, phones=phones, words=_words(starts, sounds, text, length))


def _phones(sounds: Sequence[tuple[Fraction, str]], length: Fraction) -> tuple[SpokenPhone, ...]:
    ends = [start for start, _ in sounds[1:]] + [length]
    return tuple(
        SpokenPhone(symbol=symbol, start=start, end=end)
        for (start, symbol), end in zip(sounds, ends, strict=True)
        if end > start and not _NOT_A_SOUND.match(symbol)
    )


def _words(
    starts: Sequence[tuple[Fraction, int, int]], sounds: Sequence[tuple[Fraction, str]], text: str, length: Fraction
) -> tuple[SpokenWord, ...]:
    """Words as written, between blanks, each from its first event to the next word's."""
    spans = [(match.start(), match.group()) for match in re.finditer(r"\S+", text)]
    first_at: dict[int, Fraction] = {}
    for start, position, _ in starts:
        place = next((n for n, (at, word) in enumerate(spans) if at <= position - 1 < at + len(word) + 1), None)
        if place is not None:
            first_at.setdefault(place, start)
    known = sorted(first_at)
    words = []
    for order, place in enumerate(known):
        start = first_at[place]
        end = first_at[known[order + 1]] if order + 1 < len(known) else length
        after = known[order + 1] if order + 1 < len(known) else len(spans)
        written = " ".join(word for _, word in spans[(0 if order == 0 else place) : after])
        is_stressed = any(_STRESS in symbol for at, symbol in sounds if start <= at < end)
        words.append(SpokenWord(text=written, start=start, end=end, is_stressed=is_stressed))
    return tuple(words)
