"""Text -> tokens that a caption may be broken between, and lines of captions.

In: the text of an utterance. Out: tokens, the quality of each break, and one or two lines. Knows widths by Unicode's
East Asian Width (UAX #11); does not know fonts or time.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MAX_COLUMNS = 42
"""Of a line; a full-width character takes two columns."""
MAX_COLUMNS_WIDE = 36
"""Of a line of text with many full-width letters: 18 characters, as is usual in Chinese, Japanese and Korean."""

# Unspaced scripts are cut between characters, but never ahead of closing or behind opening punctuation.
_UNSPACED = re.compile("[\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003ffff]")
_CLOSING = frozenset("，。、；：？！）」』】〉》”’…—～·,.!?;:)]}»ーっゃゅょッャュョ々％%℃")
_OPENING = frozenset("（「『【〈《“‘([{«¿¡￥$")
_SENTENCE = re.compile(r"[.!?…。！？]+[\"'”’»)\]」』）]*$")
_CLAUSE = re.compile(r"[,;:—–、，；：]+[\"'”’»)\]」』）]*$")

_CONJUNCTIONS = """
and or but so because that which who when where while if though although since until unless before after than as
e ed o ma perché che quando dove mentre se però quindi come y pero porque que cuando donde mientras si aunque
et ou mais car quand où si und oder aber weil dass wenn wo während ob denn sondern
"""
_PREPOSITIONS = """
in on at by for from with without to of into over under between about against during through
di da con su per tra fra en de por para sin sobre entre desde hasta dans sur avec pour sans chez von mit für bei aus auf
"""
_BOUND = """
a an the my your his her its our their this that these those of to very not no mr mrs ms dr prof st
i you he she we they am is are was were be been have has had will would can could should may might must do does did
il lo la i gli le un uno una di da del della dei delle al alla nel nella el los las unos unas su sus mi tu
les des du au aux ce cette mon ma mes ton ta tes der die das den dem des ein eine einen einem einer zu zum zur
"""
_STARTS = frozenset(_CONJUNCTIONS.split())
_SOFT_STARTS = frozenset(_PREPOSITIONS.split())
_NEVER_LAST = frozenset(_BOUND.split())


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text that stays whole on a line."""

    text: str
    is_spaced: bool
    """A space stands in front of it when it is not the first of its line."""

    @property
    def columns(self) -> int:
        """Its width."""
        return columns(self.text)


@lru_cache(maxsize=65_536)
def columns(text: str) -> int:
    """The width of `text`: 2 for a full-width character, else 1; so a line has no more characters than columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def line_limit(text: str) -> int:
    """How many columns a line of `text` may have."""
    letters = [character for character in text if character.isalnum()]
    num_wide = sum(unicodedata.east_asian_width(character) in "WF" for character in letters)
    return MAX_COLUMNS_WIDE if num_wide * 4 > len(letters) else MAX_COLUMNS


def tokens_of(text: str, limit: int) -> list[Token]:
    """The tokens of `text`: words by spaces, single characters of unspaced scripts; none wider than `limit` columns."""
    tokens: list[Token] = []
    for word in text.split():
        is_spaced = bool(tokens)
        for piece in _unspaced_pieces(word):
            for part in _within(piece, limit):
                tokens.append(Token(part, is_spaced))
                is_spaced = False
    return tokens


def _unspaced_pieces(word: str) -> list[str]:
    """A word cut between the characters of unspaced scripts, punctuation kept with its neighbour."""
    if not _UNSPACED.search(word):
        return [word]
    pieces: list[str] = []
    for character in word:
        if pieces and not _breaks_between(pieces[-1], character):
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


def _breaks_between(piece: str, character: str) -> bool:
    if character in _CLOSING or piece[-1] in _OPENING or unicodedata.combining(character):
        return False
    return bool(_UNSPACED.match(character) or _UNSPACED.match(piece[-1]) or character in _OPENING)


def _within(piece: str, limit: int) -> list[str]:
    """A piece that is too wide for a line, cut hard; marks stay with their letters."""
    parts = [""]
    for character in piece:
        if parts[-1] and columns(parts[-1] + character) > limit and not unicodedata.combining(character):
            parts.append("")
        parts[-1] += character
    return [part[start : start + limit] for part in parts for start in range(0, len(part), limit)]


def joined(tokens: list[Token]) -> str:
    """Tokens as one line."""
    return "".join((" " if token.is_spaced and index else "") + token.text for index, token in enumerate(tokens))


def break_cost(before: Token, after: Token) -> float:
    """How bad a break between two tokens is: 0 at the end of a sentence, up to 6 inside a phrase."""
    if _SENTENCE.search(before.text):
        return 0.0
    if _CLAUSE.search(before.text):
        return 1.0
    if not after.is_spaced:
        return 4.0 if _UNSPACED.search(before.text) else 8.0
    if _bare(before.text) in _NEVER_LAST:
        return 6.0
    if _bare(after.text) in _STARTS:
        return 2.0
    return 3.0 if _bare(after.text) in _SOFT_STARTS | _NEVER_LAST else 4.0


def _bare(text: str) -> str:
    return text.strip("\"'“”‘’«»()[].,").casefold()


class Widths:
    """Widths of runs of tokens, without adding them up again."""

    def __init__(self, tokens: list[Token], limit: int) -> None:
        self.tokens, self.limit = tokens, limit
        self.total = [0]
        for token in tokens:
            self.total.append(self.total[-1] + token.columns + token.is_spaced)

    def of(self, start: int, end: int) -> int:
        """Columns of tokens[start:end] on one line."""
        return self.total[end] - self.total[start] - self.tokens[start].is_spaced

    def fits(self, start: int, end: int) -> bool:
        """Whether tokens[start:end] fit two lines."""
        if self.of(start, end) <= self.limit:
            return True
        middle = self._last_that_fits(start, end)
        return middle > start and self.of(middle, end) <= self.limit

    def _last_that_fits(self, start: int, end: int) -> int:
        """The largest index so that tokens[start:index] fit one line."""
        index = start
        while index < end and self.of(start, index + 1) <= self.limit:
            index += 1
        return index

    def lines(self, start: int, end: int) -> tuple[str, ...]:
        """tokens[start:end] in one line, or in two that break at a phrase and are about equal."""
        tokens = self.tokens[start:end]
        if self.of(start, end) <= self.limit:
            return (joined(tokens),)
        best = min(
            (index for index in range(start + 1, end) if self._holds(start, index, end)),
            key=lambda index: self._line_cost(start, index, end),
        )
        return joined(self.tokens[start:best]), joined(self.tokens[best:end])

    def _holds(self, start: int, index: int, end: int) -> bool:
        return self.of(start, index) <= self.limit and self.of(index, end) <= self.limit

    def _line_cost(self, start: int, index: int, end: int) -> float:
        upper, lower = self.of(start, index), self.of(index, end)
        imbalance = abs(upper - lower) + (2 if upper > lower else 0)
        return imbalance / self.limit * 8 + break_cost(self.tokens[index - 1], self.tokens[index])
