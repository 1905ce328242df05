"""Pixels to latents and back, on diffusers' AutoencoderKLWan.

In: (1, 3, frames, H, W) in [-1, 1]. Out: normalised latents (1, 16, latent frames, H / 8, W / 8), float32.
SPEC, section 8. Always float32: in half precision the picture flickers between chunks. Knows no chunk.
"""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

PUBLISHED_CONFIG: Mapping[str, Any] = {"base_dim": 96, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2}


def build_vae(config: Mapping[str, Any] = PUBLISHED_CONFIG) -> AutoencoderKLWan:
    """An AutoencoderKLWan; `config` in diffusers' names, or in the official ones, whose `dim` is `base_dim`."""
    return (
        AutoencoderKLWan(**{"base_dim" if key == "dim" else key: value for key, value in config.items()})
        .eval()
        .requires_grad_(False)
    )


def encode(vae: AutoencoderKLWan, pixels: Tensor) -> Tensor:
    """The mean of the posterior, normalised: nothing is drawn."""
    mean, scale = _statistics(vae, pixels)
    moments = vae.encode(pixels.float()).latent_dist.mode()
    return (moments - mean) * scale


def decode(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Clamped to [-1, 1]; 1 + 4 (latent frames - 1) frames."""
    mean, scale = _statistics(vae, latents)
    return vae.decode(latents.float() / scale + mean).sample


def _statistics(vae: AutoencoderKLWan, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and 1 / deviation of the latents' channels: published with the checkpoint, part of the class."""
    mean = torch.tensor(vae.config.latents_mean, dtype=torch.float32, device=like.device)
    deviation = torch.tensor(vae.config.latents_std, dtype=torch.float32, device=like.device)
    return mean.view(1, -1, 1, 1, 1), (1.0 / deviation).view(1, -1, 1, 1, 1)
