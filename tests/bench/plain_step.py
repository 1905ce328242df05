"""The plain way to take a step, to measure against: everything is computed again for every step and branch.

In: a WanS2V and one chunk's inputs. Out: the velocity. bf16 linears under float32 norms, modulation, gates and islands,
complex128 rotary with a table for every head, modulation rows joined from two segments. `residual` is the dtype of the
stream between the blocks: bf16 as in diffusers' blocks, or float32 as in the published code (SPEC, section 9).
Not part of the product.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2v_model.wan.rotary import positions, rotations
from s2v_model.wan.transformer import WanS2V, sinusoid

BF16 = torch.bfloat16


def linear(module: nn.Linear, x: Tensor) -> Tensor:
    """Under autocast: input and weights in the working dtype."""
    weight = module.weight
    return functional.linear(x.to(weight.dtype), weight, module.bias)


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Float32 statistics, rounded to the input's dtype, times a weight of that dtype."""
    normed = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + eps)
    return normed.type_as(x) * weight.to(x.dtype)


def rope(x: Tensor, table: Tensor) -> Tensor:
    """x: (B, L, heads, head_dim); table: (L, heads, head_dim / 2), complex128."""
    pairs = torch.view_as_complex(x.to(torch.float64).reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * table).flatten(3).float()


def attention(module: nn.Module, x: Tensor, context: Tensor, table: Tensor | None = None) -> Tensor:
    """Self-attention with `table`, cross-attention without."""
    heads, eps = module.num_heads, module.eps
    query = rms(linear(module.to_q, x), module.norm_q.weight, eps).unflatten(-1, (heads, -1))
    key = rms(linear(module.to_k, context), module.norm_k.weight, eps).unflatten(-1, (heads, -1))
    value = linear(module.to_v, context).unflatten(-1, (heads, -1))
    if table is not None:
        query, key = rope(query, table), rope(key, table)
    parts = (part.to(value.dtype).transpose(1, 2) for part in (query, key, value))
    return linear(module.to_out[0], functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


def norm(x: Tensor, eps: float, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Float32 statistics, back to the dtype of x."""
    return functional.layer_norm(x.float(), x.shape[-1:], weight, bias, eps).type_as(x)


def modulated(x: Tensor, shift: Tensor, scale: Tensor, num_video: int, eps: float) -> Tensor:
    """Two segments, each with its own rows (B, 2, C), joined."""
    normed = norm(x, eps).float()
    parts = (normed[:, :num_video], normed[:, num_video:])
    return torch.cat([part * (1 + scale[:, i : i + 1]) + shift[:, i : i + 1] for i, part in enumerate(parts)], dim=1)


def gated(x: Tensor, y: Tensor, gate: Tensor, num_video: int, residual: torch.dtype) -> Tensor:
    """Add y * gate to x, by segments."""
    parts = (y[:, :num_video], y[:, num_video:])
    return (x + torch.cat([part * gate[:, i : i + 1] for i, part in enumerate(parts)], dim=1)).to(residual)


def block(
    module: nn.Module,
    x: Tensor,
    *,
    e0: Tensor,
    table: Tensor,
    context: Tensor,
    num_video: int,
    residual: torch.dtype,
) -> Tensor:
    """e0: (B, 6, 2, C)."""
    rows = (module.scale_shift_table.unsqueeze(2) + e0).unbind(1)
    y = modulated(x, rows[0], rows[1], num_video, module.eps)
    x = gated(x, attention(module.attn1, y, y, table), rows[2], num_video, residual)
    x = x + attention(module.attn2, norm(x, module.eps, module.norm2.weight, module.norm2.bias), context)
    y = modulated(x, rows[3], rows[4], num_video, module.eps)
    hidden = functional.gelu(linear(module.ffn.net[0].proj, y), approximate="tanh")
    return gated(x, linear(module.ffn.net[2], hidden), rows[5], num_video, residual)


def inject(model: WanS2V, index: int, x: Tensor, whole: Tensor, local: Tensor, num_video: int) -> Tensor:
    """Audio attention, one latent frame at a time in the batch."""
    injector, adain = model.audio_injector.injector[index], model.audio_injector.adain[index]
    num_frames = whole.shape[1]
    frames = x[:, :num_video].clone().unflatten(1, (num_frames, -1)).flatten(0, 1)
    shift, scale = linear(adain, functional.silu(whole.flatten(0, 1))).chunk(2, dim=-1)
    y = norm(frames, 1e-5) * (1 + scale) + shift
    injected = attention(injector, y, local.flatten(0, 1)).unflatten(0, (x.shape[0], num_frames)).flatten(1, 2)
    x = x.clone()
    x[:, :num_video] += injected
    return x


def conv(module: nn.Conv3d, x: Tensor, dtype: torch.dtype) -> Tensor:
    """In the working dtype; (B, tokens, C)."""
    y = functional.conv3d(x.to(dtype), module.weight.to(dtype), module.bias.to(dtype), module.stride)
    return y.flatten(2).transpose(1, 2)


@torch.no_grad()
def plain_step(
    model: WanS2V,
    latents: Tensor,
    timestep: int,
    *,
    text: Tensor,
    reference: Tensor,
    motion: Tensor,
    condition: Tensor,
    audio: Tensor,
    residual: torch.dtype = BF16,
) -> Tensor:
    """One branch of one step, (1, 16, T, h, w)."""
    config, dtype = model.config, model.blocks[0].attn1.to_q.weight.dtype
    frames, height, width = latents.shape[2:]
    whole, local = model.audio_encoder.for_chunk(audio, 73, 19)
    types = model.token_types.weight.to(dtype)
    video = conv(model.patch_embedding, latents, dtype) + conv(model.cond_encoder, condition, dtype) + types[0]
    still = conv(model.patch_embedding, reference, dtype) + types[1]
    packed = model.frame_packer(motion).to(dtype) + types[2]
    x, num_video = torch.cat([video, still, packed], dim=1), video.shape[1]
    table = rotations(positions(frames, height, width, motion=True), config.head_dim)
    table = table[:, None].expand(-1, config.num_heads, -1).contiguous()
    embedder = model.condition_embedder
    vector = embedder.time_embedder(sinusoid(torch.tensor([timestep, 0]), config.freq_dim))
    e0 = embedder.time_proj(functional.silu(vector)).unflatten(-1, (6, -1)).transpose(0, 1)[None]
    padded = functional.pad(text, (0, 0, 0, config.text_len - text.shape[0]))[None]
    context = embedder.text_embedder(padded.to(dtype))
    for index, layer in enumerate(model.blocks):
        x = block(layer, x, e0=e0, table=table, context=context, num_video=num_video, residual=residual)
        if index in config.audio_inject_layers:
            injector = config.audio_inject_layers.index(index)
            x = inject(model, injector, x, whole, local, num_video)
    return model._unpatchify(model.head(x[:, :num_video].float(), vector[:1]), (frames, height // 2, width // 2))
