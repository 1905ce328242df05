"""The source of an episode, taken in: a script read, or a recording, or tracks, decoded once.

In: an episode whose paths are still text. Out: `Material`, whose sound and pictures are assets. The only stage that
opens what a person named, except for portraits and voice samples (cast). Does not know who speaks when.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from s2v_model.contract import Watch
from tasks.domain.assets import Asset
from tasks.domain.episode import Episode
from tasks.domain.errors import EpisodeError, InputError, RecordingError, ScriptError
from tasks.domain.options import InputOptions
from tasks.domain.speech import Chapter, Material, Recording, Script, Transcript
from tasks.formats.canonical import digest
from tasks.formats.chapters import read_chapters
from tasks.formats.script import read_script
from tasks.formats.transcript import read_transcript
from tasks.formats.translations import with_translation
from tasks.media import audio
from tasks.media.audio import decode_recording
from tasks.media.container import MediaLimits
from tasks.media.fetch import FetchLimits, fetch, is_address, shown_address
from tasks.media.paths import resolve
from tasks.media.pictures import read_picture, write_png
from tasks.media.storage import file_sha256

REVISION = 1
"""Bumped when an equal source would give other material."""
STEM_TOLERANCE = Fraction(1, 2)
"""Seconds by which a vocal stem and its recording may differ in length: encoders pad."""
MAX_TEXT_BYTES = 16 * 2**20
"""Of a script, a transcript or chapters; the readers' own limits are narrower and say more."""


class Workspace(Protocol):
    """What this stage asks of a workspace."""

    def new(self, extension: str) -> Path:
        """A path for a file that is being made."""
        ...

    def keep(self, path: Path) -> Asset:
        """Name the bytes at `path` and hold them; the path is gone afterwards."""
        ...


def key(episode: Episode) -> str | None:
    """Digest of everything that the material depends on; None for a source that is not remembered.

    A script is read faster than remembered, and what lies behind an address is known only when it is here.
    Raises InputError for a file that is not there.
    """
    source = episode.source
    if source.script is not None or (source.podcast is not None and is_address(source.podcast)):
        return None
    named = (
        ("source.podcast", source.podcast, RecordingError),
        *((f"source.tracks.{speaker}", name, RecordingError) for speaker, name in source.tracks),
        *((f"source.vocals {of}".rstrip(), name, RecordingError) for of, name in source.vocals),
        ("source.transcript", source.transcript, ScriptError),
        ("chapters", episode.chapters, EpisodeError),
    )
    files = tuple(
        (field, file_sha256(_file(episode, name, field, error))) for field, name, error in named if name is not None
    )
    return digest((REVISION, audio.REVISION, files, episode.language))


def ingest(episode: Episode, *, workspace: Workspace, watch: Watch, inputs: InputOptions = InputOptions()) -> Material:
    """Read or decode what `episode.source` names.

    Raises ScriptError, RecordingError, PortraitError (a scene's picture) or EpisodeError (a path, chapters) for what a
    person can mend; EngineError where a download failed that may succeed later; Stopped out of `watch`.
    """
    chapters = chapters_of(episode)
    if episode.source.script is not None:
        script = script_of(episode)
        pictures = _pictures(episode, script, workspace)
        songs = _songs(episode, script, workspace, watch, inputs)
        return Material(script=script, chapters=chapters, pictures=pictures, songs=songs)
    transcript = transcript_of(episode)
    if episode.source.podcast is not None:
        recording = _recording(episode, workspace, watch, inputs)
        recording = _with_vocals(recording, "", episode, workspace, watch, inputs)
        return Material(recording=recording, transcript=transcript, chapters=chapters)
    tracks = _tracks(episode, workspace, watch, inputs)
    return Material(tracks=tracks, transcript=transcript, chapters=chapters)


def script_of(episode: Episode) -> Script:
    """The script of an episode, with its translations. Raises ScriptError."""
    text = episode.source.script or ""
    known = tuple(label for entry in episode.cast for label in (entry.key, entry.name) if label)
    if "\n" in text:
        name = Path(episode.path).name or "source.script"
        script = read_script(text.encode(), name=name, language=episode.language, known=known)
    else:
        content = _text(episode, text, "source.script", ScriptError)
        script = read_script(content, name=text, language=episode.language, known=known)
    for language, name in episode.translations:
        content = _text(episode, name, f"translations.{language}", ScriptError)
        translated = read_script(content, name=name, language=language, known=known)
        script = with_translation(script, language, translated, name=name)
    return script


def scene_pictures(episode: Episode, script: Script) -> tuple[tuple[str, Path], ...]:
    """(name, file) of each picture that a scene starts from, once. Raises ScriptError for one that is not there."""
    named = {line.picture: line.row for line in reversed(script.lines) if line.picture}
    return tuple(
        (name, _file(episode, name, f"line {row} of the script", ScriptError)) for name, row in sorted(named.items())
    )


def _pictures(episode: Episode, script: Script, workspace: Workspace) -> tuple[tuple[str, Asset], ...]:
    kept = []
    for name, path in scene_pictures(episode, script):
        target = workspace.new(".png")
        target.write_bytes(write_png(read_picture(path, name=name).pixels))
        kept.append((name, workspace.keep(target)))
    return tuple(kept)


def transcript_of(episode: Episode) -> Transcript | None:
    """The words that an episode supplies for its recording. Raises ScriptError."""
    name = episode.source.transcript
    if name is None:
        return None
    content = _text(episode, name, "source.transcript", ScriptError)
    return read_transcript(content, name=name, language=episode.language)


def chapters_of(episode: Episode) -> tuple[Chapter, ...]:
    """The chapters of a file that an episode names. Raises EpisodeError."""
    if episode.chapters is None:
        return ()
    return read_chapters(_text(episode, episode.chapters, "chapters", EpisodeError), name=episode.chapters)


def _recording(episode: Episode, workspace: Workspace, watch: Watch, inputs: InputOptions) -> Recording:
    name = episode.source.podcast or ""
    if not is_address(name):
        path = _file(episode, name, "source.podcast", RecordingError)
        return decoded(path, name, workspace=workspace, watch=watch, inputs=inputs)
    limits = FetchLimits(max_bytes=inputs.max_download_bytes, max_seconds=inputs.max_download_seconds)
    target = workspace.new(".download")
    try:
        fetched = fetch(name, target, watch=_part(watch, 0, 2), limits=limits, allow=inputs.allow)
        # An address without its query: what follows it may be a secret.
        shown = shown_address(name).strip("'")
        return decoded(fetched.path, shown, workspace=workspace, watch=_part(watch, 1, 2), inputs=inputs)
    finally:
        target.unlink(missing_ok=True)


def _tracks(
    episode: Episode, workspace: Workspace, watch: Watch, inputs: InputOptions
) -> tuple[tuple[str, Recording], ...]:
    named = episode.source.tracks
    # All of them first: a misspelt name is told before an hour is decoded.
    paths = [_file(episode, name, f"source.tracks.{speaker}", RecordingError) for speaker, name in named]
    kept = []
    for index, ((speaker, name), path) in enumerate(zip(named, paths, strict=True)):
        part = _part(watch, index, len(named))
        recording = decoded(path, name, workspace=workspace, watch=part, inputs=inputs)
        kept.append((speaker, _with_vocals(recording, speaker, episode, workspace, part, inputs)))
    return tuple(kept)


def _songs(
    episode: Episode, script: Script, workspace: Workspace, watch: Watch, inputs: InputOptions
) -> tuple[tuple[str, Recording], ...]:
    """Each recording that sung lines of a script name, once."""
    kept = []
    found = song_files(episode, script)
    for index, (name, path) in enumerate(found):
        part = _part(watch, index, len(found))
        recording = decoded(path, name, workspace=workspace, watch=part, inputs=inputs)
        kept.append((name, _with_vocals(recording, name, episode, workspace, part, inputs)))
    return tuple(kept)


def song_files(episode: Episode, script: Script) -> tuple[tuple[str, Path], ...]:
    """The recordings that sung lines name. Raises ScriptError or RecordingError for what is not there, or is idle."""
    named = {line.song: line.row for line in reversed(script.lines) if line.song}
    if idle := [of for of, _ in episode.source.vocals if of not in named]:
        raise RecordingError(
            f"the vocal stem of {idle[0]!r} has no song: no sung line of the script names it.",
            where=episode.path or "source.vocals",
            remedy=f"Write \u266a NAME [{idle[0]}]: words, or remove it.",
        )
    stem_files(episode)
    return tuple(
        (name, _file(episode, name, f"line {row} of the script", ScriptError)) for name, row in sorted(named.items())
    )


def stem_files(episode: Episode) -> dict[str, Path]:
    """Vocal stems by what they are the stem of. Raises RecordingError for one that is not there."""
    return {of: _file(episode, name, "source.vocals", RecordingError) for of, name in episode.source.vocals}


def _with_vocals(
    recording: Recording, of: str, episode: Episode, workspace: Workspace, watch: Watch, inputs: InputOptions
) -> Recording:
    """With the vocal stem that the episode names for it. Raises RecordingError for one of another length."""
    name = dict(episode.source.vocals).get(of)
    if name is None:
        return recording
    path = _file(episode, name, "source.vocals", RecordingError)
    stem = decoded(path, name, workspace=workspace, watch=watch, inputs=inputs)
    if abs(stem.duration - recording.duration) > STEM_TOLERANCE:
        lengths = f"{float(stem.duration):.2f} s, its recording {float(recording.duration):.2f} s"
        raise RecordingError(
            f"the vocal stem lasts {lengths}.", where=name, remedy="Export both from the same start to the same end."
        )
    return replace(recording, vocals=stem.speech)


def decoded(path: Path, name: str, *, workspace: Workspace, watch: Watch, inputs: InputOptions) -> Recording:
    """One recording on this machine, decoded for good. name: how messages call it. Raises RecordingError."""
    limits = MediaLimits(max_bytes=inputs.max_recording_bytes, max_duration=Fraction(3600 * inputs.max_recording_hours))
    speech, master = workspace.new(".wav"), workspace.new(".flac")
    decoded = decode_recording(path, speech_out=speech, master_out=master, name=name, watch=watch, limits=limits)
    return Recording(
        speech=workspace.keep(speech),
        master=workspace.keep(master),
        duration=decoded.duration,
        channels=decoded.master_channels,
        title=decoded.facts.title,
        warnings=decoded.facts.warnings,
    )


def _part(watch: Watch, index: int, count: int) -> Watch:
    """A `Watch` for the part `index` of `count` equal ones."""

    def report(done: float, total: float) -> None:
        watch(index + (min(done / total, 1.0) if total > 0 else 0.0), count)

    return report


def _file(episode: Episode, name: str, field: str, error: type[InputError]) -> Path:
    place = f"{Path(episode.path).name}, {field}" if episode.path else field
    return resolve(name, folder=episode.folder, roots=episode.roots, where=place, error=error)


def _text(episode: Episode, name: str, field: str, error: type[InputError]) -> bytes:
    with _file(episode, name, field, error).open("rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise error(
            f"it has more than {MAX_TEXT_BYTES // 2**20} MiB.",
            where=name,
            remedy="Name the text file, not a recording.",
        )
    return content
