"""Screenplay lines, `NAME: words`, in plain text or Markdown -> Script.

In: clean text. Out: a Script. Knows title blocks, chapters, actions, and which labels speak; does not know who is cast
beyond the names that it is told.
"""

import re
from dataclasses import dataclass, field

from tasks.domain.speech import Script
from tasks.formats.findings import shown
from tasks.formats.labels import CUES, Labelled, is_capital, labelled, speaking
from tasks.formats.languages import language_tag
from tasks.formats.markup import is_rule, plain_line, without_blocks
from tasks.formats.scribe import Scribe

_HEADING = re.compile(r"\s{0,3}#{1,6}(?!\w)\s*(.*?)\s*#*\s*")
_SONG = re.compile(r"\s*[♪♫♬♩]+\s*")
_ACTION = re.compile(r"(?:\[([^\[\]]*)\]|【([^【】]*)】|\(([^()]*)\)|（([^（）]*)）)\.?")
_META = re.compile(r"(title|author|language)s?\s*[:：]\s*(.+)|(by|written by)\s*[:：]?\s+(.+)", re.IGNORECASE)
# How pages are cut: no label, no action.
_DIRECTING = re.compile(r"(?:INT|EXT|EST|INT\.?/EXT|I/E)[. ].*|FADE (?:IN|OUT|TO BLACK)[.:]?|[A-Z ]{2,20} TO:")
_STAGE = re.compile(r"(\*|_)(?=\S)([^*_]+)(?<=\S)\1\.?")


@dataclass(slots=True)
class Page:
    """A screenplay as lines, with what of them may be labels."""

    lines: list[str]
    candidates: dict[int, Labelled]
    """By row, from 1."""
    speakers: frozenset[tuple[str, str]]
    songs: frozenset[int]
    """Rows that begin with a note."""
    is_markdown: bool = False

    def speech_at(self, row: int) -> Labelled | None:
        """The labelled line at `row`, if its label speaks."""
        found = self.candidates.get(row)
        return found if found is not None and (found.key, found.form) in self.speakers else None

    @property
    def num_speeches(self) -> int:
        """How many lines begin with a label that speaks."""
        return sum(self.speech_at(row) is not None for row in self.candidates)


@dataclass(slots=True)
class Meta:
    """What a title block says."""

    title: str | None = None
    author: str | None = None
    language: str | None = None
    chapters: list[tuple[str, int]] = field(default_factory=list)


def read_page(text: str, known: frozenset[str], *, is_markdown: bool) -> Page:
    """Find the labels of a screenplay, and which of them speak."""
    if is_markdown:
        text = without_blocks(text, "<!--", "-->")
    lines = text.split("\n")
    candidates: dict[int, Labelled] = {}
    songs: set[int] = set()
    for row, line in enumerate(lines, start=1):
        bare, has_note = _bare(line, is_markdown=is_markdown)
        if not bare or any(pattern.fullmatch(bare) for pattern in (_HEADING, _ACTION, _DIRECTING)):
            continue
        opens = row == 1 or not lines[row - 2].strip()
        found = labelled(bare, row, opens_paragraph=opens)
        if found is not None:
            candidates[row] = found
            if has_note:
                songs.add(row)
    return Page(
        lines=lines,
        candidates=candidates,
        speakers=speaking(list(candidates.values()), known),
        songs=frozenset(songs),
        is_markdown=is_markdown,
    )


def _bare(line: str, *, is_markdown: bool) -> tuple[str, bool]:
    """A line without markup, and whether a note stood in front of it."""
    bare = plain_line(line).strip() if is_markdown else line.strip()
    note = _SONG.match(bare)
    return (bare[note.end() :].strip(), True) if note else (bare, False)


def read_screenplay(page: Page, *, name: str, known: frozenset[str], warnings: tuple[str, ...] = ()) -> Script:
    """The script on `page`."""
    scribe = Scribe(name=name, warnings=list(warnings))
    first, meta = _front(page, known, scribe)
    for title, row in meta.chapters:
        scribe.chapter(title, row)
    reader = _Reader(page, scribe)
    for row in range(first, len(page.lines) + 1):
        reader.line(row)
    return scribe.finish(title=meta.title, language=meta.language, author=meta.author)


class _Reader:
    """Takes a page line by line. A bracket may run over several lines."""

    def __init__(self, page: Page, scribe: Scribe) -> None:
        self.page, self.scribe = page, scribe
        self.is_after_gap = True
        self.skip_to = 0

    def line(self, row: int) -> None:
        if row < self.skip_to:
            return
        line = self.page.lines[row - 1]
        if not line.strip() or is_rule(line):
            self.is_after_gap = True
            return
        self._content(line, row)
        self.is_after_gap = False

    def _content(self, line: str, row: int) -> None:
        heading = _HEADING.fullmatch(line)
        bare, _ = _bare(line, is_markdown=self.page.is_markdown)
        speech = self.page.speech_at(row)
        if heading is not None:
            self.scribe.chapter(plain_line(heading[1]), row)
        elif (action := self._action(line, bare, row)) is not None:
            self._act(action, row)
        elif speech is not None:
            self._speak(speech, row)
        elif _DIRECTING.fullmatch(bare):
            self.scribe.close()
        elif not self.scribe.loose_mark(bare):
            self._unlabelled(bare, row)

    def _action(self, line: str, bare: str, row: int) -> str | None:
        """The text of a line that is an action: bracketed, or in Markdown all in italics."""
        match = _ACTION.fullmatch(bare)
        if match is not None:
            return next(group for group in match.groups() if group is not None)
        for opening, closing in ("[]", "()"):
            if bare.startswith(opening) and closing not in bare:
                return self._long_action(bare, row, opening, closing)
        if self.page.is_markdown and self.page.speech_at(row) is None:
            stage = _STAGE.fullmatch(line.strip())
            return stage[2] if stage is not None else None
        return None

    def _long_action(self, bare: str, row: int, opening: str, closing: str) -> str | None:
        """A bracket that closes at the end of a later line of the same paragraph."""
        text = bare[1:]
        for next_row in range(row + 1, min(row + 40, len(self.page.lines) + 1)):
            line = self.page.lines[next_row - 1].strip()
            if not line or opening in line:
                return None
            text = f"{text} {line}"
            if closing in line:
                if not line.rstrip(".").endswith(closing):
                    return None
                self.skip_to = next_row + 1
                return text.rstrip(".")[:-1]
        return None

    def _act(self, text: str, row: int) -> None:
        """An action; within a speech that has no words yet, a direction of it: "ANNA:", "(softly)", "words"."""
        speech = self.page.speech_at(row - 1)
        if speech is not None and not speech.words.strip() and self.scribe.has_open_speech and not self.is_after_gap:
            self.scribe.direct(text)
        else:
            self.scribe.action(text, row)

    def _speak(self, speech: Labelled, row: int) -> None:
        is_sung = row in self.page.songs
        self.scribe.speech(speech.label, speech.words, row, directions=speech.directions, is_sung=is_sung)

    def _unlabelled(self, bare: str, row: int) -> None:
        found = self.page.candidates.get(row)
        if found is not None and found.key in CUES:
            self.scribe.action(f"{found.label}: {found.words}", row)
            return
        if self.scribe.has_open_speech and not self.is_after_gap:
            if found is not None and found.form == "colon":
                self.scribe.warn(
                    f"{shown(found.label)} is not taken for a speaker; the line continues the speech.", row
                )
            elif re.match(r"[a-z]{3,6}://", bare):
                self.scribe.warn("an address is not taken for a speaker; the line continues the speech.", row)
            self.scribe.more(bare)
            return
        self.scribe.warn("nobody is named in front of these words, so they are an action and not spoken.", row)
        self.scribe.action(bare, row)


def _front(page: Page, known: frozenset[str], scribe: Scribe) -> tuple[int, Meta]:
    """The title block, and the row behind it.

    A first paragraph followed by a blank line is a title block, unless one of its labels speaks again below or stands
    in the cast; a text without a blank line has none.
    """
    if page.is_markdown and page.lines[0].strip() == "---":
        return _front_matter(page)
    start = next(row for row, line in enumerate(page.lines, start=1) if line.strip())
    end = start
    while end <= len(page.lines) and page.lines[end - 1].strip():
        end += 1
    if not any(line.strip() for line in page.lines[end - 1 :]) or not _is_title_block(page, start, end, known):
        return start, Meta()
    meta = Meta()
    for row in range(start, end):
        _read_title_line(page, row, meta, is_first=row == start)
        found = page.speech_at(row)
        if (
            found is not None
            and found.form == "colon"
            and is_capital(found.label)
            and found.label.lower() != found.label
        ):
            scribe.warn(f"{shown(found.label)} does not speak below, so this is the title block and not spoken.", row)
    return end, meta


def _is_title_block(page: Page, start: int, end: int, known: frozenset[str]) -> bool:
    here = {found.key for row in range(start, end) if (found := page.candidates.get(row)) is not None}
    below = {found.key for row, found in page.candidates.items() if row >= end and page.speech_at(row) is not None}
    if here & (below | known) or not below:
        return False
    bare = [_bare(page.lines[row - 1], is_markdown=page.is_markdown)[0] for row in range(start, end)]
    return not all(_ACTION.fullmatch(line) for line in bare)


def _read_title_line(page: Page, row: int, meta: Meta, *, is_first: bool) -> None:
    line = page.lines[row - 1]
    heading = _HEADING.fullmatch(line)
    bare = plain_line(heading[1] if heading else line).strip()
    match = _META.fullmatch(bare)
    if match is not None and (not is_first or match[1]):
        _keep(meta, (match[1] or "author").lower(), (match[2] or match[4]).strip())
    elif heading is not None and meta.title is not None:
        meta.chapters.append((bare, row))
    elif meta.title is None and (is_first or heading is not None):
        meta.title = bare
    elif meta.author is None and _is_name(bare) and row not in page.candidates:
        meta.author = bare


def _is_name(text: str) -> bool:
    """A line that can be a person's name: up to five words, each with a capital, no full stop at its end."""
    words = text.split()
    return 1 <= len(words) <= 5 and not text.endswith((".", "]", ")")) and all(word[0].isupper() for word in words)


def _keep(meta: Meta, key: str, value: str) -> None:
    if key == "title":
        meta.title = value
    elif key in ("lang", "language"):
        meta.language = language_tag(value)
    else:
        meta.author = value


def _front_matter(page: Page) -> tuple[int, Meta]:
    """The YAML-like head of a Markdown file, of which title, author and language are taken."""
    meta = Meta()
    for row, line in enumerate(page.lines[1:], start=2):
        if line.strip() in ("---", "..."):
            return row + 1, meta
        match = re.fullmatch(r"(title|author|language|lang)\s*:\s*[\"']?(.*?)[\"']?\s*", line, re.IGNORECASE)
        if match is not None and match[2]:
            _keep(
                meta,
                match[1].lower().replace("lang", "language") if match[1].lower() == "lang" else match[1].lower(),
                match[2],
            )
    return 1, Meta()
