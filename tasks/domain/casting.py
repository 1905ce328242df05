"""Who plays whom: portraits, voices, consent, and the mapping of all of them."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from tasks.domain.assets import Asset

Box = tuple[float, float, float, float]
"""x, y, width, height in px of the picture that it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """A face that can talk: normalised once at casting."""

    picture: Asset
    """PNG, sRGB, 8 bit, upright, without metadata."""
    width: int
    height: int
    face_box: Box
    brow_to_chin_px: float
    pose: Asset | None = None
    """MP4 of body poses that its clips follow."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What is recorded of a person's leave. `state`: "recorded" or "not recorded"."""

    state: str = "not recorded"
    who: str | None = None
    scope: str | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A member of the cast, complete."""

    key: str
    name: str
    """As shown in the lower third."""
    portrait: Portrait
    voice: str | None = None
    """As "ENGINE:NAME", resolved; None where the voice is recorded."""
    prompt: str = ""
    consent: Consent = Consent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """All speakers of a programme, and which label of the source is played by whom."""

    speakers: tuple[Speaker, ...]
    labels: tuple[tuple[str, tuple[str, ...]], ...]
    """(label of the source, cast keys): two keys for a joint label."""
    warnings: tuple[str, ...] = ()
    """Part of nothing that is made."""

    def speaker(self, key: str) -> Speaker:
        """The speaker called `key`. Raises KeyError."""
        for speaker in self.speakers:
            if speaker.key == key:
                return speaker
        raise KeyError(key)

    def keys(self, label: str) -> tuple[str, ...]:
        """Who plays `label`. Raises KeyError."""
        for known, keys in self.labels:
            if known == label:
                return keys
        raise KeyError(label)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceMatch:
    """How sure we are that a diarized voice is a sample's voice. Cosine similarities, 0..1."""

    label: str
    key: str
    similarity: Fraction
    margin: Fraction
