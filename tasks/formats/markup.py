"""Markdown and Fountain emphasis, links and comments -> the bare words.

In and out: text. Does not know what the words are for.
"""

import re

_IMAGE = re.compile(r"!\[([^\[\]]*)\]\([^()\s]*\)")
_LINK = re.compile(r"\[([^\[\]]+)\]\((?:https?:|mailto:|/|\.|#)[^()\s]*\)")
_STRONG = re.compile(r"(\*{1,3})(?=[^\s*])([^*\n]+?)(?<=[^\s*])\1")
_UNDERLINE = re.compile(r"(?<![\w\\])(_{1,3})(?=[^\s_])([^_\n]+?)(?<=[^\s_])\1(?!\w)")
_ESCAPE = re.compile(r"\\([\\*_`#\[\](){}+\-.!~>@])")
_BLOCK = re.compile(r"^\s{0,3}(?:>\s?|[-*+]\s+(?=\S))+")
_RULE = re.compile(r"\s{0,3}([-*_=])(?:\s*\1){2,}\s*")


def without_emphasis(text: str) -> str:
    """`text` without its asterisks and underlines."""
    for _ in range(3):  # bold within italics within underlines
        text = _UNDERLINE.sub(r"\2", _STRONG.sub(r"\2", text))
    return _ESCAPE.sub(r"\1", text)


def without_blocks(text: str, opening: str, closing: str) -> str:
    """`text` without what stands between the two marks, and without them; line numbers stay."""
    kept: list[str] = []
    at = 0
    while (start := text.find(opening, at)) >= 0 and (end := text.find(closing, start + len(opening))) >= 0:
        kept += (text[at:start], "\n" * text.count("\n", start, end))
        at = end + len(closing)
    return "".join((*kept, text[at:]))


def plain_line(line: str) -> str:
    """A line of Markdown as bare words: no list or quotation marks, links by their text, pictures gone."""
    line = _BLOCK.sub("", line)
    line = _LINK.sub(r"\1", _IMAGE.sub("", line))
    return without_emphasis(line).replace("`", "")


def is_rule(line: str) -> bool:
    """A line drawn across the page."""
    return _RULE.fullmatch(line) is not None
