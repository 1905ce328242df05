"""How shots are dealt out to GPU workers: shards of minutes each, the longest shots first, small shards at the end.

In: what each shot is expected to cost. Out: which shots go together. Pure; knows no Prefect and no store.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.domain.editing import Shot
from tasks.formats.canonical import digest

SHORTEST_SECONDS = 30.0
"""A flow run costs two to three seconds of idle GPU: shards do not get smaller than this on purpose."""
ROUNDS = 2
"""A shard is at most so much of an equal share of what is left: 1 / (ROUNDS x workers), and so shrinks to the end."""
MAX_ATTEMPTS = 3
"""Runs that one producing run begins for a shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Shots that one flow run renders, one after another."""

    shots: tuple[Shot, ...]

    @property
    def digest(self) -> str:
        """Names the shard by what is in it."""
        return digest([shot.fingerprint for shot in self.shots])

    @property
    def cost_seconds(self) -> float:
        """Expected device seconds."""
        return sum(shot.cost_seconds for shot in self.shots)


def deal(shots: Sequence[Shot], *, workers: int, longest_seconds: float) -> tuple[Shard, ...]:
    """Every shot in one shard, in the order in which shards should start.

    longest_seconds: of device time for one shard; a single shot may take longer.
    """
    order = sorted(shots, key=lambda shot: (-shot.cost_seconds, shot.fingerprint))
    left = sum(shot.cost_seconds for shot in order)
    shards: list[Shard] = []
    taken: list[Shot] = []
    goal = 0.0
    for shot in order:
        if not taken:
            goal = min(longest_seconds, max(SHORTEST_SECONDS, left / (ROUNDS * max(1, workers))))
        taken.append(shot)
        left -= shot.cost_seconds
        if sum(each.cost_seconds for each in taken) >= goal:
            shards.append(Shard(shots=tuple(taken)))
            taken = []
    return (*shards, Shard(shots=tuple(taken))) if taken else tuple(shards)


def without(shards: Sequence[Shard], shots: Sequence[Shot]) -> tuple[Shot, ...]:
    """The `shots` that no shard holds."""
    held = {shot.fingerprint for shard in shards for shot in shard.shots}
    return tuple(shot for shot in shots if shot.fingerprint not in held)
