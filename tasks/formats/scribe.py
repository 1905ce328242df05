"""The scribe: takes down what a reader of some format found and makes the Script of it.

In: speeches, actions, headings, in their order. Out: `tasks.domain.speech.Script` with stable ids, pauses and overlaps
in their places, within the limits. Does not know any format.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction

from tasks.domain.errors import ScriptError
from tasks.domain.speech import Script, ScriptLine, ScriptRole
from tasks.formats.labels import folded, split_joint
from tasks.formats.words import Words, in_sentences, join, pause_of, read_words, seconds_of

MAX_SPEECH_CHARACTERS = 20_000
"""Of one speech: some twenty minutes."""
MAX_SPOKEN_LINES = 20_000
MAX_SPEAKERS = 50
MAX_PAUSE_SECONDS = 600
MAX_SCENE_SECONDS = 60
SCENE_SECONDS = Fraction(4)
MAX_WARNINGS = 50

_RECORDING = re.compile(r"\.(?:wav|flac|mp3|m4a|aac|ogg|opus)$", re.IGNORECASE)
_SCENE = re.compile(
    r"scene(?:\s+(\d{1,4}(?:[.,]\d{1,3})?)\s*(ms|s|sec|seconds?)\b)?(?:\s+([^:：]*\.(?:png|jpe?g|webp)))?\s*[:：]\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(slots=True)
class _Speech:
    """A speech under dictation."""

    speaker: str
    row: int
    raw: list[str]
    directions: tuple[str, ...]
    is_sung: bool
    translations: tuple[tuple[str, str], ...]
    pause_after: Fraction | None


@dataclass(slots=True)
class Scribe:
    """Writes down a script. name: the file, for messages."""

    name: str
    warnings: list[str] = field(default_factory=list)
    lines: list[ScriptLine] = field(default_factory=list)
    _open: _Speech | None = None
    _overlap: Fraction = Fraction(0)
    _ids: Counter[str] = field(default_factory=Counter)
    _spelling: dict[str, str] = field(default_factory=dict)
    _num_warnings: int = 0

    @property
    def has_open_speech(self) -> bool:
        """Whether words may still be added to the last speech."""
        return self._open is not None

    def where(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"{self.name}, line {row}" if row else self.name

    def warn(self, message: str, row: int) -> None:
        """Note something that a person should look at; the first MAX_WARNINGS are kept."""
        self._num_warnings += 1
        if self._num_warnings <= MAX_WARNINGS:
            self.warnings.append(f"{self.where(row)}: {message}")

    def speech(
        self,
        speaker: str,
        raw: str,
        row: int,
        *,
        directions: tuple[str, ...] = (),
        is_sung: bool = False,
        translations: tuple[tuple[str, str], ...] = (),
        pause_after: Fraction | None = None,
    ) -> None:
        """Begin a speech of `speaker`. raw: its words as written."""
        self.close()
        self._open = _Speech(speaker, row, [raw] if raw else [], directions, is_sung, translations, pause_after)

    def more(self, raw: str) -> None:
        """Go on with the speech that is open."""
        assert self._open is not None
        self._open.raw.append(raw)

    def direct(self, direction: str) -> None:
        """A direction within the open speech."""
        assert self._open is not None
        self._open.raw.append(f"[{re.sub(r'[][]', '', direction)}]")

    def sing(self) -> None:
        """The open speech is sung."""
        assert self._open is not None
        self._open.is_sung = True

    def chapter(self, title: str, row: int) -> None:
        """A heading."""
        self.close()
        title = join([title])
        if title:
            self._append(ScriptLine(id=self._id("chapter", title), kind="chapter", text=title, row=row))

    def action(self, written: str, row: int) -> None:
        """A bracketed line, without its brackets: a scene, a pause, or an action."""
        self.close()
        written = join([written])
        scene = _SCENE.fullmatch(written)
        if not written:
            return
        if scene is not None and scene[4].strip():
            self._scene(scene, written, row)
        elif (pause := pause_of(written)) is not None:
            self._check_pause(pause, row)
            line_id = self._id("pause", written)
            self._append(ScriptLine(id=line_id, kind="pause", text=written, written=written, duration=pause, row=row))
        else:
            self._append(
                ScriptLine(id=self._id("action", written), kind="action", text=written, written=written, row=row)
            )

    def _scene(self, scene: re.Match[str], written: str, row: int) -> None:
        duration = seconds_of(scene[1], scene[2]) if scene[1] else SCENE_SECONDS
        if not 0 < duration <= MAX_SCENE_SECONDS:
            raise ScriptError(
                f"the scene lasts {float(duration):g} s; more than 0 and at most {MAX_SCENE_SECONDS} s are allowed.",
                where=self.where(row),
                remedy="Write it as [scene 4 s: words].",
            )
        text = scene[4].strip()
        self._append(
            ScriptLine(
                id=self._id("scene", written),
                kind="scene",
                text=text,
                written=written,
                duration=duration,
                picture=scene[3].strip() if scene[3] else None,
                row=row,
            )
        )

    def _check_pause(self, pause: Fraction | None, row: int) -> None:
        if pause is not None and not 0 <= pause <= MAX_PAUSE_SECONDS:
            raise ScriptError(
                f"the pause lasts {float(pause):g} s; at most {MAX_PAUSE_SECONDS} s are allowed.",
                where=self.where(row),
                remedy="Shorten it.",
            )

    def loose_mark(self, raw: str) -> bool:
        """A line of {pause} and {overlap} alone: True where it was one."""
        words = read_words(raw)
        if words.parts or words.directions or not (words.pause_before or words.overlap or words.overlap_next):
            return False
        self.close()
        self._pause_last(words.pause_before, 0)
        self._overlap += words.overlap + words.overlap_next
        return True

    def close(self) -> None:
        """End the open speech and write it down."""
        speech, self._open = self._open, None
        if speech is None:
            return
        raw = join(speech.raw)
        if len(raw) > MAX_SPEECH_CHARACTERS:
            raise ScriptError(
                f"the speech has {len(raw):,} characters; at most {MAX_SPEECH_CHARACTERS:,} are allowed.",
                where=self.where(speech.row),
                remedy="Break it into several lines.",
            )
        words = read_words(raw, directions=speech.directions)
        if not words.parts:
            self._silent(speech, words)
            return
        self._speak(speech, words)

    def _silent(self, speech: _Speech, words: Words) -> None:
        """A label without words: what it does is an action."""
        self._pause_last(words.pause_before, speech.row)
        self.warn(f"{speech.speaker} has no words here, so the line is not spoken.", speech.row)
        for direction in words.directions:
            self.action(direction, speech.row)

    def _pause_last(self, pause: Fraction | None, row: int) -> None:
        """Add to the silence behind the last speech."""
        if pause is None or not self.lines or self.lines[-1].kind != "speech":
            return
        last = self.lines[-1]
        self._check_pause((last.pause_after or 0) + pause, row or last.row)
        self.lines[-1] = replace(last, pause_after=(last.pause_after or 0) + pause)

    def _speak(self, speech: _Speech, words: Words) -> None:
        self._pause_last(words.pause_before, speech.row)
        is_sung = speech.is_sung or words.is_sung
        song = next((said for said in words.directions if is_sung and _RECORDING.search(said)), None)
        directions = tuple(said for said in words.directions if said != song)
        pieces = self._pieces(words, is_whole=bool(speech.translations or song))
        line_id = self._id(folded(speech.speaker), words.text)
        overlap = self._overlap + words.overlap
        self._overlap = words.overlap_next
        for index, (text, pause) in enumerate(pieces):
            is_last = index == len(pieces) - 1
            after = _sum(pause, speech.pause_after) if is_last else pause
            self._check_pause(after, speech.row)
            self._append(
                ScriptLine(
                    id=line_id if index == 0 else f"{line_id}.{index + 1}",
                    speaker=self._spelled(speech.speaker),
                    text=text,
                    directions=directions if index == 0 else (),
                    translations=speech.translations,
                    is_sung=is_sung,
                    song=song,
                    pause_after=after,
                    overlap=overlap if index == 0 else Fraction(0),
                    row=speech.row,
                )
            )

    def _pieces(self, words: Words, *, is_whole: bool) -> list[tuple[str, Fraction | None]]:
        """The speech in lines: cut at its pauses and, where it is long, at ends of sentences.

        A line that carries translations stays whole, since theirs would have to be cut at the same places; a song, too.
        """
        if is_whole:
            return [(words.text, words.parts[-1].pause_after)]
        pieces: list[tuple[str, Fraction | None]] = []
        for part in words.parts:
            *firsts, last = in_sentences(part.text)
            pieces += [(first, None) for first in firsts]
            pieces.append((last, part.pause_after))
        return pieces

    def _spelled(self, speaker: str) -> str:
        """A label keeps the spelling of its first line: Anna and ANNA are one speaker."""
        return self._spelling.setdefault(folded(speaker), speaker)

    def _append(self, line: ScriptLine) -> None:
        self.lines.append(line)

    def _id(self, who: str, text: str) -> str:
        """A digest of speaker and words, with a counter for repeats: other lines may change around it."""
        digest = hashlib.sha256(f"{who}\x00{text}".encode()).hexdigest()[:12]
        self._ids[digest] += 1
        return digest if self._ids[digest] == 1 else f"{digest}-{self._ids[digest]}"

    def finish(
        self,
        *,
        title: str | None = None,
        language: str | None = None,
        author: str | None = None,
        roles: tuple[ScriptRole, ...] = (),
    ) -> Script:
        """The script. Raises ScriptError where nobody speaks, or too many do."""
        self.close()
        script = Script(
            title=title or None, language=language, author=author or None, lines=tuple(self.lines), roles=roles,
            warnings=tuple(self._all_warnings()),
        )  # fmt: skip
        _check_speakers(script, self.name)
        return script

    def _all_warnings(self) -> list[str]:
        hidden = self._num_warnings - MAX_WARNINGS
        return self.warnings + ([f"{self.name}: {hidden:,} more places like these."] if hidden > 0 else [])


def _sum(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def _check_speakers(script: Script, name: str) -> None:
    if not script.spoken:
        raise ScriptError("nobody speaks in this script.", where=name, remedy="Write lines as NAME: words.")
    speakers = {folded(part) for label in script.labels for part in split_joint(label)}
    if len(speakers) > MAX_SPEAKERS:
        raise ScriptError(
            f"{len(speakers):,} speakers were found; at most {MAX_SPEAKERS} are allowed.",
            where=name,
            remedy="Check that only names stand before the colons.",
        )
    if len(script.spoken) > MAX_SPOKEN_LINES:
        raise ScriptError(
            f"{len(script.spoken):,} lines are spoken; at most {MAX_SPOKEN_LINES:,} are allowed.",
            where=name,
            remedy="Split the script into several episodes.",
        )
