"""Step caching: leave the network out of steps whose velocity a scaled copy of an earlier one stands for.

In: a calibration (how a velocity's size changes from step to step, measured on this checkpoint) and how many steps to
keep. Out: a wrapper for `chunks.Evaluate`, fresh for every chunk. Training-free; not exact; off by default.
Nothing is published for this checkpoint: `python -m s2v_model.wan.calibrate` measures it and reports the error.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from s2v_model.contract import RendererMissing
from s2v_model.wan.chunks import Caching, Evaluate

KEPT_AT_START, KEPT_AT_END = 0.2, 0.05
"""Shares of the steps that are always asked: the first ones lay out the picture, the last one finishes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was measured, for one schedule."""

    steps: int
    solver: str
    shift: float
    ratios: tuple[float, ...]
    """For each step, mean |velocity| over that of the step before; 1 for the first."""
    distances: tuple[float, ...]
    """For each step, |velocity - ratio * the one before| / |velocity|, root mean square; 0 for the first."""

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """Raises RendererMissing where `path` holds no calibration."""
        try:
            found = json.loads(path.read_text("utf-8"))
            read = cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in found.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RendererMissing(
                f"{path} holds no calibration of step caching. Make one: python -m s2v_model.wan.calibrate."
            ) from error
        if len(read.ratios) != read.steps or len(read.distances) != read.steps:
            raise RendererMissing(f"{path} has {len(read.ratios)} ratios for {read.steps} steps. Make it again.")
        return read


def choose_steps(steps: int, skipped: float, distances: Sequence[float] | None = None) -> frozenset[int]:
    """The steps at which the network is asked, when a share `skipped` of them is left out.

    With measured `distances`, skips that would cost most are kept; without, the rest is spread evenly.
    """
    always = set(range(max(1, round(steps * KEPT_AT_START)))) | set(
        range(steps - max(1, round(steps * KEPT_AT_END)), steps)
    )
    wanted = max(len(always), steps - round(steps * skipped))
    between = [step for step in range(steps) if step not in always]
    extra = min(wanted - len(always), len(between))
    if distances is None:
        picked = {between[(2 * place + 1) * len(between) // (2 * extra)] for place in range(extra)}
        return frozenset(always | picked)
    asked = set(always)
    for _ in range(extra):
        asked.add(max((step for step in between if step not in asked), key=lambda step: _drift(step, asked, distances)))
    return frozenset(asked)


def _drift(step: int, asked: set[int], distances: Sequence[float]) -> float:
    """How far a copy has gone from the truth at `step`, since the last step that was asked."""
    last = max(before for before in asked if before < step)
    return sum(distances[last + 1 : step + 1])


class StepCache:
    """Stands in for the network within one chunk."""

    def __init__(self, ask: Evaluate, asked: frozenset[int], ratios: Sequence[float] | None) -> None:
        self._ask, self._asked, self._ratios = ask, asked, ratios
        self._last: dict[int, tuple[int, Tensor]] = {}

    def __call__(self, latents: Tensor, step: int, branch: int) -> Tensor:
        """As `Evaluate`: the network's own velocity, or the last one scaled."""
        if step in self._asked or branch not in self._last:
            velocity = self._ask(latents, step, branch)
            self._last[branch] = step, velocity
            return velocity
        last, velocity = self._last[branch]
        scale = 1.0
        for between in range(last + 1, step + 1):
            scale *= self._ratios[between] if self._ratios else 1.0
        return velocity * scale


def step_cache(option: str, steps: int, solver: str, shift: float) -> Caching | None:
    """Of the option `step_cache`: "" is off, "SHARE" skips a share of the steps evenly, "SHARE:FILE" by a calibration.

    Raises RendererMissing for a share outside 0 .. 0.75, or a calibration of another schedule.
    """
    if not option:
        return None
    share, _, file = option.partition(":")
    try:
        skipped = float(share)
    except ValueError:
        skipped = -1.0
    if not 0 <= skipped <= 0.75:
        raise RendererMissing(
            f"step_cache: {option!r} must be a share from 0 to 0.75, such as 0.6 or 0.6:calibration.json."
        )
    if not file:
        asked = choose_steps(steps, skipped)
        return lambda ask: StepCache(ask, asked, None)
    found = Calibration.read(Path(file).expanduser())
    if (found.steps, found.solver, found.shift) != (steps, solver, shift):
        raise RendererMissing(
            f"step_cache: {file} was measured for {found.steps} steps of {found.solver} at shift {found.shift:g}, "
            f"not for {steps} of {solver} at {shift:g}. Calibrate again."
        )
    asked = choose_steps(steps, skipped, found.distances)
    return lambda ask: StepCache(ask, asked, found.ratios)
