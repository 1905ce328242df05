"""What a delivery says of itself: the manifest, and what checking it against its files showed."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from tasks.domain.options import EngineId, MarkingOptions, OutputOptions, SoundOptions

MANIFEST_SCHEMA = "manifest/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """What was chosen for a programme and is part of its revision, beside its plan and its cast."""

    outputs: tuple[OutputOptions, ...]
    sound: SoundOptions
    marking: MarkingOptions
    engines: tuple[EngineId, ...]
    """All that had a part, the renderer among them, in any order."""
    own_language: str
    """The episode's: its programmes lie under the bare id, those of further languages beside it."""
    composite_revision: int
    """REVISION of the composite stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestOutput:
    """One delivered file."""

    name: str
    sha256: str
    stream_sha256: str
    """Of the elementary streams before marking; "" for a file without streams."""
    bytes: int
    media_type: str
    duration_frames: int
    rate: Fraction
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestShot:
    """One shot: [start_frame, end_frame) of the programme, and what rendered it."""

    id: str
    utterances: tuple[str, ...]
    speaker: str | None
    start_frame: int
    end_frame: int
    fingerprint: str
    renderer: str
    renderer_revision: str
    checks: tuple[tuple[str, str], ...] = ()
    """What was measured on its clip: (name, value)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSpeaker:
    """One member of the cast."""

    key: str
    name: str
    portrait: str
    """SHA-256 of the normalised picture."""
    voice: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestConsent:
    """What is recorded of one speaker's leave."""

    speaker: str
    """A cast key."""
    state: str
    who: str | None = None
    scope: str | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All that a program needs to verify a delivery. Never rewritten."""

    episode: str
    title: str
    language: str
    revision: str
    """16 hexadecimal digits."""
    outputs: tuple[ManifestOutput, ...]
    shots: tuple[ManifestShot, ...]
    engines: tuple[EngineId, ...]
    cast: tuple[ManifestSpeaker, ...]
    consent: tuple[ManifestConsent, ...]
    marking: MarkingOptions

    @property
    def substance(self) -> tuple[object, ...]:
        """What makes two programmes equal: fingerprints, spans, and the digests of the elementary streams."""
        return (
            tuple((shot.fingerprint, shot.start_frame, shot.end_frame) for shot in self.shots),
            tuple(sorted((output.name, output.stream_sha256) for output in self.outputs if output.stream_sha256)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What checking a delivery showed."""

    programme: str
    """Where it is, for a person."""
    episode: str
    revision: str
    num_checked: int
    """Files whose digests were recomputed."""
    faults: tuple[str, ...]
    """One sentence each; none where the delivery holds."""
    notes: tuple[str, ...] = ()
    """What a person should know though it breaks nothing."""

    @property
    def holds(self) -> bool:
        """Whether the delivery is what its manifest says."""
        return not self.faults
