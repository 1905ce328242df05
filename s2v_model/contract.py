"""What a renderer is given and what it owes: the contract between the pipeline and every model.

In: a `Take` (arrays and numbers). Out: exactly `take.num_frames` frames. Knows nothing of episodes, files or stores.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]

SPEECH_RATE_HZ = 16_000
"""Every renderer is driven by mono speech at this rate."""


class RenderError(Exception):
    """A renderer failed on a good take. Its text is one sentence for a person."""


class PortraitRefused(RenderError):
    """The picture cannot be made to talk; the text says why and what to do."""


class RendererMissing(RenderError):
    """The renderer, its packages or its weights are not there; the text says what to install."""


class DeviceOutOfMemory(RenderError):
    """The device's memory does not hold this take; the text names size, estimate and options that fit."""


class Stopped(Exception):
    """Somebody asked the work to stop. Raised by `watch`, never by a renderer itself."""


class Watch(Protocol):
    """Progress out, stop request in. Called at least once a second of work."""

    def __call__(self, done: float, total: float) -> None:
        """Report `done` of `total` units. Raises Stopped when the work has to end."""
        ...


class Chunks(Protocol):
    """Where a renderer keeps what it has finished of one clip, so that a killed render goes on."""

    def load(self) -> list[dict[str, np.ndarray]]:
        """The arrays saved so far, in order of index, without a gap; empty for a new clip."""
        ...

    def save(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays of chunk `index` (0, 1, 2, ...); atomic."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """One speech sound within a take: [start_seconds, end_seconds), `symbol` in IPA; silence has no phone."""

    start_seconds: float
    end_seconds: float
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Take:
    """The order to a renderer: one face, one voice, so many frames."""

    portrait: UInt8Array
    """(height, width, 3), sRGB, upright: the picture already cropped to this shot's framing, any size."""
    face_box: tuple[float, float, float, float]
    """x, y, width, height of the face in `portrait`, in px."""
    speech: Float32Array
    """(n,), mono, 16 kHz, in [-1, 1]. May be shorter or longer than the frames by less than one frame."""
    rate: Fraction
    """Frames per second to produce."""
    num_frames: int
    width: int
    height: int
    """Size of the frames in px; both even. Its aspect equals that of `portrait` to within one px."""
    seed: int
    """0 .. 2**63 - 1."""
    phones: tuple[Phone, ...] | None = None
    """Speech sounds if they are known; None where only the sound itself is known."""
    stresses: tuple[float, ...] = ()
    """Seconds within the take, where known: where a stressed word begins; of a listener, where the other pauses."""
    listening: bool = False
    """True where the speaker only attends: `speech` is then silence."""
    gaze: float = 0.0
    """-1 (picture left) .. 1 (picture right): the side on which the talk goes on; 0 looks at the camera."""
    prompt: str = ""
    negative_prompt: str = ""
    vocals: Float32Array | None = None
    """For singing: the vocal stem, as `speech`; drives the mouth in its place."""
    pose_video: UInt8Array | None = None
    """(n, height, width, 3): body poses to follow, at `pose_rate` frames per second."""
    pose_rate: Fraction | None = None
    scene: UInt8Array | None = None
    """(height, width, 3): the picture from which a scene without a speaker starts."""

    def __post_init__(self) -> None:
        if self.portrait.ndim != 3 or self.portrait.shape[2] != 3 or self.portrait.dtype != np.uint8:
            raise ValueError(
                f"portrait must be uint8 (height, width, 3), got {self.portrait.dtype} {self.portrait.shape}"
            )
        if self.speech.ndim != 1 or self.speech.dtype != np.float32:
            raise ValueError(f"speech must be float32 (n,), got {self.speech.dtype} {self.speech.shape}")
        if self.num_frames < 1 or self.rate <= 0:
            raise ValueError(
                f"a take needs at least one frame at a positive rate, got {self.num_frames} at {self.rate}"
            )
        if self.width < 2 or self.height < 2 or self.width % 2 or self.height % 2:
            raise ValueError(f"frame size must be even and positive, got {self.width}x{self.height}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What frames cost on this renderer's own device, as measured; used to plan, never to decide a picture."""

    device: str
    """One of "cpu" or "gpu"."""
    fixed_seconds: float
    """Once for each clip."""
    seconds_per_frame_megapixel: float

    def seconds(self, num_frames: int, width: int, height: int) -> float:
        """Device seconds for one clip."""
        return self.fixed_seconds + self.seconds_per_frame_megapixel * num_frames * width * height / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a planner must know of a renderer. name, revision, weights and options enter fingerprints."""

    name: str
    revision: int
    """Bumped when an equal take would give other frames."""
    weights: str
    """SHA-256 over the weights, "" for a renderer without any."""
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """The frozen options that alter pixels."""
    rate: Fraction | None = None
    """Native frames per second; None for a renderer that makes any rate."""
    multiple_px: int = 2
    """Width and height must be multiples of this."""
    max_pixels: int = 1920 * 1080
    quantum_frames: int = 1
    """Frames are made in blocks of so many native frames: a clip of n costs ceil(n / quantum) blocks."""
    lead_frames: int = 0
    """Native frames that the renderer makes and drops ahead of a clip."""
    max_frames: int | None = None
    """The planner keeps a clip below so many native frames; None where any length is good."""
    follows: tuple[str, ...] = ()
    """Which of a take's "vocals", "pose_video" and "scene" it follows; a planner leaves the others away."""
    cost: Cost = field(default_factory=lambda: Cost(device="cpu", fixed_seconds=0.0, seconds_per_frame_megapixel=0.0))


class Renderer(Protocol):
    """A model that turns takes into frames."""

    def traits(self) -> Traits:
        """Constant for the life of the renderer; cheap; loads no weights onto a device."""
        ...

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        """Exactly `take.num_frames` frames, uint8 (take.height, take.width, 3), sRGB.

        Equal takes give equal frames. The yielded array may be reused for the next frame: copy what you keep.
        Raises RenderError, or Stopped out of `watch`.
        """
        ...
