"""FramePack: what was seen before, packed the tighter the older it is.

In: latents of past frames, (B, 16, T, h, w). Out: tokens (B, N, C), newest first. Knows no position and no time.
SPEC, section 6.5.
"""

import torch
from torch import Tensor, nn

from s2v_model.wan.rotary import BUCKETS


class FramePack(nn.Module):
    """Kernels equal to their strides: the newest latent at full scale, two at half, sixteen at a quarter."""

    def __init__(self, channels: int, dim: int, drop_mode: str = "padd") -> None:
        super().__init__()
        self.drop_mode = drop_mode
        self.proj = nn.Conv3d(channels, dim, kernel_size=(1, 2, 2), stride=(1, 2, 2))
        self.proj_2x = nn.Conv3d(channels, dim, kernel_size=(2, 4, 4), stride=(2, 4, 4))
        self.proj_4x = nn.Conv3d(channels, dim, kernel_size=(4, 8, 8), stride=(4, 8, 8))

    def forward(self, latents: Tensor, add_last_motion: int = 2) -> Tensor:
        """latents: (B, 16, T, h, w), oldest first, any T; zeros stand for what is missing.

        add_last_motion: 2 uses all; 1 hides the newest latent, 0 the newest three: zeroed in mode "padd",
        left out in mode "drop".
        """
        window = _last(latents, sum(BUCKETS))
        if self.drop_mode == "padd" and add_last_motion < 2:
            hidden = sum(BUCKETS[: 2 - add_last_motion])
            window[:, :, -hidden:] = 0
        oldest, middle, newest = window.split(BUCKETS[::-1], dim=2)
        levels = [(self.proj, newest), (self.proj_2x, middle), (self.proj_4x, oldest)]
        first = 2 - add_last_motion if self.drop_mode == "drop" else 0
        return torch.cat([project(x).flatten(2).transpose(1, 2) for project, x in levels[first:]], dim=1)


def _last(latents: Tensor, num: int) -> Tensor:
    """The last `num` latent frames, in memory of their own; zeros ahead of them where there are fewer."""
    window = latents.new_zeros(*latents.shape[:2], num, *latents.shape[3:])
    kept = min(num, latents.shape[2])
    if kept:
        window[:, :, num - kept :] = latents[:, :, latents.shape[2] - kept :]
    return window
