"""Strands: where they grow, how they fall, how they gather in locks. Arrays in, paths (n, steps, 3) out; cm."""

from collections.abc import Callable

import numpy as np
from scipy.spatial import cKDTree
from shapes import Array, Field, smooth

Rule = Callable[[Array, Array, float], Array]
"""Direction (n, 3) wanted at points (n, 3) of strands with roots (n, 3), a share 0..1 of the way."""


def roots(points: Array, faces: Array, share: Callable[[Array], Array], num: int, rng: np.random.Generator) -> Array:
    """Num points on a mesh, as dense as `share` (0..1 at points) says."""
    corners = points[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    weight = area * share(corners.mean(1))
    picked = corners[rng.choice(len(faces), num, p=weight / weight.sum())]
    u = np.sqrt(rng.random((num, 1))), rng.random((num, 1))
    return picked[:, 0] * (1 - u[0]) + picked[:, 1] * u[0] * (1 - u[1]) + picked[:, 2] * u[0] * u[1]


def grow(
    start: Array, length: Array, steps: int, rule: Rule, field: Field, lift: Array, stiff: float = 0.6, hug: float = 0.0
) -> Array:
    """Strands that follow `rule`, are `length` cm (n,) long and, once out, keep `lift` cm (n,) above the solid.

    hug: 0..1, how much their first half is held down to that height too, above the eyes.
    """
    at = start.copy()
    way = 0.35 * field.outward(start) + rule(start, start, 0.0)
    path = [at.copy()]
    stride = (length / (steps - 1))[:, None]
    for step in range(1, steps):
        share = step / (steps - 1)
        way = way * stiff + rule(at, start, share) * (1 - stiff)
        way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)
        at = at + way * stride
        floor = lift * min(1.0, share * 5)
        short = floor - field.distance(at)
        held = hug * (1 - share) ** 2 * np.clip(short, -0.5, 0) * smooth(at[:, 2], 1.0, 4.0)
        at = at + field.outward(at) * (np.maximum(short, 0) + held)[:, None]
        path.append(at.copy())
    return np.stack(path, 1)


def gather(paths: Array, num_locks: int, pull: float, rng: np.random.Generator, start: float = 0.1) -> Array:
    """Strands drawn towards the middle one of their lock, more so towards the tips."""
    heads = rng.choice(len(paths), num_locks, replace=False)
    _, mine = cKDTree(paths[heads, 0]).query(paths[:, 0])
    t = np.clip((np.linspace(0, 1, paths.shape[1]) - start) / (1 - start), 0, 1)
    strength = (pull * t**0.8)[None, :, None] * rng.uniform(0.75, 1.05, (len(paths), 1, 1))
    return paths + (paths[heads[mine]] - paths) * strength


def wave(paths: Array, size: float, every: float, rng: np.random.Generator, loose: float = 0.5) -> Array:
    """Strands swung sideways by `size` cm each `every` cm of length; neighbours swing together but for `loose`."""
    along = np.gradient(paths, axis=1)
    gone = np.concatenate([np.zeros((len(paths), 1)), np.cumsum(np.linalg.norm(np.diff(paths, axis=1), axis=2), 1)], 1)
    root = paths[:, 0]
    phase = (
        1.1 * np.sin(root @ (0.8, 0.5, 0.3)) + 0.9 * np.sin(root @ (-0.3, 0.9, 0.6)) + rng.normal(0, loose, len(paths))
    )
    angle = gone / every * 2 * np.pi + phase[:, None]
    side = np.cross(along, (0.15, -1.0, 0.1))
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-6)
    other = np.cross(along, side)
    other /= np.maximum(np.linalg.norm(other, axis=2, keepdims=True), 1e-6)
    grown = (size * np.clip(gone / every / 0.8, 0, 1))[..., None]
    return paths + grown * (np.sin(angle)[..., None] * side + 0.6 * np.cos(angle)[..., None] * other)


def coil(
    start: Array, out: Array, length: Array, turns: float, radius: float, steps: int, rng: np.random.Generator
) -> Array:
    """Small springs that stand on the scalp."""
    lean = out + rng.normal(0, 0.28, out.shape)
    lean /= np.linalg.norm(lean, axis=1, keepdims=True)
    side = np.cross(lean, rng.normal(size=out.shape))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(lean, side)
    t = np.linspace(0, 1, steps)[None, :, None]
    angle = 2 * np.pi * turns * t + rng.uniform(0, 6.28, (len(start), 1, 1))
    wide = radius * np.clip(t * 3, 0, 1)
    return (
        start[:, None]
        + lean[:, None] * t * length[:, None, None]
        + wide * (np.cos(angle) * side[:, None] + np.sin(angle) * other[:, None])
    )


def taper(steps: int, thick: float, tip: float = 0.25) -> Array:
    """Radii from root to tip (cm)."""
    t = np.linspace(0, 1, steps)
    return thick * (1 - (1 - tip) * t**2)
