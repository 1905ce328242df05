"""The parts of the network that run at every step: block, modulation, audio injector, head.

In and out: tokens (B, L, C), float32, the video tokens first. Knows no schedule and no picture. SPEC, sections 6.4
to 6.7. Precision is explicit: the residual stream, norms, modulation, gates and head are float32; linears run in the
dtype of their weights.

Legend: B branches, T latent frames, V video tokens, L = V and static tokens (reference, motion), C channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn
from torch.nn import functional

from s2v_model.wan.attention import Attend, Attention, compute_dtype, sdpa
from s2v_model.wan.config import PATCH, ModelConfig

KeyValue = tuple[Tensor, Tensor]
QueryKeyValue = tuple[Tensor, Tensor, Tensor]
AUDIO_NORM_EPS = 1e-5
"""Of the adaptive norm ahead of the audio attention; every other norm has 1e-6."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A block's six modulation rows for the video tokens (real timestep) and for the static ones (timestep 0).

    Never one row for each token: at full size that would be gigabytes. Shift, scale, gate; shift, scale, gate.
    """

    video: Tensor
    """(B, 6, C)."""
    static: Tensor
    """(B, 6, C)."""
    num_video: int

    def modulate(self, x: Tensor, first: int, eps: float, dtype: torch.dtype) -> Tensor:
        """LN(x) * (1 + scale) + shift in float32, written as `dtype`. The norm's own affine does both in one pass."""
        y = torch.empty_like(x, dtype=dtype, memory_format=torch.contiguous_format)
        for branch, part, row in self._parts(x):
            y[branch, part] = functional.layer_norm(x[branch, part], x.shape[-1:], 1 + row[first + 1], row[first], eps)
        return y

    def gate_(self, x: Tensor, y: Tensor, index: int) -> None:
        """Add gate * y to x."""
        for branch, part, row in self._parts(x):
            x[branch, part].addcmul_(y[branch, part].float(), row[index])

    def expand(self, num_branches: int) -> "Rows":
        """The same rows for `num_branches` branches."""
        video, static = (rows.expand(num_branches, -1, -1) for rows in (self.video, self.static))
        return replace(self, video=video, static=static)

    def _parts(self, x: Tensor) -> Iterator[tuple[int, slice, Tensor]]:
        for branch in range(x.shape[0]):
            yield branch, slice(0, self.num_video), self.video[branch]
            if x.shape[1] > self.num_video:
                yield branch, slice(self.num_video, None), self.static[branch]


class Block(nn.Module):
    """Self-attention, text attention and feed-forward, the first and last modulated by the timestep."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.attn1 = Attention(config.dim, config.num_heads, config.eps)
        self.attn2 = Attention(config.dim, config.num_heads, config.eps)
        self.norm2 = nn.LayerNorm(config.dim, eps=config.eps)
        self.ffn = FeedForward(config.dim, inner_dim=config.ffn_dim, activation_fn="gelu-approximate")
        self.scale_shift_table = nn.Parameter(torch.zeros(1, 6, config.dim))

    def forward(
        self,
        x: Tensor,
        rows: Rows,
        rotary: Tensor,
        text: KeyValue,
        *,
        attend: Attend,
        attend_text: Attend = sdpa,
        static_qkv: QueryKeyValue | None = None,
        only_video: bool = False,
    ) -> Tensor:
        """x: (B, L, C), changed in place; with fewer branches than `text` it is expanded once they begin to differ.

        static_qkv: the static tokens' query, key and value where they are known already. only_video: the
        static tokens are not needed behind this block: they are attended to, and left out of the result.
        """
        query, key, value = self.project(x, rows, rotary, static_qkv=static_qkv, only_video=only_video)
        x = x[:, : rows.num_video] if only_video else x
        rows.gate_(x, self.attn1.output(attend(query, key, value)), 2)
        num_branches = text[0].shape[0]
        if x.shape[0] < num_branches:
            x, rows = x.expand(num_branches, -1, -1).contiguous(), rows.expand(num_branches)
        x += self.attn2.output(attend_text(self.attn2.query(self._text_norm(x)), *text))
        rows.gate_(x, self.ffn(rows.modulate(x, 3, self.eps, compute_dtype(self.ffn.net[0].proj))), 5)
        return x

    def project(
        self,
        x: Tensor,
        rows: Rows,
        rotary: Tensor,
        *,
        static_qkv: QueryKeyValue | None = None,
        only_video: bool = False,
    ) -> QueryKeyValue:
        """Query, key and value of the self-attention over all tokens; only the video tokens' query if `only_video`."""
        x = x if static_qkv is None else x[:, : rows.num_video]
        y = rows.modulate(x, 0, self.eps, compute_dtype(self.attn1.to_q))
        key, value = self.attn1.key_value(y, rotary[: y.shape[1]])
        asking = y[:, : rows.num_video] if only_video else y
        query = self.attn1.query(asking, rotary[: asking.shape[1]])
        if static_qkv is None:
            return query, key, value
        own = (query, key, value)
        kept = (part.expand(x.shape[0], -1, -1, -1) for part in static_qkv)
        return tuple(torch.cat(parts, dim=1) for parts in zip(own, kept, strict=True))

    def _text_norm(self, x: Tensor) -> Tensor:
        weight, bias = self.norm2.weight, self.norm2.bias
        return functional.layer_norm(x, x.shape[-1:], weight, bias, self.eps).to(compute_dtype(self.attn2.to_q))


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDrive:
    """What one injector needs of a chunk's speech."""

    shift: Tensor
    """(B, T, 1, C)."""
    scale: Tensor
    """(B, T, 1, C), the 1 of (1 + scale) included."""
    key: Tensor
    """(B * T, 5, heads, head_dim)."""
    value: Tensor
    """(B * T, 5, heads, head_dim)."""


class AudioInjector(nn.Module):
    """After some blocks: every latent frame's tokens attend to the five audio tokens of that frame."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        num = len(config.audio_inject_layers)
        self.injector = nn.ModuleList(Attention(config.dim, config.num_heads, config.eps) for _ in range(num))
        self.adain = nn.ModuleList(nn.Linear(config.dim, 2 * config.dim) for _ in range(num))

    def prepare(self, whole: Tensor, local: Tensor) -> tuple[AudioDrive, ...]:
        """What each injector needs of `whole` (B, T, 1, C) and `local` (B, T, 5, C)."""
        drives = []
        for attention, adain in zip(self.injector, self.adain, strict=True):
            dtype = compute_dtype(attention.to_k)
            shift, scale = adain(functional.silu(whole).to(compute_dtype(adain))).float().chunk(2, dim=-1)
            key, value = attention.key_value(local.flatten(0, 1).to(dtype))
            drives.append(AudioDrive(shift=shift, scale=1 + scale, key=key, value=value))
        return tuple(drives)

    def forward(self, x: Tensor, index: int, drive: AudioDrive, num_video: int) -> None:
        """x: (B, L, C), float32; its first `num_video` tokens are changed in place."""
        attention = self.injector[index]
        frames = x[:, :num_video].unflatten(1, (drive.shift.shape[1], -1))
        y = functional.layer_norm(frames, frames.shape[-1:], eps=AUDIO_NORM_EPS)
        y = torch.addcmul(drive.shift, y, drive.scale).to(compute_dtype(attention.to_q))
        injected = attention.output(sdpa(attention.query(y.flatten(0, 1)), drive.key, drive.value))
        frames += injected.unflatten(0, frames.shape[:2])


class Head(nn.Module):
    """The last norm, modulated by the time embedding itself, and the projection to the latent pixels of a token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.proj_out = nn.Linear(config.dim, config.in_dim * PATCH**2)
        self.scale_shift_table = nn.Parameter(torch.zeros(1, 2, config.dim))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (B, V, C), time: (B, C) -> (B, V, 64)."""
        shift, scale = (self.scale_shift_table + time[:, None]).expand(x.shape[0], -1, -1).unbind(1)
        normed = [
            functional.layer_norm(x[branch], x.shape[-1:], 1 + scale[branch], shift[branch], self.eps)
            for branch in range(x.shape[0])
        ]
        return self.proj_out(torch.stack(normed))
