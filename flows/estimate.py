"""What rendering will cost, learned from what it did cost: expected device seconds against those of past runs.

A renderer states its cost as it was measured once, on one device; the store remembers how far that was from the truth
for this engine. Only plans and quotes read it: it decides no picture, and no fingerprint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s2v_model.contract import Traits
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest

STAGE = "cost"
MEMORY = 20
"""So many past runs count."""
LIMITS = (0.05, 20.0)
"""An engine that seems further off than this was measured wrongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One run: what was expected of it, and what it took."""

    expected_seconds: float
    actual_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What the rest of a programme will cost."""

    gpu_seconds: float
    finish_seconds: float
    """On the workers that are there."""
    workers: int
    price: float

    def as_document(self) -> dict[str, float]:
        """For a run's record."""
        return {
            "gpu_seconds": round(self.gpu_seconds, 1),
            "finish_seconds": round(self.finish_seconds, 1),
            "workers": self.workers,
            "price": round(self.price, 2),
        }


def factor_of(past: Sequence[Past]) -> float:
    """Actual over expected seconds, long runs counting for more; 1 where nothing is known."""
    expected = sum(run.expected_seconds for run in past)
    if expected <= 0:
        return 1.0
    return min(max(sum(run.actual_seconds for run in past) / expected, LIMITS[0]), LIMITS[1])


def quote(costs: Sequence[float], *, factor: float, workers: int, gpu_hour_price: float) -> Quote:
    """costs: expected device seconds of each shot that is missing."""
    total = factor * sum(costs)
    longest = factor * max(costs, default=0.0)
    return Quote(
        gpu_seconds=total,
        finish_seconds=max(total / max(1, workers), longest),
        workers=workers,
        price=price_of(total, gpu_hour_price),
    )


def price_of(gpu_seconds: float, gpu_hour_price: float) -> float:
    """What so many seconds of a GPU cost."""
    return gpu_seconds / 3600 * gpu_hour_price


def expected_of(record: Mapping[str, Any]) -> float | None:
    """GPU seconds that a run's record says it was quoted; None where nothing was."""
    quotes = record.get("quotes")
    return sum(one["gpu_seconds"] for one in quotes) if quotes else None


def known(workspace: Workspace, traits: Traits) -> tuple[Past, ...]:
    """Past runs of this engine."""
    return workspace.recall(STAGE, _name(traits), tuple[Past, ...]) or ()


def learn(workspace: Workspace, traits: Traits, run: Past) -> None:
    """Remember a run. Of two that end together, one may be forgotten: that costs an estimate a little."""
    if run.expected_seconds > 0 and run.actual_seconds > 0:
        workspace.remember(STAGE, _name(traits), (*known(workspace, traits), run)[-MEMORY:])


def _name(traits: Traits) -> str:
    return digest({"name": traits.name, "revision": traits.revision, "options": dict(traits.options)})
