"""Cast: labels of a source, portraits and voices in, a complete cast out: each speaker has exactly one portrait.

Nothing is guessed: an uncertain voice, a label without an entry or a picture without a usable face ends the run with a
sentence that says what to decide. Knows no timeline.
"""

import re
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from s2v_model.contract import Float32Array, UInt8Array, Watch
from s2v_model.puppet.judge import Verdict
from tasks.domain.assets import Asset
from tasks.domain.casting import Cast, Consent, Portrait, Speaker, VoiceMatch
from tasks.domain.episode import CastEntry, Episode
from tasks.domain.errors import CastError, PortraitError, RecordingError
from tasks.domain.options import EngineId
from tasks.domain.speech import Recording, ScriptRole, Turn
from tasks.domain.timing import SPEECH_RATE_HZ
from tasks.engines.voiceprints import Voiceprints
from tasks.engines.voiceprints.matching import EXCERPT_SECONDS, Doubt, described, excerpt, match
from tasks.engines.voices import Voice
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest
from tasks.formats.cast_sheet import read_consent
from tasks.media.audio import decode_recording
from tasks.media.paths import resolve
from tasks.media.pictures import REVISION as PICTURES
from tasks.media.pictures import read_picture, without_bars, write_png
from tasks.media.poses import REVISION as POSES
from tasks.media.poses import write_poses
from tasks.media.storage import file_sha256
from tasks.media.wav import map_speech, read_speech

REVISION = 2
Played = tuple[tuple[str, tuple[str, ...]], ...]
"""(label of the source, the cast keys it means), for each label."""
_JOINT = re.compile(r"\s*(?:&|\+|,|/|\band\b|\bund\b|\bet\b|\by\b|\be\b)\s*", re.IGNORECASE)


class FaceJudge(Protocol):
    """Finds the faces of a picture and says whether one of them can talk."""

    def judge(self, rgb: UInt8Array, box: tuple[float, float, float, float] | None) -> Verdict:
        """The one usable face, or why there is none. box: x, y, width, height in px of the face that is meant."""
        ...


def portray(
    entry: CastEntry, folder: str, roots: tuple[str, ...], *, faces: FaceJudge, workspace: Workspace, watch: Watch
) -> Portrait:
    """The portrait of one cast entry, normalised and judged, with its pose video.

    Raises CastError without a picture, PortraitError where it cannot talk, InputError for a useless pose video.
    """
    path = portrait_file(entry, folder, roots)
    named = f"portrait {entry.portrait!r} (speaker {entry.key})"
    picture = read_picture(path, name=entry.portrait or path.name, speaker=entry.key)
    verdict = faces.judge(picture.pixels, entry.box)
    if verdict.face is None:
        raise PortraitError(f"it {verdict.reason}.", where=named, remedy=verdict.remedy)
    left, top, right, bottom = without_bars(picture.pixels)
    x, y, face_width, face_height = verdict.face.box
    if not (left <= x and top <= y and x + face_width <= right and y + face_height <= bottom):
        left, top, (right, bottom) = 0, 0, picture.size
    target = workspace.new(".png")
    target.write_bytes(write_png(picture.pixels[top:bottom, left:right]))
    return Portrait(
        picture=workspace.keep(target),
        width=right - left,
        height=bottom - top,
        face_box=(x - left, y - top, face_width, face_height),
        brow_to_chin_px=round(verdict.face.brow_to_chin_px, 1),
        pose=_pose(entry, folder, roots, workspace, watch),
        warnings=(*picture.warnings, *(f"{named}: it {warning}." for warning in verdict.warnings)),
    )


def _pose(entry: CastEntry, folder: str, roots: tuple[str, ...], workspace: Workspace, watch: Watch) -> Asset | None:
    """The pose video of a cast entry, made ours."""
    if entry.pose is None:
        return None
    source, target = pose_file(entry, folder, roots), workspace.new(".mp4")
    write_poses(source, target, name=entry.pose, watch=watch)
    return workspace.keep(target)


def pose_file(entry: CastEntry, folder: str, roots: tuple[str, ...]) -> Path:
    """The pose video of a cast entry that names one. Raises CastError where it is not there."""
    return resolve(entry.pose or "", folder=folder, roots=roots, where=entry.where, error=CastError)


def portrait_file(entry: CastEntry, folder: str, roots: tuple[str, ...]) -> Path:
    """The picture of a cast entry. Raises CastError where none is named, or none is there."""
    if entry.portrait is None:
        raise CastError(
            f"speaker {entry.key} has no portrait.", where=entry.where, remedy=f"Add `portrait: {entry.key}.png`."
        )
    return resolve(entry.portrait, folder=folder, roots=roots, where=entry.where, error=CastError)


def portray_key(entry: CastEntry, folder: str, roots: tuple[str, ...]) -> str:
    """What a portrait depends on: the picture's bytes and the box, and those of a pose video."""
    path = portrait_file(entry, folder, roots)
    return digest(
        {
            "revision": (REVISION, PICTURES, POSES),
            "picture": file_sha256(path),
            "pose": file_sha256(pose_file(entry, folder, roots)) if entry.pose else "",
            "box": entry.box,
            "name": entry.portrait,
        }
    )


def recognise(
    recording: Recording,
    turns: tuple[Turn, ...],
    episode: Episode,
    *,
    voiceprints: Voiceprints,
    workspace: Workspace,
    watch: Watch,
) -> tuple[VoiceMatch, ...]:
    """Which diarized voice is whose, by the samples of the cast.

    Raises CastError where a voice is like nobody's sample, or like two: a person decides, nothing is guessed.
    """
    speech = map_speech(workspace.path(recording.voice))
    labels = tuple(dict.fromkeys(turn.speaker for turn in turns))
    voices = {label: described(voiceprints, excerpt(speech, turns, label)) for label in labels}
    samples = {
        entry.key: described(voiceprints, _sample(entry, episode, workspace, watch))
        for entry in episode.cast
        if entry.sample
    }
    matching = match(voices, samples)
    if matching.doubts:
        raise _uncertain(matching.doubts, turns, episode)
    return matching.matches


def _uncertain(doubts: Sequence[Doubt], turns: Sequence[Turn], episode: Episode) -> CastError:
    """The first doubt with its numbers, and what to decide; the others in `others`."""
    errors = []
    for doubt in doubts:
        first = min(turn.span.start for turn in turns if turn.speaker == doubt.label)
        heard = f"voice {doubt.label} (first heard at {float(first):.1f} s)"
        near = ", ".join(f"{key} {float(alike):.2f}" for key, alike in doubt.closest) or "there are no samples"
        reason, remedy = {
            "unknown": ("is like no sample of the cast", "Add a `sample` of this person"),
            "two samples": ("is like two samples", "Give longer samples of one voice each"),
            "two voices": (f"is like a sample that {doubt.rival} is like, too", "Say how many `speakers` there are"),
        }[doubt.reason]
        errors.append(
            CastError(f"{heard} {reason} ({near}).", where=episode.path, remedy=f"{remedy}, or set `casting: order`.")
        )
    first_error, *others = errors
    first_error.others = tuple(others)
    return first_error


def _sample(entry: CastEntry, episode: Episode, workspace: Workspace, watch: Watch) -> Float32Array:
    """The sample of a cast entry's voice."""
    assert entry.sample is not None
    where = f"sample {entry.sample!r} (speaker {entry.key})"
    path = resolve(entry.sample, folder=episode.folder, roots=episode.roots, where=entry.where, error=CastError)
    speech, master = workspace.new(".wav"), workspace.new(".flac")
    try:
        decode_recording(path, speech_out=speech, master_out=master, watch=watch)
        sound = read_speech(speech)[: EXCERPT_SECONDS * SPEECH_RATE_HZ]
    except RecordingError as error:
        raise CastError(error.message, where=where, remedy=error.remedy) from error
    finally:
        speech.unlink(missing_ok=True)
        master.unlink(missing_ok=True)
    return sound


def cast(
    episode: Episode,
    labels: tuple[str, ...],
    roles: tuple[ScriptRole, ...],
    portraits: tuple[Portrait, ...],
    matches: tuple[VoiceMatch, ...],
    language: str,
    by: EngineId | None,
    today: str,
    require_consent: bool,
    *,
    voices: Voice,
) -> Cast:
    """Who plays whom.

    labels: of the source, in order of first speech. matches: which diarized voice is whose, for a podcast cast by
    samples. portraits: one for each cast entry, in their order. by: what speaks; None where
    voices are heard.
    Raises CastError for a label without an entry, a voice that does not exist, and consent that has ended.
    """
    played = _played(episode, labels, matches)
    chosen = choose(episode, played, roles, language, by, today, require_consent, voices=voices)
    pictured = {entry.key: portrait for entry, portrait in zip(episode.cast, portraits, strict=True)}
    used = {entry.key for entry, _, _ in chosen}
    speakers = []
    warnings = [f"cast entry {entry.key!r} is not used." for entry in episode.cast if entry.key not in used]
    for entry, consent, voice in chosen:
        if consent.state != "recorded":
            warnings.append(f"speaker {entry.key}: consent is not recorded.")
        warnings += pictured[entry.key].warnings
        speakers.append(
            Speaker(
                key=entry.key,
                name=entry.name or _role_name(entry, roles, played) or entry.key.replace("_", " ").title(),
                portrait=pictured[entry.key],
                voice=voice,
                prompt=entry.prompt,
                consent=consent,
            )
        )
    return Cast(speakers=tuple(speakers), labels=played, warnings=tuple(warnings))


def choose(
    episode: Episode,
    played: Played,
    roles: Sequence[ScriptRole],
    language: str,
    by: EngineId | None,
    today: str,
    require_consent: bool,
    *,
    voices: Voice,
) -> list[tuple[CastEntry, Consent, str | None]]:
    """(entry, consent, voice) of everybody who speaks, in the order of the cast; the voice is None where `by` is.

    Raises CastError for a voice that does not exist, and for consent that has ended or is missing and required.
    """
    used = {key for _, keys in played for key in keys}
    taken: tuple[str, ...] = tuple(entry.voice for entry in episode.cast if entry.voice)
    chosen = []
    for entry in episode.cast:
        if entry.key not in used:
            continue
        consent = _consent(episode, entry, today, require_consent)
        voice = None
        if by is not None:
            voice = _voice(entry, roles, played, language, taken, by, voices)
            taken = (*taken, voice.partition(":")[2])
        chosen.append((entry, consent, voice))
    return chosen


def _played(episode: Episode, labels: Sequence[str], matches: Sequence[VoiceMatch]) -> Played:
    """(label, cast keys) for every label of the source."""
    if episode.kind == "tracks":
        return tuple((label, (label,)) for label in labels)
    if episode.kind == "podcast":
        return _played_voices(episode, labels, matches)
    return tuple((label, keys_of(label, episode.cast, where=episode.path)) for label in labels)


def _played_voices(episode: Episode, labels: Sequence[str], matches: Sequence[VoiceMatch]) -> Played:
    known = {match.label: match.key for match in matches}
    if episode.casting == "order":
        if len(labels) > len(episode.cast):
            raise CastError(
                f"the recording has {len(labels)} speakers and the cast {len(episode.cast)} entries.",
                where=episode.path,
                remedy="Add portraits, or say `speakers:` if the recording has fewer.",
            )
        known = {label: entry.key for label, entry in zip(labels, episode.cast, strict=False)}
    missing = [label for label in labels if label not in known]
    if missing:
        raise CastError(
            f"nobody is cast for voice {missing[0]}.",
            where=episode.path,
            remedy="Give each cast entry a `sample` of its voice, or set `casting: order`.",
        )
    return tuple((label, (known[label],)) for label in labels)


def keys_of(label: str, entries: Sequence[CastEntry], *, where: str) -> tuple[str, ...]:
    """The cast keys that a label of a script means: one, or several for a joint label.

    Raises CastError for a label that the cast does not know.
    """
    known = {_plain(name): entry.key for entry in entries for name in (entry.name, entry.key) if name}
    if key := known.get(_plain(label)):
        return (key,)
    parts = [part for part in _JOINT.split(label) if part]
    keys = [known.get(_plain(part)) for part in parts]
    if len(parts) > 1 and all(keys):
        return tuple(dict.fromkeys(key for key in keys if key))
    near = get_close_matches(_plain(label), known, n=1)
    hint = f"Did you mean {known[near[0]]!r}?" if near else f"Add `{_as_key(label)}: {{portrait: ...}}` to the cast."
    raise CastError(f"speaker {label!r} speaks, but is not in the cast.", where=where, remedy=hint)


def _plain(label: str) -> str:
    return " ".join(label.casefold().replace("_", " ").split())


def _as_key(label: str) -> str:
    return re.sub(r"\W+", "_", label.casefold()).strip("_") or "name"


def _role(entry: CastEntry, roles: Sequence[ScriptRole], played: Played) -> ScriptRole | None:
    """What the script's own title block says of this member of the cast."""
    own = {label for label, keys in played if keys == (entry.key,)}
    return next((role for role in roles if role.label in own), None)


def _role_name(entry: CastEntry, roles: Sequence[ScriptRole], played: Played) -> str | None:
    role = _role(entry, roles, played)
    return role.name if role else None


def _voice(
    entry: CastEntry,
    roles: Sequence[ScriptRole],
    played: Played,
    language: str,
    taken: tuple[str, ...],
    by: EngineId,
    voices: Voice,
) -> str:
    """ENGINE:NAME of the voice that an entry speaks with in `language`."""
    if entry.voice is None:
        role = _role(entry, roles, played)
        sex = entry.sex or (role.sex if role else None)
        age = entry.age or (role.age if role else None)
        return f"{by.name}:{voices.choose(language, sex, age, taken)}"
    engine, _, name = entry.voice.rpartition(":")
    if engine and engine != by.name:
        raise CastError(
            f"voice {entry.voice!r} asks for the engine {engine!r}, and this run speaks with {by.name!r}.",
            where=entry.where,
            remedy=f"Set engines.voice to {engine!r}, or name a voice of {by.name!r}.",
        )
    try:
        return f"{by.name}:{voices.resolve(name, language)}"
    except CastError as error:
        raise CastError(error.message, where=entry.where, remedy=error.remedy) from error


def _consent(episode: Episode, entry: CastEntry, today: str, required: bool) -> Consent:
    """The consent record of an entry. Raises CastError where it has ended, or is missing and required."""
    if entry.consent is None:
        if required:
            raise CastError(
                f"speaker {entry.key} has no consent record, and settings require one.",
                where=entry.where,
                remedy="Add `consent: FILE` with who, scope and until.",
            )
        return Consent()
    path = resolve(entry.consent, folder=episode.folder, roots=episode.roots, where=entry.where, error=CastError)
    return read_consent(path.read_bytes(), name=entry.consent, today=date.fromisoformat(today))
