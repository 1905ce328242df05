"""The network: noisy latents and a timestep in, velocity out, under a `Conditioning` prepared once for each chunk.

In: latents (1 or B, 16, T, h, w), B guidance branches; time rows. Out: velocity (B, 16, T, h, w), float32.
Knows no sampler, no guidance formula, no file. SPEC, section 6.

What does not depend on the step is done ahead: text keys and values once for a take (`encode_text`), time rows once
for a schedule (`embed_time`), and once for each chunk (`prepare`) the audio, the rotary table, the pose condition, and
the reference and motion tokens up to block 0's queries, keys and values. `forward` does the rest.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from diffusers.models.embeddings import PixArtAlphaTextProjection, TimestepEmbedding
from torch import Tensor, nn
from torch.nn import functional

from s2v_model.wan.attention import Attend, compute_dtype, sdpa
from s2v_model.wan.audio_encoder import CausalAudioEncoder
from s2v_model.wan.blocks import AudioDrive, AudioInjector, Block, Head, KeyValue, QueryKeyValue, Rows
from s2v_model.wan.config import MOTION_FRAMES, PATCH, ModelConfig
from s2v_model.wan.motion import FramePack
from s2v_model.wan.parallel import Shares
from s2v_model.wan.rotary import positions, rotations

Trace = Callable[[str, Tensor], None]
"""Told every intermediate tensor by its name in the goldens."""
Visit = Callable[[int], AbstractContextManager[None]]
"""Where block `index` works; within, its weights are on the device."""
VIDEO, REFERENCE, MOTION = range(3)
"""Rows of the learned type vectors."""
MOTION_WINDOW = (MOTION_FRAMES, 19)
"""Frames and latents of the past that the audio context is extended by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRows:
    """The time embedding of one or several timesteps; a row for each, or for each branch."""

    vector: Tensor
    """(N, C)."""
    rows: Tensor
    """(N, 6, C), projected for the blocks."""

    def at(self, step: int) -> "TimeRows":
        """Of one step of a schedule."""
        return TimeRows(vector=self.vector[step : step + 1], rows=self.rows[step : step + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioning:
    """Everything about a chunk that no step changes."""

    grid: tuple[int, int, int]
    """Latent frames, rows and columns of tokens."""
    rotary: Tensor
    """(L, head_dim / 2), complex64."""
    condition: Tensor
    """(1 or B, V, C): pose and type vector, to be added to the video tokens."""
    static: Tensor
    """(1 or B, S, C): reference and motion tokens as they enter block 0."""
    static_rows: Tensor
    """(1, 6, C): the time rows of the static tokens, whose timestep is 0."""
    static_qkv: QueryKeyValue
    """Of the static tokens in block 0: constant, because nothing has attended to the noise yet."""
    text: tuple[KeyValue, ...]
    """For each block: (B, text_len, heads, head_dim)."""
    audio: tuple[AudioDrive, ...]
    """For each injector."""

    @property
    def num_video(self) -> int:
        """Video tokens."""
        return self.condition.shape[1]

    def share(self, shares: Shares) -> "Conditioning":
        """What one rank needs of it."""
        frames, num_video = self.grid[0], self.num_video
        rotary = torch.cat([
            shares.video(self.rotary[:num_video], frames, axis=0),
            shares.static(self.rotary[num_video:], axis=0),
        ])  # fmt: skip
        query, key, value = (shares.static(part) for part in self.static_qkv)
        return replace(
            self,
            rotary=rotary,
            condition=shares.video(self.condition, frames),
            static=shares.static(self.static),
            static_qkv=(query, key, value),
        )


class ConditionEmbedder(nn.Module):
    """The MLPs of time and text."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.time_embedder = TimestepEmbedding(config.freq_dim, config.dim)
        self.time_proj = nn.Linear(config.dim, 6 * config.dim)
        self.text_embedder = PixArtAlphaTextProjection(config.text_dim, config.dim, act_fn="gelu_tanh")


class WanS2V(nn.Module):
    """Wan2.2-S2V's transformer."""

    def __init__(self, config: ModelConfig, attend: Attend = sdpa) -> None:
        """attend: the kernel of the self-attention, which alone is long; the others are short and take torch's own."""
        super().__init__()
        self.config, self.attend = config, attend
        self.visit: Visit = lambda index: nullcontext()
        self.shares: Shares | None = None
        patch = (1, PATCH, PATCH)
        self.patch_embedding = nn.Conv3d(config.in_dim, config.dim, kernel_size=patch, stride=patch)
        self.cond_encoder = nn.Conv3d(config.in_dim, config.dim, kernel_size=patch, stride=patch)
        self.token_types = nn.Embedding(3, config.dim)
        self.frame_packer = FramePack(config.in_dim, config.dim, config.framepack_drop_mode)
        self.condition_embedder = ConditionEmbedder(config)
        self.audio_encoder = CausalAudioEncoder(config.audio_dim, config.dim, config.num_audio_token)
        self.audio_injector = AudioInjector(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.head = Head(config)
        self.requires_grad_(False)

    def forward(
        self, latents: Tensor, time: TimeRows, conditioning: Conditioning, trace: Trace | None = None
    ) -> Tensor:
        """latents: (1 or B, 16, T, h, w), float32; one for all branches shares block 0's self-attention among them.

        With `trace` nothing is left out of the last block.
        """
        video = _tokens(self.patch_embedding(latents))
        frames = conditioning.grid[0]
        video = (self.shares.video(video, frames) if self.shares else video) + conditioning.condition
        attend = self.shares.attend(self.attend) if self.shares else self.attend
        static = conditioning.static.expand(video.shape[0], -1, -1)
        x = torch.cat([video, static], dim=1)
        if trace:
            trace("tokens", x.clone())
        for index, block in enumerate(self.blocks):
            with self.visit(index):
                rows = self._rows(block, time.rows, conditioning.static_rows, conditioning.num_video, x.shape[0])
                x = block(
                    x,
                    rows,
                    conditioning.rotary,
                    conditioning.text[index],
                    attend=attend,
                    static_qkv=conditioning.static_qkv if index == 0 else None,
                    only_video=index == len(self.blocks) - 1 and trace is None,
                )
            if trace:
                trace(f"block{index}", x.clone())
            self._inject(index, x, conditioning, trace)
        velocity = self.head(x[:, : conditioning.num_video], time.vector)
        velocity = self.shares.whole_video(velocity, frames) if self.shares else velocity
        return self._unpatchify(velocity, conditioning.grid)

    def _inject(self, index: int, x: Tensor, given: Conditioning, trace: Trace | None) -> None:
        """Speech, behind those blocks that have an injector."""
        if index not in self.config.audio_inject_layers:
            return
        injector = self.config.audio_inject_layers.index(index)
        self.audio_injector(x, injector, given.audio[injector], given.num_video)
        if trace:
            trace(f"after_inject{index}", x.clone())

    def encode_text(self, texts: Sequence[Tensor], trace: Trace | None = None) -> tuple[KeyValue, ...]:
        """Keys and values of every block's text attention; `texts`: (L, text_dim) of each branch, any L up to text_len.

        Zeros fill up to text_len; behind the MLP they are not zero, and are attended to like words.
        """
        linear = self.condition_embedder.text_embedder.linear_1
        padded = torch.zeros(
            len(texts), self.config.text_len, self.config.text_dim,
            dtype=compute_dtype(linear), device=self.token_types.weight.device,
        )  # fmt: skip
        for row, text in zip(padded, texts, strict=True):
            row[: text.shape[0]] = text
        context = self.condition_embedder.text_embedder(padded)
        if trace:
            trace("context", context)
        cached = []
        for index, block in enumerate(self.blocks):
            with self.visit(index):
                cached.append(block.attn2.key_value(context.to(compute_dtype(block.attn2.to_k))))
        return tuple(cached)

    def embed_time(self, timesteps: Tensor) -> TimeRows:
        """timesteps: (N,), 0 .. 1000. All of a schedule at once, or one for each branch."""
        embedder = self.condition_embedder
        vector = embedder.time_embedder(sinusoid(timesteps.to(embedder.time_proj.weight.device), self.config.freq_dim))
        rows = embedder.time_proj(functional.silu(vector)).unflatten(-1, (6, -1))
        return TimeRows(vector=vector, rows=rows)

    def prepare(
        self,
        *,
        latent_frames: int,
        reference: Tensor,
        motion: Tensor | None,
        condition: Tensor | None,
        audio: Tensor,
        text: tuple[KeyValue, ...],
        motion_window: tuple[int, int] = MOTION_WINDOW,
        add_last_motion: int = 2,
        trace: Trace | None = None,
    ) -> Conditioning:
        """What `forward` needs of a chunk. b is 1 or B.

        reference: (b, 16, 1, h, w). motion: (b, 16, any, h, w), None where it is dropped. condition: pose latents,
        (b, 16, T, h, w), None without a pose. audio: (B, 25, A, frames of the chunk). text: of `encode_text`.

        Raises ValueError where the audio's length is not that of the latents.
        """
        height, width = reference.shape[-2:]
        add_last_motion *= self.config.add_last_motion
        position = positions(
            latent_frames, height, width, motion=motion is not None,
            drop_mode=self.config.framepack_drop_mode, add_last_motion=add_last_motion,
        )  # fmt: skip
        rotary = rotations(position, self.config.head_dim).to(reference.device, torch.complex64)
        grid = (latent_frames, height // PATCH, width // PATCH)
        static = self._static_tokens(reference, motion, add_last_motion)
        zero = self.embed_time(torch.zeros(1, dtype=torch.int64)).rows
        with self.visit(0):
            rows = self._rows(self.blocks[0], zero, zero, 0, static.shape[0])
            static_qkv = self.blocks[0].project(static, rows, rotary[-static.shape[1] :])
        prepared = Conditioning(
            grid=grid,
            rotary=rotary,
            condition=self._condition(condition, grid),
            static=static,
            static_rows=zero,
            static_qkv=static_qkv,
            text=text,
            audio=self._audio(audio, latent_frames, motion_window, trace),
        )
        return prepared.share(self.shares) if self.shares else prepared

    def _static_tokens(self, reference: Tensor, motion: Tensor | None, add_last_motion: int) -> Tensor:
        tokens = [_tokens(self.patch_embedding(reference)) + self.token_types.weight[REFERENCE]]
        if motion is not None:
            tokens.append(self.frame_packer(motion, add_last_motion) + self.token_types.weight[MOTION])
        return torch.cat(tokens, dim=1)

    def _condition(self, condition: Tensor | None, grid: tuple[int, int, int]) -> Tensor:
        """Without a pose the condition is zero latents, of which the encoder still makes its bias."""
        if condition is None:
            frames, rows, columns = grid
            bias = self.cond_encoder.bias + self.token_types.weight[VIDEO]
            return bias.expand(1, frames * rows * columns, -1)
        return _tokens(self.cond_encoder(condition)) + self.token_types.weight[VIDEO]

    def _audio(
        self, audio: Tensor, latent_frames: int, window: tuple[int, int], trace: Trace | None
    ) -> tuple[AudioDrive, ...]:
        whole, local = self.audio_encoder.for_chunk(audio, *window)
        if whole.shape[1] != latent_frames:
            raise ValueError(
                f"{audio.shape[-1]} audio frames drive {whole.shape[1]} latent frames, not {latent_frames}"
            )
        if trace:
            trace("audio_global", whole)
            trace("audio_local", local)
        return self.audio_injector.prepare(whole, local)

    def _rows(self, block: Block, video: Tensor, static: Tensor, num_video: int, branches: int) -> Rows:
        table = block.scale_shift_table
        return Rows((table + video).expand(branches, -1, -1), (table + static).expand(branches, -1, -1), num_video)

    def _unpatchify(self, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """(B, V, 64) -> (B, 16, T, h, w); a token's channels are (y, x, channel)."""
        x = tokens.unflatten(2, (PATCH, PATCH, -1)).unflatten(1, grid)
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


def sinusoid(timesteps: Tensor, dim: int) -> Tensor:
    """(N,) -> (N, dim), cosines first; in float64, as the reference has it: angles reach 1000."""
    half = dim // 2
    frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64, device=timesteps.device) / half)
    angle = timesteps.double()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=1).float()


def _tokens(x: Tensor) -> Tensor:
    """(B, C, T, rows, columns) -> (B, T * rows * columns, C)."""
    return x.flatten(2).transpose(1, 2)
