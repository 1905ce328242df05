"""What is wrong with a file: all of it, collected, so that a person can mend it in one go.

In: sentences with a place. Out: one InputError that carries the others. Knows no format.
"""

import difflib
from collections.abc import Iterable

from tasks.domain.errors import InputError

MAX_FINDINGS = 100


class Findings:
    """The findings about one file, in the order in which they were made."""

    def __init__(self, kind: type[InputError]) -> None:
        self.kind = kind
        self.errors: list[InputError] = []

    def add(self, message: str, *, where: str, remedy: str = "", kind: type[InputError] | None = None) -> None:
        """Note an error; the first MAX_FINDINGS are kept."""
        if len(self.errors) < MAX_FINDINGS:
            self.errors.append((kind or self.kind)(message, where=where, remedy=remedy))

    def raise_any(self) -> None:
        """Raise the first error, with the rest in its `others`, if there is one."""
        if self.errors:
            first, *others = self.errors
            first.others = tuple(others)
            raise first


def all_findings(error: InputError) -> tuple[InputError, ...]:
    """The error itself and what it carries."""
    return error, *error.others


def suggestion(word: str, allowed: Iterable[str], *, noun: str = "Allowed") -> str:
    """What to write in place of `word`: the nearest allowed word, or all of them."""
    known = list(allowed)
    near = difflib.get_close_matches(word.casefold(), [each.casefold() for each in known], n=1, cutoff=0.6)
    if near:
        meant = next(each for each in known if each.casefold() == near[0])
        return f"Did you mean '{meant}'?"
    return f"{noun}: {', '.join(known)}."


def shown(text: str, limit: int = 60) -> str:
    """`text` as a message may show it: in one line, quoted, cut."""
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= limit else flat[: limit - 1] + "…")
