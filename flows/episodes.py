"""An episode file opened, and the choices that settings add to it: what both ways of running begin with.

Knows no Prefect.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path

from flows.pipeline import Choices
from flows.settings import Settings
from flows.wiring import Wiring
from tasks.domain.episode import Episode
from tasks.domain.errors import CastError, EpisodeError
from tasks.domain.options import QUALITIES, MarkingOptions, SoundOptions
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


def choices_for(episode: Episode, wiring: Wiring) -> Choices:
    """What this machine's settings decide for an episode, resolved once a run."""
    settings = wiring.settings
    return Choices(
        heard_by=(wiring.voice_id,) if episode.kind == "script" else (wiring.diarizer_id, wiring.transcriber_id),
        renderer=wiring.renderer.traits(),
        sound=SoundOptions(loudness_lufs=settings.sound.loudness_lufs, true_peak_dbtp=settings.sound.true_peak_dbtp),
        marking=MarkingOptions(label="" if settings.marking.unmarked else settings.marking.label),
        require_consent=settings.require_consent,
        today=date.today().isoformat(),
    )
