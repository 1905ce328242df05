"""SRT and WebVTT as scripts: who says what, in order; their times do not bind.

In: clean text. Out: a Script. Does not know how long a line will last.
"""

import re

from tasks.domain.speech import Script, ScriptRole
from tasks.formats.cues import TimedText, read_cues
from tasks.formats.findings import shown
from tasks.formats.labels import CUES, MAX_LABEL_CHARACTERS, Labelled, folded, labelled, speaking, tidy
from tasks.formats.languages import language_tag
from tasks.formats.scribe import Scribe

_DASH = re.compile(r"^\s*[-–—]\s*(?=\S)")
_SONG = re.compile(r"^\s*[♪♫♬♩]+\s*")
_ACTION = re.compile(r"\[([^\[\]]*)\]\.?|\(([^()]*)\)\.?")
_UNFINISHED = re.compile(r"[^.!?…。！？\"'”’»)♪]$")


def read_subtitles(text: str, *, name: str, known: frozenset[str], warnings: tuple[str, ...] = ()) -> Script:
    """The script that a subtitle file holds: speakers by voice tag, or by `NAME: words`."""
    file = read_cues(text)
    scribe = Scribe(name=name, warnings=list(warnings))
    reader = _Reader(scribe, _speakers(file.cues, known))
    for cue in file.cues:
        for voice, words in cue.spans:
            reader.span(voice, words, cue.row)
    language = language_tag(file.language) if file.language else None
    return scribe.finish(title=file.title, language=language, roles=reader.roles())


def _label_of(line: str, row: int) -> Labelled | None:
    found = labelled(_SONG.sub("", _DASH.sub("", line)), row, opens_paragraph=True)
    return found if found is not None and found.form == "colon" else None


def _speakers(cues: tuple[TimedText, ...], known: frozenset[str]) -> frozenset[tuple[str, str]]:
    lines = [(line, cue.row) for cue in cues for voice, text in cue.spans if voice is None for line in text.split("\n")]
    found = [_label_of(line, row) for line, row in lines]
    return speaking([each for each in found if each is not None], known)


class _Reader:
    """Takes the text of cues span by span, line by line."""

    def __init__(self, scribe: Scribe, speakers: frozenset[tuple[str, str]]) -> None:
        self.scribe, self.speakers = scribe, speakers
        self.names: dict[str, str] = {}
        self.last = ""
        self.speaker: str | None = None

    def roles(self) -> tuple[ScriptRole, ...]:
        """The voice tags as they were written, by label."""
        return tuple(ScriptRole(label=label, name=name) for label, name in self.names.items())

    def span(self, voice: str | None, text: str, row: int) -> None:
        if voice is not None:
            self._speak(self._label(voice, row), text.replace("\n", " "), row, is_tag=True)
            return
        for index, line in enumerate(text.split("\n")):
            self._line(line.strip(), row, is_first=index == 0)

    def _label(self, voice: str, row: int) -> str:
        """The label of a voice tag: in capitals, so that a script has the same labels and ids in every format."""
        if len(voice) > MAX_LABEL_CHARACTERS:
            self.scribe.warn(f"the voice {shown(voice)} is too long for a name and was cut.", row)
            voice = voice[:MAX_LABEL_CHARACTERS]
        label = tidy(voice).upper() or "?"
        self.names.setdefault(label, tidy(voice))
        return label

    def _line(self, line: str, row: int, *, is_first: bool) -> None:
        found = _label_of(line, row)
        action = _ACTION.fullmatch(line)
        if not line:
            return
        if action is not None:
            self.scribe.action(action[1] or action[2] or "", row)
            self.speaker = None
        elif found is not None and (found.key, found.form) in self.speakers:
            is_sung = _SONG.match(_DASH.sub("", line)) is not None
            self._speak(found.label, found.words, row, directions=found.directions, is_sung=is_sung)
        elif found is not None and found.key in CUES:
            self.scribe.action(f"{found.label}: {found.words}", row)
        else:
            self._go_on(line, row, is_first=is_first)

    def _go_on(self, line: str, row: int, *, is_first: bool) -> None:
        """Words without a name are the last speaker's: the same line, or a new one where a sentence had ended."""
        if self.scribe.has_open_speech and (not is_first or _UNFINISHED.search(self.last)):
            self.scribe.more(line)
            self.last = line
        elif self.speaker is not None:
            self._speak(self.speaker, line, row)
        else:
            self.scribe.warn("nobody is named in front of these words, so they are an action and not spoken.", row)
            self.scribe.action(line, row)

    def _speak(
        self,
        label: str,
        words: str,
        row: int,
        *,
        directions: tuple[str, ...] = (),
        is_sung: bool = False,
        is_tag: bool = False,
    ) -> None:
        same = self.speaker is not None and folded(self.speaker) == folded(label)
        self.speaker = label
        if same and is_tag and self.scribe.has_open_speech and self.last[-1:].isalnum() and words[:1].islower():
            self.scribe.more(words)  # one sentence over two cues
        else:
            self.scribe.speech(label, words, row, directions=directions, is_sung=is_sung)
        self.last = words
