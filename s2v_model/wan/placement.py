"""What fits where: the memory that a take needs on a device, computed before anything is loaded.

In: an architecture, a frame size, options. Out: a plan in bytes, and the table that `troupe doctor --wan` prints.
Imports no torch: it can be asked on any machine. Weights and caches are counted exactly, activations by the tensors
that are alive at once at the two widest points of a block; marked figures are estimates.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec

from s2v_model.contract import DeviceOutOfMemory
from s2v_model.wan.config import NUM_FEATURE_LAYERS, PATCH, SPATIAL_STRIDE_PX, ModelConfig, Sampling

GB = 1e9
FLOAT32_BYTES = 4
TEXT_ENCODER_PARAMETERS = 5_680_910_336
AUDIO_ENCODER_PARAMETERS = 315_438_720
VAE_PARAMETERS = 126_892_531
VAE_BYTES_PER_PIXEL = 13_000
"""Estimate: float32 features of the decoder's last stage and its cache, for one pixel of the frame."""
RESERVED_BYTES = 1.5 * GB
"""Estimate: what the driver, the libraries and fragmentation keep."""
SIZES = {"832x448": (832, 448), "1024x704": (1024, 704), "1280x704": (1280, 704)}
CARDS = {"24 GB": 24, "48 GB": 48, "80 GB (H100)": 80, "141 GB (H200)": 141}
WEIGHT_BYTES = {"": 2, "int8": 1, "fp8": 1}
"""Of a packed weight, by the option `quantize`; unpacked ones have the working precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of a device."""

    width: int
    height: int
    sampling: Sampling = Sampling()
    working_bytes: int = 2
    """Of one number in the working precision."""
    quantize: str = ""
    batch_guidance: bool = True
    offload: bool = False
    """Blocks come from host memory one after the other."""
    text_on_device: bool = True
    pose: bool = False
    ranks: int = 1
    """Devices that share the tokens, each with all weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Bytes on the device."""

    load: Load
    num_tokens: int
    transformer: float
    encoders: float
    """Text and audio encoder, VAE."""
    caches: float
    """Text, audio and static keys and values, rotary table."""
    activations: float
    """Of the network or of the VAE, whichever is more: they are never alive together."""

    @property
    def total(self) -> float:
        """All of it, and what the driver keeps."""
        return self.transformer + self.encoders + self.caches + self.activations + RESERVED_BYTES


def plan_memory(config: ModelConfig, load: Load) -> MemoryPlan:
    """The plan of a later chunk, which is the largest."""
    video, static = num_tokens(load)
    branches = 2 if load.batch_guidance and load.sampling.guidance > 1 else 1
    return MemoryPlan(
        load=load,
        num_tokens=video + static,
        transformer=_transformer_bytes(config, load),
        encoders=_encoder_bytes(load),
        caches=_cache_bytes(config, load, video, static),
        activations=max(
            branches * _activation_bytes(config, load, video + static) / load.ranks,
            VAE_BYTES_PER_PIXEL * load.width * load.height,
        ),
    )


def num_tokens(load: Load) -> tuple[int, int]:
    """Video tokens; reference and motion tokens."""
    height, width = load.height // SPATIAL_STRIDE_PX, load.width // SPATIAL_STRIDE_PX
    frame = (height // PATCH) * (width // PATCH)
    motion = frame + (height // 4) * (width // 4) + 4 * (height // 8) * (width // 8)
    return load.sampling.latent_frames * frame, frame + motion


def num_parameters(config: ModelConfig) -> tuple[int, int]:
    """Of the network: in the working precision (the large linears), and in float32."""
    c, f, layers, injectors = config.dim, config.ffn_dim, config.num_layers, len(config.audio_inject_layers)
    attention = 4 * (c * c + c)
    large = layers * (2 * attention + 2 * c * f + f + c)
    large += injectors * (attention + 2 * c * c + 2 * c)
    large += config.text_dim * c + c + c * c + c
    small = layers * (4 * c + 2 * c + 6 * c) + injectors * 2 * c
    small += config.freq_dim * c + c + c * c + c + 6 * (c * c + c)
    token = config.in_dim * PATCH**2
    small += 2 * (token * c + c) + 3 * c + config.in_dim * (4 + 32 + 256) * c + 3 * c
    small += token * c + token + 2 * c
    small += _audio_encoder_parameters(c, config.audio_dim, config.num_audio_token)
    return large, small


def _audio_encoder_parameters(c: int, a: int, tokens: int) -> int:
    quarter, half = c // 4, c // 2
    local = quarter * tokens * (3 * a + 1)
    shared = half * (3 * quarter + 1) + c * (3 * half + 1) + c * c + c
    return NUM_FEATURE_LAYERS + c + local + quarter * (3 * a + 1) + shared


def _transformer_bytes(config: ModelConfig, load: Load) -> float:
    large, small = num_parameters(config)
    weight = WEIGHT_BYTES[load.quantize] if load.quantize else load.working_bytes
    if load.offload:
        # Two blocks at a time: the one at work, and the next on its way.
        large -= (config.num_layers - 2) * (8 * config.dim**2 + 2 * config.dim * config.ffn_dim)
    return large * weight + small * FLOAT32_BYTES


def _encoder_bytes(load: Load) -> float:
    text = TEXT_ENCODER_PARAMETERS * load.working_bytes if load.text_on_device else 0
    return text + (AUDIO_ENCODER_PARAMETERS + VAE_PARAMETERS) * FLOAT32_BYTES


def _cache_bytes(config: ModelConfig, load: Load, video: int, static: int) -> float:
    branches = 2 if load.sampling.guidance > 1 else 1
    c, word = config.dim, load.working_bytes
    text = branches * config.num_layers * config.text_len * 2 * c * word
    audio_tokens = (config.num_audio_token + 1) * 2 * c * word + 2 * c * FLOAT32_BYTES
    audio = branches * len(config.audio_inject_layers) * load.sampling.latent_frames * audio_tokens
    rotary = (video + static) * config.head_dim // 2 * 8
    still = static * c * (FLOAT32_BYTES + 3 * word)
    pose = video * c * FLOAT32_BYTES if load.pose else 0
    return text + audio + rotary + still + pose


def _activation_bytes(config: ModelConfig, load: Load, tokens: int) -> float:
    """For one branch: the residual stream, and the widest of attention (input, q, k, v, one in float32) and FFN."""
    c, f, word = config.dim, config.ffn_dim, load.working_bytes
    attention = c * (4 * word + FLOAT32_BYTES)
    feed_forward = c * word + 2 * f * word
    return tokens * (c * FLOAT32_BYTES + max(attention, feed_forward) + c * FLOAT32_BYTES)


def refuse_what_cannot_fit(config: ModelConfig, load: Load, card_bytes: float) -> None:
    """Raises DeviceOutOfMemory, before anything is loaded, with the estimate and the options that fit."""
    plan = plan_memory(config, load)
    if plan.total <= card_bytes:
        return
    raise DeviceOutOfMemory(
        f"{load.width}x{load.height} needs about {plan.total / GB:.0f} GB and the device has {card_bytes / GB:.0f} GB. "
        f"{what_fits(config, load, card_bytes)}"
    )


def what_fits(config: ModelConfig, load: Load, most_bytes: float) -> str:
    """A sentence with the options under which this load is estimated at less than `most_bytes`."""
    fitting = [name for name, other in _savings(load) if plan_memory(config, other).total < most_bytes]
    if not fitting:
        return "No option makes it fit: use a larger card or less size."
    return f"What fits: {'; '.join(fitting)}."


def _savings(load: Load) -> Iterable[tuple[str, Load]]:
    """Options that need less, from those that cost little to those that cost much."""
    apart = replace(load, text_on_device=False)
    yield "text_device=cpu", apart
    alone = replace(apart, batch_guidance=False)
    yield "text_device=cpu batch_guidance=false", alone
    if not load.quantize:
        yield "text_device=cpu batch_guidance=false quantize=fp8", replace(alone, quantize="fp8")
    yield "text_device=cpu batch_guidance=false offload=true", replace(alone, offload=True)


def plan_table(card_bytes: float | None = None, config: ModelConfig | None = None) -> str:
    """Memory of the 14B network by size and option, against `card_bytes` or, without a card, the common ones."""
    network = config or ModelConfig()
    cards = {"this card": card_bytes / GB} if card_bytes else CARDS
    titles = f"{'tokens':>7} {'weights':>8} {'encoders':>8} {'caches':>7} {'active':>7} {'total':>7}  fits"
    lines = ["Wan2.2-S2V-14B, GB on the device (active is an estimate)", f"{'size':10} {'options':50} {titles}"]
    for size, (width, height) in SIZES.items():
        load = Load(width=width, height=height)
        for name, each in [("defaults", load), *_savings(load)]:
            plan = plan_memory(network, each)
            figures = (plan.transformer, plan.encoders, plan.caches, plan.activations, plan.total)
            fits = ", ".join(card for card, size_gb in cards.items() if plan.total <= size_gb * GB) or "none"
            shown = " ".join(f"{value / GB:{width}.1f}" for value, width in zip(figures, (8, 8, 7, 7, 7), strict=True))
            lines.append(f"{size:10} {name:50} {plan.num_tokens:7d} {shown}  {fits}")
    return "\n".join(lines)


def memory_report() -> str:
    """What `troupe doctor --wan` prints: the table against this machine's card, where torch finds one."""
    return plan_table(_card_bytes())


def _card_bytes() -> float | None:
    if find_spec("torch") is None:
        return None
    import torch

    return float(torch.cuda.mem_get_info()[1]) if torch.cuda.is_available() else None
