"""LoRA files, merged into the weights while these are loaded: 4-step distillations, styles.

In: safetensors in the spellings in use. Out: a patch for `weights.fill`. Knows no model: it deals in names and tensors.
Merged in float32, then rounded once. The trunk has the names of Wan's T2V-14B, so a LoRA of that one loads too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from s2v_model.contract import RendererMissing
from s2v_model.wan.names import transformer_name
from s2v_model.wan.tensor_files import read_tensors, stored_tensors

_PREFIXES = ("diffusion_model.", "transformer.", "base_model.model.", "model.")
_DOWN, _UP = (".lora_A", ".lora_down"), (".lora_B", ".lora_up")
_NUM_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What is added to one tensor: up @ down, scaled, or a whole difference."""

    down: Tensor | None = None
    up: Tensor | None = None
    whole: Tensor | None = None
    scale: float = 1.0

    def of(self, like: Tensor) -> Tensor:
        """Float32, in the shape of `like`."""
        if self.whole is not None:
            return self.whole.float().reshape(like.shape) * self.scale
        assert self.up is not None
        assert self.down is not None
        product = self.up.float().flatten(1) @ self.down.float().flatten(1)
        return product.reshape(like.shape) * self.scale


def read_lora(file: Path, strength: float = 1.0) -> dict[str, Delta]:
    """The differences in `file`, by our names.

    Raises RendererMissing for half a pair, or a tensor that no spelling explains.
    """
    tensors = dict(read_tensors(stored_tensors([file])))
    parts: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for name, tensor in tensors.items():
        found = _part(name)
        if found is None:
            unknown.append(name)
        else:
            parts.setdefault(found[0], {})[found[1]] = tensor
    if unknown:
        more = f" and {len(unknown) - _NUM_LISTED} more" if len(unknown) > _NUM_LISTED else ""
        raise RendererMissing(f"{file} is no LoRA of Wan: it holds {', '.join(unknown[:_NUM_LISTED])}{more}.")
    return {name: _delta(file, name, part, strength) for name, part in parts.items() if part.keys() != {"alpha"}}


class Merged:
    """The patch that adds every LoRA's differences; says afterwards what it did not find."""

    def __init__(self, loras: list[Mapping[str, Delta]]) -> None:
        self._loras = loras
        self._left = {name for lora in loras for name in lora}

    def __call__(self, name: str, tensor: Tensor) -> Tensor:
        """`tensor` with the differences for `name`."""
        deltas = [lora[name] for lora in self._loras if name in lora]
        self._left.discard(name)
        return sum((delta.of(tensor) for delta in deltas), tensor.float()) if deltas else tensor

    def finish(self) -> None:
        """Raises RendererMissing where a difference met no tensor: the LoRA is another network's."""
        if self._left:
            first = ", ".join(sorted(self._left)[:_NUM_LISTED])
            raise RendererMissing(
                f"The LoRA has {len(self._left)} tensors that Wan2.2-S2V does not have, such as {first}."
            )


def _part(name: str) -> tuple[str, str] | None:
    """(our name of the tensor, its part: down, up, alpha, whole)."""
    for ending, kind, leaf in (
        (".alpha", "alpha", "weight"),
        (".diff", "whole", "weight"),
        (".diff_b", "whole", "bias"),
        *((f"{down}{default}.weight", "down", "weight") for down in _DOWN for default in ("", ".default")),
        *((f"{up}{default}.weight", "up", "weight") for up in _UP for default in ("", ".default")),
    ):
        if name.endswith(ending):
            return transformer_name(f"{_module(name.removesuffix(ending))}.{leaf}"), kind
    return None


def _module(name: str) -> str:
    """A module's path without the prefix of the program that wrote it."""
    flat = re.fullmatch(r"lora_unet_blocks_(\d+)_(self_attn|cross_attn|ffn)_(\w+)", name)
    if flat:
        return f"blocks.{flat[1]}.{flat[2]}.{flat[3]}"
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _delta(file: Path, name: str, part: Mapping[str, Tensor], strength: float) -> Delta:
    if "whole" in part:
        return Delta(whole=part["whole"], scale=strength)
    if not {"down", "up"} <= part.keys() or part["down"].shape[0] != part["up"].shape[1]:
        raise RendererMissing(f"{file} holds half a pair, or a pair of two ranks, for {name}. Fetch it again.")
    rank = part["down"].shape[0]
    alpha = part["alpha"].item() if "alpha" in part else float(rank)
    return Delta(down=part["down"], up=part["up"], scale=strength * alpha / rank)


def merged(loras: tuple[tuple[Path, float], ...]) -> Merged | None:
    """The patch for these files; None without any."""
    return Merged([read_lora(path, strength) for path, strength in loras]) if loras else None
