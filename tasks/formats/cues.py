"""SRT and WebVTT -> timed cues with their voices; shared by scripts and transcripts.

In: clean text. Out: cues with exact times and their text freed of markup. Does not know whether the times bind.
"""

import html
import re
from dataclasses import dataclass
from fractions import Fraction

from tasks.formats.words import join

_STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[,.](\d{1,3})"
_TIMING = re.compile(rf"\s*{_STAMP}\s*-{{1,2}}>\s*{_STAMP}(?:\s.*)?")
_TAG = re.compile(r"<(/?)([^<>]{0,300})>")
_DROPPED = re.compile(r"<(script|style)\b[^<>]*>.*?(?:</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_VOICE = re.compile(r"v(?:\.[^\s.]+)*\s+(.+)", re.DOTALL)
_OVERRIDE = re.compile(r"\{\\[^{}]*\}")
_BLOCKS = ("NOTE", "STYLE", "REGION")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedText:
    """A cue as the file has it. One cue may have several voices, one after another."""

    row: int
    start: Fraction
    """Seconds."""
    end: Fraction
    spans: tuple[tuple[str | None, str], ...]
    """(voice tag or None, text); a line break in the text is the cue's own."""

    @property
    def text(self) -> str:
        """All of its words, in one line."""
        return join(part for _, text in self.spans for part in text.split("\n"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CueFile:
    """A whole file."""

    cues: tuple[TimedText, ...]
    title: str | None = None
    language: str | None = None
    """As the header writes it."""


def is_vtt(text: str) -> bool:
    """Whether the text begins as WebVTT does."""
    return re.match(r"\s*WEBVTT(?:[ \t\n]|$)", text) is not None


def is_cues(text: str) -> bool:
    """Whether one of the first lines is a cue's timing."""
    return is_vtt(text) or any(_TIMING.fullmatch(line) for line in text.split("\n", 12)[:12])


def read_cues(text: str) -> CueFile:
    """The cues of SRT or WebVTT text, in the file's order."""
    lines = text.split("\n")
    title, language, start = _header(lines) if is_vtt(text) else (None, None, 0)
    cues: list[TimedText] = []
    index = start
    while index < len(lines):
        if lines[index].strip().split(" ", 1)[0] in _BLOCKS and not _is_timing(lines, index + 1):
            index = _behind(lines, index)
        elif _TIMING.fullmatch(lines[index]):
            end = _behind(lines, index)
            cues.append(_cue(lines, index, end))
            index = end
        else:
            index += 1
    return CueFile(cues=tuple(cues), title=title, language=language)


def _header(lines: list[str]) -> tuple[str | None, str | None, int]:
    """Title and language of a WebVTT header, and the index behind it."""
    index = next(index for index, line in enumerate(lines) if line.strip())
    title = lines[index].strip().removeprefix("WEBVTT").strip(" \t-–—:") or None
    language = None
    index += 1
    while index < len(lines) and lines[index].strip() and not _TIMING.fullmatch(lines[index]):
        match = re.fullmatch(r"\s*(language|title)\s*:\s*(.+?)\s*", lines[index], re.IGNORECASE)
        if match is not None and match[1].lower() == "language":
            language = match[2]
        elif match is not None:
            title = match[2]
        index += 1
    return title, language, index


def _is_timing(lines: list[str], index: int) -> bool:
    return index < len(lines) and _TIMING.fullmatch(lines[index]) is not None


def _behind(lines: list[str], index: int) -> int:
    """The index of the empty line, or of the next timing, that ends the block at `index`."""
    index += 1
    while index < len(lines) and lines[index].strip():
        if _is_timing(lines, index):
            return index
        if _is_timing(lines, index + 1) and lines[index].strip().isdigit():
            return index
        index += 1
    return index


def _cue(lines: list[str], index: int, end: int) -> TimedText:
    match = _TIMING.fullmatch(lines[index])
    assert match is not None
    payload = "\n".join(lines[index + 1 : end])
    return TimedText(
        row=index + 1,
        start=_instant(*match.groups()[:4]),
        end=_instant(*match.groups()[4:]),
        spans=voices(payload),
    )


def _instant(hours: str | None, minutes: str, whole: str, fraction: str) -> Fraction:
    return Fraction(int(hours or 0) * 3600 + int(minutes) * 60 + int(whole)) + Fraction(
        int(fraction), 10 ** len(fraction)
    )


def voices(payload: str) -> tuple[tuple[str | None, str], ...]:
    """The text of a cue by voice. Other markup is dropped; script and style go with what they hold."""
    payload = _OVERRIDE.sub("", _DROPPED.sub("", payload))
    spans: list[tuple[str | None, list[str]]] = [(None, [])]
    at = 0
    for tag in _TAG.finditer(payload):
        spans[-1][1].append(payload[at : tag.start()])
        at = tag.end()
        voice = _VOICE.fullmatch(tag[2]) if not tag[1] else None
        if voice is not None:
            spans.append((" ".join(html.unescape(voice[1]).split()), []))
        elif tag[1] and tag[2].strip() == "v":
            spans.append((None, []))
    spans[-1][1].append(payload[at:])
    texts = [(voice, html.unescape("".join(pieces)).strip()) for voice, pieces in spans]
    return tuple((voice, text) for voice, text in texts if text)
