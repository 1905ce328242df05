"""One sequence on several devices (DeepSpeed-Ulysses): every rank holds a share of every frame's tokens, and for the
attention a share of the heads.

In: a process group in which every rank runs the same chunk. Out: shares, a kernel that trades tokens for heads, and
whole results again. Knows no network: only which axis is tokens and which is heads.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from s2v_model.contract import RenderError
from s2v_model.wan.attention import Attend


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The part of the work that one rank does."""

    rank: int
    world: int
    group: dist.ProcessGroup | None = None

    def video(self, tokens: Tensor, num_frames: int, axis: int = 1) -> Tensor:
        """A share of each frame, so that a frame's audio meets a part of the same frame on every rank."""
        frames = tokens.unflatten(axis, (num_frames, -1))
        return self.static(frames, axis + 1).flatten(axis, axis + 1)

    def static(self, tokens: Tensor, axis: int = 1) -> Tensor:
        """A share of a row of tokens. Raises RenderError where it cannot be divided."""
        num = tokens.shape[axis]
        if num % self.world:
            raise RenderError(
                f"{num} tokens cannot be divided among {self.world} devices. Use 2, 4 or 8 devices, or another size."
            )
        share = num // self.world
        return tokens.narrow(axis, self.rank * share, share)

    def whole_video(self, share: Tensor, num_frames: int) -> Tensor:
        """All ranks' shares of (B, V / world, C), in order again."""
        shares = [torch.empty_like(share) for _ in range(self.world)]
        dist.all_gather(shares, share.contiguous(), group=self.group)
        frames = [each.unflatten(1, (num_frames, -1)) for each in shares]
        return torch.cat(frames, dim=2).flatten(1, 2)

    def attend(self, kernel: Attend) -> Attend:
        """`kernel` over the whole sequence and a share of the heads."""

        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            heads = query.shape[2]
            if heads % self.world:
                raise RenderError(f"{heads} attention heads cannot be divided among {self.world} devices.")
            return self._to_tokens(kernel(*(self._to_heads(part) for part in (query, key, value))))

        return attend

    def _to_heads(self, x: Tensor) -> Tensor:
        """(B, l, heads, d) -> (B, world * l, heads / world, d). Tokens in the order of ranks: attention has none."""
        parts = x.unflatten(2, (self.world, -1)).permute(2, 0, 1, 3, 4)
        return self._exchange(parts).permute(1, 0, 2, 3, 4).flatten(1, 2)

    def _to_tokens(self, x: Tensor) -> Tensor:
        """The way back."""
        parts = x.unflatten(1, (self.world, -1)).permute(1, 0, 2, 3, 4)
        return self._exchange(parts).permute(1, 2, 0, 3, 4).flatten(2, 3)

    def _exchange(self, parts: Tensor) -> Tensor:
        sent = parts.contiguous()
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent, group=self.group)
        return received


def shares_of_group() -> Shares | None:
    """Of the process group that this process is in; None outside of one, or alone."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return None
    return Shares(rank=dist.get_rank(), world=dist.get_world_size())
