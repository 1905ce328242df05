"""The sampling loop: (denoise, noise, schedule) -> latents.

In: a function that gives the velocity, noise drawn by the caller. Out: latents. Knows no network, text or picture.
The solvers are diffusers' own; only the schedule is ours, because theirs is not the published one. SPEC, section 5.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from s2v_model.wan.config import NUM_TRAIN_TIMESTEPS

SIGMA_MAX = {"unipc": float(np.float32(0.999)), "dpm++": 1.0}
"""The unshifted schedule starts here; diffusers' own flow schedule differs by up to 7e-3."""

Denoise = Callable[[Tensor, int], Tensor]
"""(sample, index of the step) -> velocity."""
OnStep = Callable[[int, Tensor], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the network is asked."""

    solver: str
    timesteps: Tensor
    """(N,), int64."""
    sigmas: Tensor
    """(N + 1,), float32, the last one 0."""


def make_schedule(steps: int, shift: float, solver: str) -> Schedule:
    """`steps` noise levels from almost pure noise to none, moved towards noise by `shift`."""
    linear = np.linspace(SIGMA_MAX[solver], 0, steps + 1)[:-1]
    sigmas = shift * linear / (1 + (shift - 1) * linear)
    # The timesteps are truncated from the float64 sigmas, before these become float32.
    timesteps = (sigmas * NUM_TRAIN_TIMESTEPS).astype(np.int64)
    stored = np.append(sigmas, 0.0).astype(np.float32)
    return Schedule(solver=solver, timesteps=torch.from_numpy(timesteps), sigmas=torch.from_numpy(stored))


def sample(denoise: Denoise, noise: Tensor, schedule: Schedule, on_step: OnStep | None = None) -> Tensor:
    """Integrate from `noise` to a picture. The sample stays in the dtype of `noise` throughout."""
    solver = _solver(schedule)
    latents = noise
    for step, timestep in enumerate(schedule.timesteps):
        velocity = denoise(latents, step)
        latents = solver.step(velocity, timestep, latents, return_dict=False)[0]
        if on_step:
            on_step(step, latents)
    return latents


def guide(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance."""
    return unconditional + guidance * (conditional - unconditional)


def _solver(schedule: Schedule) -> UniPCMultistepScheduler | DPMSolverMultistepScheduler:
    """A fresh solver: its memory of earlier steps belongs to one chunk."""
    kinds = {"unipc": UniPCMultistepScheduler, "dpm++": DPMSolverMultistepScheduler}
    solver = kinds[schedule.solver](prediction_type="flow_prediction", use_flow_sigmas=True)
    with warnings.catch_warnings():
        # Diffusers turns a tensor into an array the old way, for sigmas that are replaced below.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        solver.set_timesteps(len(schedule.timesteps))
    solver.sigmas, solver.timesteps = schedule.sigmas, schedule.timesteps
    return solver
