"""File names from outside: shown safely, and resolved below the folders they may lie in.

In: a name as an episode, a script or a table writes it. Out: the real path of a regular file.
Links are followed first and judged afterwards, so that a link out of the folder is refused like any other way out.
Knows nothing of what is in the file.
"""

import difflib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from tasks.domain.errors import EpisodeError, InputError

MAX_SHOWN_CHARACTERS = 120


def shown(name: str | Path) -> str:
    """`name` in quotes, for a message: control and direction marks escaped, long names cut in the middle."""
    text = str(name)
    if len(text) > MAX_SHOWN_CHARACTERS:
        half = MAX_SHOWN_CHARACTERS // 2 - 1
        text = f"{text[:half]}…{text[-half:]}"
    safe = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return f"'{safe}'"


def resolve(
    name: str,
    *,
    folder: str | Path,
    roots: Sequence[str | Path] = (),
    where: str = "",
    error: type[InputError] = EpisodeError,
) -> Path:
    """The file that `name` means: below `folder`, else below one of `roots`; absolute, links followed.

    where: the field or line that names it, for the message. error: the class to raise.
    Raises `error` for a name that leads elsewhere, is no regular file, or is not there.
    """
    if not name.strip() or "\0" in name:
        raise error(f"{shown(name)} is no file name.", where=where, remedy="Name a file below the episode's folder.")
    allowed = tuple(Path(os.path.realpath(base)) for base in (folder, *roots))
    candidates = [Path(os.path.realpath(base / name)) for base in allowed]
    inside = [path for path in candidates if any(path.is_relative_to(base) for base in allowed)]
    if not inside:
        raise error(
            f"{shown(name)} leads out of the episode's folder.",
            where=where,
            remedy="Put the file into that folder, or add the folder it lies in to the setting 'inputs.roots'.",
        )
    for path in inside:
        if _is_file(path, name, where, error):
            return path
    raise error(f"there is no file {shown(name)}.{_suggestion(inside[0], name)}", where=where, remedy=_REMEDY_MISSING)


_REMEDY_MISSING = "Paths start at the episode's own folder; mind capitals."


def _is_file(path: Path, name: str, where: str, error: type[InputError]) -> bool:
    """Whether something is at `path`. Raises `error` if that is no regular, readable file."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as reason:
        raise error(
            f"{shown(name)} cannot be opened ({_reason(reason)}).", where=where, remedy="Check name and rights."
        ) from reason
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
        raise error(f"{shown(name)} is {kind}.", where=where, remedy="Name a file.")
    if not os.access(path, os.R_OK):
        raise error(f"{shown(name)} may not be read.", where=where, remedy="Give this account the right to read it.")
    return True


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _suggestion(path: Path, name: str) -> str:
    """A neighbour that is spelt nearly the same."""
    try:
        neighbours = sorted(entry.name for entry in os.scandir(path.parent))[:2000]
    except (OSError, ValueError):
        return ""
    by_fold = {neighbour.casefold(): neighbour for neighbour in neighbours}
    near = difflib.get_close_matches(path.name.casefold(), list(by_fold), n=1, cutoff=0.75)
    return f" Did you mean {shown(str(Path(name).with_name(by_fold[near[0]])))}?" if near else ""
