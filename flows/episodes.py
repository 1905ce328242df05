"""An episode file opened: what both ways of running begin with.

Light: a text error is told before any engine is imported.
"""

from dataclasses import replace
from pathlib import Path

from flows.settings import Settings
from tasks.domain.episode import Episode
from tasks.domain.errors import CastError, EpisodeError
from tasks.domain.options import QUALITIES
from tasks.formats.episode import read_episode
from tasks.media.paths import resolve

MAX_BYTES = 4 << 20


def open_episode(path: str, settings: Settings, quality: str | None = None) -> Episode:
    """The episode in a file, with the quality of the command line in place of its own.

    Raises EpisodeError, whose `others` hold further findings.
    """
    file = Path(path)
    content, folder, roots = episode_bytes(file), str(file.resolve().parent), settings.inputs.roots

    def fetch(name: str) -> bytes:
        return episode_bytes(resolve(name, folder=folder, roots=roots, where=f"{path}, cast", error=CastError))

    episode = read_episode(content, path=path, folder=folder, roots=roots, fetch=fetch)
    if quality is None:
        return episode
    if quality not in QUALITIES:
        raise EpisodeError(f"there is no quality {quality!r}.", remedy=f"Choose {' or '.join(QUALITIES)}.")
    return replace(episode, render=replace(episode.render, quality=quality))


def episode_bytes(file: Path) -> bytes:
    """An episode file's content, no larger than MAX_BYTES."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name cannot be opened"
        raise EpisodeError(f"it cannot be read: {reason}.", where=str(file), remedy="Check the path.") from error
    if len(content) > MAX_BYTES:
        raise EpisodeError(f"it is larger than {MAX_BYTES >> 20} MiB.", where=str(file), remedy="An episode is short.")
    return content
