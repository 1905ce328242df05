"""Batch tables: CSV or JSON lines -> rows, or everything that is wrong with the table.

In: the bytes of a table. Out: rows whose cells are text: a formula is words, a byte order mark is no part of a name.
Opens nothing that a row names, and does not know what a template asks for.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from tasks.domain.batch import Row
from tasks.domain.errors import EpisodeError
from tasks.formats.findings import Findings, shown
from tasks.formats.text import CleanText, parse_json, read_text

MAX_BYTES = 64 * 2**20
MAX_ROWS = 10_000
MAX_COLUMNS = 200
MAX_CELL_CHARACTERS = 100_000
PRIORITIES = {"low": 25, "normal": 50, "high": 75}
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_PRIORITY_REMEDY = "Write 0 to 100, or low, normal, high."
_END_OF_DAY = time(23, 59, 59)
_DEADLINE_REMEDY = "Write 2026-05-31 or 2026-05-31T18:00+02:00."

_Line = tuple[int, tuple[tuple[str, str], ...]]
"""Line number, and (column, text) of each cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTable:
    """Rows in the table's order."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()


def read_batch(content: bytes, *, name: str) -> BatchTable:
    """The rows of a table.

    name: the file, for messages; .jsonl, .ndjson or a first "{" make it JSON lines.
    Raises EpisodeError for a table that cannot be run: no `id` column, an id twice, too many rows, an unknown priority.
    """
    clean = read_text(content, name=name, error=EpisodeError, max_bytes=MAX_BYTES, max_line_characters=MAX_BYTES)
    findings = Findings(EpisodeError)
    is_json = name.casefold().endswith((".jsonl", ".ndjson")) or clean.text.lstrip().startswith("{")
    columns, lines = _json_lines(clean, name, findings) if is_json else _csv_lines(clean, name)
    if "id" not in columns:
        found = ", ".join(shown(column, 30) for column in columns[:8])
        raise EpisodeError(f"the table has no column 'id'; it has {found}.", where=f"{name}, line 1", remedy=_ID_REMEDY)
    if not lines:
        raise EpisodeError("the table has no rows.", where=name, remedy="Write one row for each episode.")
    rows = tuple(_row(line, cells, name, findings) for line, cells in lines)
    _check_ids(rows, name, findings)
    findings.raise_any()
    return BatchTable(columns=columns, rows=rows, warnings=clean.warnings)


_ID_REMEDY = "Name each row's episode: letters, digits, '-' and '_'."


def folded(column: str) -> str:
    """A column's name as rows and templates use it: lower case, words joined by "_"."""
    return re.sub(r"[\s-]+", "_", column.strip()).casefold()


def _csv_lines(clean: CleanText, name: str) -> tuple[tuple[str, ...], list[_Line]]:
    head = clean.text.strip().split("\n", 1)[0]
    delimiter = max(",;\t|", key=head.count)
    reader = csv.reader(io.StringIO(clean.text, newline=""), delimiter=delimiter, strict=False)
    lines: list[_Line] = []
    columns: tuple[str, ...] = ()
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = _checked_columns(tuple(folded(cell) for cell in cells), name)
                continue
            lines.append((reader.line_num, _cells(columns, cells, f"{name}, line {reader.line_num}")))
            _check_length(len(lines), name)
    except csv.Error as error:
        where = f"{name}, line {reader.line_num}"
        raise EpisodeError("a cell cannot be read.", where=where, remedy="Save the table as CSV in UTF-8.") from error
    return columns, lines


def _cells(columns: tuple[str, ...], cells: list[str], where: str) -> tuple[tuple[str, str], ...]:
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        raise EpisodeError(
            f"the row has {len(cells)} cells, but there are {len(columns)} columns.",
            where=where,
            remedy="Put text that holds the delimiter into double quotes.",
        )
    pairs = zip(columns, (cell.strip() for cell in cells), strict=False)
    return tuple((column, _short(text, where)) for column, text in pairs if column and text)


def _json_lines(clean: CleanText, name: str, findings: Findings) -> tuple[tuple[str, ...], list[_Line]]:
    columns: dict[str, None] = {}
    lines: list[_Line] = []
    for number, text in enumerate(clean.lines, start=1):
        if not text.strip():
            continue
        where = f"{name}, line {number}"
        cells = tuple(_members(_object(text, where), where))
        columns.update(dict.fromkeys(column for column, _ in cells))
        lines.append((number, tuple((column, text) for column, text in cells if text)))
        _check_length(len(lines), name)
    if len(columns) > MAX_COLUMNS:
        _checked_columns(tuple(columns), name)
    return tuple(columns), lines


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        value = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise EpisodeError("this line is no JSON.", where=where, remedy="Write one object in each line.") from error
    if not isinstance(value, dict):
        raise EpisodeError("this line is no JSON object.", where=where, remedy='Write {"id": "one", ...}.')
    return value


def _members(value: dict[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """Cells of an object: text, numbers, and lists of them."""
    seen: set[str] = set()
    for key, member in value.items():
        column = folded(key)
        items = member if isinstance(member, list) else [member]
        if column in seen or any(isinstance(item, dict | list) for item in items):
            what = "stands twice" if column in seen else "is no text, number or list of them"
            raise EpisodeError(f"{shown(key)} {what}.", where=where, remedy="Write each cell once, as text.")
        seen.add(column)
        yield column, _short(", ".join(_scalar(item) for item in items), where)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).strip()


def _short(text: str, where: str) -> str:
    if len(text) > MAX_CELL_CHARACTERS:
        message = f"a cell has {len(text):,} characters; at most {MAX_CELL_CHARACTERS:,} are allowed."
        raise EpisodeError(message, where=where, remedy="Put the text into a file and name it in `script`.")
    return text


def _checked_columns(columns: tuple[str, ...], name: str) -> tuple[str, ...]:
    where = f"{name}, line 1"
    if len(columns) > MAX_COLUMNS:
        message = f"the table has {len(columns):,} columns; at most {MAX_COLUMNS} are allowed."
        raise EpisodeError(message, where=where, remedy="Remove those that no template uses.")
    twice = next((column for column in columns if column and columns.count(column) > 1), None)
    if twice is not None:
        raise EpisodeError(f"the table has two columns {shown(twice)}.", where=where, remedy="Keep one.")
    return columns


def _check_length(num_rows: int, name: str) -> None:
    if num_rows > MAX_ROWS:
        message = f"the table has more than {MAX_ROWS:,} rows."
        raise EpisodeError(message, where=name, remedy="Split it into several tables.")


def _row(line: int, cells: tuple[tuple[str, str], ...], name: str, findings: Findings) -> Row:
    row = Row(id=next((text for column, text in cells if column == "id"), ""), line=line, cells=cells)
    where = f"{name}, line {line}"
    if not _ID.fullmatch(row.id):
        what = f"the id {shown(row.id)} is no name" if row.id else "the row has no id"
        findings.add(f"{what}.", where=where, remedy=_ID_REMEDY)
    return Row(
        id=row.id,
        line=line,
        cells=cells,
        priority=_priority(row.cell("priority"), where, findings),
        deadline=_deadline(row.cell("deadline"), where, findings),
    )


def _priority(written: str, where: str, findings: Findings) -> int:
    if not written:
        return PRIORITIES["normal"]
    if written.casefold() in PRIORITIES:
        return PRIORITIES[written.casefold()]
    if written.isascii() and written.isdecimal() and len(written) < 4 and int(written) <= 100:
        return int(written)
    findings.add(f"the priority is {shown(written)}.", where=where, remedy=_PRIORITY_REMEDY)
    return 0


def _deadline(written: str, where: str, findings: Findings) -> str | None:
    """A bare date means the end of that day; a time without a zone is UTC."""
    if not written:
        return None
    try:
        try:
            moment = datetime.combine(date.fromisoformat(written), _END_OF_DAY)
        except ValueError:
            moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        findings.add(f"the deadline is {shown(written)}, no date.", where=where, remedy=_DEADLINE_REMEDY)
        return None


def _check_ids(rows: tuple[Row, ...], name: str, findings: Findings) -> None:
    """Ids name folders, which some places hold without regard to case."""
    first: dict[str, int] = {}
    for row in rows:
        before = first.setdefault(row.id.casefold(), row.line)
        if row.id and before != row.line:
            message = f"the id {shown(row.id)} stands in line {before} already."
            findings.add(message, where=f"{name}, line {row.line}", remedy="Give each row an id of its own.")
