"""Scripts as tables: CSV with any common delimiter -> Script.

In: clean text. Out: a Script, every cell taken as text. Does not know spreadsheets: a formula is words.
"""

import csv
import io
import re
from dataclasses import dataclass
from fractions import Fraction

from tasks.domain.errors import ScriptError
from tasks.domain.speech import Script, ScriptRole
from tasks.formats.cast_sheet import AGES, SEXES
from tasks.formats.fields import number
from tasks.formats.findings import shown, suggestion
from tasks.formats.labels import folded, tidy
from tasks.formats.languages import best_match, language_tag
from tasks.formats.scribe import MAX_PAUSE_SECONDS, Scribe
from tasks.formats.words import read_words

DELIMITERS = ",;\t|"
MAX_COLUMNS = 200
_COLUMNS = ("speaker", "text", "direction", "pause_after_s", "name", "sex", "age", "line")
_SILENT = frozenset(("line", "id", "nr", "no", "number", "note", "notes", "comment", "comments", "role", "#", ""))
"""Columns that tables have and that ask for nothing."""
_ACTION = re.compile(r"\[([^\[\]]*)\]\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A CSV file: columns by their folded names, rows with their line numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def cell(self, row: tuple[str, ...], column: str) -> str:
        """The trimmed text of a cell, "" where the row is shorter or the column is not there."""
        index = self.columns.index(column) if column in self.columns else len(row)
        return row[index].strip() if index < len(row) else ""

    @property
    def languages(self) -> dict[str, str]:
        """Language tag -> its text column."""
        tags = {column: language_tag(column.removeprefix("text_")) for column in self.columns if column[:5] == "text_"}
        return {tag: column for column, tag in tags.items() if tag is not None}


def sniff(text: str) -> str | None:
    """The delimiter of a table whose first line names a speaker column and a text column, or None."""
    head = next((line for line in text.split("\n") if line.strip()), "")
    for delimiter in sorted(DELIMITERS, key=head.count, reverse=True):
        columns = [_column(cell) for cell in head.split(delimiter)]
        if "speaker" in columns and any(column == "text" or column.startswith("text_") for column in columns):
            return delimiter
    return None


def _column(cell: str) -> str:
    return re.sub(r"[\s-]+", "_", cell.strip().strip('"').strip()).casefold()


def read_table(text: str, *, name: str, language: str | None, warnings: tuple[str, ...] = ()) -> Script:
    """The script that a CSV file holds.

    language: which `text_<lang>` column is spoken; None takes the `text` column, else the first. The other columns are
    translations. Raises ScriptError where columns are missing or a cell is wrong.
    """
    table = _read(text, name)
    scribe = Scribe(name=name, warnings=list(warnings))
    column, spoken = _spoken_column(table, language, name)
    _warn_of_columns(table, scribe)
    for row, cells in table.rows:
        _take(table, cells, row, column, scribe)
    return scribe.finish(language=spoken, roles=_roles(table))


def _read(text: str, name: str) -> Table:
    delimiter = sniff(text) or _likely(text)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
        rows = [(reader.line_num, tuple(cells)) for cells in reader]
    except csv.Error as error:
        raise ScriptError("this is no table.", where=name, remedy="Save it as CSV in UTF-8.") from error
    rows = [(row, cells) for row, cells in rows if any(cell.strip() for cell in cells)]
    columns = tuple(_column(cell) for cell in rows[0][1]) if rows else ()
    _check_columns(columns, name)
    return Table(columns=columns, rows=tuple(rows[1:]))


def _likely(text: str) -> str:
    head = text.strip().split("\n", 1)[0]
    return max(DELIMITERS, key=head.count)


def _check_columns(columns: tuple[str, ...], name: str) -> None:
    where = f"{name}, line 1"
    if len(columns) > MAX_COLUMNS:
        message = f"the table has {len(columns):,} columns; at most {MAX_COLUMNS} are allowed."
        raise ScriptError(message, where=where, remedy="Remove those that are no text.")
    if "speaker" not in columns:
        found = suggestion("speaker", [column for column in columns if column] or ["none"], noun="Found")
        raise ScriptError("the table has no column 'speaker'.", where=where, remedy=found)
    if not any(column == "text" or column.startswith("text_") for column in columns):
        raise ScriptError("the table has no column 'text'.", where=where, remedy="Name it text, or text_en and so on.")
    twice = next((column for column in columns if column and columns.count(column) > 1), None)
    if twice is not None:
        raise ScriptError(f"the table has two columns {shown(twice)}.", where=where, remedy="Keep one.")


def _spoken_column(table: Table, language: str | None, name: str) -> tuple[str, str | None]:
    """The column that is spoken, and its language where that is known."""
    offered = table.languages
    wanted = best_match(language, tuple(offered)) if language else None
    if wanted is not None and "text" not in table.columns:
        return offered[wanted], wanted
    if "text" in table.columns:
        return "text", None
    if language is not None:
        message = f"the table has no column 'text_{language}'."
        raise ScriptError(message, where=f"{name}, line 1", remedy=f"It has text in: {', '.join(offered)}.")
    if not offered:
        remedy = "Name it text, or text_en and so on."
        raise ScriptError("no text column has a known language.", where=f"{name}, line 1", remedy=remedy)
    first = next(iter(offered))
    return offered[first], first


def _warn_of_columns(table: Table, scribe: Scribe) -> None:
    texts = set(table.languages.values())
    for column in table.columns:
        if column not in _COLUMNS and column not in _SILENT and column not in texts:
            scribe.warn(f"the column {shown(column)} is not used. {suggestion(column, _COLUMNS, noun='Used are')}", 1)


def _take(table: Table, cells: tuple[str, ...], row: int, column: str, scribe: Scribe) -> None:
    if len(cells) > len(table.columns):
        raise ScriptError(
            f"the row has {len(cells)} cells, but there are {len(table.columns)} columns.",
            where=scribe.where(row),
            remedy="Put text that holds the delimiter into double quotes.",
        )
    speaker, text = tidy(table.cell(cells, "speaker")), table.cell(cells, column)
    action = _ACTION.fullmatch(text)
    if not speaker and text.startswith("#"):
        scribe.chapter(text.lstrip("# "), row)
    elif action is not None and not speaker:
        scribe.action(action[1], row)
    elif not speaker and text:
        scribe.warn("nobody is named beside these words, so they are an action and not spoken.", row)
        scribe.action(text, row)
    elif not text:
        if speaker:
            scribe.warn(f"{speaker} has no words here, so the line is not spoken.", row)
    else:
        _speak(table, cells, row, column, scribe)


def _speak(table: Table, cells: tuple[str, ...], row: int, column: str, scribe: Scribe) -> None:
    direction = table.cell(cells, "direction").strip()
    translations = tuple(
        (tag, read_words(table.cell(cells, other)).text)
        for tag, other in table.languages.items()
        if other != column and table.cell(cells, other)
    )
    scribe.speech(
        tidy(table.cell(cells, "speaker")),
        table.cell(cells, column),
        row,
        directions=(direction,) if direction else (),
        translations=translations,
        pause_after=_pause(table, cells, row, scribe),
    )


def _pause(table: Table, cells: tuple[str, ...], row: int, scribe: Scribe) -> Fraction | None:
    written = table.cell(cells, "pause_after_s")
    if not written:
        return None
    value = number(written.replace(",", "."))
    if value is None or not 0 <= value <= MAX_PAUSE_SECONDS:
        raise ScriptError(
            f"pause_after_s is {shown(written)}.",
            where=scribe.where(row),
            remedy=f"Write seconds from 0 to {MAX_PAUSE_SECONDS}, such as 0.4.",
        )
    return value


def _roles(table: Table) -> tuple[ScriptRole, ...]:
    """What the table says of each speaker, in the words of a cast; the first row that says something counts.

    Other words ("older adult") say nothing: the cast decides.
    """
    roles: dict[str, ScriptRole] = {}
    for _, cells in table.rows:
        label = tidy(table.cell(cells, "speaker"))
        name = table.cell(cells, "name") or None
        sex, age = _one_of(SEXES, table.cell(cells, "sex")), _one_of(AGES, table.cell(cells, "age"))
        if label and (name or sex or age):
            roles.setdefault(folded(label), ScriptRole(label=label, name=name, sex=sex, age=age))
    return tuple(roles.values())


def _one_of(allowed: tuple[str, ...], written: str) -> str | None:
    return written.casefold() if written.casefold() in allowed else None
