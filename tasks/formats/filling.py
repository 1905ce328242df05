"""A template, a brand and a row -> the episode file of that row.

In: trees of a template and a brand, and a row of a table. Out: YAML that formats/episode.py reads like any other file.
The row goes before the brand, the brand before the template; `{{column}}` in a text is filled from the row.
Does not judge what comes out: the reader of episodes does.
"""

import re
from typing import Any

import yaml

from tasks.domain.batch import Row
from tasks.domain.errors import EpisodeError
from tasks.formats.findings import Findings, shown, suggestion
from tasks.formats.table import folded
from tasks.formats.tree import Node, read_tree

TOP = ("id", "title", "language", "casting")
RENDER = ("quality", "seed", "prompt", "layout")
SOURCE = ("script", "text", "podcast", "transcript", "speakers")
LISTS = ("languages", "outputs")
COLUMNS = (*TOP, *RENDER, *SOURCE, *LISTS, "template", "brand", "priority", "deadline")
BRAND_KEYS = ("cast", "render", "outputs", "languages", "title")
NOTES = frozenset(("", "note", "notes", "comment", "comments"))
"""Columns for people."""
_PLACE = re.compile(r"\{\{\s*([^{}]{1,100}?)\s*\}\}")

Plain = dict[str, Any]


def read_template(content: bytes, *, name: str) -> Plain:
    """A template as plain values, its scalars as they were written. Raises EpisodeError."""
    findings = Findings(EpisodeError)
    tree = read_tree(content, name=name, findings=findings)
    findings.raise_any()
    value = _plain(tree)
    if not isinstance(value, dict):
        raise EpisodeError("a template is an episode file.", where=name, remedy="Begin it with 'schema: episode/1'.")
    return value


def read_brand(content: bytes, *, name: str) -> Plain:
    """What a brand lays over every template: cast, render, outputs, languages, title. Raises EpisodeError."""
    brand = read_template(content, name=name)
    unknown = next((key for key in brand if key not in BRAND_KEYS), None)
    if unknown is not None:
        raise EpisodeError(f"a brand has no key {shown(unknown)}.", where=name, remedy=suggestion(unknown, BRAND_KEYS))
    return brand


def unused_columns(columns: tuple[str, ...], template: Plain, brand: Plain) -> tuple[str, ...]:
    """Columns that are neither known nor a place in the template or brand."""
    used = {*COLUMNS, *NOTES, *places(template), *places(brand)}
    return tuple(column for column in columns if column not in used)


def places(value: Any) -> set[str]:
    """The columns that `{{...}}` asks for, anywhere in `value`."""
    if isinstance(value, str):
        return {folded(name) for name in _PLACE.findall(value)}
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(*(places(item) for item in items))


def fill(row: Row, template: Plain, brand: Plain, *, where: str) -> Plain:
    """The row's episode file as plain values. where: table and line. Raises EpisodeError for an empty place."""
    made: Plain = _filled(_laid_over(template, brand), row, where)
    made |= {key: row.cell(key) for key in TOP if row.cell(key)}
    made["id"] = row.id
    render_with(made, {key: row.cell(key) for key in RENDER if row.cell(key)})
    if row.cell("script") and row.cell("text"):
        message = "the row has both a script (a file) and a text (the script itself)."
        raise EpisodeError(message, where=where, remedy="Keep one of them.")
    if any(row.cell(key) for key in SOURCE):
        made["source"] = _source(row, made.get("source"))
    if row.cell("languages"):
        made["languages"] = _words(row.cell("languages"))
    if row.cell("outputs"):
        made["outputs"] = _outputs(_words(row.cell("outputs")), made.get("outputs"))
    return made


def render_with(episode: Plain, chosen: Plain) -> None:
    """Lay options over an episode's own; what is no mapping is left to the reader of episodes, who says so."""
    render = episode.get("render")
    if chosen and isinstance(render, dict | None):
        episode["render"] = {**(render or {}), **chosen}


def as_document(episode: Plain) -> str:
    """The YAML of plain values; every scalar comes back as it is."""
    return yaml.safe_dump(episode, allow_unicode=True, sort_keys=False, width=10_000)


def _plain(node: Node) -> Any:
    if node.kind == "map":
        return {key: _plain(value) for key, value, _ in node.entries}
    if node.kind == "list":
        return [_plain(item) for item in node.items]
    return None if node.kind == "null" else node.text


def _laid_over(below: Plain, above: Plain) -> Plain:
    """Mappings are merged key by key (a cast, one member of it), everything else is replaced."""
    made = dict(below)
    for key, value in above.items():
        known = made.get(key)
        made[key] = _laid_over(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return made


def _filled(value: Any, row: Row, where: str) -> Any:
    if isinstance(value, str):
        return _PLACE.sub(lambda match: _cell(match[1], row, where), value)
    if isinstance(value, dict):
        return {key: _filled(item, row, where) for key, item in value.items()}
    return [_filled(item, row, where) for item in value] if isinstance(value, list) else value


def _cell(name: str, row: Row, where: str) -> str:
    text = row.cell(folded(name))
    if not text:
        message = f"the template asks for {{{{{name}}}}}, and the row has nothing there."
        raise EpisodeError(message, where=where, remedy="Fill the cell.")
    # One line: a cell cannot add lines, and so speakers, to a script.
    return " ".join(text.split())


def _source(row: Row, before: Any) -> Plain:
    """What the row names in place of the template's source; hints are laid over it."""
    cells = {key: row.cell(key) for key in SOURCE if row.cell(key)}
    if "text" in cells:
        cells["script"] = cells.pop("text") + "\n"  # with a line break it is the script itself
    replaces = "script" in cells or "podcast" in cells
    kept = dict(before) if isinstance(before, dict) and not replaces else {}
    return {**kept, **cells}


def _outputs(aspects: list[str], before: Any) -> list[Plain]:
    """One output for each aspect, with what the template says of it, else of its first."""
    given = [item for item in before if isinstance(item, dict)] if isinstance(before, list) else []
    captions = {key: value for key, value in (given[0] if given else {}).items() if key == "captions"}
    known = {str(item.get("aspect", "16:9")): item for item in given}
    return [known.get(aspect, {"aspect": aspect, **captions}) for aspect in aspects]


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", text) if word]
