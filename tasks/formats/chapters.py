"""A file of chapters (JSON of the podcast namespace) -> where each begins, and what it is called.

In: the bytes of the file. Out: chapters in order of time. Does not know how long the recording is.
Source: Podcast Namespace, "JSON Chapters Format", version 1.2.0.
"""

import math
from fractions import Fraction
from typing import Any

from tasks.domain.errors import EpisodeError
from tasks.domain.speech import Chapter
from tasks.domain.timing import seconds
from tasks.formats.text import parse_json, read_text

MAX_CHAPTERS = 1_000
MAX_TITLE_CHARACTERS = 200
_REMEDY = 'Write {"version": "1.2.0", "chapters": [{"startTime": 0, "title": "Start"}]}.'


def read_chapters(content: bytes, *, name: str) -> tuple[Chapter, ...]:
    """The chapters of `content`; those that the file keeps out of the table of contents are left out.

    name: the file, for messages. Raises EpisodeError where it is no such file.
    """
    text = read_text(content, name=name, error=EpisodeError).text
    try:
        document = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise EpisodeError("this is not JSON.", where=name, remedy=_REMEDY) from error
    entries = document.get("chapters") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise EpisodeError("the file has no list of chapters.", where=name, remedy=_REMEDY)
    if len(entries) > MAX_CHAPTERS:
        raise EpisodeError(
            f"the file has {len(entries):,} chapters; at most {MAX_CHAPTERS:,} are read.", where=name, remedy=_REMEDY
        )
    found = [_chapter(entry, f"{name}, chapter {number}") for number, entry in enumerate(entries, 1)]
    # Two at one instant: the last one counts, as in the file's own order.
    at = {chapter.start: chapter for chapter in found if chapter is not None}
    return tuple(at[start] for start in sorted(at))


def _chapter(entry: Any, where: str) -> Chapter | None:
    if not isinstance(entry, dict):
        raise EpisodeError("a chapter is no object.", where=where, remedy=_REMEDY)
    if entry.get("toc") is False:
        return None
    title = entry.get("title")
    words = " ".join(title.split()) if isinstance(title, str) else ""
    return Chapter(start=_start(entry.get("startTime"), where), title=words[:MAX_TITLE_CHARACTERS] or "Chapter")


def _start(value: Any, where: str) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise EpisodeError(
            "its startTime is no number of seconds.", where=where, remedy="Write seconds from the start, such as 95.5."
        )
    if value > 1e6:
        raise EpisodeError("its startTime lies days ahead.", where=where, remedy="Write seconds from the start.")
    return seconds(value)
