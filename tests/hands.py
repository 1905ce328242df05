"""A drawn hand, shaded like a lit one, to lay before drawn and real faces, and a stand-in for who looks for hands.

The hand models take the drawn hand for a real one. No picture of a real hand is kept here.
"""

import cv2
import numpy as np

from s2v_model.puppet.hands import Hand
from s2v_model.puppet.landmarks import Face


class TheseHands:
    """Sees the hands that it was given, in every picture."""

    def __init__(self, *hands: Hand) -> None:
        self._hands = hands

    def near(self, rgb: np.ndarray, face: Face) -> tuple[Hand, ...]:
        """All of them."""
        return self._hands


def open_hand(at: tuple[float, float], length_px: float) -> Hand:
    """A flat hand, its fingers up: the middle knuckle at `at`."""
    points = [(0.0, 0.5)]
    for side, root, tip in (
        (-0.25, 0.3, -0.1),
        (-0.15, 0.0, -0.4),
        (0.0, 0.0, -0.5),
        (0.12, 0.02, -0.4),
        (0.22, 0.05, -0.3),
    ):
        points += [(side * (1 + 0.2 * step), root + (tip - root) * step / 3) for step in range(4)]
    return Hand(points=np.array(points) * length_px + np.array(at), score=1.0)


Bone = tuple[tuple[float, float], tuple[float, float], float, float]
"""From (x, y) to (x, y), and half the thickness at both ends, in lengths of the hand; the fingers point along x."""

_PALM: tuple[Bone, ...] = (
    ((-1.6, 0.0), (0.05, 0.0), 0.17, 0.15),
    *(((0.06, y), (0.50, 1.9 * y), 0.12, 0.09) for y in (-0.11, -0.04, 0.04, 0.10)),
    ((0.10, -0.12), (0.34, -0.20), 0.12, 0.10),
)
_THUMB: tuple[Bone, ...] = (((0.12, -0.12), (0.36, -0.33), 0.09, 0.07), ((0.36, -0.33), (0.55, -0.40), 0.065, 0.05))
_TUCKED: tuple[Bone, ...] = (((0.30, -0.24), (0.44, -0.02), 0.075, 0.06),)
_FINGERS = (
    (-0.11, 0.42, -0.18, 0.058),
    (-0.04, 0.48, -0.04, 0.060),
    (0.04, 0.44, 0.10, 0.056),
    (0.10, 0.36, 0.28, 0.048),
)
"""Side of the root, length, lean and half the thickness, index finger first."""


def _bones(shown: tuple[int, ...]) -> tuple[Bone, ...]:
    bones = [*_PALM]
    for index, (y, long, lean, wide) in enumerate(_FINGERS):
        ends = ((0.0, 0.45), (0.45, 0.75), (0.75, 1.0)) if index in shown else ((-0.1, 0.16),)
        for start, end in ends:
            first, last = ((0.50 + share * long, 1.9 * y + share * long * lean) for share in (start, end))
            bones.append((first, last, wide * (1.0 if index in shown else 1.35), 0.88 * wide))
    return (*bones, *(_THUMB if len(shown) > 1 else _TUCKED))


def drawn_hand(
    picture: np.ndarray,
    at: tuple[float, float],
    length_px: float,
    degrees: float,
    skin: tuple[int, int, int],
    shown: tuple[int, ...] = (0, 1, 2, 3),
) -> tuple[np.ndarray, np.ndarray]:
    """`picture` with a hand of `skin` (RGB) before it, and where the hand lies (height, width), bool.

    at: where the root of the middle finger lies. degrees: where the fingers point: 0 to the right, -90 up.
    shown: which fingers are stretched, 0 the index finger; the thumb is tucked in where at most one is.
    """
    height, width = picture.shape[:2]
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) - np.array(at)
    grid = grid @ turn / length_px + np.array([0.55, 0.0])
    depth = np.zeros((height, width))
    shade = np.zeros((height, width))
    for start, end, thick, thin in _bones(shown):
        first, along = np.array(start), np.array(end) - np.array(start)
        share = np.clip((grid - first) @ along / (along @ along), 0, 1)
        radius = thick + (thin - thick) * share
        across = np.linalg.norm(grid - first - share[..., None] * along, axis=2) / radius
        round_ = np.sqrt(np.clip(1 - across**2, 0, 1)) * radius
        nearer = round_ > depth
        shade[nearer] = (0.55 + 0.45 * np.sqrt(np.clip(1 - across**2, 0, 1)))[nearer]
        depth = np.maximum(depth, round_)
    inside = depth > 0
    alpha = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(0.6, 0.004 * length_px))[..., None]
    light = cv2.GaussianBlur(shade, (0, 0), max(0.6, 0.008 * length_px))[..., None]
    hand = np.clip(np.array(skin) * light, 0, 255)
    return (picture * (1 - alpha) + hand * alpha).astype(np.uint8), inside
