"""What a person may choose, frozen: part of fingerprints and revisions."""

from dataclasses import dataclass

QUALITIES = ("draft", "final")
LAYOUTS = ("active", "split", "grid", "auto")
ASPECTS = ("16:9", "9:16", "1:1")
CAPTIONS = ("vtt", "srt", "burned")
ON_FAILURE = ("fail", "still")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineId:
    """Which engine did something: fixed once a run, so that new weights miss every old result."""

    role: str
    name: str
    version: str
    weights: str = ""
    """SHA-256 over its weights, "" for an engine without any."""

    def __str__(self) -> str:
        return f"{self.name}@{self.weights[:12]}" if self.weights else f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """How clips are made and laid out."""

    quality: str = "draft"
    seed: int = 0
    prompt: str = ""
    negative_prompt: str = ""
    layout: str = "active"
    pose: str | None = None
    """A video of body poses for all who have none of their own."""
    on_failure: str = "fail"
    """What becomes of a shot that fails at every try: the programme fails, or its portrait stands still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """One delivered file."""

    aspect: str = "16:9"
    height: int = 720
    """Of the picture, in px; 9:16 at its default is 720 x 1280."""
    captions: tuple[str, ...] = ("vtt", "srt")
    """Out of CAPTIONS."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px, both even."""
        across, down = (int(part) for part in self.aspect.split(":"))
        width = round(self.height * across / down / 2) * 2
        return width, self.height

    @property
    def name(self) -> str:
        """As in file names: "16x9"."""
        return self.aspect.replace(":", "x")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundOptions:
    """Programme sound, measured on the decoded delivered file."""

    loudness_lufs: float = -16.0
    true_peak_dbtp: float = -1.0
    audio_bitrate: int = 128_000
    """Bits per second of AAC, for one or two channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkingOptions:
    """How a generated likeness is marked."""

    label: str = "AI-generated"
    """Visible in every frame; "" only by an explicit setting, which the manifest records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """How much is taken in, and from where. Part of no fingerprint: what is taken in is known by its bytes."""

    max_recording_bytes: int = 20 * 2**30
    max_recording_hours: int = 12
    max_download_bytes: int = 4 * 2**30
    max_download_seconds: int = 1800
    allow: tuple[str, ...] = ()
    """Hosts, addresses or networks that are no public ones and may be downloaded from all the same."""
