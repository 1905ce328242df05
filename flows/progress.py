"""How far a run is: one bar a stage on a terminal (rich), plain lines in a log, nothing where only JSON is wanted."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

PLAIN_EVERY_SECONDS = 15.0
"""A log gets a line for each stage, and one more for every so many seconds of it."""


def unwatched(done: float, total: float) -> None:
    """A `Watch` that nobody reads: Ctrl-C ends the process."""


class Line:
    """Progress of one stage: call it with (done, total)."""

    def __init__(self, show: Callable[[float], None]) -> None:
        self._show = show

    def __call__(self, done: float, total: float) -> None:
        """Report `done` of `total`."""
        self._show(min(1.0, done / total) if total else 1.0)

    def part(self, at: int, total: int) -> "Line":
        """The line of part `at` of `total` equal parts."""
        return Line(lambda share: self._show((at + share) / total))


class Progress(Protocol):
    """Where progress is shown."""

    def line(self, title: str) -> Any:
        """A context manager that gives the `Line` of one stage."""
        ...

    def fetched(self, done: int, total: int, name: str) -> None:
        """A model file comes in: `done` of `total` bytes."""
        ...


class Silent:
    """Shows nothing."""

    @contextmanager
    def line(self, title: str) -> Iterator[Line]:
        """A line that nobody sees."""
        yield Line(lambda share: None)

    def fetched(self, done: int, total: int, name: str) -> None:
        """Not shown."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Plain:
    """Lines for a log, on standard error."""

    def __init__(self) -> None:
        self._fetching = ""

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def fetched(self, done: int, total: int, name: str) -> None:
        """One line for each file that comes in."""
        if name != self._fetching:
            self._fetching = name
            print(f"fetching {name}: {done >> 20} of {total >> 20} MB of model files", file=sys.stderr, flush=True)

    @contextmanager
    def line(self, title: str) -> Iterator[Line]:
        """Says when a stage is done, and how far a long one is."""
        started = last = time.monotonic()

        def show(share: float) -> None:
            nonlocal last
            if time.monotonic() - last > PLAIN_EVERY_SECONDS:
                last = time.monotonic()
                print(f"{title}: {share:.0%}", file=sys.stderr, flush=True)

        yield Line(show)
        print(f"{title}: done in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


class Bars:
    """Bars on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description:32}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._bars = RichProgress(*columns, console=Console(stderr=True))
        self._fetching: Any = None

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def fetched(self, done: int, total: int, name: str) -> None:
        """A bar of its own for model files."""
        if self._fetching is None:
            self._fetching = self._bars.add_task("fetch the model files", total=1.0)
        self._bars.update(self._fetching, completed=done / total if total else 1.0)

    @contextmanager
    def line(self, title: str) -> Iterator[Line]:
        """A bar from empty to full."""
        task = self._bars.add_task(title, total=1.0)
        yield Line(lambda share: self._bars.update(task, completed=share))
        self._bars.update(task, completed=1.0)
