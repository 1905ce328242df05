"""The three of the demo: invented people, in measures, hair, clothes, place and light."""

import clothes
import hair
import numpy as np
import parts
import scene
import sets
from head import MOUTH_Z, Face, lip_lines
from shapes import Array, smooth


def _scalp(p: Array, forehead: float = 0.0) -> Array:
    """1 where hair grows; `forehead` cm raises the line in front."""
    x, y, z = p.T
    line = np.interp(y, (-9, -6.6, -4.2, -1.6, 0.4, 3.0, 6.0), (7.6, 6.9, 5.2, 2.4, 1.0, -4.6, -6.6))
    line += forehead * smooth(-y, 1.0, 5.0)
    ear = (np.abs(x) > 6.9) & (z < 2.2) & (y > -0.8) & (y < 4.6)
    return smooth(z - line, -0.25, 0.45) * ~ear


INES = Face(
    skin=(0.47, 0.225, 0.125), blush=(0.52, 0.135, 0.085), lips=(0.40, 0.060, 0.060),
    iris=(0.16, 0.075, 0.026), brow=(0.022, 0.011, 0.007),
    width=0.97, jaw=0.86, chin=0.1, nose_width=0.92, mouth_half=2.75, upper_lip=0.78, lower_lip=1.05, smile=0.30,
    eye_radius=1.62, eye_open=1.05, eye_slant=0.16, neck=0.82, make_up=0.85, ears=0.9,
)  # fmt: skip
OTTO = Face(
    skin=(0.62, 0.36, 0.27), blush=(0.62, 0.19, 0.15), lips=(0.48, 0.14, 0.12),
    iris=(0.10, 0.22, 0.33), brow=(0.50, 0.47, 0.43),
    width=1.05, jaw=1.08, cheeks=1.1, nose_width=1.18, nose_length=0.25,
    nose_bump=0.25, mouth_half=2.85, upper_lip=0.50, lower_lip=0.78, smile=0.34,
    eye_radius=1.46, eye_open=0.90, eye_slant=-0.10, lid_weight=0.8, neck=1.05, ears=1.15, age=0.9,
)  # fmt: skip
KOFI = Face(
    skin=(0.155, 0.066, 0.036), blush=(0.20, 0.055, 0.032), lips=(0.21, 0.052, 0.046),
    iris=(0.055, 0.022, 0.010), brow=(0.006, 0.004, 0.003),
    width=1.0, jaw=1.0, nose_width=1.22, nose_length=0.0, mouth_half=3.0, upper_lip=0.95, lower_lip=1.2, smile=0.26,
    eye_radius=1.56, eye_open=1.0, eye_slant=0.06, neck=1.0,
)  # fmt: skip


def _part_and_fall(at: Array, root: Array, share: float) -> Array:
    """Hair away from a parting, back over the ears, then down."""
    side = np.where(root[:, 0] > -2.2, 1.0, -1.0)
    fall = np.maximum(smooth(np.abs(at[:, 0] + 2.2), 3.0, 8.0), smooth(np.full(len(at), share), 0.2, 0.5))
    outward = np.stack([side * 0.95, 0.22 + 0.25 * (root[:, 1] < -4), np.full(len(at), 0.12)], -1)
    down = np.stack(
        [
            side * (0.02 - 0.30 * smooth(np.full(len(at), share), 0.75, 1)),
            np.full(len(at), -0.02),
            np.full(len(at), -1.0),
        ],
        -1,
    )
    way = outward * (1 - fall)[:, None] + down * fall[:, None]
    behind = smooth(root[:, 1], 0.0, 4.5)[:, None]
    way = (
        way * (1 - behind)
        + np.stack([root[:, 0] * 0.05, np.full(len(at), 0.30 - 0.35 * share), np.full(len(at), -1.0)], -1) * behind
    )
    inside = smooth(8.4 - np.abs(at[:, 0]), 0, 1.6) * smooth(-at[:, 1], 2.0, 4.5) * (at[:, 2] < 5.5)
    way[:, 0] += side * 1.6 * inside
    way[:, 0] -= np.sign(at[:, 0]) * 0.9 * smooth(np.abs(at[:, 0]), 9.6, 12.5)
    way[:, 1] += 0.8 * inside
    return way


def ines(detail: float) -> None:
    """A producer of about thirty-five: dark waves, hoops, a blazer, a studio."""
    made = parts.bust(INES, _scalp, 0.16 / detail, 1)
    parts.brows(made, arch=0.55, thick=0.36, num=460)
    num = round(9000 * detail)
    root = made.grow_on(_scalp, num)
    long = made.rng.uniform(19.5, 23, num) + root[:, 2] * 0.75
    lift = 0.5 + 2.0 * made.rng.random(num) ** 1.2
    path = hair.grow(root, long, 52, _part_and_fall, made.field, lift, 0.72, hug=0.8)
    path = hair.wave(hair.gather(path, 170, 0.36, made.rng), 1.0, 6.8, made.rng, 0.25)
    scene.strands("hair", path, hair.taper(52, 0.042), scene.hair_material("hair", (0.034, 0.0125, 0.006), 0.30))
    gold = scene.material("gold", (0.9, 0.55, 0.18), Metallic=1.0, Roughness=0.2)
    turn = np.linspace(0, 2 * np.pi, 49)[:-1]
    for side in (-1, 1):
        ring = np.stack(
            [side * (7.6 + 0.3 * np.sin(turn)), 0.3 + 1.3 * np.cos(turn) * 0.5, -6.2 + 1.6 * np.sin(turn)], -1
        )
        scene.tube("hoop", ring, 0.13, gold, closed=True)
    scene.turn(scene.everything(), yaw=5, roll=-3, nod=0)
    clothes.blazer((0.40, 0.115, 0.012), (0.56, 0.47, 0.37), 0.26 / detail)
    sets.studio()
    scene.light((-85, -115, 62), (0, 0, -5), 75, 5.4e5, (1, 0.91, 0.80))
    scene.light((110, -80, 10), (0, 0, -5), 110, 0.5e5, (0.62, 0.80, 1))
    scene.light((70, 75, 45), (0, 2, 2), 40, 3.2e5, (1, 0.72, 0.45))
    scene.daylight((0.45, 0.5, 0.55), 0.10)


def _beard(face: Face, p: Array) -> Array:
    """1 where a full beard grows: cheeks, chin, upper lip; the red of the lips stays free."""
    x, y, z = p.T
    a = np.abs(x)
    top, _, bottom = lip_lines(face, x)
    cheek = np.interp(a, (0, 2.4, 4.0, 6.0, 7.2, 8.0), (-9, -5.6, -4.9, -3.6, 0.4, 1.0))
    low = smooth(cheek - z, -0.2, 0.5) * smooth(z, -12.4, -11.4)
    lip = (a < 3.1) * smooth(z - np.maximum(top, MOUTH_Z) - 0.24, 0, 0.2) * smooth(-4.72 - 0.10 * a - z, -0.1, 0.15)
    chin = (a < 2.9) * smooth(bottom - 0.30 - z, 0, 0.3) * smooth(z, -12.4, -11.4)
    keep = smooth(np.hypot((a) / (face.mouth_half + 0.35), (z - MOUTH_Z) / 1.25), 0.97, 1.03)
    front = (y < 2.2) * (a < 7.75)
    return np.clip(np.maximum(low * keep * (a > 2.2), np.maximum(lip, chin)), 0, 1) * front


def otto(detail: float) -> None:
    """A boat builder of about seventy: white beard, round glasses, a cabled jumper, his workshop."""
    made = parts.bust(OTTO, lambda p: 0 * p[:, 0], 0.16 / detail, 2)
    parts.brows(made, arch=0.30, thick=0.62, num=520, width=0.026)
    rng = made.rng
    white = scene.hair_material("white", (0.80, 0.77, 0.72), 0.35)

    def side_hair(p: Array) -> Array:
        crown = np.hypot(p[:, 0] / 6.3, (p[:, 1] + 0.5) / 6.8)
        return (
            _scalp(p, 0.5)
            * smooth(np.maximum(crown, smooth(-p[:, 2], -8.5, -6) * 1.2), 0.93, 1.05)
            * smooth(-p[:, 2], -10.5, -8.5)
        )

    def swept(at: Array, root: Array, share: float) -> Array:
        side = np.sign(root[:, 0])
        return np.stack([side * 0.35, np.full(len(at), 0.75), np.full(len(at), 0.15 - 0.5 * share)], -1)

    num = round(7000 * detail)
    root = made.grow_on(side_hair, num)
    path = hair.grow(root, rng.uniform(3.0, 5.5, num), 18, swept, made.field, 0.25 + 1.0 * rng.random(num), 0.6)
    scene.strands(
        "hair", hair.wave(hair.gather(path, 200, 0.6, rng), 0.22, 4.5, rng, 0.4), hair.taper(18, 0.036), white
    )

    def combed(at: Array, root: Array, share: float) -> Array:
        drop = smooth(-root[:, 2], 4.5, 6.0)
        moustache = (root[:, 2] > MOUTH_Z) & (np.abs(root[:, 0]) < 3.2)
        way = np.stack([root[:, 0] * 0.06, -0.25 * drop - 0.1, np.full(len(at), -1.0)], -1)
        way[moustache] = np.stack([np.sign(root[:, 0]) * 1.0, np.full(len(at), -0.25), np.full(len(at), -0.35)], -1)[
            moustache
        ]
        return way

    num = round(15000 * detail)
    root = made.grow_on(lambda p: _beard(OTTO, p), num)
    moustache = (root[:, 2] > MOUTH_Z) & (np.abs(root[:, 0]) < 3.2)
    long = np.where(moustache, 0.95, np.interp(-root[:, 2], (0, 5, 9, 12), (0.7, 1.6, 4.4, 4.0))) * rng.uniform(
        0.7, 1.15, num
    )
    path = hair.grow(root, long, 16, combed, made.field, np.where(moustache, 0.18, 0.15 + 0.5 * rng.random(num)), 0.45)
    path = hair.wave(hair.gather(path, 420, 0.5, rng), 0.12, 2.4, rng, 0.5)
    scene.strands("beard", path, hair.taper(16, 0.034), white)
    parts.glasses(OTTO, (0.42, 0.27, 0.12))
    scene.turn(scene.everything(), yaw=-4, roll=2, nod=0)
    clothes.jumper((0.010, 0.030, 0.065), 0.24 / detail)
    sets.workshop()
    scene.light((-80, -120, 60), (0, 0, -5), 70, 4.4e5, (1, 0.90, 0.78))
    scene.light((110, -80, 10), (0, 0, -5), 110, 0.5e5, (0.70, 0.84, 1))
    scene.light((-60, 80, 55), (0, 2, 2), 40, 2.6e5, (1, 0.78, 0.52))
    scene.daylight((0.5, 0.5, 0.5), 0.10)


def kofi(detail: float) -> None:
    """A student of about twenty: short coils, a hooded sweatshirt, the harbour in the window."""
    made = parts.bust(KOFI, _scalp, 0.16 / detail, 3)
    parts.brows(made, arch=0.40, thick=0.50, num=560)
    rng = made.rng
    num = round(15000 * detail)
    root = made.grow_on(_scalp, num)
    high = smooth(root[:, 2], 1.0, 8.0)
    long = (0.35 + 3.0 * high) * rng.uniform(0.75, 1.1, num)
    path = hair.coil(root, made.field.outward(root), long, 4.5, 0.20, 30, rng)
    path = hair.gather(path, 900, 0.35, rng, 0.3)
    scene.strands("hair", path, hair.taper(30, 0.035, 0.7), scene.hair_material("hair", (0.007, 0.0045, 0.0035), 0.45))
    scene.turn(scene.everything(), yaw=-5, roll=-2, nod=0)
    clothes.hoodie((0.30, 0.030, 0.016), (0.56, 0.52, 0.46), (0.80, 0.74, 0.62), 0.26 / detail)
    sets.harbour()
    scene.light((-85, -110, 60), (0, 0, -5), 75, 7.0e5, (1, 0.93, 0.85))
    scene.light((105, -85, 5), (0, 0, -5), 110, 0.9e5, (0.68, 0.84, 1))
    scene.light((70, 55, 40), (0, 2, 2), 40, 2.6e5, (1, 0.86, 0.68))
    scene.daylight((0.55, 0.6, 0.65), 0.16)


PEOPLE = {"ines": ines, "otto": otto, "kofi": kofi}
