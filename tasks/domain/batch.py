"""A batch: rows of a table, the order that each becomes, and what came of it."""

from dataclasses import dataclass

STATES = ("done", "failed", "wrong", "waiting")
"""done: the programmes are there. failed: an engine or the store failed. wrong: the row itself. waiting: not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table, its cells as text."""

    id: str
    line: int
    """Of the table, for messages."""
    cells: tuple[tuple[str, str], ...]
    """(column, text) of the cells that are not empty."""
    priority: int = 50
    """0 .. 100; higher goes first."""
    deadline: str | None = None
    """ISO 8601 with a time zone."""

    def cell(self, column: str) -> str:
        """The text in a column, "" for none."""
        return next((text for name, text in self.cells if name == column), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A row with its template filled in: all that a worker needs to produce it. Travels as JSON."""

    id: str
    document: str
    """The episode file (YAML)."""
    folder: str
    """Absolute: where the episode's paths start."""
    roots: tuple[str, ...] = ()
    where: str = ""
    """Table and line, for messages."""
    quality: str = "draft"
    priority: int = 50
    deadline: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one row."""

    id: str
    state: str
    """One of STATES."""
    programme: str = ""
    revision: str = ""
    shots: int = 0
    rendered: int = 0
    reused: int = 0
    stills: int = 0
    """Shots that could not be rendered and are shown as stills, where the episode allows it."""
    seconds: float = 0.0
    """Wall time of the row."""
    finished: str = ""
    """ISO 8601, UTC."""
    error: str = ""
    others: tuple[str, ...] = ()
    """Programmes in further languages."""
    review: str = ""
    """Where its review page is: a path, or an address that holds for a week."""


def told_state(state: str, stills: int) -> str:
    """How a row ended, to a person: "done with 2 stills" is not what "done" promises."""
    return f"{state} with {stills} still{'' if stills == 1 else 's'}" if stills else state
