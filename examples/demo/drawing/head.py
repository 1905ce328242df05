"""A head: its measures, its solid and the colours of its skin. Goes in: a `Face`; comes out: distances and paint.

Fine relief (lips, lids' creases, lines of age) is a height over the front view (x, z), added to the smooth solid:
so paint and relief share their outlines and the lips' red ends exactly where their volume does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from shapes import Array, both_sides, capsule, ellipsoid, smooth, union, without

RGB = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Face:
    """What makes one head differ from another; lengths in cm, colours linear RGB."""

    skin: RGB
    blush: RGB
    lips: RGB
    iris: RGB
    brow: RGB
    width: float = 1.0
    jaw: float = 1.0
    chin: float = 0.0
    cheeks: float = 1.0
    nose_width: float = 1.0
    nose_length: float = 0.0
    nose_bump: float = 0.0
    mouth_half: float = 2.5
    upper_lip: float = 0.62
    lower_lip: float = 0.85
    smile: float = 0.25
    eye_radius: float = 1.5
    eye_open: float = 1.0
    eye_slant: float = 0.12
    lid_weight: float = 0.0
    neck: float = 1.0
    ears: float = 1.0
    age: float = 0.0
    make_up: float = 0.0

    @property
    def eye(self) -> tuple[float, float, float]:
        """Centre of the right half's eyeball."""
        return (3.25 * self.width, -6.1, 0.0)


MOUTH_Z = -6.35


def lip_lines(face: Face, x: Array) -> tuple[Array, Array, Array]:
    """Heights at x of the red's upper edge, of the line between the lips, and of the lower edge."""
    u = np.clip(np.abs(x) / face.mouth_half, 0, 1)
    line = MOUTH_Z + face.smile * (u**2) * 1.3 - 0.05 * np.exp(-((u / 0.25) ** 2))
    arc = np.sqrt(1 - u**2.1)
    bow = 1 - 0.20 * np.exp(-((u / 0.13) ** 2)) + 0.10 * np.exp(-(((u - 0.3) / 0.18) ** 2))
    upper = line + face.upper_lip * bow * arc**1.25
    lower = line - face.lower_lip * arc**1.1
    return upper, line, lower


def lid_lines(face: Face, x: Array) -> tuple[Array, Array]:
    """Heights of the upper and lower lid's edge at |x|, and the almond between them is what shows of the eye."""
    half = face.eye_radius * 1.12
    t = np.clip((x - face.eye[0]) / half, -1, 1)
    tilt = face.eye_slant * t
    upper = tilt + 0.735 * face.eye_open * (1 - np.abs(t + 0.06) ** 2.3) - 0.04
    lower = tilt - 0.60 * face.eye_open * (1 - np.abs(t - 0.08) ** 2.4) - 0.04
    return upper, lower


def relief(face: Face, p: Array) -> Array:
    """Height (cm) that fine features add to the front of the head."""
    x, z = p[..., 0], p[..., 2]
    a = np.abs(x)
    upper, line, lower = lip_lines(face, x)
    inside = a < face.mouth_half
    up = np.clip((z - line) / np.maximum(upper - line, 0.05), 0, 1.6)
    down = np.clip((line - z) / np.maximum(line - lower, 0.05), 0, 1.6)
    arc = np.sqrt(np.clip(1 - (a / face.mouth_half) ** 2, 0, 1))
    height = np.where(inside & (z >= line), 0.25 * arc * np.clip(up, 0, 1) ** 0.7 * (1.35 - up) * (up < 1.35), 0)
    height += np.where(
        inside & (z < line), 0.36 * arc * np.clip(down, 0, 1) ** 0.7 * np.clip(1.45 - down, 0, 2) ** 1.2, 0
    )
    height -= 0.14 * np.exp(-(((z - line) / 0.13) ** 2)) * smooth(face.mouth_half + 0.3 - a, 0, 0.5)
    height -= 0.13 * np.exp(
        -(((a - face.mouth_half - 0.12) / 0.28) ** 2) - ((z - MOUTH_Z - face.smile * 1.35) / 0.35) ** 2
    )
    height -= 0.13 * np.exp(-((x / 0.28) ** 2) - ((z + 5.0) / 0.55) ** 2)  # philtrum
    height -= 0.30 * np.exp(-((x / 1.5) ** 2) - ((z - (MOUTH_Z - face.lower_lip - 0.65)) / 0.42) ** 2)  # above the chin
    lid, _ = lid_lines(face, a)
    reach = np.exp(-(((a - face.eye[0]) / (face.eye_radius * 1.05)) ** 4))
    height -= 0.13 * reach * np.exp(-(((z - lid - 0.42 + 0.15 * face.lid_weight) / 0.13) ** 2))  # fold of the upper lid
    return height + _age(face, a, x, z)


def _age(face: Face, a: Array, x: Array, z: Array) -> Array:
    """Folds beside the nose, bags under the eyes, lines of the brow and at the eyes' corners."""
    fold = 1.75 + (-3.9 - z) * 0.52
    height = (
        -(0.05 + 0.20 * face.age) * np.exp(-(((a - fold) / 0.28) ** 2)) * smooth(-z, 3.7, 4.6) * smooth(z, -7.4, -5.6)
    )
    if face.age:
        eye = face.eye[0]
        bag = -1.25 + 0.12 * (a - eye) ** 2
        height += face.age * 0.14 * np.exp(-(((z - bag) / 0.30) ** 2) - ((a - eye) / 1.4) ** 2)
        height -= face.age * 0.10 * np.exp(-(((z - bag + 0.42) / 0.16) ** 2) - ((a - eye) / 1.4) ** 2)
        for row, depth in ((4.5, 0.09), (5.5, 0.10), (6.4, 0.07)):
            wave = row + 0.16 * np.cos(x * 0.9 + row) - 0.02 * x**2 * 0.3
            height -= face.age * depth * np.exp(-(((z - wave) / 0.13) ** 2)) * smooth(4.6 - a, 0, 2)
        for slope in (-0.45, -0.05, 0.4):
            at = 0.05 + slope * (a - eye - 1.6)
            height -= (
                face.age
                * 0.08
                * np.exp(-(((z - at) / 0.09) ** 2))
                * smooth(a, eye + 1.75, eye + 2.1)
                * smooth(eye + 3.1 - a, 0, 0.7)
            )
    return height


def head(face: Face, p: Array) -> Array:
    """The head with neck and ears, eye openings cut out."""
    q = both_sides(p)
    w, jaw = face.width, face.jaw
    d = ellipsoid(q, (0, 1.3, 3.4), (7.3 * w, 9.0, 8.6))
    d = union(d, ellipsoid(q, (0, -1.2, -2.6), (6.15 * w, 6.9, 7.4)), 2.0)
    d = union(d, capsule(q, (5.0 * w * jaw, 0.6, -4.6), (1.5 * jaw, -5.6, -9.0 - face.chin), 1.5, 1.5), 2.2)
    d = union(d, ellipsoid(q, (0, -6.3, -9.0 - face.chin), (2.0 * jaw, 1.75, 1.55)), 1.6)
    d = union(d, ellipsoid(q, (3.9 * w, -5.7, -2.7), (2.5, 1.9, 2.2 * face.cheeks)), 2.4)
    d = union(d, capsule(q, (0, -6.9, 2.1), (4.4 * w, -5.5, 2.2), 0.95, 0.7), 1.6)
    d = without(d, ellipsoid(q, (3.25 * w, -9.4, 0.1), (2.1, 2.5, 1.35)), 1.5)
    d = union(d, ellipsoid(q, (0, -6.2, -6.3), (3.0, 2.05, 2.4)), 1.8)
    d = _nose(face, q, d)
    d = _eyes(face, q, d)
    d = _ears(face, q, d)
    neck = capsule(q, (0, 2.4, -6), (0, 3.4, -24), 4.9 * face.neck, 5.3 * face.neck)
    tendon = capsule(q, (4.8, 2.2, -5), (1.4, -1.4, -17.5), 0.6, 0.6)
    d = union(d, union(neck, tendon, 2.4), 1.3)
    front = smooth(-p[..., 1], 3.0, 5.0)
    return d - relief(face, p) * front * smooth(0.8 - np.abs(d), 0, 0.5)


def _nose(face: Face, q: Array, d: Array) -> Array:
    tip = -3.45 - face.nose_length
    n = face.nose_width
    d = union(d, capsule(q, (0, -7.2, 1.0), (0, -9.0 - face.nose_bump * 0.5, tip + 0.9), 0.62, 0.78), 1.1)
    if face.nose_bump:
        d = union(d, ellipsoid(q, (0, -8.1 - face.nose_bump, tip + 2.3), (0.62, 0.8, 0.9)), 0.8)
    d = union(d, ellipsoid(q, (0, -9.35, tip), (1.0 * n, 1.05, 0.95)), 0.75)
    d = union(d, ellipsoid(q, (1.22 * n, -8.45, tip - 0.35), (0.72 * n, 0.95, 0.66)), 0.42)
    d = without(d, ellipsoid(q, (0.62 * n, -8.95, tip - 1.02), (0.38 * n, 0.62, 0.36)), 0.28)
    return d


def _eyes(face: Face, q: Array, d: Array) -> Array:
    c, r = face.eye, face.eye_radius
    d = union(d, ellipsoid(q, c, (r + 0.30, r + 0.26, r + 0.20)), 0.75)
    upper, lower = lid_lines(face, q[..., 0])
    almond = np.maximum(q[..., 2] - upper, lower - q[..., 2])
    almond = np.maximum(almond * 0.8, np.abs(q[..., 0] - c[0]) - r * 1.12)
    opening = np.maximum(almond, q[..., 1] - c[1] + 0.2)
    d = without(d, opening, 0.12)
    return np.maximum(d, -(np.linalg.norm(q - np.array(c, q.dtype), axis=-1) - r - 0.01))


def _ears(face: Face, q: Array, d: Array) -> Array:
    s = face.ears
    turn, lean = 0.45, 0.15
    c = np.array([7.25 * face.width, 1.6, -1.4], q.dtype)
    e = q - c
    e = np.stack(
        [
            e[..., 0] * np.cos(turn) - e[..., 1] * np.sin(turn),
            e[..., 0] * np.sin(turn) + e[..., 1] * np.cos(turn),
            e[..., 2],
        ],
        -1,
    )
    e = np.stack([e[..., 0] - lean * e[..., 2], e[..., 1], e[..., 2]], -1)
    shell = ellipsoid(e, (0, 0.4, 0.3), (0.62, 1.85 * s, 2.75 * s))
    lobe = ellipsoid(e, (-0.1, -0.35, -2.1 * s), (0.55, 0.75, 0.95))
    bowl = ellipsoid(e, (0.75, 0.1, 0.2), (0.72, 1.0 * s, 1.55 * s))
    groove = ellipsoid(e, (0.75, 0.9, 1.1), (0.45, 0.75 * s, 1.1 * s))
    ear = without(without(union(shell, lobe, 0.5), bowl, 0.35), groove, 0.3)
    return union(d, ear, 0.45)


def paint(face: Face, p: Array, hairline: Array) -> Array:
    """Colours (n, 3) of skin at points p. hairline: (n,), 1 where hair grows from the scalp."""
    x, y, z = p.T
    a = np.abs(x)
    colour = np.tile(np.array(face.skin, np.float32), (len(p), 1))
    front = smooth(-y, 3.0, 5.0)

    def tint(towards: RGB, amount: Array) -> None:
        colour[:] += (np.array(towards, np.float32) - colour) * np.clip(amount * front, 0, 1)[:, None]

    tint(face.blush, 0.55 * np.exp(-(((a - 4.4 * face.width) / 1.7) ** 2) - ((z + 3.0) / 1.35) ** 2))
    tint(face.blush, 0.50 * np.exp(-((x / 1.5) ** 2) - ((z + 3.7 + face.nose_length) / 0.95) ** 2))
    tint(face.blush, 0.22 * np.exp(-((x / 2.0) ** 2) - ((z + 9.2) / 1.2) ** 2))
    shade = tuple(c * f for c, f in zip(face.skin, (0.62, 0.48, 0.46), strict=True))
    upper, lower = lid_lines(face, a)
    tint(shade, 0.45 * np.exp(-(((a - face.eye[0]) / 1.9) ** 2) - ((z - upper - 0.3) / 0.42) ** 2))
    tint(shade, (0.25 + 0.3 * face.age) * np.exp(-(((a - face.eye[0]) / 1.6) ** 2) - ((z - lower + 0.45) / 0.35) ** 2))
    if face.make_up:
        tint(
            (0.03, 0.016, 0.014),
            face.make_up
            * np.exp(-(((z - upper - 0.03) / 0.10) ** 2))
            * (np.abs(a - face.eye[0]) < face.eye_radius * 1.25),
        )
    _paint_lips(face, p, tint)
    ears = smooth(a, 7.4 * face.width, 8.3 * face.width)
    colour += (np.array(face.blush, np.float32) - colour) * (0.35 * ears)[:, None]
    scalp = np.array(face.brow, np.float32) * 0.8
    return colour + (scalp - colour) * hairline[:, None]


def _paint_lips(face: Face, p: Array, tint: Callable[[RGB, Array], None]) -> None:
    x, _, z = p.T
    top, line, bottom = lip_lines(face, x)
    edge = 0.055
    red = smooth(top - z, -edge, edge) * smooth(z - bottom, -edge, edge) * (np.abs(x) < face.mouth_half)
    tint(face.lips, red * 0.95)
    tint(tuple(c * 0.72 for c in face.lips), 0.45 * red * (z > line))
    tint(
        (0.05, 0.012, 0.012),
        0.92 * np.exp(-(((z - line) / 0.075) ** 2)) * smooth(face.mouth_half + 0.05 - np.abs(x), 0, 0.35),
    )
