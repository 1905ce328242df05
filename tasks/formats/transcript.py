"""Transcripts that come with a recording: WebVTT, SRT and the JSON of the podcast namespace -> Transcript.

In: the bytes of the file. Out: cues in order of time, with the name that each has in the file. What is heard but not
said ("[Music]") is left out. Does not know the recording, so it cannot say whether times and names are true.
Source: Podcasting 2.0, transcripts/transcripts.md.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from tasks.domain.errors import ScriptError
from tasks.domain.speech import CaptionCue, Transcript
from tasks.domain.timing import Span, seconds
from tasks.formats.cues import TimedText, is_cues, read_cues
from tasks.formats.findings import shown
from tasks.formats.labels import Labelled, labelled, speaking, tidy
from tasks.formats.languages import language_tag
from tasks.formats.text import CleanText, parse_json, read_text
from tasks.formats.words import join, read_words

MAX_BYTES = 16 * 1024 * 1024
MAX_CUES = 200_000
MAX_SECONDS = 24 * 3600
MAX_CUE_CHARACTERS = 20_000
MAX_NAME_CHARACTERS = 100

_Timed = tuple[Fraction, Fraction, str | None, str]
"""Start, end, speaker, text."""


def read_transcript(content: bytes, *, name: str, language: str | None = None) -> Transcript:
    """The transcript that `content` holds.

    name: the file, for messages. language: kept where the file names none. Raises ScriptError where it cannot be read,
    has no words, or passes a limit. A cue that ends before it starts is dropped with a warning.
    """
    clean = read_text(content, name=name, max_bytes=MAX_BYTES, max_line_characters=MAX_BYTES)
    own: str | None = None
    if clean.text.lstrip()[:1] in ("{", "["):
        timed = list(_from_json(clean, name))
    elif is_cues(clean.text):
        file = read_cues(clean.text)
        timed = list(_from_cues(file.cues))
        own = language_tag(file.language) if file.language else None
    else:
        remedy = "Supply WebVTT, SRT or podcast JSON."
        raise ScriptError("this is no transcript with times.", where=name, remedy=remedy)
    cues, warnings = _checked(timed, name)
    return Transcript(cues=cues, language=own or language, warnings=(*clean.warnings, *warnings))


def _checked(timed: list[_Timed], name: str) -> tuple[tuple[CaptionCue, ...], list[str]]:
    """Cues with words and a duration, in order of time."""
    if len(timed) > MAX_CUES:
        message = f"the transcript has {len(timed):,} cues; at most {MAX_CUES:,} are allowed."
        raise ScriptError(message, where=name, remedy="Merge the cues of a sentence.")
    cues: list[CaptionCue] = []
    num_backward = 0
    for start, end, speaker, raw in timed:
        words = read_words(raw[:MAX_CUE_CHARACTERS])
        if end > MAX_SECONDS:
            message = f"a cue ends at {float(end):,.0f} s; at most {MAX_SECONDS:,} s are allowed."
            raise ScriptError(message, where=name, remedy="Write times in seconds of the recording.")
        if not words.text:
            continue
        if end <= start:
            num_backward += 1
        else:
            cues.append(CaptionCue(span=Span(start, end), text=words.text, speaker=speaker, is_sung=words.is_sung))
    if not cues:
        raise ScriptError("the transcript has no words.", where=name, remedy="Leave it out or supply another one.")
    cues.sort(key=lambda cue: (cue.span.start, cue.span.end))
    backward = f"{name}: {num_backward:,} cues end before they start and were left out."
    return tuple(cues), [backward] if num_backward else []


def _name(text: str) -> str | None:
    return tidy(text)[:MAX_NAME_CHARACTERS] or None


def _from_cues(cues: tuple[TimedText, ...]) -> Iterator[_Timed]:
    """Voices by tag, or by `NAME: words`; in SRT a name holds until the next one."""
    labels = [_label(text) for cue in cues for voice, text in cue.spans if voice is None]
    speakers = speaking([label for label in labels if label is not None], frozenset())
    last: str | None = None
    for cue in cues:
        parts: list[tuple[str | None, str]] = []
        for voice, text in cue.spans:
            label = _label(text) if voice is None else None
            if voice is not None:
                parts.append((_name(voice), text))
            elif label is not None and (label.key, label.form) in speakers:
                last = _name(label.label)
                parts.append((last, label.words))
            else:
                parts.append((last, text))
        yield from _spread(cue.start, cue.end, parts)


def _spread(start: Fraction, end: Fraction, parts: list[tuple[str | None, str]]) -> Iterator[_Timed]:
    """Several voices of one cue share its time by length."""
    total = max(1, sum(len(text) for _, text in parts))
    at = 0
    for speaker, text in parts:
        first, at = at, at + len(text)
        line = join(text.split("\n"))
        yield start + (end - start) * Fraction(first, total), start + (end - start) * Fraction(at, total), speaker, line


def _label(text: str) -> Labelled | None:
    found = labelled(text.split("\n", 1)[0], 0, opens_paragraph=True)
    if found is None or found.form != "colon":
        return None
    rest = text.split("\n", 1)[1:]
    return found if not rest else _with_rest(found, rest[0])


def _with_rest(found: Labelled, rest: str) -> Labelled:
    return Labelled(
        label=found.label,
        directions=found.directions,
        words=f"{found.words}\n{rest}",
        form=found.form,
        row=found.row,
        opens_paragraph=found.opens_paragraph,
    )


def _from_json(clean: CleanText, name: str) -> Iterator[_Timed]:
    """The segments of podcast JSON. `start`, `end` and `text`, as transcribers write them, are read too."""
    try:
        whole = parse_json(clean.text)
    except (ValueError, RecursionError) as error:
        raise ScriptError("this is no JSON.", where=name, remedy="Export the transcript again.") from error
    segments = whole.get("segments") if isinstance(whole, dict) else whole
    if not isinstance(segments, list):
        raise ScriptError("the JSON has no list 'segments'.", where=name, remedy="Supply podcast JSON, WebVTT or SRT.")
    for index, segment in enumerate(segments):
        yield _segment(segment, f"{name}, segment {index + 1}")


def _segment(segment: Any, where: str) -> _Timed:
    if not isinstance(segment, dict):
        raise ScriptError(
            f"the segment is {shown(str(segment))}.", where=where, remedy="Write startTime, endTime, body."
        )
    text = segment.get("body", segment.get("text", ""))
    speaker = segment.get("speaker")
    if not isinstance(text, str):
        raise ScriptError("body is no text.", where=where, remedy="Write it in quotation marks.")
    start = _instant(segment.get("startTime", segment.get("start")), "startTime", where)
    end = _instant(segment.get("endTime", segment.get("end")), "endTime", where)
    return start, end, _name(speaker) if isinstance(speaker, str) else None, text


def _instant(value: Any, key: str, where: str) -> Fraction:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= 10 * MAX_SECONDS:
        remedy = "Write seconds from the start of the recording."
        raise ScriptError(f"{key} is {shown(str(value))}.", where=where, remedy=remedy)
    return seconds(value)
