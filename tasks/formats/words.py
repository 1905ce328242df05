"""Words as they are spoken: freed of directions, pauses and song notes, which are kept beside them.

In: the words of one speech as somebody wrote them. Out: parts, cut at the pauses within. Does not know who speaks.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from tasks.formats.fields import number

LONG_CHARACTERS = 1_500
"""A longer speech becomes several lines, cut at ends of sentences: about a minute and a half each."""

_AMOUNT = r"(\d{1,6}(?:[.,]\d{1,3})?)\s*(ms|s|sec|seconds?)?"
# A bracket within the words is a direction, and the full stop behind it belongs to it: "Yes. [Rises]. No."
_INLINE = re.compile(
    rf"\{{\s*(?P<kind>pause|overlap)\s*[:=]?\s*{_AMOUNT}\s*\}}"
    r"|\[(?P<square>[^\[\]]*)\](?:\.(?!\.))?",
    re.IGNORECASE,
)
_LEADING = re.compile(r"\s*(?:\(([^()]*)\)|（([^（）]*)）)(?:\.(?!\.))?\s*")
# Between sentences and in small letters, "(laughs)" is a direction; elsewhere a parenthesis is spoken.
_BETWEEN = re.compile(r"(?<=[.!?…。！？])\s+\(([a-z][^()\d]{0,40})\)(?=\s|$)")
_PAUSE = re.compile(rf"(?:pause|silence|pausa|stille)\b\s*[:,]?\s*(?:{_AMOUNT})?\.?", re.IGNORECASE)
_NOTES = re.compile(r"[♪♫♬♩]+")
_GAP, _MARK = "\x00", "\x01"
_CJK = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uff65\U00020000-\U0003ffff"
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»)]*\s+|(?<=[。！？])[”’」』）]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Words up to a pause."""

    text: str
    pause_after: Fraction | None = None
    """Seconds; None where none was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One speech, read."""

    parts: tuple[Part, ...] = ()
    directions: tuple[str, ...] = ()
    pause_before: Fraction | None = None
    overlap: Fraction = Fraction(0)
    """Asked for in front of the first word: this speech starts so much earlier."""
    overlap_next: Fraction = Fraction(0)
    """Asked for behind a word: the next speech starts so much earlier."""
    is_sung: bool = False

    @property
    def text(self) -> str:
        """All of it."""
        return join(part.text for part in self.parts)


def seconds_of(amount: str, unit: str | None) -> Fraction:
    """A duration as people write it: seconds unless it says ms."""
    value = number(amount.replace(",", ".")) or Fraction(0)
    return value / 1000 if (unit or "s").lower() == "ms" else value


def pause_of(text: str, *, default: Fraction | None = Fraction(1)) -> Fraction | None:
    """The seconds that "PAUSE 1.5 s" asks for; `default` for a bare "PAUSE"; None for other text."""
    match = _PAUSE.fullmatch(text.strip())
    if match is None:
        return None
    return default if match[1] is None else seconds_of(match[1], match[2])


def join(texts: Iterable[str]) -> str:
    """Pieces of text in a row, with a space between them unless both neighbours are Chinese or Japanese."""
    return _closed(_GAP.join(text for text in texts if text))


def _closed(text: str) -> str:
    """Close each gap that a removed mark left: no space before punctuation or between CJK characters."""
    text = re.sub("[ \t\n]+", " ", text)  # first, so that no pattern below meets a long run of spaces
    if _GAP not in text:
        return text.strip()
    gap = f" ?{_GAP}[ {_GAP}]*"
    text = re.sub(f"(?<=[{_CJK}]){gap}(?=[{_CJK}])", "", text)
    text = re.sub(f"([,;:]){gap}\\1", r"\1", text)
    text = re.sub(f"{gap}(?=[,;:!?，。；：！？、])", "", text)
    return re.sub(gap, " ", text).strip()


def read_words(raw: str, *, directions: tuple[str, ...] = ()) -> Words:
    """The speech that `raw` writes. directions: those that stood between label and words."""
    found = list(directions)
    is_sung = _NOTES.search(raw) is not None
    raw = _without_leading(_NOTES.sub(_GAP, raw), found)
    raw, marks = _without_inline(raw, found)
    pieces = [_closed(piece) for piece in raw.split(_MARK)]
    return _assembled(pieces, marks, tuple(found), is_sung=is_sung)


def _without_leading(raw: str, directions: list[str]) -> str:
    while (match := _LEADING.match(raw.lstrip(_GAP))) is not None:
        text = (match[1] or match[2] or "").strip()
        if not any(character.isalpha() for character in text):
            break
        directions.append(text)
        raw = raw.lstrip(_GAP)[match.end() :]
    return raw


def _without_inline(raw: str, directions: list[str]) -> tuple[str, list[tuple[str, Fraction]]]:
    """Take directions out and leave a mark where a pause or an overlap stood."""
    marks: list[tuple[str, Fraction]] = []

    def taken(match: re.Match[str]) -> str:
        if match["kind"]:
            marks.append((match["kind"].lower(), seconds_of(match[2], match[3])))
            return _MARK
        text = match["square"].strip()
        pause = pause_of(text, default=None)
        if pause is not None:
            marks.append(("pause", pause))
            return _MARK
        directions.extend([text] if text else [])
        return _GAP

    def laughed(match: re.Match[str]) -> str:
        directions.append(match[1].strip())
        return _GAP

    return _BETWEEN.sub(laughed, _INLINE.sub(taken, raw)), marks


def _assembled(
    pieces: list[str], marks: list[tuple[str, Fraction]], directions: tuple[str, ...], *, is_sung: bool
) -> Words:
    """Lay pauses behind the words that they follow; `pieces` has one item more than `marks`."""
    parts: list[Part] = []
    open_text = pieces[0]
    before: Fraction | None = None
    overlap = overlap_next = Fraction(0)
    for (kind, value), piece in zip(marks, pieces[1:], strict=True):
        has_words = bool(open_text or parts)
        if kind == "overlap":
            overlap, overlap_next = (overlap, overlap_next + value) if has_words else (overlap + value, overlap_next)
            open_text = join([open_text, piece])
        elif open_text:
            parts.append(Part(text=open_text, pause_after=value))
            open_text = piece
        elif parts:
            last = parts.pop()
            parts.append(Part(text=last.text, pause_after=(last.pause_after or 0) + value))
            open_text = piece
        else:
            before = (before or Fraction(0)) + value
            open_text = piece
    if open_text:
        parts.append(Part(text=open_text))
    return Words(
        parts=tuple(parts),
        directions=directions,
        pause_before=before,
        overlap=overlap,
        overlap_next=overlap_next,
        is_sung=is_sung,
    )


def in_sentences(text: str, limit: int = LONG_CHARACTERS) -> tuple[str, ...]:
    """`text` in pieces of whole sentences, each of at most `limit` characters where its sentences allow it."""
    if len(text) <= limit:
        return (text,)
    pieces: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        sentence = text[start : match.end()]
        start = match.end()
        if pieces and len(pieces[-1]) + len(sentence) <= limit:
            pieces[-1] += sentence
        else:
            pieces.append(sentence)
    if start < len(text):
        if pieces and len(pieces[-1]) + len(text) - start <= limit:
            pieces[-1] += text[start:]
        else:
            pieces.append(text[start:])
    return tuple(piece.strip() for piece in pieces)
