"""Eyelids and gaze as a warp of the eye's surroundings.

In: a `Shape`. Out: for each eye the curves of its lids, and per frame how far each pixel's source lies above it.
The lid skin is stretched down per column, so a closed eye shows the portrait's own lid. Knows no head motion.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array, UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.drawn import find_drawn_eyes
from s2v_model.puppet.drawn_lids import Lid
from s2v_model.puppet.fill import filled
from s2v_model.puppet.shape import Shape
from s2v_model.puppet.sheets import smoothstep

FloatArray = npt.NDArray[np.float64]

_SAMPLES = 128
_PLAIN_LID = 0.84
_TOLD_APART, _LOWEST = 15.0, 0.26
"""Levels of Lab by which an eye differs from the skin below it; how far the lid line goes down, of the opening."""
_FULL = 0.125
"""Power of a circle's arc: how soon beside the corner the lid line is down."""
_ASIDE = 0.24
"""Twice how far beside an eye its skin begins, of the eye's width."""
GAZE_WAY = 0.035
"""Relative way of the iris at a gaze of 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Eye:
    """One eye in local relative coordinates."""

    left: float
    right: float
    top: float
    bottom: float
    opening: float
    """Largest distance of the lids."""
    width: float
    brow_room: float
    """From the upper lid to the brow."""
    drawn: Lid | None
    """The lid of a drawing; None where lids are the portrait's own skin."""
    curves: Float32Array
    """(1, samples, 4) over left .. right: upper lid, lower lid, top of the stretched skin, strength 0 .. 1."""


def measure_eyes(rgb: UInt8Array, shape: Shape) -> tuple[Eye, ...]:
    """The eyes of a face that are open enough to blink and look."""
    drawn = find_drawn_eyes(rgb, shape)
    if drawn is not None:
        return tuple(replace(_measure(eye.upper, eye.lower, brow_y=None), drawn=eye.lid) for eye in drawn)
    lines = [(shape.local[list(ids["upper"])], shape.local[list(ids["lower"])]) for ids in mesh.EYES]
    missed = float(np.percentile(np.concatenate([_missed(rgb, shape, *line) for line in lines]), 65))
    share = min(0.08 + 0.7 * missed, _LOWEST)
    eyes = (
        _measure(upper, _lowered(upper, lower, share), brow_y=_mean_y(shape, ids["brow"]))
        for (upper, lower), ids in zip(lines, mesh.EYES, strict=True)
    )
    return tuple(eye for eye in eyes if eye.opening > 0.02)


def _missed(rgb: UInt8Array, shape: Shape, upper: FloatArray, lower: FloatArray) -> FloatArray:
    """How far below the lid line (n, 2) an eye turns into skin, in shares of its opening: the mesh knows no large eyes.

    Make-up and shadows look like eyes: one such number proves little.
    """
    opening = float((lower[:, 1] - upper[:, 1]).max())
    below = np.linspace(-0.25, 0.75, 41)
    ways = np.stack([np.zeros(len(below)), below * opening], -1)
    at = shape.to_frame(lower[2:-2, None] + ways).astype(np.float32)
    corner = np.maximum(np.floor(at.min((0, 1))).astype(int) - 2, 0)
    far = np.ceil(at.max((0, 1))).astype(int) + 3
    part = rgb[corner[1] : max(far[1], 0), corner[0] : max(far[0], 0)]
    if opening <= 0 or min(part.shape[:2]) < 3:
        return np.zeros(1)
    lab = cv2.cvtColor(cv2.GaussianBlur(part, (0, 0), max(0.6, 0.004 * shape.unit)), cv2.COLOR_RGB2LAB)
    at -= corner.astype(np.float32)
    seen = cv2.remap(lab, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(float)
    apart = np.linalg.norm(seen - seen[:, below > 0.55].mean(1, keepdims=True), axis=2)
    eye = apart[:, below < -0.12].mean(1)
    skin = (apart[:, below >= 0] < 0.5 * eye[:, None]).argmax(1)
    return np.where(eye > _TOLD_APART, below[below >= 0][skin], 0)


def _lowered(upper: FloatArray, lower: FloatArray, share: float) -> FloatArray:
    """The lower lid line (n, 2) brought down by this share of the opening; its corners stay."""
    middle, half = lower[:, 0].mean(), max(float(np.ptp(lower[:, 0])) / 2, 1e-6)
    # Nearly all the way to the corners: an eye that is larger than the mesh thinks shows white there when it is shut.
    arc = np.clip(1 - ((lower[:, 0] - middle) / half) ** 2, 0, 1) ** _FULL
    lowered = lower.copy()
    lowered[:, 1] += share * (lower[:, 1] - upper[:, 1]).max() * arc
    return lowered


def _mean_y(shape: Shape, ids: tuple[int, ...]) -> float:
    return float(shape.local[list(ids), 1].mean())


def _measure(upper: FloatArray, lower: FloatArray, *, brow_y: float | None) -> Eye:
    """The eye between two lid lines (n, 2); `brow_y` None for a drawing, whose lids have no fold to keep clear of."""
    room = 0.0 if brow_y is None else max(0.0, float(upper[:, 1].mean()) - brow_y)
    width = float(np.ptp(upper[:, 0]))
    opening = float((lower[:, 1] - upper[:, 1]).max())
    margin = 0.16 * width
    x = np.linspace(upper[:, 0].min() - margin, upper[:, 0].max() + margin, _SAMPLES)
    order_u, order_l = np.argsort(upper[:, 0]), np.argsort(lower[:, 0])
    above = np.interp(x, upper[order_u, 0], upper[order_u, 1])
    below = np.maximum(np.interp(x, lower[order_l, 0], lower[order_l, 1]), above)
    fold = np.maximum(0.35 * (above - brow_y), 0.12 * width) * 1.6 if brow_y is not None else np.full(len(x), 0.03)
    top = above - np.minimum(0.85 * opening + 0.10 * width, fold)
    strength = smoothstep(np.minimum(x - x[0], x[-1] - x), 0, margin * 0.9)
    curves = np.stack([above, below, top, strength], -1).astype(np.float32)[None]
    return Eye(
        left=float(x[0]),
        right=float(x[-1]),
        top=float(top.min()) - 0.015,
        bottom=float(below.max()) + 0.35 * opening + 0.015,
        opening=opening,
        width=width,
        brow_room=room,
        drawn=None,
        curves=curves,
    )


def outline(eye: Eye) -> tuple[FloatArray, FloatArray]:
    """The upper and the lower edge of `eye` from corner to corner: (n, 2) each, relative."""
    x = np.linspace(eye.left, eye.right, _SAMPLES)
    inner = (x >= (eye.left + eye.right - eye.width) / 2) & (x <= (eye.left + eye.right + eye.width) / 2)
    curves = eye.curves[0, inner].astype(float)
    return np.stack([x[inner], curves[:, 0]], -1), np.stack([x[inner], curves[:, 1]], -1)


class Sight(NamedTuple):
    """How to draw the pixels of an eye box; each (h, w), the shift (h, w, 2)."""

    shift: Float32Array
    """Where the colour comes from, relative to the pixel."""
    skin: Float32Array
    """Share of plain lid skin, 0 .. 1: a lid stretched too far shows its crease as a dark blot."""
    light: Float32Array
    """Factor of brightness."""


def look(eye: Eye, local: Float32Array, *, closed: float, gaze: float, lower_gaze: float) -> Sight:
    """How to draw the pixels at `local` (h, w, 2), relative. closed: 0 open .. 1 shut. gaze, lower_gaze: -1 .. 1."""
    x, y = local[..., 0], local[..., 1]
    column = (x - np.float32(eye.left)) * np.float32((_SAMPLES - 1) / (eye.right - eye.left))
    curves = cv2.remap(eye.curves, column, np.zeros_like(column), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    above, below, top, strength = (curves[..., k] for k in range(4))
    lid = above + (below - above) * np.float32(0.98 * closed) * strength
    part = np.clip((y - top) / (lid - top + np.float32(1e-4)), 0, 1)
    stretched = top + (above - top) * part ** np.float32(1 + 0.55 * closed)
    on_lid = (y > top) & (y < lid)
    shift = np.zeros_like(local)
    shift[..., 1] = np.where(on_lid, stretched - y, 0)
    if gaze or lower_gaze:
        seen = _eyeball_weight(eye, x, y, curves) * np.clip((y - lid) / np.float32(0.1 * eye.opening) + 1, 0, 1)
        shift[..., 0] -= seen * np.float32(GAZE_WAY * gaze)
        shift[..., 1] -= seen * np.float32(0.6 * GAZE_WAY * lower_gaze)
    skin = np.clip((y - top) / (above - top + np.float32(1e-4)), 0, 1) * (y < lid) * strength
    line = np.exp(-(((y - lid) / np.float32(0.028 * eye.width)) ** 2)) * strength
    # The lid is rounded: darker towards the lashes, which draw a line.
    round_lid = np.where(y < lid, part, 0) ** 2 * strength
    light = (1 - np.float32(0.10 * closed) * round_lid) * (1 - np.float32(0.42 * min(1.0, 1.5 * closed)) * line)
    share = skin * np.float32(_PLAIN_LID * min(1.0, 1.6 * closed))
    return Sight(shift, np.asarray(share, np.float32), np.asarray(light, np.float32))


def shut_eyes(rgb: UInt8Array, shape: Shape, eyes: tuple[Eye, ...], corner: tuple[int, int]) -> UInt8Array:
    """`rgb`, a part of the frame from `corner` (left, top), without eyeballs and lashes; drawn lids need no skin."""
    holes = np.zeros(rgb.shape[:2], np.uint8)
    for eye in (eye for eye in eyes if eye.drawn is None):
        hole = np.round(_hole(shape, eye) - corner).astype(np.int32)
        cv2.fillPoly(holes, [hole], 1)
        # Lashes and the white of the corners stand beside it: a lid filled from them turns grey.
        cv2.polylines(holes, [hole], True, 1, max(1, round(_ASIDE * eye.width * shape.unit)))
    return filled(rgb, holes)


def _hole(shape: Shape, eye: Eye) -> FloatArray:
    """The outline of an eye with its lashes, px."""
    x = np.linspace(eye.left, eye.right, _SAMPLES)
    inner = slice(_SAMPLES // 9, -_SAMPLES // 9)
    above, below = eye.curves[0, inner, 0], eye.curves[0, inner, 1]
    raised = min(0.55 * eye.opening + 0.02, 0.6 * eye.brow_room)
    upper = np.stack([x[inner], above - raised], -1)
    lower = np.stack([x[inner], below + 0.16 * eye.opening + 0.008], -1)
    return shape.to_frame(np.concatenate([upper, lower[::-1]]).astype(float))


def _eyeball_weight(eye: Eye, x: Float32Array, y: Float32Array, curves: Float32Array) -> Float32Array:
    """The eyeball turns behind the lids: 1 in the middle of the opening, 0 at the corners and soon on the skin."""
    above, below = curves[..., 0], curves[..., 1]
    middle, half = np.float32((eye.left + eye.right) / 2), np.float32(eye.width / 2)
    across = np.clip(1 - ((x - middle) / half) ** 2, 0, 1)
    # Beyond the lids it falls off slowly: an iris that the curves miss would be torn, and skin shows no shift.
    edge = np.float32(max(0.20 * eye.opening, 1e-3))
    within = np.clip((y - above) / edge + np.float32(0.5), 0, 1) * np.clip((below - y) / edge + 1, 0, 1)
    return np.asarray(across * within, np.float32)
