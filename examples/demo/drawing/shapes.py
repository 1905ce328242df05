"""Solids as signed distances (cm), and meshes of them.

A solid is a function of points (..., 3) that is negative inside. x points to the right of the picture, y away from the
viewer, z up; the point between the eyes' centres lies at (0, -6, 0). Knows no person and no renderer.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import map_coordinates
from skimage.measure import marching_cubes

Array = np.ndarray
Solid = Callable[[Array], Array]


def ellipsoid(p: Array, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
    """Distance to an ellipsoid: exact on its surface, close near it."""
    q = p - np.array(centre, p.dtype)
    near = np.linalg.norm(q / np.array(radii, p.dtype), axis=-1)
    far = np.linalg.norm(q / np.array(radii, p.dtype) ** 2, axis=-1)
    return near * (near - 1) / np.maximum(far, 1e-6)


def capsule(p: Array, a: tuple[float, float, float], b: tuple[float, float, float], ra: float, rb: float) -> Array:
    """Distance to a rod from a to b whose radius goes from ra to rb."""
    start, along = np.array(a, p.dtype), np.array(b, p.dtype) - np.array(a, p.dtype)
    t = np.clip(((p - start) @ along) / float(along @ along), 0, 1)
    return np.linalg.norm(p - start - t[..., None] * along, axis=-1) - (ra + (rb - ra) * t)


def union(a: Array, b: Array, blend: float) -> Array:
    """Both solids, their seam rounded over `blend` cm."""
    h = np.clip(0.5 + 0.5 * (b - a) / blend, 0, 1)
    return b + (a - b) * h - blend * h * (1 - h)


def without(a: Array, b: Array, blend: float) -> Array:
    """The first solid with the second cut out."""
    return -union(-a, b, blend)


def both_sides(p: Array) -> Array:
    """Points folded onto the right half, for features that come in pairs."""
    return np.concatenate([np.abs(p[..., :1]), p[..., 1:]], axis=-1)


def smooth(x: Array, low: float, high: float) -> Array:
    """0 below low, 1 above high, a soft step between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class Field:
    """A solid sampled on a grid: quick to ask for distances and outward directions, and to mesh."""

    def __init__(self, solid: Solid, low: tuple[float, ...], high: tuple[float, ...], step: float) -> None:
        self.low, self.step = np.array(low, np.float32), step
        axes = [np.arange(a, b, step, dtype=np.float32) for a, b in zip(low, high, strict=True)]
        slabs = [np.stack(np.meshgrid(axes[0][i : i + 8], axes[1], axes[2], indexing="ij"), -1)
                 for i in range(0, len(axes[0]), 8)]  # fmt: skip
        self.values = np.concatenate([solid(slab).astype(np.float32) for slab in slabs])

    def distance(self, p: Array) -> Array:
        """Signed distance at points (n, 3)."""
        return map_coordinates(self.values, ((p - self.low) / self.step).T, order=1, mode="nearest")

    def outward(self, p: Array) -> Array:
        """Unit directions away from the solid at points (n, 3)."""
        e = self.step * 1.5
        n = np.stack([self.distance(p + e * d) - self.distance(p - e * d) for d in np.eye(3, dtype=np.float32)], -1)
        return n / np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-6)

    def mesh(self) -> tuple[Array, Array]:
        """Vertices (n, 3) and triangles (m, 3), facing outward."""
        points, faces, _, _ = marching_cubes(self.values, 0.0)
        return points * self.step + self.low, faces[:, ::-1]
