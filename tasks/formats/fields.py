"""A mapping of a YAML file, read key by key: each value checked, each fault noted with its place, none raised.

In: a node of tree.py. Out: text, numbers, lists, and findings. Does not know what the keys mean.
"""

import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction

from tasks.domain.errors import InputError
from tasks.formats.findings import Findings, shown, suggestion
from tasks.formats.tree import Node

MAX_TEXT_CHARACTERS = 2_000
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")


class Fields:
    """The keys of one mapping. A key that is missing, null or wrong gives the default."""

    def __init__(self, node: Node | None, place: str, allowed: tuple[str, ...], findings: Findings) -> None:
        """place: the name of the mapping, as in "cast.anna"; "" for the whole file."""
        self.place, self.findings = place, findings
        self.where = node.where if node is not None else ""
        self.nodes: dict[str, tuple[Node, str]] = {}
        if node is None:
            return
        if node.kind != "map":
            findings.add(
                f"{place or 'the file'} must be a mapping of keys to values.", where=node.where, remedy=_EXAMPLE
            )
            return
        for key, value, where in node.entries:
            if key in allowed:
                self.nodes[key] = (value, where)
            else:
                inside = f" in {place}" if place else ""
                findings.add(f"unknown key {shown(key)}{inside}.", where=where, remedy=suggestion(key, allowed))

    def name(self, key: str) -> str:
        """The key as a message names it: "cast.anna.portrait"."""
        return f"{self.place}.{key}" if self.place else key

    def fault(self, key: str, message: str, remedy: str, *, kind: type[InputError] | None = None) -> None:
        """Note a fault of the value at `key`."""
        self.findings.add(f"{self.name(key)} {message}", where=self.place_of(key), remedy=remedy, kind=kind)

    def place_of(self, key: str) -> str:
        """File, line and column of the value at `key`, or of the mapping where there is none."""
        return self.nodes[key][0].where if key in self.nodes else self.where

    def node(self, key: str) -> Node | None:
        """The value as it stands; None where it is missing or null."""
        node, _ = self.nodes.get(key, (None, ""))
        return None if node is None or node.kind == "null" else node

    def require(self, key: str, remedy: str) -> None:
        """Note a fault where the key has no value."""
        if self.node(key) is None:
            self.findings.add(f"{self.name(key)} is missing.", where=self.where, remedy=remedy)

    def text(self, key: str, *, limit: int = MAX_TEXT_CHARACTERS) -> str | None:
        """Text that is not blank, trimmed, without control characters but tabs and line breaks."""
        node = self.node(key)
        if node is None:
            return None
        if node.kind != "text":
            self.fault(key, f"must be text, not a {'list' if node.kind == 'list' else 'mapping'}.", "Write one value.")
            return None
        if len(node.text) > limit:
            self.fault(key, f"has {len(node.text):,} characters; at most {limit:,} are allowed.", "Shorten it.")
            return None
        if any(unicodedata.category(character) == "Cc" and character not in "\t\r\n" for character in node.text):
            self.fault(key, "holds a control character.", "Remove it.")
            return None
        return node.text.strip() or None

    def file(self, key: str, *, addresses: bool = False) -> str | None:
        """A file name as text; an http(s) address where `addresses` are allowed."""
        text = self.text(key, limit=1_000)
        if text is None:
            return None
        if any(unicodedata.category(character) == "Cc" for character in text):
            self.fault(key, "holds a line break or a control character.", "Write one file name.")
            return None
        if _ADDRESS.match(text) and not (addresses and text.lower().startswith(("http://", "https://"))):
            remedy = (
                "Write a file name or an http(s) address." if addresses else "Save it as a file and write its name."
            )
            self.fault(key, f"is {shown(text)}, an address that is not allowed here.", remedy)
            return None
        return text

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str | None:
        """One of `allowed`, without regard to case."""
        written = self.text(key)
        if written is None:
            return default
        for value in allowed:
            if value.casefold() == written.casefold():
                return value
        self.fault(key, f"is {shown(written)}.", suggestion(written, allowed))
        return default

    def checked(self, key: str, check: Callable[[str], str | None], wanted: str) -> str | None:
        """What `check` makes of the text; None from it is a fault. wanted: what to write, as a sentence."""
        written = self.text(key)
        if written is None:
            return None
        value = check(written)
        if value is None:
            self.fault(key, f"is {shown(written)}.", wanted)
        return value

    def whole(self, key: str, low: int, high: int) -> int | None:
        """A whole number in [low, high]."""
        written = self.text(key)
        if written is None:
            return None
        if _WHOLE.fullmatch(written) and low <= int(written) <= high:
            return int(written)
        self.fault(key, f"is {shown(written)}.", f"Write a whole number from {low:,} to {high:,}.")
        return None

    def texts(self, key: str, *, limit: int = 100) -> tuple[tuple[str, str], ...] | None:
        """(text, place) of each item of a list of texts; a single text counts as a list of one."""
        node = self.node(key)
        if node is None:
            return None
        items = node.items if node.kind == "list" else (node,)
        if len(items) > limit or any(item.kind != "text" for item in items):
            self.fault(key, "must be a list of words.", f"Write it as [one, two], with at most {limit} items.")
            return None
        return tuple((item.text.strip(), item.where) for item in items)

    def texts_by_key(self, key: str, *, limit: int = 100) -> tuple[tuple[str, str, str], ...]:
        """(key, text, place) of each entry of a mapping to texts."""
        node = self.node(key)
        if node is None:
            return ()
        if node.kind != "map" or len(node.entries) > limit or any(value.kind != "text" for _, value, _ in node.entries):
            self.fault(key, "must map keys to file names.", "Write it as {key: file}.")
            return ()
        return tuple((name, value.text.strip(), value.where) for name, value, _ in node.entries)


_EXAMPLE = "Write 'key: value', one to a line, indented alike."


def number(text: str) -> Fraction | None:
    """A plain decimal number as people write it, or None."""
    return Fraction(text.strip()) if _NUMBER.fullmatch(text.strip()) else None
