"""Which voice speaks at each moment: similarities of short windows in, the most likely path of voices out. Pure.

States are single voices and pairs that talk at once. The step is 100 ms. A change of voice costs similarity, so that
one odd window changes nothing. Source: Viterbi's algorithm with uniform costs of change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RATE_HZ = 16_000
STEP_SAMPLES = RATE_HZ // 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingOptions:
    """Costs in units of summed similarity, one term per 100 ms."""

    change_cost: float = 0.7
    """From one voice to another."""
    overlap_cost: float = 0.4
    """From one voice to a pair with it, and back."""
    spread_seconds: float = 0.2
    """How far a window counts for the moments around its middle (standard deviation)."""


@dataclass(frozen=True, slots=True)
class States:
    """What a moment may be: sets of voices with the print that such a moment has."""

    members: tuple[frozenset[int], ...]
    prints: Float32Array
    """(states, 256), each of length 1."""

    def costs(self, options: DecodingOptions) -> Float64Array:
        """(states, states): what each step from row to column costs."""
        size = len(self.members)
        costs = np.full((size, size), np.inf)
        for i, left in enumerate(self.members):
            for j, right in enumerate(self.members):
                if i == j:
                    costs[i, j] = 0.0
                elif len(left) == len(right) == 1:
                    costs[i, j] = options.change_cost
                elif left < right or right < left:
                    costs[i, j] = options.overlap_cost
        return costs


def decode(
    span: tuple[int, int], middles: IntArray, prints: Float32Array, states: States, options: DecodingOptions
) -> list[tuple[int, int, frozenset[int]]]:
    """Stretches (start, end, voices) in samples that tile `span`, (start, end) of speech with its short windows.

    middles: (n,), the middle of each window, in samples. prints: (n, 256).
    """
    start, end = span
    num_steps = max(1, (end - start) // STEP_SAMPLES)
    instants = start + (np.arange(num_steps) + 0.5) * STEP_SAMPLES
    distance = (instants[:, None] - middles[None, :]) / (options.spread_seconds * RATE_HZ)
    weights = np.exp(-0.5 * np.minimum(distance**2, 600.0))
    alike = (weights @ (prints @ states.prints.T)) / weights.sum(axis=1, keepdims=True)
    path = _best_path(alike, states.costs(options))
    cuts = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), num_steps]
    edges = [start + cut * STEP_SAMPLES for cut in cuts[:-1]] + [end]
    return [(edges[i], edges[i + 1], states.members[path[cuts[i]]]) for i in range(len(cuts) - 1)]


def _best_path(gains: Float64Array, costs: Float64Array) -> IntArray:
    """The path of states with the largest sum of gains less costs; the lowest state among equals."""
    best = gains[0].copy()
    back = np.zeros(gains.shape, np.int64)
    columns = np.arange(gains.shape[1])
    for step in range(1, len(gains)):
        arrivals = best[:, None] - costs
        back[step] = arrivals.argmax(axis=0)
        best = arrivals[back[step], columns] + gains[step]
    path = np.zeros(len(gains), np.int64)
    path[-1] = best.argmax()
    for step in range(len(gains) - 1, 0, -1):
        path[step - 1] = back[step, path[step]]
    return path


def adjacent_pairs(labels: IntArray, spans: IntArray, limit: int) -> list[tuple[int, int]]:
    """The voices that follow one another within a span, most often first, at most `limit` pairs."""
    counts: dict[tuple[int, int], int] = {}
    changes = np.flatnonzero((labels[1:] != labels[:-1]) & (spans[1:] == spans[:-1]))
    for i in changes:
        pair = (int(min(labels[i], labels[i + 1])), int(max(labels[i], labels[i + 1])))
        counts[pair] = counts.get(pair, 0) + 1
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:limit]


def clearest(alike: Float32Array, voice: int, candidates: Sequence[int], number: int) -> list[int]:
    """`number` of the `candidates` that are clearly `voice`: out of the half with the largest margin, spread over time.

    alike: (windows, voices).
    """
    if not candidates:
        return []
    rows = alike[list(candidates)]
    others = np.delete(rows, voice, axis=1)
    margin = rows[:, voice] - (others.max(axis=1) if others.shape[1] else 0.0)
    half = max(number, len(candidates) // 2)
    chosen = sorted(candidates[int(i)] for i in np.argsort(-margin, kind="stable")[:half])
    return [chosen[int(i)] for i in np.linspace(0, len(chosen) - 1, min(number, len(chosen)))]
