"""What every person has: skin, eyes, lashes, brows; and what some have: glasses, rings. Builds them in the scene."""

from dataclasses import dataclass

import hair
import numpy as np
import scene
from head import Face, head, lid_lines, paint
from shapes import Array, Field, smooth


@dataclass
class Bust:
    """A head in the scene: its face, distances and mesh, and the source of its chances."""

    face: Face
    field: Field
    points: Array
    faces: Array
    rng: np.random.Generator

    def grow_on(self, share: hair.Callable[[Array], Array], num: int) -> Array:
        """Roots on this head."""
        return hair.roots(self.points, self.faces, share, num, self.rng)


def bust(face: Face, hairline: hair.Callable[[Array], Array], step: float, seed: int) -> Bust:
    """Makes the head, painted, with eyes and lashes."""
    solid = Field(lambda p: head(face, p), (-10, -12, -25), (10, 11.5, 13), step)
    points, faces = solid.mesh()
    rng = np.random.default_rng(seed)
    skin = scene.material("skin", None, Subsurface_Weight=0.22, Subsurface_Radius=(1, 0.35, 0.2), Subsurface_Scale=0.6,
                          Roughness=0.54, Specular_IOR_Level=0.42)  # fmt: skip
    scene.roughen(skin, 9, 0.03)
    scene.mesh("head", points, faces, skin, paint(face, points, hairline(points)))
    made = Bust(face, solid, points, faces, rng)
    _eyes(face)
    _lashes(made)
    return made


def _eyes(face: Face) -> None:
    wet = scene.material("eye", None, Roughness=0.12, Coat_Weight=1.0, Coat_Roughness=0.03)
    lamp = scene.material("tear", (0.75, 0.4, 0.36), Roughness=0.2, Coat_Weight=1.0, Subsurface_Weight=0.3)
    angles = np.concatenate([np.linspace(0, 0.80, 120), np.linspace(0.81, np.pi, 60)])
    turn, tilt = np.meshgrid(np.linspace(0, 2 * np.pi, 257)[:-1], angles, indexing="ij")
    unit = np.stack([np.sin(tilt) * np.cos(turn), -np.cos(tilt), np.sin(tilt) * np.sin(turn)], -1)
    bulge = face.eye_radius * (1 + 0.035 * np.exp(-((tilt / 0.42) ** 4)))
    colours = _iris(face, turn, tilt)
    for side in (-1, 1):
        centre = np.array(face.eye) * (side, 1, 1)
        ball = (unit * bulge[..., None]).reshape(-1, 3) + centre
        scene.mesh("eye", ball, scene.grid_faces(256, len(angles), wrap=True)[:, ::-1], wet, colours)
        inner = centre + np.array((-side * face.eye_radius * 1.02, -face.eye_radius * 0.40, -0.10 - face.eye_slant))
        scene.ball("corner", tuple(inner), (0.26, 0.30, 0.16), lamp)


def _iris(face: Face, turn: Array, tilt: Array) -> Array:
    rng = np.random.default_rng(3)
    q = tilt / 0.57
    spokes = rng.random(97)
    spokes[-1] = spokes[0]
    fibre = np.interp(turn, np.linspace(0, 2 * np.pi, 97), spokes)
    bright = 0.70 + 0.5 * fibre * np.clip(q, 0, 1) + 0.8 * np.exp(-(((q - 0.60) / 0.2) ** 2))
    bright *= 0.95 - 0.5 * np.sin(turn)  # the side opposite the lamp gathers its light
    colour = np.array(face.iris) * bright[..., None]
    white = np.array((0.74, 0.71, 0.68)) - np.clip(tilt - 0.6, 0, 1)[..., None] * (0.08, 0.20, 0.22)
    beyond, pupil = smooth(q, 0.95, 1.08)[..., None], smooth(q, 0.38, 0.46)[..., None]
    colour = (colour * (1 - beyond) + white * beyond) * (1 - 0.8 * np.exp(-(((q - 0.97) / 0.10) ** 2)))[..., None]
    return (colour * pupil + 0.004 * (1 - pupil)).reshape(-1, 3)


def _lid_edge(face: Face, t: Array, *, upper: bool) -> Array:
    """Points on a lid's edge of the right half, t from -1 (inner) to 1."""
    c, r = np.array(face.eye), face.eye_radius
    x = c[0] + t * r * 1.08
    z = lid_lines(face, x)[0 if upper else 1]
    y = c[1] - np.sqrt(np.maximum((r + 0.16) ** 2 - (x - c[0]) ** 2 - z**2, 0.1))
    return np.stack([x, y, z], -1)


def _lashes(made: Bust) -> None:
    face, rng = made.face, made.rng
    black = scene.material("lash", (0.012, 0.008, 0.007), Roughness=0.6)
    for upper, num, long, thick in (
        (True, 95, 0.40 + 0.42 * face.make_up, 0.018 + 0.012 * face.make_up),
        (False, 46, 0.26, 0.014),
    ):
        t = np.sort(rng.uniform(-0.82, 1.0, num))
        start = _lid_edge(face, t, upper=upper)
        fan = np.stack([0.15 + 0.75 * t, np.full(num, -0.75), np.full(num, 0.30 if upper else -0.5)], -1)
        size = long * (0.65 + 0.35 * smooth(t, -0.8, 0.5)) * rng.uniform(0.75, 1.1, num)
        s = np.linspace(0, 1, 8)[None, :, None]
        curl = np.array((0, 0.10, 0.55 if upper else -0.15))
        path = start[:, None] + size[:, None, None] * (fan[:, None] * s + curl * s**2)
        for side in (-1, 1):
            scene.strands("lash", path * (side, 1, 1), hair.taper(8, thick, 0.15), black)


def brows(
    made: Bust, *, height: float = 2.15, arch: float = 0.45, thick: float = 0.42, num: int = 420, width: float = 0.020
) -> None:
    """Brow hairs, laid along an arch above each eye."""
    face, rng = made.face, made.rng
    colour = scene.hair_material("brow", face.brow, 0.45)
    t, v = rng.random(num), rng.normal(0, 0.42, num)
    body = thick * (1 - 0.75 * smooth(t, 0.5, 1)) * (0.75 + 0.25 * smooth(t, 0, 0.15))
    x = face.eye[0] - 2.05 + 4.35 * t
    z = height + arch * np.sin(np.clip(t * 1.25, 0, 1.45) * 2.0) + v * body - 0.55 * smooth(t, 0.6, 1) ** 2
    start = np.stack([x, np.full(num, -9.5), z], -1)
    for _ in range(12):
        start[:, 1] += np.clip(made.field.distance(start), -0.5, 0.5)
    rise = (1 - smooth(t, 0.05, 0.55)) * 1.25 - 0.35 * smooth(t, 0.5, 1) - 0.35 * v
    want = np.stack([np.full(num, 0.9), np.full(num, 0.12), rise], -1)
    for side in (-1, 1):
        base = start * (side, 1, 1)
        path = hair.grow(
            base,
            rng.uniform(0.5, 0.85, num),
            8,
            lambda p, r, s, w=want * (side, 1, 1): w,
            made.field,
            np.full(num, 0.05),
            0.2,
        )
        scene.strands("brow", path, hair.taper(8, width, 0.2), colour)


def glasses(face: Face, colour: scene.RGB, radius: float = 2.25, thick: float = 0.13) -> None:
    """Round glasses with rods to the ears."""
    frame = scene.material("frame", colour, Metallic=0.85, Roughness=0.25)
    turn = np.linspace(0, 2 * np.pi, 65)[:-1]
    y = face.eye[1] - face.eye_radius - 1.25
    for side in (-1, 1):
        middle = np.array((side * (face.eye[0] + 0.12), y, -0.25))
        ring = np.stack(
            [
                np.cos(turn) * radius,
                0.10 * (np.cos(turn) * side) ** 2 + 0.25 * np.cos(turn) * side,
                np.sin(turn) * radius * 0.94,
            ],
            -1,
        )
        scene.tube("rim", ring + middle, thick, frame, closed=True)
        hinge = middle + np.array((side * radius, 0.35, 0.55))
        rod = np.array(
            [
                hinge,
                hinge + np.array((side * 0.8, 1.0, 0.1)),
                (side * 8.3 * face.width, 1.2, 0.9),
                (side * 8.3 * face.width, 2.6, 0.2),
            ]
        )
        scene.tube("rod", rod, thick * 0.9, frame)
    gap = face.eye[0] + 0.12 - radius
    s = np.linspace(-1, 1, 17)
    scene.tube("bridge", np.stack([s * gap * 1.05, np.full(17, y - 0.15), 0.35 + 0.35 * (1 - s**2)], -1), thick, frame)
