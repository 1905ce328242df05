"""Who says what, when: scripts, recordings, turns, words, utterances and the dialogue that they end in."""

from dataclasses import dataclass
from fractions import Fraction

from tasks.domain.assets import Asset
from tasks.domain.timing import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLine:
    """One thing that a script asks for, in its order: words, an action, a scene, a pause or a chapter."""

    id: str
    """Stable under edits of other lines: a digest of speaker and words, with a counter for repeats."""
    kind: str = "speech"
    """One of "speech", "action", "scene", "pause" or "chapter"."""
    speaker: str | None = None
    """The label as the source writes it; joint labels ("ANNA & BEN") stay one label here."""
    text: str = ""
    """What is said, shown or headed, cleaned of directions."""
    directions: tuple[str, ...] = ()
    translations: tuple[tuple[str, str], ...] = ()
    """(language, text) pairs, from `text_<lang>` columns."""
    is_sung: bool = False
    pause_after: Fraction | None = None
    """Seconds of silence asked for behind this line; None leaves it to the planner."""
    overlap: Fraction = Fraction(0)
    """Seconds by which this line starts before the one ahead of it ends."""
    duration: Fraction | None = None
    """Of a scene or a pause, in seconds."""
    picture: str | None = None
    """Of a scene: the file that it starts from, as the line names it."""
    song: str | None = None
    """Of a sung line: the recording of it, as a direction names it; None is spoken by a voice."""
    row: int = 0
    """Line number in the source, from 1, for messages."""
    written: str = ""
    """An action, scene or pause as the source writes it, without its brackets; "" for words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRole:
    """What a script's own title block or cast list says of a label. None where it says nothing."""

    label: str
    name: str | None = None
    sex: str | None = None
    age: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Written lines, read."""

    title: str | None = None
    language: str | None = None
    author: str | None = None
    lines: tuple[ScriptLine, ...] = ()
    roles: tuple[ScriptRole, ...] = ()
    warnings: tuple[str, ...] = ()
    format: str = ""
    """How it was written: one of "screenplay", "fountain", "table", "srt" or "vtt"."""

    @property
    def spoken(self) -> tuple[ScriptLine, ...]:
        """Only the lines that somebody says."""
        return tuple(line for line in self.lines if line.kind == "speech")

    @property
    def labels(self) -> tuple[str, ...]:
        """Speakers in order of first speech."""
        return tuple(dict.fromkeys(line.speaker for line in self.spoken if line.speaker))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Audio that came in, decoded once: 16 kHz for engines and lips, full rate for the programme."""

    speech: Asset
    """WAV, mono, 16 kHz, s16: what diarizers, aligners and renderers hear."""
    master: Asset
    """FLAC, 48 kHz, one or two channels, at the recording's own level: what the programme plays."""
    duration: Fraction
    """Seconds, from the decoded samples, never from a header."""
    channels: int = 1
    title: str | None = None
    vocals: Asset | None = None
    """As `speech`, of the vocal stem of a song, where one was given."""
    warnings: tuple[str, ...] = ()

    @property
    def voice(self) -> Asset:
        """What tells who speaks, and which words: the voices alone where they are known alone."""
        return self.vocals or self.speech


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A span in which one speaker talks: an RTTM line."""

    speaker: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A speech sound, in IPA."""

    symbol: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word as written, and when it is said."""

    text: str
    span: Span
    is_stressed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionCue:
    """Words with a time and perhaps a name: a line of a transcript."""

    span: Span
    text: str
    speaker: str | None = None
    words: tuple[Word, ...] = ()
    """The words of `text`, split at blanks, where somebody knows their times."""
    is_sung: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A transcript that came with a recording."""

    cues: tuple[CaptionCue, ...] = ()
    language: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A turn with its words. Times are programme time."""

    id: str
    speaker: str
    """A cast key."""
    span: Span
    text: str = ""
    words: tuple[Word, ...] = ()
    phones: tuple[Phone, ...] | None = None
    """Speech sounds where they are known; None leaves the lips to the sound itself."""
    directions: tuple[str, ...] = ()
    is_sung: bool = False
    with_speakers: tuple[str, ...] = ()
    """Further cast keys that say the same words at the same time (a joint line)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenLine:
    """A script's line with its sound. Times are from the start of that sound."""

    line: str
    """ScriptLine.id"""
    speaker: str
    """The cast key of the voice: a joint line becomes one of these for each."""
    sound: Asset
    """WAV, mono, 48 kHz, s16: what the programme plays."""
    speech: Asset
    """WAV, mono, 16 kHz, s16: what drives a renderer."""
    duration: Fraction
    """Seconds; a whole number of samples at 16 kHz."""
    vocals: Asset | None = None
    """As `speech`, of a song's vocal stem."""
    words: tuple[Word, ...] = ()
    phones: tuple[Phone, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StemPiece:
    """A piece of a stem, and where it lies on programme time."""

    span: Span
    speech: Asset
    """WAV, mono, 16 kHz, s16."""
    vocals: Asset | None = None
    """The same of the vocal stem, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """One speaker's own sound on programme time, silent between its pieces: what drives a renderer."""

    speaker: str
    pieces: tuple[StemPiece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """Where a part of the programme starts."""

    start: Fraction
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A generated shot without a speaker: its own span, silent in the master."""

    id: str
    span: Span
    text: str
    picture: Asset | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """Everything that is heard, on programme time: the one thing that script, podcast and tracks all become."""

    title: str
    language: str
    duration: Fraction
    """Seconds; a whole number of programme frames."""
    master: Asset
    """FLAC, 48 kHz: the programme's sound before loudness."""
    stems: tuple[Stem, ...]
    utterances: tuple[Utterance, ...]
    chapters: tuple[Chapter, ...] = ()
    scenes: tuple[Scene, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What an episode's source turned out to hold: exactly one of script, recording, tracks."""

    script: Script | None = None
    recording: Recording | None = None
    tracks: tuple[tuple[str, Recording], ...] = ()
    """(cast key, its own recording)."""
    transcript: Transcript | None = None
    chapters: tuple[Chapter, ...] = ()
    pictures: tuple[tuple[str, Asset], ...] = ()
    """(ScriptLine.picture, PNG): what the scenes of a script start from."""
    songs: tuple[tuple[str, Recording], ...] = ()
    """(ScriptLine.song, its recording)."""
