"""A script in any of the formats that people write -> Script.

In: the bytes of the file. Out: `tasks.domain.speech.Script`, and its reading as `troupe check --json` shows it. The
extension hints, the content decides. Does not know who plays whom beyond the names that it is told.
"""

import re
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from tasks.domain.errors import ScriptError
from tasks.domain.speech import Script, ScriptLine
from tasks.formats.cues import is_cues, is_vtt
from tasks.formats.fountain import has_title_page, num_cues, read_fountain
from tasks.formats.labels import folded
from tasks.formats.languages import best_match, primary
from tasks.formats.screenplay import read_page, read_screenplay
from tasks.formats.subtitles import read_subtitles
from tasks.formats.tables import read_table, sniff
from tasks.formats.text import MAX_BYTES, CleanText, read_text
from tasks.formats.words import join

__all__ = ("MAX_BYTES", "in_language", "read_script", "reading")

_MARKUP = re.compile(r"\s*<(?:!doctype|html|\?xml|head|body|tt|svg)\b", re.IGNORECASE)
_PART = re.compile(r"\.\d+$")
"""How the id of a speech's further part ends."""


def read_script(content: bytes, *, name: str, language: str | None = None, known: tuple[str, ...] = ()) -> Script:
    """The script that `content` holds.

    name: the file (its extension hints at the format), for messages. language: which text column is read, and the
    script's language where it names none itself. known: keys and names of the cast, which are labels for certain.
    Raises ScriptError, at most two sentences, where it cannot be read, nobody speaks or a limit is passed.
    """
    clean = read_text(content, name=name)
    names = frozenset(folded(label) for label in known)
    if _MARKUP.match(clean.text):
        raise ScriptError(
            "this is HTML or XML, a format that is not supported.",
            where=name,
            remedy="Save it as plain text, Fountain, Markdown, CSV, SRT or WebVTT.",
        )
    script = _read(clean, name, language, names)
    return script if script.language or language is None else replace(script, language=language)


def _read(clean: CleanText, name: str, language: str | None, known: frozenset[str]) -> Script:
    extension = PurePath(name).suffix.lower()
    if is_cues(clean.text):
        script = read_subtitles(clean.text, name=name, known=known, warnings=clean.warnings)
        return replace(script, format="vtt" if is_vtt(clean.text) else "srt")
    if sniff(clean.text) is not None or extension in (".csv", ".tsv"):
        script = read_table(clean.text, name=name, language=language, warnings=clean.warnings)
        return replace(script, format="table")
    if extension in (".srt", ".vtt"):
        raise ScriptError("the file has no cue.", where=name, remedy="Write times as 00:00:01.000 --> 00:00:03.000.")
    is_markdown = extension in (".md", ".markdown") or re.search(r"^#{1,6} \S", clean.text, re.MULTILINE) is not None
    page = read_page(clean.text, known, is_markdown=is_markdown)
    cues = num_cues(clean.text, known)
    is_hinted = extension == ".fountain" or has_title_page(clean.text)
    if cues > page.num_speeches or (cues and is_hinted and cues == page.num_speeches):
        script = read_fountain(clean.text, name=name, known=known, warnings=clean.warnings)
        return replace(script, format="fountain")
    return replace(read_screenplay(page, name=name, known=known, warnings=clean.warnings), format="screenplay")


def in_language(script: Script, language: str) -> Script:
    """The same script in another of its languages: ids, speakers and order stay.

    Raises ScriptError where a spoken line has no text in it.
    """
    offered = {tag.lower() for line in script.spoken for tag, _ in line.translations}
    if (
        script.language is not None
        and language.lower() not in offered
        and primary(script.language) == primary(language)
    ):
        return script
    lines = tuple(_translated(line, language) if line.kind == "speech" else line for line in script.lines)
    missing = [line for line, old in zip(lines, script.lines, strict=True) if line is old and line.kind == "speech"]
    if missing:
        others = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise ScriptError(
            f"line {missing[0].row}{others} of the script has no text in '{language}'.",
            remedy=f"Fill the column text_{language}, or name a file under translations.",
        )
    return replace(script, lines=lines, language=language)


def _translated(line: ScriptLine, language: str) -> ScriptLine:
    tag = best_match(language, tuple(tag for tag, _ in line.translations))
    if tag is None:
        return line
    return replace(line, text=dict(line.translations)[tag], translations=())


def reading(script: Script) -> dict[str, Any]:
    """How the script reads: title, language, lines_spoken, speakers and items, as `troupe check --json` shows it.

    What a format cannot hold is null: title and language where the file names none, and directions in a file of cues.
    """
    has_no_directions = script.format in ("srt", "vtt") and not any(line.directions for line in script.lines)
    items: list[dict[str, Any]] = []
    for line in script.lines:
        if line.kind in ("action", "scene", "pause"):
            items.append({"action": line.written})
        elif line.kind == "speech" and _PART.search(line.id):
            items[-1]["text"] = join([items[-1]["text"], line.text])
        elif line.kind == "speech":
            directions = None if has_no_directions else list(line.directions)
            items.append({"speaker": line.speaker, "text": line.text, "directions": directions})
    spoken = [item for item in items if "speaker" in item]
    speakers: dict[str, int] = {}
    for item in spoken:
        speakers[item["speaker"]] = speakers.get(item["speaker"], 0) + 1
    return {
        "title": script.title,
        "language": script.language,
        "lines_spoken": len(spoken),
        "speakers": speakers,
        "items": items,
    }
