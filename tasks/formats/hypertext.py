"""HTML in which no text can become markup: the one function that escapes, and elements that always use it.

In: names of elements, texts, attributes. Out: `Markup`, which only this module makes of text. Knows no page.
Source: HTML Living Standard, 13.1.2 (elements, attributes) and 13.3 (escaping a string).
"""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

_VOID = frozenset({"br", "img", "link", "meta", "source", "track"})
# No parser takes these as they are: controls, and halves of a character, which have no bytes in UTF-8.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Markup:
    """HTML that is as it should be. Text from outside never comes into one but through `escaped`."""

    html: str


def escaped(text: str) -> str:
    """Text as HTML shows it, within an element or a quoted attribute, and nothing else."""
    return html.escape(_UNSPEAKABLE.sub("\N{REPLACEMENT CHARACTER}", text), quote=True)


def element(name: str, /, *inside: str | Markup, **attributes: str | bool | None) -> Markup:
    """An element. inside: texts, which are escaped, and other elements.

    attributes: by their names, "_" for "-", and one at the end of a word of Python's (`class_`); True stands bare,
    False and None are left out.
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{joined(inside).html}</{name}>")


def joined(parts: Iterable[str | Markup]) -> Markup:
    """One after another."""
    return Markup("".join(part.html if isinstance(part, Markup) else escaped(part) for part in parts))


def _attribute(key: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escaped(value)}"'
