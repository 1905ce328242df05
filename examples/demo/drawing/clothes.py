"""What they wear: a blazer over a T-shirt, a cabled jumper, a hooded sweatshirt. Solids meshed and painted, in cm."""

import numpy as np
import scene
from shapes import Array, Field, both_sides, capsule, ellipsoid, smooth, union

RGB = tuple[float, float, float]
LIFT = 2.8
"""Clothes are measured on a torso this much (cm) below where it stands."""


def torso(p: Array, broad: float) -> Array:
    """Chest, shoulders and upper arms; `broad` scales the width."""
    q = both_sides(p)
    q = np.concatenate([q[..., :1] / broad, q[..., 1:]], -1)
    d = ellipsoid(q, (0, 4.2, -39), (16.5, 10.6, 20))
    d = union(d, capsule(q, (1.5, 4.4, -15.5), (17.5, 5.6, -22.8), 3.6, 4.6), 3.5)
    d = union(d, capsule(q, (18.6, 5.4, -24.5), (22.0, 4.0, -54), 5.2, 5.4), 2.5)
    return union(d, ellipsoid(q, (0, 3.8, -23.5), (9.0, 7.6, 5.6)), 2.0)


def _ring(p: Array, centre: tuple[float, float, float], across: float, deep: float, lean: float, thick: float) -> Array:
    """A band around the neck: an ellipse (across x deep) that sinks by `lean` per cm towards the viewer."""
    q = p - np.array(centre, p.dtype)
    radius = np.sqrt((q[..., 0] / across) ** 2 + (q[..., 1] / deep) ** 2)
    rise = q[..., 2] - lean * q[..., 1]
    return np.sqrt(((radius - 1) * min(across, deep)) ** 2 + rise**2) - thick


def _wear(name: str, solid: object, colour: object, step: float, **looks: float) -> None:
    field = Field(solid, (-33, -12, -46), (33, 19, -9), step)
    points, faces = field.mesh()
    shown = points + np.array((0, 0, LIFT))
    cloth = scene.material(name, None, Roughness=0.85, Sheen_Weight=0.25, Sheen_Roughness=0.5, **looks)
    scene.roughen(cloth, 14, 0.12)
    scene.mesh(name, shown, faces, cloth, colour(points))


def _folds(p: Array, size: float) -> Array:
    """Soft creases that run from the neck and the armpits."""
    a, z = np.abs(p[..., 0]), p[..., 2]
    slow = np.sin(a * 0.55 + z * 0.38 + 1.3 * np.sin(z * 0.21 + p[..., 0] * 0.13))
    fast = np.sin(a * 0.9 - z * 0.75 + 0.8 * np.sin(z * 0.33 + 1.0))
    return size * (0.6 * slow + 0.4 * fast * smooth(a, 8, 15))


def blazer(cloth: RGB, shirt: RGB, step: float, broad: float = 0.9) -> None:
    """A blazer with lapels, open over a round-necked shirt."""

    def opening(p: Array) -> Array:
        return np.abs(p[..., 0]) - np.clip(0.55 + (p[..., 2] + 44) * 0.275, 0.3, 7.6)

    def outside(p: Array) -> Array:
        edge, front = opening(p), smooth(-p[..., 1], -4, 0)
        wide = 3.4 + 1.6 * smooth(p[..., 2], -30, -21) - 3.0 * smooth(p[..., 2], -33, -43)
        notch = np.clip((np.abs(p[..., 2] + 24.5 - 0.15 * np.abs(p[..., 0])) - 0.25), -0.2, 0.2) * smooth(
            edge, wide * 0.45, wide * 0.6
        )
        lapel = smooth(edge, -0.05, 0.25) * (1 - smooth(edge, wide - 0.2, wide + 0.1)) * front
        return 0.9 * smooth(edge, -0.15, 0.15) + 0.42 * lapel * (1 + np.minimum(notch, 0) * 3) + _folds(p, 0.16)

    def solid(p: Array) -> Array:
        d = torso(p, broad) - 0.25 - outside(p) * smooth(2.5 - np.abs(torso(p, broad)), 0, 1)
        return union(d, _ring(p, (0, 2.0, -17.6), 6.3, 6.2, 0.24, 0.42), 0.3)

    def colour(p: Array) -> Array:
        inner = smooth(-opening(p) + 0.02, -0.12, 0.12) * smooth(-p[:, 1], -5, -4)
        neck = smooth(7.6 - np.hypot(p[:, 0], p[:, 1] - 2), -0.1, 0.1) * smooth(p[:, 2], -22, -20)
        mix = np.clip(inner + neck, 0, 1)[:, None]
        return np.array(cloth) * (1 - mix) + np.array(shirt) * mix

    _wear("blazer", solid, colour, step)


def jumper(wool: RGB, step: float, broad: float = 1.02) -> None:
    """A thick jumper with cables and a ribbed roll of a collar."""

    def cables(p: Array) -> Array:
        x, z = p[..., 0], p[..., 2]
        lane = (np.abs(x) + 3.2) % 6.4 - 3.2
        swing = 0.85 * np.sin(z * 2 * np.pi / 5.2)
        plait = np.maximum(np.exp(-(((lane - swing) / 0.62) ** 2)), np.exp(-(((lane + swing) / 0.62) ** 2)))
        cord = np.exp(-(((np.abs(lane) - 2.25) / 0.26) ** 2))
        stitch = 0.05 * np.sin(x * 2 * np.pi / 0.55) * np.sin(z * 2 * np.pi / 0.5)
        return 0.55 * plait + 0.34 * cord + stitch

    def solid(p: Array) -> Array:
        body = torso(p, broad)
        d = body - 0.5 - (cables(p) + _folds(p, 0.10)) * smooth(2.5 - np.abs(body), 0, 1)
        angle = np.arctan2(p[..., 0], 2 - p[..., 1])
        rib = 0.16 * np.cos(angle * 46)
        low = _ring(p, (0, 1.9, -17.0), 6.7, 6.7, 0.20, 1.7) - rib
        high = _ring(p, (0, 2.0, -14.6), 6.2, 6.1, 0.18, 1.05) - rib
        return union(d, union(low, high, 0.8), 0.5)

    def colour(p: Array) -> Array:
        depth = cables(p)[:, None]
        return np.array(wool) * (0.72 + 0.5 * np.clip(depth, 0, 1))

    _wear("jumper", solid, colour, step)


def hoodie(cloth: RGB, shirt: RGB, cord: RGB, step: float, broad: float = 0.98) -> None:
    """A sweatshirt whose hood lies around the neck, with its cords, over a T-shirt."""

    def solid(p: Array) -> Array:
        body = torso(p, broad)
        d = body - 0.55 - _folds(p, 0.30) * smooth(2.5 - np.abs(body), 0, 1)
        angle = np.arctan2(p[..., 0], 2 - p[..., 1])
        thick = 1.5 + 1.0 * smooth(np.abs(angle), 0.5, 2.2) + 0.12 * np.sin(angle * 7 + 1)
        hood = _ring(p, (0, 3.2, -16.9), 8.6, 8.4, 0.42, thick)
        fold = _ring(p, (0, 3.8, -15.0), 8.2, 8.0, 0.50, thick * 0.8)
        d = union(d, union(hood, fold, 0.7), 0.9)
        seam = np.exp(-((p[..., 0] / 0.16) ** 2)) * smooth(-p[..., 1], 0, 2) * smooth(-p[..., 2], 20, 21)
        return union(d + 0.14 * seam, _ring(p, (0, 2.0, -18.0), 6.1, 6.0, 0.30, 0.5), 0.2)

    def colour(p: Array) -> Array:
        near = (smooth(6.9 - np.hypot(p[:, 0], p[:, 1] - 2), -0.12, 0.12) * smooth(p[:, 2], -20.6, -20.2))[:, None]
        return np.array(cloth) * (1 - near) + np.array(shirt) * near

    _wear("hoodie", solid, colour, step)
    rope = scene.material("cord", cord, Roughness=0.8)
    tip = scene.material("tip", (0.5, 0.45, 0.35), Metallic=1.0, Roughness=0.3)
    for side, long in ((-1, 11.5), (1, 9.5)):
        t = np.linspace(0, 1, 24)
        path = np.stack(
            [side * (2.6 + 0.9 * np.sin(t * 2.2)), -7.3 - 1.3 * np.sin(t * 1.7), LIFT - 20.4 - long * t], -1
        )
        scene.tube("cord", path, 0.24, rope)
        scene.tube("tip", path[-1] + np.array([(0, 0, 0), (0, 0, -1.1)]), 0.30, tip)
