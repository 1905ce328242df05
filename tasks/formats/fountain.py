"""Fountain (fountain.io, 1.1) -> Script.

In: clean text. Out: a Script; scene headings, transitions, notes and page breaks leave nothing behind. Does not know
who is cast beyond the names that it is told.
"""

import re

from tasks.domain.speech import Script
from tasks.formats.labels import folded, is_capital, tidy
from tasks.formats.languages import language_tag
from tasks.formats.markup import without_blocks, without_emphasis
from tasks.formats.scribe import Scribe

_TITLE_KEY = re.compile(
    r"(title|credit|authors?|written by|source|notes?|(?:draft )?date|contact(?: info)?|copyright|language|revision|"
    r"format|episode|series|watermark)\s*:\s*(.*)",
    re.IGNORECASE,
)
_HEADING = re.compile(r"(?:int|ext|est|int\.?/ext|ext\.?/int|i/e)[. ].*|\.(?=[^.\s]).*", re.IGNORECASE)
_SECTION = re.compile(r"#{1,6}\s*(.*)")
_EXTENSION = re.compile(r"\s*\(([^()]*)\)\s*")
_OFF = re.compile(r"(?:cont['’]?d|continued|continuing|v\.?\s?o\.?|o\.?\s?s\.?|o\.?\s?c\.?|more)\.?", re.IGNORECASE)
_KEEPS_OPEN = 2
"""So many spaces on an empty line keep a speech open."""
_BRACKETED = re.compile(r"\[([^\[\]]*)\]\.?")


def without_notes(text: str) -> str:
    """`text` without its boneyards and notes; line numbers stay."""
    return without_blocks(without_blocks(text, "/*", "*/"), "[[", "]]")


def cue_at(lines: list[str], index: int, known: frozenset[str]) -> tuple[str, tuple[str, ...]] | None:
    """Label and directions of the character cue at lines[index]: a name in capitals, a gap above, words below."""
    line = lines[index].strip()
    has_gap = index == 0 or not lines[index - 1].strip()
    if not has_gap or index + 1 >= len(lines) or not lines[index + 1].strip() or not line:
        return None
    is_forced = line.startswith("@")
    line = without_emphasis(line.lstrip("@").rstrip("^").strip())
    extensions = tuple(text.strip() for text in _EXTENSION.findall(line))
    label = tidy(_EXTENSION.sub(" ", line).rstrip(":："))
    if not label or len(label) > 60 or (not is_forced and not _is_name(label, known)):
        return None
    return label, tuple(text for text in extensions if text and not _OFF.fullmatch(text))


def _is_name(label: str, known: frozenset[str]) -> bool:
    if label[0] in "!.>#=~[(" or _HEADING.fullmatch(label) or label.endswith(("TO:", " TO", "?", "!")):
        return False
    return folded(label) in known or (is_capital(label) and label != label.lower() and ":" not in label)


def num_cues(text: str, known: frozenset[str]) -> int:
    """How many speeches `text` has if it is Fountain."""
    lines = without_notes(text).split("\n")
    return sum(cue_at(lines, index, known) is not None for index in range(len(lines)))


def has_title_page(text: str) -> bool:
    """Whether the first line is a key of a title page."""
    match = _TITLE_KEY.fullmatch(text.lstrip("\n").split("\n", 1)[0].strip())
    return match is not None and match[1].lower() in ("title", "credit", "author", "authors")


def read_fountain(text: str, *, name: str, known: frozenset[str], warnings: tuple[str, ...] = ()) -> Script:
    """The script that the Fountain `text` holds."""
    lines = without_notes(text).split("\n")
    page, start = _title_page(lines)
    reader = _Reader(lines, known, Scribe(name=name, warnings=list(warnings)))
    index = start
    while index < len(lines):
        index = reader.block(index)
    language = language_tag(page["language"]) if "language" in page else None
    author = page.get("author") or page.get("authors") or page.get("written by")
    return reader.scribe.finish(title=page.get("title"), language=language, author=author)


def _title_page(lines: list[str]) -> tuple[dict[str, str], int]:
    """The keys of the title page, and the index of the line behind it."""
    index = next((index for index, line in enumerate(lines) if line.strip()), 0)
    if not has_title_page("\n".join(lines[index : index + 1])) and _TITLE_KEY.fullmatch(lines[index].strip()) is None:
        return {}, index
    page: dict[str, str] = {}
    key = ""
    while index < len(lines) and lines[index].strip():
        match = re.match(r"([A-Za-z][\w -]{0,30}):\s*(.*)", lines[index])
        if match is not None:
            key = match[1].strip().lower()
            page[key] = without_emphasis(match[2].strip())
        elif key:
            page[key] = f"{page[key]} {without_emphasis(lines[index].strip())}".strip()
        index += 1
    return page, index


class _Reader:
    """Reads one block after another: a speech with all its lines, or a paragraph."""

    def __init__(self, lines: list[str], known: frozenset[str], scribe: Scribe) -> None:
        self.lines, self.known, self.scribe = lines, known, scribe

    def block(self, index: int) -> int:
        """Take down the block at `index`; the index behind it."""
        line = self.lines[index].strip()
        if not line:
            return index + 1
        cue = cue_at(self.lines, index, self.known)
        if cue is not None:
            return self._speech(index, *cue)
        section = _SECTION.fullmatch(line)
        if section is not None:
            self.scribe.chapter(without_emphasis(section[1]), index + 1)
            return index + 1
        return self._paragraph(index)

    def _speech(self, index: int, label: str, directions: tuple[str, ...]) -> int:
        row = index + 1
        if self.lines[index].rstrip().endswith("^"):
            self.scribe.warn(f"{label} is spoken after the line above, not over it.", row)
        self.scribe.speech(label, "", row, directions=directions)
        index += 1
        parenthesis = ""
        while index < len(self.lines) and (self.lines[index].strip() or len(self.lines[index]) >= _KEEPS_OPEN):
            line = self.lines[index].strip()
            index += 1
            if parenthesis or (line.startswith("(") and ")" not in line[:-1]):
                parenthesis = f"{parenthesis} {line}".strip()
                if ")" in line:
                    self.scribe.direct(parenthesis.strip("() "))
                    parenthesis = ""
            elif line.startswith("~"):
                self.scribe.sing()
                self.scribe.more(without_emphasis(line[1:].strip()))
            elif line:
                self.scribe.more(without_emphasis(line))
        if parenthesis:
            self.scribe.more(parenthesis)
        return index

    def _paragraph(self, index: int) -> int:
        """An action, heading, transition, synopsis or centred text."""
        row = index + 1
        texts: list[str] = []
        while index < len(self.lines) and (line := self.lines[index].strip()) and not _SECTION.fullmatch(line):
            bracketed = _BRACKETED.fullmatch(line)
            index += 1
            if bracketed is not None:
                self._action(texts, row)
                texts = []
                self.scribe.action(bracketed[1], index)
            elif not _leaves_nothing(line):
                texts.append(without_emphasis(line.removeprefix("!").strip("><").strip()))
        self._action(texts, row)
        return index

    def _action(self, texts: list[str], row: int) -> None:
        text = " ".join(texts)
        bracketed = _BRACKETED.fullmatch(text)
        if text and not self.scribe.loose_mark(text):
            self.scribe.action(bracketed[1] if bracketed else text, row)


def _leaves_nothing(line: str) -> bool:
    """Headings, transitions, synopses and page breaks: how the pages are cut, not what is seen or said."""
    if line.startswith("!"):
        return False
    is_transition = (line.startswith(">") and not line.endswith("<")) or (line.isupper() and line.endswith("TO:"))
    return is_transition or line.startswith("=") or _HEADING.fullmatch(line) is not None
