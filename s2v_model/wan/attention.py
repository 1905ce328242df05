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
_BLOCK = 256
"""Queries that `blocked` takes at once: their scores stay in the cache."""


def plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The definition, in float32: what every other kernel is measured against."""
    scores = torch.einsum("blhd,bmhd->bhlm", query.float(), key.float()) * query.shape[-1] ** -0.5
    return torch.einsum("bhlm,bmhd->blhd", scores.softmax(dim=-1), value.float()).to(query.dtype)


def sdpa(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What torch offers: picks its kernel by device, dtype and head size."""
    heads_first = (x.transpose(1, 2) for x in (query, key, value))
    return functional.scaled_dot_product_attention(*heads_first).transpose(1, 2)


def blocked(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """For processors with fast bf16 products, on which torch's own kernel converts to float32 first.

    Blocks of queries against all keys; scores are rounded to the working dtype, the softmax is float32 inside.
    Measured (results of bench_wan_step): 1.5 times as fast as `sdpa` on a Zen 5 core.
    """
    queries, keys, values = (x.transpose(1, 2) for x in (query * query.shape[-1] ** -0.5, key, value.contiguous()))
    transposed = keys.transpose(-1, -2).contiguous()
    output = torch.empty_like(queries)
    for start in range(0, queries.shape[2], _BLOCK):
        rows = slice(start, start + _BLOCK)
        output[:, :, rows] = torch.softmax(queries[:, :, rows] @ transposed, dim=-1) @ values
    return output.transpose(1, 2)


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
    "blocked": lambda: blocked,
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


def normed_heads(x: Tensor, weight: Tensor, num_heads: int, eps: float, rotary: Tensor | None) -> Tensor:
    """RMS norm over all channels of x (B, L, C), split into heads, each pair of channels turned by `rotary`.

    In float32 throughout, rounded once. One over the norm is a factor of the token, so it goes with the rotations.
    """
    inverse = torch.rsqrt(torch.linalg.vector_norm(x, dim=-1, dtype=torch.float32).square() / x.shape[-1] + eps)
    heads = (x * weight).unflatten(-1, (num_heads, -1))
    if rotary is None:
        return heads.mul_(inverse[..., None, None]).to(x.dtype)
    pairs = torch.view_as_complex(heads.unflatten(-1, (-1, 2)))
    pairs *= (rotary * inverse[..., None])[:, :, None]
    return heads.to(x.dtype)


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
        return normed_heads(x, weight, self.num_heads, self.eps, rotary)
