"""Everything that can be wrong before work starts: one file judged, whatever it is.

The extension decides the kind, the content the format within it; without an extension the content decides. A text error
is found before anything heavy is loaded. Nothing is written to the store; of what a file names, only what an episode
names in its own folder is opened.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.progress import unwatched
from flows.settings import Settings, load_settings
from tasks.domain.episode import CastEntry, Episode
from tasks.domain.errors import CastError, InputError, PipelineError
from tasks.formats.episode import unused_cast
from tasks.formats.findings import all_findings

if TYPE_CHECKING:  # a text error is told before anything heavy is loaded
    from flows.wiring import Wiring
    from tasks.cast import Played
    from tasks.domain.speech import Script, ScriptRole

KINDS = ("episode", "script", "portrait", "recording", "feed")
_BY_EXTENSION = {
    "script": (".fountain", ".txt", ".md", ".vtt", ".srt", ".csv", ".tsv", ".pdf", ".docx"),
    "portrait": (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jxl"),
    "episode": (".yaml", ".yml"),
    "feed": (".xml", ".rss", ".atom"),
}
SPARSE_SECONDS, SPARSE_SHARE = 2.0, 0.1
SHORT_SECONDS = 20.0
"""Less speech than both - 2 s, and a tenth of the recording - is no speech where the recording is short: bars of music
pass for a syllable. In a long one a few words may be meant: a warning."""
MIN_FREE_BYTES = 1 << 30
"""Less free space than this beside the store is an error before work starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    where: str
    message: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """One line for a person."""
        return " ".join(part for part in (f"{self.where}:" if self.where else "", self.message, self.remedy) if part)


@dataclass(slots=True)
class Report:
    """What `check` found in one file."""

    kind: str
    errors: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    reading: dict[str, Any] = field(default_factory=dict)
    """A script, as it reads."""
    summary: str = "good"

    @property
    def ok(self) -> bool:
        """Whether work could start."""
        return not self.errors

    def as_document(self) -> dict[str, Any]:
        """For `--json`."""
        errors = [{"where": e.where, "message": e.message, "remedy": e.remedy} for e in self.errors]
        return {
            "kind": self.kind,
            "ok": self.ok,
            "errors": errors,
            "warnings": self.warnings,
            "facts": self.facts,
            **self.reading,
        }


def check_file(path: str, kind: str | None, *, store: str | None = None) -> Report:
    """Judge one file. Raises SettingsError only; what is wrong with the file is in the report."""
    settings = load_settings(store=store)
    report = Report(kind=kind or "")
    try:
        if kind is not None and kind not in KINDS:
            raise InputError(f"there is no kind {kind!r}.", remedy=f"Choose one of {', '.join(KINDS)}.")
        _must_be_a_file(Path(path))
        report.kind = kind or kind_of(Path(path))
        _CHECKS[report.kind](Path(path), settings, report)
    except InputError as error:
        report.errors += [_finding(each, path) for each in all_findings(error)]
    except PipelineError as error:
        report.errors.append(Finding(where=path, message=str(error)))
    return report


def _finding(error: InputError, path: str) -> Finding:
    return Finding(where=error.where or path, message=error.message, remedy=error.remedy)


def _must_be_a_file(path: Path) -> None:
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        raise InputError("there is no such file.", where=str(path), remedy="Check the name.")
    if not os.access(path, os.R_OK):
        raise InputError("it may not be read.", where=str(path), remedy="Give this account the right to read it.")


def kind_of(path: Path) -> str:
    """What a file is, by its extension; without one, by its first bytes."""
    extension = path.suffix.casefold()
    for kind, extensions in _BY_EXTENSION.items():
        if extension in extensions:
            return kind
    return "recording" if extension else _kind_by_content(path)


def _kind_by_content(path: Path) -> str:
    with path.open("rb") as stream:
        head = stream.read(4096)
    pictures = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
    if head.startswith(pictures) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "portrait"
    text = head.decode("utf-8", errors="ignore").lstrip("\ufeff \r\n\t")
    if "schema: episode/1" in text:
        return "episode"
    if text.startswith(("<?xml", "<rss")):
        return "feed"
    is_text = b"\0" not in head and len(text) > 0.9 * len(head)
    return "script" if is_text else "recording"


def _check_script(path: Path, settings: Settings, report: Report) -> None:
    from tasks.formats.script import MAX_BYTES, read_script, reading

    with path.open("rb") as stream:
        script = read_script(stream.read(MAX_BYTES + 1), name=str(path), language=None)
    report.warnings += script.warnings
    report.reading = reading(script)
    speakers = len(report.reading["speakers"])
    report.facts = {"lines_spoken": report.reading["lines_spoken"], "speakers": speakers}
    report.summary = f"{report.reading['lines_spoken']} lines by {speakers} speakers"


def _wired(settings: Settings) -> "Wiring":
    from flows.wiring import Wiring  # a second to load

    return Wiring(settings)


def _check_portrait(path: Path, settings: Settings, report: Report) -> None:
    _judge_portrait(path, _wired(settings), report)


def _judge_portrait(path: Path, wiring: "Wiring", report: Report, entry: CastEntry | None = None) -> None:
    from tasks.media.pictures import read_picture

    speaker = entry.key if entry else None
    picture = read_picture(path, speaker=speaker)
    verdict = wiring.faces.judge(picture.pixels, entry.box if entry else None)
    where = f"portrait {path.name!r}" + (f" (speaker {speaker})" if speaker else "")
    report.facts = {"width": picture.size[0], "height": picture.size[1]}
    report.warnings += [f"{where}: it {warning}." for warning in verdict.warnings]
    report.warnings += picture.warnings
    if verdict.face is None:
        report.errors.append(Finding(where=where, message=f"it {verdict.reason}.", remedy=verdict.remedy))
        return
    box = [round(value) for value in verdict.face.box]
    report.facts |= {"face_box": box, "brow_to_chin_px": round(verdict.face.brow_to_chin_px)}
    report.summary = f"one usable face, {round(verdict.face.brow_to_chin_px)} px from brow to chin"


def _check_recording(path: Path, settings: Settings, report: Report) -> None:
    from tasks.diarize import speech_seconds
    from tasks.ingest import decoded

    scratch = tempfile.mkdtemp(prefix="troupe-check-")
    wiring = _wired(settings.model_copy(update={"store": f"file:{scratch}"}))
    try:
        recording = decoded(path, str(path), **wiring.supply(decoded), watch=unwatched)
        report.warnings += recording.warnings
        spoken = speech_seconds(recording, **wiring.supply(speech_seconds))
    finally:
        wiring.close()
        shutil.rmtree(scratch, ignore_errors=True)
    seconds = float(recording.duration)
    report.facts = {"seconds": seconds, "channels": recording.channels, "speech_seconds": spoken}
    is_sparse = spoken < SPARSE_SECONDS and spoken < SPARSE_SHARE * seconds
    if is_sparse and spoken and seconds > SHORT_SECONDS:
        report.warnings.append(f"{path}: hardly anything in it sounds like speech: {spoken:.1f} s of {seconds:.1f} s.")
    elif is_sparse:
        report.errors.append(
            Finding(where=str(path), message="there is no speech in it.", remedy="Supply a recording with speech.")
        )
    report.summary = f"{float(recording.duration):.1f} s, {spoken:.1f} s of speech"


def _check_episode(path: Path, settings: Settings, report: Report) -> None:
    """The file, then what it names: text first, then pictures and sound."""
    from flows.episodes import open_episode
    from tasks.ingest import script_of

    episode = open_episode(str(path), settings)
    script = script_of(episode) if episode.kind == "script" else None
    wiring = _wired(settings)  # after both texts: an error in them costs no second of loading
    report.facts = {"id": episode.id, "source": episode.kind, "languages": [episode.language, *episode.languages]}
    own = partial(_gather, report, path)
    if script:
        _check_its_script(script, episode, wiring, report)
    else:
        own(partial(_check_its_texts, episode))
        own(partial(_check_its_cast, episode, (), (), episode.language, wiring))
    own(partial(_check_its_samples, episode))
    for entry in episode.cast:
        own(partial(_check_its_portrait, entry, episode, wiring, report))
    for name in _recordings(episode):
        own(partial(_check_its_recording, name, episode, settings, report))
    _check_store(settings, report)
    report.summary = f"{len(episode.cast)} in the cast, {episode.kind}"


def _gather(report: Report, path: Path, check: Callable[[], object]) -> None:
    """Go on after an error: a person mends all of them at once."""
    try:
        check()
    except InputError as error:
        found = (_finding(each, str(path)) for each in all_findings(error))
        report.errors += [each for each in found if each not in report.errors]


def _check_its_script(script: "Script", episode: Episode, wiring: "Wiring", report: Report) -> None:
    from tasks.cast import keys_of
    from tasks.formats.script import in_language
    from tasks.ingest import scene_pictures, song_files

    report.warnings += script.warnings
    report.facts["lines_spoken"] = len(script.spoken)
    played: list[tuple[str, tuple[str, ...]]] = []
    path = Path(episode.path)

    def judge(label: str) -> None:
        played.append((label, keys_of(label, episode.cast, where=episode.path)))

    for label in script.labels:
        _gather(report, path, partial(judge, label))
    report.warnings += unused_cast(episode, tuple(key for _, keys in played for key in keys))
    _gather(report, path, partial(scene_pictures, episode, script))
    _gather(report, path, partial(song_files, episode, script))
    for language in (episode.language, *episode.languages):
        _gather(report, path, partial(in_language, script, language))
        _gather(report, path, partial(_check_its_cast, episode, tuple(played), script.roles, language, wiring))


def _check_its_cast(
    episode: Episode, played: "Played", roles: "Sequence[ScriptRole]", language: str, wiring: "Wiring"
) -> None:
    """Voices of a script, and consents. played: empty, where it is not known before the run: everybody is judged."""
    from tasks.cast import choose

    by = wiring.voice_id if episode.kind == "script" else None
    everybody = tuple((entry.key, (entry.key,)) for entry in episode.cast)
    today, required = date.today().isoformat(), wiring.settings.require_consent
    choose(episode, played or everybody, roles, language, by, today, required, voices=wiring.voices)


def _check_its_samples(episode: Episode) -> None:
    from tasks.media.paths import resolve

    for entry in episode.cast:
        if entry.sample:
            resolve(entry.sample, folder=episode.folder, roots=episode.roots, where=entry.where, error=CastError)


def _check_its_texts(episode: Episode) -> None:
    from tasks.ingest import chapters_of, transcript_of

    transcript_of(episode)
    chapters_of(episode)


def _check_its_portrait(entry: CastEntry, episode: Episode, wiring: "Wiring", report: Report) -> None:
    from tasks.cast import portrait_file, pose_file
    from tasks.media.poses import check_poses

    own = Report(kind="portrait")
    _judge_portrait(portrait_file(entry, episode.folder, episode.roots), wiring, own, entry)
    report.errors += own.errors
    report.warnings += own.warnings
    if pose := entry.pose or episode.render.pose:
        check_poses(pose_file(replace(entry, pose=pose), episode.folder, episode.roots), name=pose)


def _recordings(episode: Episode) -> tuple[str, ...]:
    """What is listened to: of a song the vocal stem, where there is one."""
    podcast, stems = episode.source.podcast, dict(episode.source.vocals)
    named = (*((("", podcast),) if podcast else ()), *episode.source.tracks)
    return tuple(stems.get(of, name) for of, name in named)


def _check_its_recording(name: str, episode: Episode, settings: Settings, report: Report) -> None:
    """An address is judged by what it says, and not opened here."""
    from tasks.media.fetch import check_address, is_address
    from tasks.media.paths import resolve

    if is_address(name):
        check_address(name, allow=settings.network.allow)
        return
    own = Report(kind="recording")
    _check_recording(resolve(name, folder=episode.folder, roots=episode.roots, where=episode.path), settings, own)
    report.errors += own.errors
    report.warnings += own.warnings


def _check_store(settings: Settings, report: Report) -> None:
    """Room for the programme, where the store is a folder of this machine."""
    scheme, _, folder = settings.store.partition(":")
    if scheme != "file":
        return
    place = Path(folder).absolute()
    while not os.path.exists(place):  # unlike Path.exists, it raises nothing
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < MIN_FREE_BYTES:
        report.errors.append(
            Finding(
                where=settings.store,
                message=f"only {free >> 20} MiB are free, and a programme needs {MIN_FREE_BYTES >> 20}.",
                remedy="Make room, or name another store.",
            )
        )


def _check_feed(path: Path, settings: Settings, report: Report) -> None:
    """The feed and its addresses; none is opened, and no host is looked up."""
    from tasks.formats.feed import MAX_BYTES, MAX_ITEMS, read_feed
    from tasks.media.fetch import check_address

    with path.open("rb") as stream:
        feed = read_feed(stream.read(MAX_BYTES + 1), name=str(path))
    report.warnings += feed.warnings
    addresses: dict[str, str] = {}
    for item in feed.items:
        for address in item.addresses:
            addresses.setdefault(address, item.where)
    relative = [address for address in addresses if feed.place is None and ":" not in address.partition("/")[0]]
    for address, where in addresses.items():
        if address not in relative:
            _gather(
                report,
                path,
                partial(_judge_address, address, where, partial(check_address, address, allow=settings.network.allow)),
            )
    if relative:
        report.warnings.append(f"{path}: its addresses are relative, and start at the address it will be fetched from.")
    if not feed.items:
        raise InputError("there is no playable episode in it.", where=str(path), remedy="Give an item an enclosure.")
    report.facts = {
        "title": feed.title,
        "language": feed.language,
        "items": feed.num_items,
        "playable": len(feed.items),
    }
    report.summary = f"{len(feed.items)} playable of {min(feed.num_items, MAX_ITEMS)} items read"


def _judge_address(address: str, where: str, check: Callable[[], None]) -> None:
    """With the place in the feed before the address."""
    try:
        check()
    except InputError as error:
        raise InputError(f"{error.where}: {error.message}", where=where, remedy=error.remedy) from error


_CHECKS: dict[str, Callable[[Path, Settings, Report], None]] = {
    "episode": _check_episode,
    "script": _check_script,
    "portrait": _check_portrait,
    "recording": _check_recording,
    "feed": _check_feed,
}
