"""What a person may choose of the final renderer: frozen, checked when it is read, part of a clip's fingerprint.

In: a mapping from settings. Out: `Options`. Imports no torch: settings are checked far from any card.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from s2v_model.contract import RendererMissing
from s2v_model.wan.config import AREA_PX, NEGATIVE_PROMPT, NUM_LOST_FRAMES, Sampling

PROMPT = "A person talks to the camera."
"""Where neither the take nor the options have a prompt."""
FIRST_FRAMES = ("free", "portrait")
MAX_GPUS = 8
_PIXELS = (
    "size", "steps", "shift", "guidance", "solver", "infer_frames", "first_frame", "preroll_frames", "prompt",
    "negative_prompt", "precision", "attention", "quantize", "step_cache", "batch_guidance", "compile", "gpus",
)  # fmt: skip
"""Options that alter pixels, if only by rounding. The others say where things are and lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Defaults are the published ones."""

    checkpoint: str = ""
    """Folder, Hugging Face id (owner/name, or with hf: in front) or ModelScope id (ms:owner/name)."""
    revision: str = ""
    """Commit or tag, for a hub id."""
    weights_digest: str = ""
    """What the weights must be, as `troupe doctor --wan` says it; a machine without them plans by it."""
    cache: str = "~/.cache/troupe"
    """Where downloads and remembered digests go."""
    device: str = "cuda"
    size: str = "480p"
    """Area budget: 480p, 720p or 720p-wide."""
    steps: int = 40
    shift: float = 3.0
    guidance: float = 4.5
    solver: str = "unipc"
    infer_frames: int = 80
    first_frame: str = "free"
    """One of "free" (the speaker has been there before) and "portrait" (the clip begins with the picture itself)."""
    preroll_frames: int = 8
    """Frames made ahead of a clip and dropped: the 3 that a first chunk loses, and its blurred start."""
    prompt: str = PROMPT
    negative_prompt: str = NEGATIVE_PROMPT
    precision: str = "bf16"
    attention: str = "auto"
    """A kernel by name; "auto" is `blocked` for bf16 on a CPU, and `sdpa` elsewhere: by these options alone."""
    quantize: str = ""
    """Weights of the blocks in 8 bits: int8 or fp8; "" keeps the precision."""
    lora: str = ""
    """FILE=STRENGTH, several with commas; merged when the weights are loaded."""
    step_cache: str = ""
    """Share of the steps to leave out, or SHARE:CALIBRATION; "" asks the network at every step."""
    batch_guidance: bool = True
    """Both guidance branches in one batch."""
    offload: bool = False
    """Blocks stay in host memory and visit the card."""
    text_device: str = ""
    """Where the text encoder runs; "" is `device`."""
    compile: bool = False
    gpus: int = 1
    """Cards that share every step, by processes of their own; 1 is this one."""

    def __post_init__(self) -> None:
        if self.size not in AREA_PX:
            raise RendererMissing(f"size: {self.size!r} is unknown. Known are: {', '.join(AREA_PX)}.")
        if self.first_frame not in FIRST_FRAMES:
            raise RendererMissing(
                f"first_frame: {self.first_frame!r} is unknown. Known are: {', '.join(FIRST_FRAMES)}."
            )
        if not 1 <= self.gpus <= MAX_GPUS:
            raise RendererMissing(f"gpus: {self.gpus} must be from 1 to {MAX_GPUS}.")
        if not NUM_LOST_FRAMES <= self.preroll_frames < self.infer_frames:
            raise RendererMissing(
                f"preroll_frames: {self.preroll_frames} must be at least {NUM_LOST_FRAMES}, the frames that a first "
                f"chunk loses, and below infer_frames ({self.infer_frames})."
            )
        try:
            self.sampling  # noqa: B018  - checks the rest
        except ValueError as error:
            raise RendererMissing(f"{error}.") from error

    @property
    def sampling(self) -> Sampling:
        """How a chunk is sampled."""
        return Sampling(
            steps=self.steps,
            shift=self.shift,
            guidance=self.guidance,
            solver=self.solver,
            infer_frames=self.infer_frames,
            start_from_reference=self.first_frame == "portrait",
        )

    @property
    def lead_frames(self) -> int:
        """Frames made ahead of a clip: none where it begins with the picture, which is its own past."""
        return 0 if self.first_frame == "portrait" else self.preroll_frames

    @property
    def max_pixels(self) -> int:
        """Of a frame."""
        return AREA_PX[self.size]

    @property
    def kernel(self) -> str:
        """The attention that is meant."""
        if self.attention != "auto":
            return self.attention
        return "blocked" if self.device == "cpu" and self.precision == "bf16" else "sdpa"

    @property
    def cache_folder(self) -> Path:
        """As a path."""
        return Path(self.cache).expanduser()

    def altering_pixels(self) -> dict[str, str | int | float | bool]:
        """For a clip's fingerprint."""
        return {**{name: getattr(self, name) for name in _PIXELS}, "attention": self.kernel}


def read_options(given: Mapping[str, Any]) -> Options:
    """`given` as Options.

    Raises RendererMissing for an unknown name, with the nearest known one, or a value of another type.
    """
    known = {field.name: field for field in fields(Options)}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known are: {', '.join(known)}."
            raise RendererMissing(f"wan-s2v has no option {name!r}.{hint}")
        wanted = type(known[name].default)
        accepted = int | float if wanted is float else wanted
        if not isinstance(value, accepted) or isinstance(value, bool) != (wanted is bool):
            raise RendererMissing(f"wan-s2v: {name} must be {wanted.__name__}, not {value!r}.")
    return Options(**given)


def parse_loras(text: str) -> tuple[tuple[Path, float], ...]:
    """Files with their strengths, of "first.safetensors=1.0,second.safetensors=0.5". No strength is 1."""
    found = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        path, _, strength = entry.rpartition("=") if "=" in entry else (entry, "", "1")
        try:
            found.append((Path(path).expanduser(), float(strength)))
        except ValueError as error:
            raise RendererMissing(
                f"lora: {entry!r} must be FILE or FILE=STRENGTH, such as fast.safetensors=1.0."
            ) from error
    missing = [path for path, _ in found if not path.is_file()]
    if missing:
        raise RendererMissing(f"lora: there is no file {missing[0]}.")
    return tuple(found)
