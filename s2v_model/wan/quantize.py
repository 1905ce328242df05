"""Large linears with 8-bit weights: half the memory, one scale for each output channel.

In: a WanS2V on the meta device. Out: the same with packed linears, to be filled. Activations keep their precision.
Not exact: part of a clip's fingerprint.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2v_model.contract import RendererMissing
from s2v_model.wan.precision import parameter_dtype

FORMATS = {"int8": (torch.int8, 127.0), "fp8": (torch.float8_e4m3fn, 448.0)}
"""Storage type, and the largest number that it holds."""


class PackedLinear(nn.Module):
    """A linear whose weight is stored in 8 bits and widened when it is used."""

    def __init__(self, like: nn.Linear, name: str, working: torch.dtype) -> None:
        super().__init__()
        self.storage, self.largest = FORMATS[name]
        self.compute_dtype = working
        self.weight = nn.Parameter(torch.empty(like.weight.shape, device="meta"), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(like.bias.shape, device="meta"), requires_grad=False)
        self.register_buffer("scale", torch.empty(like.weight.shape[0], 1, device="meta"), persistent=False)

    def pack(self, weight: Tensor, device: torch.device) -> None:
        """Keep `weight` (out, in), scaled by rows to fill the range."""
        exact = weight.float()
        scale = exact.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / self.largest
        scaled = exact / scale
        packed = scaled.round() if self.storage == torch.int8 else scaled
        self.register_parameter("weight", nn.Parameter(packed.to(self.storage).to(device), requires_grad=False))
        self.scale = scale.to(self.compute_dtype).to(device)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return functional.linear(x, self.weight.to(self.compute_dtype) * self.scale, self.bias)


def pack_linears(model: nn.Module, name: str, working: torch.dtype) -> None:
    """Replace the linears of the blocks by packed ones. Raises RendererMissing for an unknown format."""
    if name not in FORMATS:
        raise RendererMissing(f"There is no weight format {name!r}. Known are: {', '.join(FORMATS)}.")
    for path, module in list(model.named_modules()):
        if path.startswith("blocks.") and isinstance(module, nn.Linear):
            assert parameter_dtype(path + ".weight", working) == working
            parent, _, leaf = path.rpartition(".")
            setattr(model.get_submodule(parent), leaf, PackedLinear(module, name, working))
