"""YAML -> a tree of plain nodes that know their line and column.

In: the bytes of a YAML file. Out: nodes of text, lists and mappings; a scalar stays the text that was written, so that
`language: no` and `aspect: 16:9` mean what they say. Tags that build objects, duplicate keys, alias bombs, deep nesting
and endless files are refused. Does not know which keys a file may have.
"""

from dataclasses import dataclass
from typing import Any

import yaml

from tasks.formats.findings import Findings, shown
from tasks.formats.text import read_text

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 12
MAX_NODES = 20_000
"""After every alias has been followed."""
MAX_KEY_CHARACTERS = 200

_PLAIN_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of the file and its place."""

    kind: str
    """One of "text", "null", "list" or "map"."""
    where: str
    text: str = ""
    items: tuple["Node", ...] = ()
    entries: tuple[tuple[str, "Node", str], ...] = ()
    """(key, value, place of the key), in the file's order, each key once."""


def read_tree(content: bytes, *, name: str, findings: Findings) -> Node:
    """The root node of the YAML document in `content`.

    name: the file, for messages. Raises findings.kind where the file cannot be read as YAML at all; what can be read
    around (a duplicate key) goes to `findings`.
    """
    text = read_text(content, name=name, error=findings.kind, max_bytes=MAX_BYTES).text
    try:
        root = yaml.compose(text, Loader=_Loader)
    except _TooMuch as error:
        message = f"{error.problem}."
        raise findings.kind(message, where=_place(name, error.problem_mark), remedy="Flatten or split it.") from error
    except yaml.MarkedYAMLError as error:
        raise findings.kind(_problem(error), where=_place(name, error.problem_mark), remedy=_remedy(error)) from error
    except yaml.YAMLError as error:
        raise findings.kind("this is no YAML.", where=name, remedy="Save it as plain text in UTF-8.") from error
    if root is None:
        raise findings.kind("the file is empty.", where=name, remedy="Write at least one line into it.")
    return _Builder(name, findings).node(root, 1)


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or "it cannot be read").strip()
    if problem == "but found another document":
        return "a second document begins here."
    return f"this is no YAML: {problem}."


def _remedy(error: yaml.MarkedYAMLError) -> str:
    if "\\t" in str(error.problem):
        return "Indent with spaces, not tabs."
    return "Check indentation, quotes and the space behind each colon."


def _place(name: str, mark: yaml.Mark | None) -> str:
    return name if mark is None else f"{name}, line {mark.line + 1}, column {mark.column + 1}"


class _Loader(yaml.SafeLoader):
    """Stops a file that nests too deep or holds too much while it is read, before the reader's recursion does."""

    depth = 0
    num_nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.num_nodes += 1
        self.depth += 1
        if self.depth > MAX_DEPTH or self.num_nodes > MAX_NODES:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # its stub is bare
            raise _TooMuch(None, None, f"here are more than {MAX_DEPTH} levels or {MAX_NODES:,} values", mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _TooMuch(yaml.MarkedYAMLError):
    """Our own limit, in the library's clothes."""


class _Builder:
    """Follows aliases, counting what they unfold to."""

    def __init__(self, name: str, findings: Findings) -> None:
        self.name, self.findings, self.num_nodes = name, findings, 0

    def node(self, source: yaml.Node, depth: int) -> Node:
        self.num_nodes += 1
        where = _place(self.name, source.start_mark)
        if self.num_nodes > MAX_NODES or depth > MAX_DEPTH:
            raise self.findings.kind(
                f"aliases unfold to more than {MAX_NODES:,} values or {MAX_DEPTH} levels.",
                where=where,
                remedy="Write the values out.",
            )
        self._check_tag(source, where)
        if isinstance(source, yaml.MappingNode):
            return Node(kind="map", where=where, entries=self._entries(source, depth))
        if isinstance(source, yaml.SequenceNode):
            return Node(kind="list", where=where, items=tuple(self.node(item, depth + 1) for item in source.value))
        kind = "null" if source.tag.endswith(":null") else "text"
        self._check_text(str(source.value), where)
        return Node(kind=kind, where=where, text=str(source.value))

    def _check_tag(self, source: yaml.Node, where: str) -> None:
        tag = source.tag.removeprefix("tag:yaml.org,2002:")
        fitting = _PLAIN_TAGS if isinstance(source, yaml.ScalarNode) else ("map", "seq")
        if tag not in fitting:
            raise self.findings.kind(f"the tag {shown(tag)} is not allowed here.", where=where, remedy="Remove it.")

    def _check_text(self, text: str, where: str) -> None:
        """YAML's escapes can write half of a UTF-16 pair, which no file can hold."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            what = f"{shown(text[error.start])} is no character."
            raise self.findings.kind(what, where=where, remedy="Write the character itself.") from error

    def _entries(self, source: yaml.MappingNode, depth: int) -> tuple[tuple[str, Node, str], ...]:
        entries: dict[str, tuple[str, Node, str]] = {}
        for key_node, value_node in source.value:
            where = _place(self.name, key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode) or len(key_node.value) > MAX_KEY_CHARACTERS:
                self.findings.add("a key must be a short word.", where=where, remedy="Quote it or shorten it.")
                continue
            key = str(key_node.value)
            self._check_text(key, where)
            if key in entries:
                self.findings.add(
                    f"the key {shown(key)} is given twice.",
                    where=where,
                    remedy=f"Keep one; the first is at {entries[key][2]}.",
                )
                continue
            entries[key] = (key, self.node(value_node, depth + 1), where)
        return tuple(entries.values())
