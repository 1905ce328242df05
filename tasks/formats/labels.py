"""Labels: the names that stand in front of words, and which of them mean a speaker.

In: lines of a script. Out: label, directions and words of each, and the set of labels that speak. Does not know the
file's format, nor who plays whom.
"""

import re
from collections import Counter
from dataclasses import dataclass

MAX_LABEL_CHARACTERS = 60
MAX_LABEL_WORDS = 7

_COLON = re.compile(r"\s*[:：](?!//)[ \t\u00a0\u3000]*")
_DIRECTION = re.compile(r"\s*(?:\[([^\[\]]*)\]|\(([^()]*)\)|（([^（）]*)）|【([^【】]*)】)")
# What scripts put in front of names: dashes and bullets, a number, a time, a little picture.
_PREFIX = re.compile(
    r"[-–—•‣▪*>\s]*(?:\d{1,4}[.)]\s+)?(?:[\[(]?\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,3})?[\])]?\s+)?"
    "[\u2190-\u2bff\ufe0f\u200d\U0001f000-\U0001faff\\s]*"
)
_NAME = re.compile(r"[^\W_][\w .,'’ʼ`´&+/#·・-]*")
_ABBREVIATION = re.compile(
    r"(?:^|[\s.])(?:[^\W\d_]|Drs?|Mrs?|Ms|St|Ste|Prof|Rev|Sgt|Capt|Lt|Col|Gen|Hon|Mme|Mlle|Jr|Sr)$", re.I
)
_JOINTS = re.compile(r"\s*(?:&|\+|/|,|\band\b|\bund\b|\bet\b|\by\b|、|和)\s*", re.IGNORECASE)
_MARKS = re.compile("[\u200b\u200e\u200f\u061c\ufeff]")

# Words that stand before colons in ordinary text. They are speakers where the cast or repetition says so.
_WORDS_BEFORE_COLONS = """
note notes nb ps warning caution todo source sources link links http https ftp mailto tel www example hint tip attention
remember remark remarks length duration hosts guests cast credits copyright title author date draft hinweis achtung
beispiel nota avviso esempio remarque exemple aviso ejemplo 注 注意 例 备注
"""
_ORDINARY = frozenset(_WORDS_BEFORE_COLONS.split())
CUES = frozenset(("sfx", "fx", "sound", "sounds", "music", "musik", "musica", "musique", "música", "sound effect"))
"""Labels of what is heard but not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A line that begins with what may be a label."""

    label: str
    directions: tuple[str, ...]
    words: str
    form: str
    """How the label ends: "colon", "stop" or "bracket"."""
    row: int
    opens_paragraph: bool

    @property
    def key(self) -> str:
        """As labels are compared."""
        return folded(self.label)


def folded(label: str) -> str:
    """A label as it is compared: without regard to case and to how many spaces it has."""
    return " ".join(_MARKS.sub("", label).split()).casefold()


def tidy(label: str) -> str:
    """A label as it is kept: without invisible marks, with single spaces."""
    return " ".join(_MARKS.sub("", label).split()).strip(" .,")


def split_joint(label: str) -> tuple[str, ...]:
    """The names within a joint label: ("ANNA", "BEN") of "ANNA & BEN"; the label itself where it is none."""
    return tuple(part for part in _JOINTS.split(label) if part) or (label,)


def labelled(line: str, row: int, *, opens_paragraph: bool) -> Labelled | None:
    """What may be a label at the start of `line`, with the directions behind it and the words that follow."""
    line = _MARKS.sub("", line).strip()
    prefix = _PREFIX.match(line)
    line = line[prefix.end() :] if prefix is not None else line
    for read in (_with_colon, _with_bracket, _with_stop):
        found = read(line)
        if found is not None:
            label, directions, words, form = found
            return Labelled(
                label=label, directions=directions, words=words, form=form, row=row, opens_paragraph=opens_paragraph
            )
    return None


_Found = tuple[str, tuple[str, ...], str, str]


def _with_colon(line: str) -> _Found | None:
    """`NAME: words`, `NAME [softly]: words`, `NAME (softly): words`."""
    name = _NAME.match(line)
    if name is None:
        return None
    directions, end = _directions(line, name.end())
    colon = _COLON.match(line, end)
    label = tidy(name[0])
    if colon is None or not _is_label(label):
        return None
    return label, directions, line[colon.end() :], "colon"


def _with_bracket(line: str) -> _Found | None:
    """`NAME [softly] words` and `NAME. [softly] words`; with parentheses it is the form of `NAME. words`."""
    name = _NAME.match(line)
    if name is None or name.end() >= len(line) or line[name.end()] not in "[(（":
        return None
    directions, end = _directions(line, name.end())
    label = tidy(name[0])
    if not directions or not _is_label(label):
        return None
    return label, directions, _after_stop(line[end:]), "bracket" if line[name.end()] == "[" else "stop"


def _with_stop(line: str) -> _Found | None:
    """`NAME. words`, where the stop is not that of an abbreviation."""
    head = line[: MAX_LABEL_CHARACTERS + 1]
    for match in re.finditer(r"\.(?=\s|$)", head):
        label = head[: match.start()]
        if _ABBREVIATION.search(label):
            continue
        if not _NAME.fullmatch(label) or not _is_label(tidy(label)):
            return None
        words = line[match.end() :].strip()
        return (tidy(label), (), words, "stop") if words else None
    return None


def _after_stop(words: str) -> str:
    words = words.strip()
    return words[1:].strip() if re.match(r"\.(?!\.)", words) else words


def _directions(line: str, start: int) -> tuple[tuple[str, ...], int]:
    """The directions in brackets or parentheses from `start` on, and where they end."""
    found: list[str] = []
    while (match := _DIRECTION.match(line, start)) is not None:
        text = next((group for group in match.groups() if group is not None), "").strip()
        found += [text] if _has_letter(text) else []  # "(00:12)" directs nobody
        start = match.end()
    return tuple(found), start


def _is_label(label: str) -> bool:
    is_short = 0 < len(label) <= MAX_LABEL_CHARACTERS and len(label.split()) <= MAX_LABEL_WORDS
    stops = (label[: stop.start()] for stop in re.finditer(r"\.\s", label))
    return is_short and _has_letter(label) and all(_ABBREVIATION.search(head) for head in stops)


def _has_letter(label: str) -> bool:
    return any(character.isalpha() for character in label)


def is_capital(label: str) -> bool:
    """Written in capitals, or in a script that has none."""
    return _has_letter(label) and label == label.upper()


def _is_sure(found: Labelled, known: frozenset[str]) -> bool:
    """A label of the cast, or one written as screenplays write them."""
    if found.key in known or all(folded(part) in known for part in split_joint(found.label)):
        return True
    return is_capital(found.label) and found.key not in _ORDINARY and found.key not in CUES


def speaking(candidates: list[Labelled], known: frozenset[str]) -> frozenset[tuple[str, str]]:
    """Which (label key, form) pairs speak.

    The cast and capitals decide; a label in small letters speaks where the file has none in capitals, or where it
    returns. Names that end in a stop need a file that is written so: "OK. Fine." is no speaker among `NAME: words`.
    """
    by_form = {form: [each for each in candidates if each.form == form] for form in ("colon", "bracket", "stop")}
    colons = _speaking_with_colon(by_form["colon"], known)
    brackets = {each.key for each in by_form["bracket"] if each.key in colons or _is_sure(each, known)}
    sure = colons | brackets
    is_style = sum(_is_sure(each, known) for each in by_form["stop"]) > sum(
        each.key in colons for each in by_form["colon"]
    )
    stops = _speaking_with_stop(by_form["stop"], known, sure, is_style=is_style)
    if not sure | stops:
        stops = _returning(by_form["stop"])
    speakers = sure | stops
    return frozenset((key, form) for key in speakers for form in by_form)


def _speaking_with_colon(candidates: list[Labelled], known: frozenset[str]) -> frozenset[str]:
    sure = {each.key for each in candidates if _is_sure(each, known)}
    is_in_capitals = any(_is_sure(each, frozenset()) for each in candidates)
    counts = Counter(each.key for each in candidates)
    for key, count in counts.items():
        if key not in CUES and key not in _ORDINARY and (count > 1 or not is_in_capitals):
            sure.add(key)
    return frozenset(sure)


def _speaking_with_stop(
    candidates: list[Labelled], known: frozenset[str], sure: frozenset[str], *, is_style: bool
) -> frozenset[str]:
    speakers = {each.key for each in candidates if each.key in known or each.key in sure}
    if not is_style:
        return frozenset(speakers)
    counts = Counter(each.key for each in candidates)
    capitals = {each.key for each in candidates if _is_sure(each, known)}
    opening = {each.key for each in candidates if each.opens_paragraph}
    has_no_paragraphs = len(opening) <= 1
    return frozenset(speakers | {key for key in capitals if counts[key] > 1 or key in opening or has_no_paragraphs})


def _returning(candidates: list[Labelled]) -> frozenset[str]:
    """Names in small letters ("Helmer. Is it you?") that open several paragraphs of a text without other labels."""
    counts = Counter(each.key for each in candidates if each.opens_paragraph and len(each.label.split()) <= 3)
    return frozenset(key for key, count in counts.items() if count > 1)
