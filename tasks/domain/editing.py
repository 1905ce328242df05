"""Shots, clips, cuts and the finished programme. Frames here are programme frames on one absolute grid."""

from dataclasses import dataclass
from fractions import Fraction

from tasks.domain.assets import Asset
from tasks.domain.casting import Box, Portrait
from tasks.domain.delivery import Manifest
from tasks.domain.options import EngineId

STILL = "still"
"""Renderer of a shot that could not be rendered: its portrait stands in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotPhone:
    """A speech sound within a shot; milliseconds from the shot's first frame, so that it is exact in a fingerprint."""

    symbol: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """Which part of a portrait a shot shows, and how large."""

    crop: Box
    """In px of the portrait."""
    width: int
    height: int
    """Of the clip, in px."""
    face_box: Box
    """In px of the clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A planned span of one speaker; becomes one clip."""

    id: str
    speaker: str | None
    """A cast key; None for a scene."""
    utterances: tuple[str, ...]
    start_frame: int
    end_frame: int
    """Half-open: [start_frame, end_frame)."""
    framing: Framing
    portrait: Portrait | None
    speech: Asset | None
    """WAV, mono, 16 kHz, s16: the speaker's own speech within the shot, all else muted; None for silence."""
    speech_digest: str
    """SHA-256 of its samples, 16 kHz s16 PCM, also where they are silence."""
    phones: tuple[ShotPhone, ...] | None
    stresses_ms: tuple[int, ...] = ()
    """Where stressed words begin; of a listener, where those whom he hears end a phrase."""
    is_listening: bool = False
    gaze: float = 0.0
    is_sung: bool = False
    prompt: str = ""
    negative_prompt: str = ""
    seed: int = 0
    rate: Fraction = Fraction(25)
    """Native frames per second of the clip."""
    num_frames: int = 0
    """Native frames in the clip."""
    renderer: str = ""
    fingerprint: str = ""
    scene_text: str = ""
    scene_picture: Asset | None = None
    """PNG that a scene starts from."""
    vocals: Asset | None = None
    """As `speech`, of the vocal stem: what is sung without its instruments."""
    pose_video: Asset | None = None
    """MP4 of body poses; begins with the shot."""
    cost_seconds: float = 0.0
    """Expected device seconds; never part of the fingerprint."""

    @property
    def programme_frames(self) -> int:
        """Frames that the shot fills on the programme's grid."""
        return self.end_frame - self.start_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """The rendered video of one shot."""

    fingerprint: str
    video: Asset
    num_frames: int
    rate: Fraction
    width: int
    height: int
    checks: tuple[tuple[str, str], ...] = ()
    """What was measured on it: (name, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """From one frame to the next cut: which shots are seen, and how they share the picture.

    Every shot of a cut has the cut's own span, and a shot belongs to one cut only.
    """

    start_frame: int
    end_frame: int
    layout: str
    """One of "active" (one picture), "split" (two), "grid" (more) or "card" (words on a plain ground)."""
    shots: tuple[str, ...]
    """Shot ids, from left to right; none in a card."""
    text: str = ""
    """The words of a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One caption on screen: [start_frame, end_frame), at most two lines."""

    start_frame: int
    end_frame: int
    lines: tuple[str, ...]
    speaker: str
    """As shown."""
    is_fast: bool = False
    """More than 20 characters a second, because the speech is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTag:
    """A lower third: whose name is shown when."""

    start_frame: int
    end_frame: int
    name: str
    place: int = 0
    """Which of the cut's pictures is this speaker's, where several are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameChapter:
    """Where a part starts, on the grid."""

    start_frame: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that is decided before anything expensive runs."""

    episode: str
    title: str
    language: str
    rate: Fraction
    num_frames: int
    master: Asset
    shots: tuple[Shot, ...]
    cuts: tuple[Cut, ...]
    cues: tuple[Cue, ...]
    names: tuple[NameTag, ...]
    chapters: tuple[FrameChapter, ...]
    renderer: EngineId
    notes: tuple[str, ...] = ()
    """What packing saved, and what a person should know."""

    def __post_init__(self) -> None:
        frame = 0
        for cut in self.cuts:
            if cut.start_frame != frame:
                raise ValueError(f"cuts must tile the programme: a cut starts at {cut.start_frame}, not at {frame}")
            frame = cut.end_frame
        if frame != self.num_frames:
            raise ValueError(f"cuts end at frame {frame} of {self.num_frames}")

    def shot(self, shot_id: str) -> Shot:
        """The shot called `shot_id`. Raises KeyError."""
        for shot in self.shots:
            if shot.id == shot_id:
                return shot
        raise KeyError(shot_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One file of a programme."""

    name: str
    """As in the programme's folder: "16x9.en.mp4"."""
    asset: Asset
    stream_sha256: str
    """SHA-256 of the elementary streams before marking; "" for a file without streams."""
    media_type: str
    duration_frames: int = 0
    rate: Fraction = Fraction(25)
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """What composite made of a plan, and what it measured."""

    outputs: tuple[Delivered, ...]
    loudness_lufs: float
    true_peak_dbtp: float
    checks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """A published programme."""

    episode: str
    language: str
    revision: str
    uri: str
    """Where its folder is, for a person."""
    folder: str
    """Its place in the store."""
    num_shots: int
    plan: Plan
    """What it was made by."""
    manifest: Manifest
    """What it says of itself."""
    outputs: tuple[Delivered, ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    """What was measured on the whole of it: (name, value)."""
    warnings: tuple[str, ...] = ()
    """What a person should know who sends it out."""
