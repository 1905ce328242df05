"""Attention: the kernels by name, and the two kinds that the network has.

In and out: (B, L, heads, head_dim). Knows no token's meaning. Legend: B batch, L tokens, C = heads * head_dim channels.
"""

from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2v_model.contract import RendererMissing

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(query, key, value), each (B, L, heads, head_dim) -> (B, L of query, heads, head_dim); softmax over all keys."""


def plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The definition, in float32: what every other kernel is measured against."""
    scores = torch.einsum("blhd,bmhd->bhlm", query.float(), key.float()) * query.shape[-1] ** -0.5
    return torch.einsum("bhlm,bmhd->blhd", scores.softmax(dim=-1), value.float()).to(query.dtype)


def sdpa(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What torch offers: picks its kernel by device, dtype and head size."""
    heads_first = (x.transpose(1, 2) for x in (query, key, value))
    return functional.scaled_dot_product_attention(*heads_first).transpose(1, 2)


def _cudnn(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return sdpa(query, key, value)


def _flash(package: str) -> Attend:
    """flash-attn 2 (`flash_attn`) or 3 (`flash_attn_interface`): the same call, half precision only."""
    kernel = _load(package).flash_attn_func

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = kernel(query, key, value)
        return output[0] if isinstance(output, tuple) else output

    return attend


def _sage() -> Attend:
    """SageAttention: 8-bit products; not exact, so its name is part of a clip's fingerprint."""
    kernel = _load("sageattention").sageattn
    return lambda query, key, value: kernel(query, key, value, tensor_layout="NHD", is_causal=False)


BACKENDS: dict[str, Callable[[], Attend]] = {
    "sdpa": lambda: sdpa,
    "plain": lambda: plain,
    "cudnn": lambda: _cudnn,
    "flash2": lambda: _flash("flash_attn"),
    "flash3": lambda: _flash("flash_attn_interface"),
    "sage": _sage,
}


def load_backend(name: str) -> Attend:
    """The kernel called `name`.

    Raises RendererMissing for an unknown name, or one whose package is not installed: nothing stands in for it.
    """
    if name not in BACKENDS:
        raise RendererMissing(f"There is no attention backend {name!r}. Known are: {', '.join(sorted(BACKENDS))}.")
    return BACKENDS[name]()


def _load(package: str):  # noqa: ANN202  - a foreign module has no type of ours
    try:
        return import_module(package)
    except ImportError as error:
        raise RendererMissing(
            f"The attention backend needs the package {package!r}, which is not installed. "
            "Install it, or choose attention = sdpa."
        ) from error


def compute_dtype(linear: nn.Module) -> torch.dtype:
    """Of the activations that enter `linear`: its weights' own, unless packed weights say otherwise."""
    return getattr(linear, "compute_dtype", None) or linear.weight.dtype


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Over all channels, ahead of the split into heads; statistics and product in float32."""
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Turn the channel pairs of x (B, L, heads, head_dim), float32, by rotary (L, head_dim / 2), in place."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    pairs *= rotary[:, None]
    return x


class Attention(nn.Module):
    """Projections and norms of one attention. `to_out` is a list of one: the names are those of diffusers' blocks."""

    def __init__(self, dim: int, num_heads: int, eps: float) -> None:
        super().__init__()
        self.num_heads, self.eps = num_heads, eps
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.norm_q, self.norm_k = nn.RMSNorm(dim, eps=eps), nn.RMSNorm(dim, eps=eps)

    def query(self, x: Tensor, rotary: Tensor | None = None) -> Tensor:
        """(B, L, C) -> (B, L, heads, head_dim), normed, and rotated where `rotary` is given."""
        return self._normed(self.to_q(x), self.norm_q.weight, rotary)

    def key_value(self, x: Tensor, rotary: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, M, C) -> key and value, (B, M, heads, head_dim)."""
        key = self._normed(self.to_k(x), self.norm_k.weight, rotary)
        return key, self.to_v(x).unflatten(-1, (self.num_heads, -1))

    def output(self, x: Tensor) -> Tensor:
        """(B, L, heads, head_dim) -> (B, L, C)."""
        return self.to_out[0](x.flatten(-2))

    def _normed(self, x: Tensor, weight: Tensor, rotary: Tensor | None) -> Tensor:
        heads = rms_norm(x, weight, self.eps).unflatten(-1, (self.num_heads, -1))
        return (heads if rotary is None else rotate(heads, rotary)).to(x.dtype)
