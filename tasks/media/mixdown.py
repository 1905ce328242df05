"""Many sounds in, one file out, block by block: memory does not grow with the programme.

Knows samples and where they start; no speakers, no gain. Files are our own: WAV or FLAC at the mix's rate.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.media.audio import FlacWriter, Float32Array, read_blocks

BLOCK_SECONDS = 10


class Piece(NamedTuple):
    """A sound file and the sample of the mix at which it starts."""

    path: Path
    start_sample: int


class _Feed:
    """One piece, read forward, opened when the mix reaches it and closed when it is spent."""

    def __init__(self, piece: Piece, channels: int) -> None:
        self._blocks = _blocks(piece.path, channels)
        self._at = piece.start_sample
        self._left: Float32Array | None = None
        self.is_spent = False

    def add_to(self, mixed: Float32Array, first: int) -> None:
        """Add what falls into `mixed`, which starts at sample `first` of the mix."""
        end = first + mixed.shape[1]
        while not self.is_spent and self._at < end:
            block = self._left if self._left is not None else next(self._blocks, None)
            if block is None:
                self.is_spent = True
                return
            part = block[:, : end - self._at]
            mixed[:, self._at - first : self._at - first + part.shape[1]] += part
            self._at += part.shape[1]
            self._left = block[:, part.shape[1] :] if part.shape[1] < block.shape[1] else None


def mix_down(pieces: Sequence[Piece], num_samples: int, rate_hz: int, target: Path) -> None:
    """Write the sum of `pieces` as FLAC of exactly `num_samples`: stereo if a piece is, clipped at full scale.

    Every piece must be at `rate_hz` and start at sample 0 or later. Raises MediaError where one cannot be read.
    """
    channels = max((_channels(piece.path) for piece in pieces), default=1)
    waiting = sorted(pieces, key=lambda piece: piece.start_sample)
    playing: list[_Feed] = []
    with FlacWriter(target, rate_hz, channels) as writer:
        for first in range(0, num_samples, BLOCK_SECONDS * rate_hz):
            mixed = np.zeros((channels, min(BLOCK_SECONDS * rate_hz, num_samples - first)), np.float32)
            while waiting and waiting[0].start_sample < first + mixed.shape[1]:
                playing.append(_Feed(waiting.pop(0), channels))
            for feed in playing:
                feed.add_to(mixed, first)
            playing = [feed for feed in playing if not feed.is_spent]
            writer.write(mixed)


def _channels(path: Path) -> int:
    return min(2, next((len(block) for block in read_blocks(path)), 1))


def _blocks(path: Path, channels: int) -> Iterator[Float32Array]:
    """Float32 blocks (channels, n) of a file; a mono file fills both channels of a stereo mix."""
    for block in read_blocks(path):
        yield np.broadcast_to(block, (channels, block.shape[1])) if len(block) == 1 else block[:channels]
