"""Blocks that live in host memory and visit the device one after the other: for cards that do not hold the network.

In: a WanS2V whose blocks lie on the host. Out: the same, each block moved ahead of its turn and dropped behind it.
The results are equal to the last bit: only the place of the weights changes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from s2v_model.wan.transformer import WanS2V


class Visits:
    """Moves blocks; the next one travels on a stream of its own while one is at work."""

    def __init__(self, blocks: nn.ModuleList, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.home = [self._at_home(block) for block in blocks]
        self.arrived: dict[int, torch.cuda.Event | None] = {}

    @contextmanager
    def __call__(self, index: int) -> Iterator[None]:
        """Block `index` is on the device within. Its successor is on its way; the last one's is the first."""
        self._bring(index)
        event = self.arrived[index]
        if event is not None:
            torch.cuda.current_stream(self.device).wait_event(event)
        self._bring((index + 1) % len(self.home))
        try:
            yield
        finally:
            if len(self.home) > 1:
                self._send_home(index)

    def _bring(self, index: int) -> None:
        if index in self.arrived:
            return
        if self.stream is None:
            self._place(index)
            self.arrived[index] = None
            return
        with torch.cuda.stream(self.stream):
            self._place(index)
            event = torch.cuda.Event()
            event.record(self.stream)
        self.arrived[index] = event

    def _place(self, index: int) -> None:
        for tensor, home in self.home[index]:
            tensor.data = home.to(self.device, non_blocking=True)

    def _send_home(self, index: int) -> None:
        for tensor, home in self.home[index]:
            if self.stream is not None:
                # The memory was allocated on the copying stream; work that still reads it runs on this one.
                tensor.data.record_stream(torch.cuda.current_stream(self.device))
            tensor.data = home
        del self.arrived[index]

    def _at_home(self, block: nn.Module) -> list[tuple[Tensor, Tensor]]:
        """Every tensor of a block with its copy on the host, page-locked where a card reads it."""
        pinned = self.stream is not None
        tensors = (*block.parameters(), *block.buffers())
        return [(tensor, tensor.data.pin_memory() if pinned else tensor.data) for tensor in tensors]


def offload_blocks(model: WanS2V, device: torch.device) -> None:
    """Keep the blocks of `model`, which lie on the host, there; the rest goes to the device and stays."""
    for name, child in model.named_children():
        if name != "blocks":
            child.to(device)
    model.visit = Visits(model.blocks, device)
