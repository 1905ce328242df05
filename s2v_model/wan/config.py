"""Numbers of Wan2.2-S2V: the architecture, the published sampling defaults, presets.

In: the `config.json` of a checkpoint. Out: frozen values. Knows no tensor and no file.
Source of every number: the published config of Wan2.2-S2V-14B and the defaults of its command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

MOTION_FRAMES = 73
"""Pixel frames that a chunk sees of what came before it."""
NUM_TRAIN_TIMESTEPS = 1000
NATIVE_RATE_HZ = 16
"""Frames per second that the model was trained on."""
PATCH = 2
"""Side of a token in latent pixels; a token spans one latent frame."""
SPATIAL_STRIDE_PX = 8
"""Pixels of one latent pixel."""
TEMPORAL_STRIDE_FRAMES = 4
"""Frames of one latent frame, but for the first, which is one frame."""
SIZE_MULTIPLE_PX = 64
"""Width and height: stride 8, and the packed motion reads the latents in blocks of 8."""
NUM_FEATURE_LAYERS = 25
"""wav2vec2-large: the input of the transformer and its 24 layers."""
NUM_LOST_FRAMES = 3
"""Frames at the start of a chunk without motion that are decoded and thrown away."""

NEGATIVE_PROMPT = (
    "画面模糊，最差质量，画面模糊，细节模糊不清，情绪激动剧烈，手快速抖动，字幕，丑陋的，残缺的，多余的手指，画得不好的手部，"
    "画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
"""The published default; used where a take brings none."""

AREA_PX = {"480p": 480 * 832, "720p": 1024 * 704, "720p-wide": 1280 * 720}
"""Area budgets by name; only the product matters (the README's 720p is 1024*704, the command line's 1280*720)."""

_FIXED = {
    "model_type": "s2v",
    "enable_adain": True,
    "adain_mode": "attn_norm",
    "zero_timestep": True,
    "enable_framepack": True,
    "enable_motioner": False,
    "enable_tsm": False,
    "trainable_token_pos_emb": False,
    "qk_norm": True,
    "cross_attn_norm": True,
    "patch_size": (1, PATCH, PATCH),
    "out_dim": 16,
    "in_dim": 16,
    "cond_dim": 16,
}
"""What the published checkpoint switches on. Another value asks for a network that this one is not."""
_SILENT = ("_class_name", "_diffusers_version", "zero_init", "motion_token_num", "window_size")
"""Keys that alter nothing at inference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The architecture. Defaults are those of the 14B checkpoint."""

    dim: int = 5120
    ffn_dim: int = 13824
    num_heads: int = 40
    num_layers: int = 40
    freq_dim: int = 256
    text_dim: int = 4096
    text_len: int = 512
    in_dim: int = 16
    audio_dim: int = 1024
    num_audio_token: int = 4
    audio_inject_layers: tuple[int, ...] = (0, 4, 8, 12, 16, 20, 24, 27, 30, 33, 36, 39)
    framepack_drop_mode: str = "padd"
    add_last_motion: bool = True
    eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 2:
            raise ValueError(f"dim {self.dim} must be num_heads {self.num_heads} times an even head size")
        if self.framepack_drop_mode not in ("padd", "drop"):
            raise ValueError(f"framepack_drop_mode is {self.framepack_drop_mode!r}; known are 'padd' and 'drop'")
        if not all(0 <= layer < self.num_layers for layer in self.audio_inject_layers):
            raise ValueError(f"audio_inject_layers {self.audio_inject_layers} must lie in 0 .. {self.num_layers - 1}")

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.num_heads

    @classmethod
    def from_published(cls, published: Mapping[str, Any]) -> "ModelConfig":
        """The config of a checkpoint, from its `config.json`.

        Raises ValueError for a switch that the S2V network does not have, or a key it does not know.
        """
        names = {field.name for field in fields(cls)}
        for key, value in published.items():
            seen = tuple(value) if isinstance(value, list) else value
            if key in _FIXED and seen != _FIXED[key]:
                raise ValueError(f"config.json has {key} = {value!r}; Wan2.2-S2V has {_FIXED[key]!r}")
            if key not in names and key not in _FIXED and key not in _SILENT:
                raise ValueError(f"config.json has {key!r}, which Wan2.2-S2V does not know")
        chosen = {key: tuple(value) if isinstance(value, list) else value for key, value in published.items()}
        return cls(**{key: value for key, value in chosen.items() if key in names})

    def published(self) -> dict[str, Any]:
        """The same as a `config.json` of the official layout."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in {**_FIXED, **own}.items()}


TINY = ModelConfig(
    dim=32, ffn_dim=64, num_heads=2, num_layers=3, freq_dim=32, text_dim=16, text_len=12, audio_dim=12,
    audio_inject_layers=(0, 2),
)  # fmt: skip
"""A network of the same shape that runs in milliseconds: for tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a chunk is sampled. Defaults as published, for 480p and 720p alike."""

    steps: int = 40
    shift: float = 3.0
    guidance: float = 4.5
    solver: str = "unipc"
    infer_frames: int = 80
    """Frames of a chunk; 48 is the other recommended value."""
    motion_frames: int = MOTION_FRAMES
    start_from_reference: bool = False
    """The picture as the first frame: motion is kept on the first chunk, and ends in the picture."""

    def __post_init__(self) -> None:
        if self.infer_frames < 4 or self.infer_frames % TEMPORAL_STRIDE_FRAMES:
            raise ValueError(
                f"infer_frames is {self.infer_frames}; it must be a positive multiple of 4, such as 80 or 48"
            )
        if not 1 <= self.steps <= NUM_TRAIN_TIMESTEPS:
            raise ValueError(f"steps is {self.steps}; allowed are 1 to {NUM_TRAIN_TIMESTEPS}")
        if self.guidance < 1.0 or self.shift <= 0.0:
            raise ValueError(f"guidance {self.guidance} must be at least 1 (1 is off), shift {self.shift} above 0")
        if self.solver not in ("unipc", "dpm++"):
            raise ValueError(f"solver is {self.solver!r}; known are 'unipc' and 'dpm++'")

    @property
    def motion_latents(self) -> int:
        """Latent frames of `motion_frames`."""
        return (self.motion_frames + NUM_LOST_FRAMES) // TEMPORAL_STRIDE_FRAMES

    @property
    def latent_frames(self) -> int:
        """Latent frames of a chunk."""
        with_motion = (self.infer_frames + NUM_LOST_FRAMES + self.motion_frames) // TEMPORAL_STRIDE_FRAMES
        return with_motion - self.motion_latents
