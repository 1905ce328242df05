"""Which tensors run in the working precision, and which in float32 whatever that is.

In: a parameter's name. Out: its dtype. Knows no tensor.
"""

import re

import torch
from torch import nn

from s2v_model.contract import RendererMissing

WORKING = {"bf16": torch.bfloat16, "float32": torch.float32}
"""Half precision is bfloat16 alone: the published weights overflow float16."""

_LARGE = re.compile(
    r"^blocks\.\d+\.(attn[12]\.to_\w+|ffn)\."
    r"|^condition_embedder\.text_embedder\."
    r"|^audio_injector\.(injector\.\d+\.to_\w+|adain)\b"
)
"""The large linears. Norms, modulation, embeddings, FramePack, time MLP, audio encoder and head stay float32."""


def working_dtype(name: str) -> torch.dtype:
    """Of a precision option. Raises RendererMissing for an unknown one."""
    if name not in WORKING:
        raise RendererMissing(f"There is no precision {name!r}. Known are: {', '.join(WORKING)}.")
    return WORKING[name]


def parameter_dtype(name: str, working: torch.dtype) -> torch.dtype:
    """Of the network's parameter `name`."""
    return working if _LARGE.match(name) else torch.float32


def cast(model: nn.Module, working: torch.dtype) -> nn.Module:
    """`model` with every parameter in its dtype."""
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(parameter_dtype(name, working))
    return model
