"""Arrange: what is said is placed on programme time; the master audio is made here, once.

In: spoken lines of a script, or utterances of a recording or of tracks. Out: a Dialogue, the one thing that all three
become. Every utterance of a script starts on a whole programme frame, so that an edit moves later ones by whole frames
and leaves their samples equal. Knows no pictures and no loudness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from tasks.domain.assets import Asset
from tasks.domain.errors import RecordingError, ScriptError
from tasks.domain.speech import (
    Chapter,
    Dialogue,
    Recording,
    Scene,
    Script,
    ScriptLine,
    SpokenLine,
    Stem,
    StemPiece,
    Utterance,
)
from tasks.domain.timing import MASTER_RATE_HZ, PROGRAMME_RATE, SPEECH_RATE_HZ, Span, index_at, instant_of
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest
from tasks.media.mixdown import Piece, mix_down

REVISION = 1
HEAD = Fraction(2, 5)
"""Seconds before the first word: the face is there before it speaks."""
TAIL = Fraction(4, 5)
"""Seconds after the last word."""
PAUSE = Fraction(8, 25)
"""Between two speakers, where the script asks for nothing else."""
PAUSE_OF_ONE = Fraction(6, 25)
"""Between two lines of one speaker."""
CHAPTER_PAUSE = Fraction(15, 25)
"""More before a new chapter."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """What the cursor has laid down so far."""

    utterances: tuple[Utterance, ...] = ()
    pieces: tuple[tuple[str, Fraction, SpokenLine], ...] = ()
    chapters: tuple[Chapter, ...] = ()
    scenes: tuple[tuple[Scene, str], ...] = ()
    """With the name of the picture that each starts from, or ""."""
    end: Fraction = HEAD
    """When the latest thing ends."""
    gap: Fraction = Fraction(0)
    """Silence asked for behind it."""
    last_start: Fraction = Fraction(0)


def arrange_script(
    script: Script,
    spoken: tuple[SpokenLine, ...],
    title: str,
    language: str,
    pictures: tuple[tuple[str, Asset], ...] = (),
    *,
    workspace: Workspace,
) -> Dialogue:
    """Place a script's lines one behind the other.

    spoken: one for each voice of each line, in any order. pictures: what scenes start from, by the name in their line.
    Raises ScriptError where nothing is said.
    """
    by_line: dict[str, list[SpokenLine]] = {}
    for sound in spoken:
        by_line.setdefault(sound.line, []).append(sound)
    placed, shown = _Placed(), dict(pictures)
    for line, following in zip(script.lines, (*script.lines[1:], None), strict=False):
        placed = _place(placed, line, following, by_line.get(line.id, []))
    if not placed.utterances:
        raise ScriptError("nobody speaks in it.", where=title, remedy="Write at least one line as NAME: words.")
    duration = _whole_frames(placed.end + TAIL)
    # A song that two sing is one sound.
    heard = dict.fromkeys((s.sound, at) for _, at, s in placed.pieces)
    pieces = [Piece(workspace.path(sound), index_at(at, MASTER_RATE_HZ)) for sound, at in heard]
    master = workspace.new(".flac")
    mix_down(pieces, int(duration * MASTER_RATE_HZ), MASTER_RATE_HZ, master)
    return Dialogue(
        title=title,
        language=language,
        duration=duration,
        master=workspace.keep(master),
        stems=_stems(placed.pieces),
        utterances=placed.utterances,
        chapters=placed.chapters,
        scenes=tuple(replace(scene, picture=shown.get(named)) for scene, named in placed.scenes),
        warnings=script.warnings,
    )


def sung(line: ScriptLine, speaker: str, song: Recording) -> SpokenLine:
    """A sung line: the recording as it is for the programme, its vocal stem for the mouth."""
    return SpokenLine(
        line=line.id,
        speaker=speaker,
        sound=song.master,
        speech=song.speech,
        duration=Fraction(ceil(song.duration * SPEECH_RATE_HZ), SPEECH_RATE_HZ),
        vocals=song.vocals,
    )


def script_key(
    script: Script,
    spoken: tuple[SpokenLine, ...],
    title: str,
    language: str,
    pictures: tuple[tuple[str, Asset], ...] = (),
) -> str:
    """What an arranged script depends on."""
    values = {"script": script, "spoken": spoken, "title": title, "language": language, "pictures": pictures}
    return digest({"revision": REVISION, **values})


def _place(placed: _Placed, line: ScriptLine, following: ScriptLine | None, sounds: list[SpokenLine]) -> _Placed:
    """Lay down one line behind what is there."""
    if line.kind == "chapter":
        start = _whole_frames(placed.end + placed.gap)
        gap = placed.gap + (CHAPTER_PAUSE if placed.utterances else 0)
        begin = Fraction(0) if not placed.utterances else start
        return replace(placed, chapters=(*placed.chapters, Chapter(start=begin, title=line.text)), gap=gap)
    if line.kind == "pause":
        return replace(placed, gap=max(placed.gap, line.duration or Fraction(0)))
    if line.kind == "scene":
        start = _whole_frames(placed.end + placed.gap)
        span = Span(start, _whole_frames(start + (line.duration or Fraction(4))))
        scene = Scene(id=line.id, span=span, text=line.text)
        return replace(
            placed,
            scenes=(*placed.scenes, (scene, line.picture or "")),
            end=span.end,
            gap=Fraction(0),
            last_start=start,
        )
    if line.kind != "speech" or not sounds:
        return placed
    earliest = placed.last_start + 1 / PROGRAMME_RATE
    start = _whole_frames(max(placed.end + placed.gap - line.overlap, earliest if placed.utterances else HEAD))
    utterance = _spoken_at(start, line, sounds)
    return replace(
        placed,
        utterances=(*placed.utterances, utterance),
        pieces=(*placed.pieces, *((s.speaker, start, s) for s in sounds)),
        end=max(placed.end, utterance.span.end),
        gap=_pause_after(line, following),
        last_start=start,
    )


def _spoken_at(start: Fraction, line: ScriptLine, sounds: list[SpokenLine]) -> Utterance:
    first = sounds[0]
    return Utterance(
        id=line.id,
        speaker=first.speaker,
        span=Span(start, start + max(sound.duration for sound in sounds)),
        text=line.text,
        words=tuple(replace(word, span=word.span.shifted(start)) for word in first.words),
        phones=None if first.phones is None else tuple(replace(p, span=p.span.shifted(start)) for p in first.phones),
        directions=line.directions,
        is_sung=line.is_sung,
        with_speakers=tuple(sound.speaker for sound in sounds[1:]),
    )


def _pause_after(line: ScriptLine, following: ScriptLine | None) -> Fraction:
    if line.pause_after is not None:
        return line.pause_after
    return PAUSE_OF_ONE if following is not None and following.speaker == line.speaker else PAUSE


def _whole_frames(instant: Fraction) -> Fraction:
    """The first frame not before `instant`, as seconds."""
    return instant_of(ceil(instant * PROGRAMME_RATE), PROGRAMME_RATE)


def _stems(pieces: Sequence[tuple[str, Fraction, SpokenLine]]) -> tuple[Stem, ...]:
    speakers = tuple(dict.fromkeys(speaker for speaker, _, _ in pieces))
    return tuple(
        Stem(
            speaker=speaker,
            pieces=tuple(
                StemPiece(span=Span(at, at + s.duration), speech=s.speech, vocals=s.vocals)
                for who, at, s in pieces
                if who == speaker
            ),
        )
        for speaker in speakers
    )


def arrange_recording(
    recording: Recording,
    utterances: tuple[Utterance, ...],
    title: str,
    language: str,
    chapters: tuple[Chapter, ...] = (),
) -> Dialogue:
    """A recording keeps its own time and its own sound: it is the master, and everybody's stem."""
    _refuse_silence(utterances, title)
    speakers = dict.fromkeys(u.speaker for u in utterances)
    pieces = (_whole(recording),)
    return Dialogue(
        title=title,
        language=language,
        duration=_whole_frames(recording.duration),
        master=recording.master,
        stems=tuple(Stem(speaker=speaker, pieces=pieces) for speaker in speakers),
        utterances=utterances,
        chapters=chapters,
        warnings=recording.warnings,
    )


def arrange_tracks(
    tracks: tuple[tuple[str, Recording], ...],
    utterances: tuple[Utterance, ...],
    title: str,
    language: str,
    *,
    workspace: Workspace,
) -> Dialogue:
    """Tracks start together; their mix is the master, and each is its speaker's stem."""
    _refuse_silence(utterances, title)
    duration = _whole_frames(max(recording.duration for _, recording in tracks))
    master = workspace.new(".flac")
    pieces = [Piece(workspace.path(recording.master), 0) for _, recording in tracks]
    mix_down(pieces, int(duration * MASTER_RATE_HZ), MASTER_RATE_HZ, master)
    return Dialogue(
        title=title,
        language=language,
        duration=duration,
        master=workspace.keep(master),
        stems=tuple(Stem(speaker=key, pieces=(_whole(recording),)) for key, recording in tracks),
        utterances=utterances,
        warnings=tuple(warning for _, recording in tracks for warning in recording.warnings),
    )


def tracks_key(
    tracks: tuple[tuple[str, Recording], ...], utterances: tuple[Utterance, ...], title: str, language: str
) -> str:
    """What arranged tracks depend on."""
    values = {"tracks": tracks, "utterances": utterances, "title": title, "language": language}
    return digest({"revision": REVISION, **values})


def _whole(recording: Recording) -> StemPiece:
    return StemPiece(span=Span(Fraction(0), recording.duration), speech=recording.speech, vocals=recording.vocals)


def _refuse_silence(utterances: Sequence[Utterance], title: str) -> None:
    if not utterances:
        raise RecordingError("nobody speaks in it.", where=title, remedy="Supply a recording with speech.")
