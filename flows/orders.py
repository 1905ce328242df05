"""Orders of a batch: a table's rows, each filled into its template and brand.

In: a table, templates, brands. Out: `Batch`, with an order or a refusal for every row, and the episode of an order.
Knows no engine, no store and no Prefect.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from flows.episodes import episode_bytes
from flows.settings import Settings
from tasks.domain.batch import Order, Outcome, Row
from tasks.domain.episode import Episode
from tasks.domain.errors import EpisodeError, InputError
from tasks.formats.episode import read_episode
from tasks.formats.filling import Plain, as_document, fill, read_brand, read_template, render_with, unused_columns
from tasks.formats.findings import shown
from tasks.formats.table import MAX_BYTES, BatchTable, read_batch
from tasks.media.paths import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A table that can be run."""

    name: str
    orders: tuple[Order, ...]
    """In the order in which they are begun: priority, then deadline, then the table's own."""
    refused: tuple[Outcome, ...]
    """Rows from which no order could be made."""
    ids: tuple[str, ...]
    """Every row, in the table's order."""
    warnings: tuple[str, ...] = ()


def read_orders(path: str, template: str | None, quality: str | None, settings: Settings) -> Batch:
    """The orders of a table. template: the episode file for rows that name none in their column `template`.

    Raises EpisodeError for a table, template or brand that nothing could be made of; a row's own fault is its outcome.
    """
    file = Path(path)
    content = _content(file)
    table = read_batch(content, name=path)
    reader = _Templates(file, template, quality, settings)
    reader.check(table)
    orders: list[Order] = []
    refused: list[Outcome] = []
    for row in table.rows:
        try:
            orders.append(reader.order(row))
        except InputError as error:
            refused.append(wrong(row.id, error))
    orders.sort(key=lambda order: (-order.priority, order.deadline or "~"))
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem).strip("-")[:60] or "table"
    return Batch(
        name=f"{stem}-{sha256(content).hexdigest()[:12]}",
        orders=tuple(orders),
        refused=tuple(refused),
        ids=tuple(row.id for row in table.rows),
        warnings=table.warnings,
    )


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be opened"
        raise EpisodeError(f"it cannot be read: {reason}.", where=str(file), remedy="Check the path.") from error


def wrong(name: str, error: InputError) -> Outcome:
    """Of a row that a person has to mend."""
    return Outcome(id=name, state="wrong", error=str(error), finished=now())


def now() -> str:
    """The instant, as an outcome states it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Templates:
    """Templates and brands of one table, each read once."""

    def __init__(self, table: Path, template: str | None, quality: str | None, settings: Settings) -> None:
        self._table, self._default, self._quality, self._settings = table, template, quality, settings
        self._read: dict[Path, Plain] = {}

    def check(self, table: BatchTable) -> None:
        """What concerns every row: a template for each, and no column that nothing asks for."""
        where = f"{self._table}, line 1"
        if self._default is None and "template" not in table.columns:
            remedy = "Name an episode file: --template FILE, or a column 'template'."
            raise EpisodeError("no row has a template.", where=where, remedy=remedy)
        used = [self._of(row) for row in table.rows if row.cell("template") or self._default]
        merged: Plain = {str(place): [template, brand] for place, (_, template, brand) in enumerate(used)}
        unused = unused_columns(table.columns, merged, {})
        if unused:
            remedy = f"Write {{{{{unused[0]}}}}} where a template wants it, or call the column 'notes'."
            raise EpisodeError(f"nothing asks for the column {shown(unused[0])}.", where=where, remedy=remedy)

    def order(self, row: Row) -> Order:
        """The row, filled in. Raises InputError."""
        where = f"{self._table}, line {row.line} ({row.id})"
        if not row.cell("template") and self._default is None:
            raise EpisodeError("the row names no template.", where=where, remedy="Fill the cell, or give --template.")
        folder, template, brand = self._of(row)
        episode = fill(row, template, brand, where=where)
        if self._quality is not None:
            render_with(episode, {"quality": self._quality})
        render = episode.get("render")
        return Order(
            id=row.id,
            document=as_document(episode),
            folder=str(folder),
            roots=(*self._settings.inputs.roots, str(self._table.resolve().parent)),
            where=where,
            quality=str(render.get("quality") or "draft") if isinstance(render, dict) else "draft",
            priority=row.priority,
            deadline=row.deadline,
        )

    def _of(self, row: Row) -> tuple[Path, Plain, Plain]:
        """(folder of the template, template, brand) of a row."""
        where = f"{self._table}, line {row.line}"
        named = row.cell("template")
        path = self._beside(named, where) if named else Path(self._default or "").resolve()
        template = self._once(path, read_template)
        brand = row.cell("brand")
        return path.parent, template, self._once(self._beside(brand, where), read_brand) if brand else {}

    def _beside(self, name: str, where: str) -> Path:
        return resolve(name, folder=self._table.resolve().parent, roots=self._settings.inputs.roots, where=where)

    def _once(self, path: Path, read: Callable[..., Plain]) -> Plain:
        if path not in self._read:
            self._read[path] = read(episode_bytes(path), name=path.name)
        return self._read[path]


def open_order(order: Order) -> Episode:
    """The episode of an order. Raises EpisodeError that names the row, not a line of what was filled in."""
    base = Path(order.folder)

    def fetch(name: str) -> bytes:
        return episode_bytes(resolve(name, folder=base, roots=order.roots, where=order.where))

    try:
        return read_episode(
            order.document.encode(), path=order.where, folder=order.folder, roots=order.roots, fetch=fetch
        )
    except InputError as error:
        raise EpisodeError(error.message, where=order.where, remedy=error.remedy) from error
