"""The causal audio encoder and the audio injector's adaptive norm: features to tokens for each latent frame.

In: (B, 25, A, L) features, L columns at 16 Hz. Out: for each of L' = ceil(L / 4) latent frames five local tokens and
a global vector. Knows nothing of pictures. SPEC, section 7.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2v_model.wan.config import NUM_FEATURE_LAYERS


class CausalConv(nn.Module):
    """Convolution over time that sees the present and two columns of the past; ahead of the first, the first again."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size=3, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C', ceil(L / stride))."""
        return self.conv(functional.pad(x, (2, 0), mode="replicate"))


class MotionEncoder(nn.Module):
    """Two paths over the mixed features, local tokens and one global vector, that differ in their first convolution."""

    def __init__(self, audio_dim: int, dim: int, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.conv1_local = CausalConv(audio_dim, dim // 4 * num_tokens)
        self.conv1_global = CausalConv(audio_dim, dim // 4)
        self.conv2 = CausalConv(dim // 4, dim // 2, stride=2)
        self.conv3 = CausalConv(dim // 2, dim, stride=2)
        self.final_linear = nn.Linear(dim, dim)
        self.padding_tokens = nn.Parameter(torch.zeros(1, 1, 1, dim))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: (B, A, L). Returns the global (B, L', 1, C) and the local tokens (B, L', num_tokens + 1, C)."""
        batch = x.shape[0]
        local = self.conv1_local(x).unflatten(1, (self.num_tokens, -1)).flatten(0, 1)
        local = self._downsample(local).unflatten(0, (batch, self.num_tokens)).transpose(1, 2)
        padding = self.padding_tokens.expand(batch, local.shape[1], -1, -1)
        whole = self.final_linear(self._downsample(self.conv1_global(x)))
        return whole.unsqueeze(2), torch.cat([local, padding], dim=2)

    def _downsample(self, x: Tensor) -> Tensor:
        """(N, C/4, L) -> (N, L', C)."""
        x = self.conv2(_activate(x).transpose(1, 2))
        x = self.conv3(_activate(x).transpose(1, 2))
        return _activate(x)


class CausalAudioEncoder(nn.Module):
    """A learned mixture of the 25 feature layers, then MotionEncoder."""

    def __init__(self, audio_dim: int, dim: int, num_tokens: int = 4) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((1, NUM_FEATURE_LAYERS, 1, 1), 0.01))
        self.encoder = MotionEncoder(audio_dim, dim, num_tokens)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features: (B, 25, A, L). Returns (global, local) as MotionEncoder does."""
        weights = functional.silu(self.weights)
        mixed = (features * weights / weights.sum(dim=1, keepdim=True)).sum(dim=1)
        return self.encoder(mixed)

    def for_chunk(self, features: Tensor, motion_frames: int, motion_latents: int) -> tuple[Tensor, Tensor]:
        """As `forward` for a chunk's own columns, after `motion_frames` copies of the first one.

        The copies stand for the speech ahead of the chunk; the tokens of their `motion_latents` frames are dropped.
        """
        past = features[..., :1].expand(*features.shape[:-1], motion_frames)
        whole, local = self(torch.cat([past, features], dim=-1))
        return whole[:, motion_latents:], local[:, motion_latents:]


def _activate(x: Tensor) -> Tensor:
    """SiLU of the layer norm over channels; (N, C, L) -> (N, L, C)."""
    x = x.transpose(1, 2)
    return functional.silu(functional.layer_norm(x, x.shape[-1:], eps=1e-6))
