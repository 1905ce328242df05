"""The mouth of a flat drawing, found by its colours: the mesh knows where mouths of people sit, not those of cartoons.

In: a picture and its `Shape`. Out: a `Shape` whose lips lie on the drawn mouth, and what to paint out when the lips
part. Knows no motion.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.drawn import OTHER_THAN_SKIN, skin_of
from s2v_model.puppet.fields import Spline
from s2v_model.puppet.shape import Shape

FloatArray = npt.NDArray[np.float64]

_REACH = (0.60, 0.40)
"""Half of the window about the mesh's mouth, relative."""
_NARROWEST, _WIDEST, _TALLEST = 0.16, 1.05, 0.50
_LINE = 0.07
"""A mouth less high than this is a line."""
_LIPS = 0.035
"""Height of each lip that is made up where the drawing has none."""
_INK = 80
_BLACK, _OTHER_COLOUR, _OTHER_SHARE = 110, 40, 0.25
_OUTLINE = 0.014
"""Thickness of the line about a mouth that is drawn open, relative."""
_THINNER = 0.6
"""Two lips have two lines: each is this share of the one between them when they are closed."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnMouth:
    """A drawing's mouth."""

    shape: Shape
    """The face with its lips there."""
    slit: UInt8Array
    """(height, width), 255 where lips part: what must go when they move."""
    line_px: float
    """How thick a line to draw about the opening."""


def find_drawn_mouth(rgb: UInt8Array, shape: Shape) -> DrawnMouth | None:
    """The mouth of the flat drawing `rgb`; None where none can be told from the skin."""
    middle = shape.points[list(mesh.UPPER_INNER + mesh.LOWER_INNER), :2].mean(0)
    reach = np.array(_REACH) * shape.unit
    left, top = np.maximum(np.floor(middle - reach), 0).astype(int)
    right, bottom = np.ceil(middle + reach).astype(int)
    part = rgb[top:bottom, left:right]
    if min(part.shape[:2]) < 8:
        return None
    differs = np.abs(part.astype(float) - skin_of(rgb, shape)).max(2) > OTHER_THAN_SKIN
    blob = _likeliest(differs, middle - [left, top], shape.unit)
    if blob is None:
        return None
    line, is_open = _dark_line(part, blob), _shows_inside(part, blob, shape.unit)
    inside = blob if line is None else line
    lines = _lines(inside, blob, np.array([left, top]), shape, parted=line is None and is_open)
    slit = np.zeros(rgb.shape[:2], np.uint8)
    slit[top:bottom, left:right] = 255 * inside
    thick = _THINNER * float(np.median(inside.sum(0)[inside.any(0)]))
    if line is None and np.percentile(blob.sum(0)[blob.any(0)], 90) > _LINE * shape.unit:
        thick = _OUTLINE * shape.unit
        if not is_open:
            slit[:] = 0
            cv2.polylines(slit, [np.round(lines[mesh.UPPER_INNER]).astype(np.int32)], False, 255, 2)
    return DrawnMouth(_on_lines(shape, lines), slit, thick)


def _shows_inside(part: UInt8Array, blob: UInt8Array, unit: float) -> bool:
    """Whether `blob` is a mouth that is open: high, and black or of several colours; lips have one."""
    if np.percentile(blob.sum(0)[blob.any(0)], 90) <= _LINE * unit:
        return False
    colours = part[blob > 0].astype(float)
    common = np.median(colours, axis=0)
    other = np.abs(colours - common).max(1) > _OTHER_COLOUR
    return bool(common.max() < _BLACK or other.mean() > _OTHER_SHARE)


def _likeliest(differs: npt.NDArray[np.bool_], middle: FloatArray, unit: float) -> UInt8Array | None:
    """The part of `differs` that is as wide as a mouth and nearest to where one should be."""
    count, labels, stats, centres = cv2.connectedComponentsWithStats(differs.astype(np.uint8))
    best, most = 0, 0.0
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label][:4])
        touches = x == 0 or y == 0 or x + width == differs.shape[1] or y + height == differs.shape[0]
        if touches or not _NARROWEST < width / unit < _WIDEST or height / unit > _TALLEST:
            continue
        likely = width * float(np.exp(-((np.linalg.norm(centres[label] - middle) / unit / 0.25) ** 2)))
        if likely > most:
            best, most = label, likely
    return np.asarray(labels == best, np.uint8) if best else None


def _dark_line(part: UInt8Array, blob: UInt8Array) -> UInt8Array | None:
    """The line between coloured lips, as wide as they are; None where `blob` has none."""
    light = part.max(2)
    dark = (blob > 0) & (light < _INK)
    if not dark.any() or dark.sum() > 0.7 * blob.sum():
        return None
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8))
    widest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_WIDTH])) if count > 1 else 0
    thin = stats[widest, cv2.CC_STAT_AREA] < 0.15 * stats[widest, cv2.CC_STAT_WIDTH] ** 2
    if not widest or not thin or stats[widest, cv2.CC_STAT_WIDTH] < 0.6 * np.ptp(np.flatnonzero(blob.any(0))):
        return None
    return np.asarray(labels == widest, np.uint8)


def _lines(
    inside: UInt8Array, blob: UInt8Array, corner: FloatArray, shape: Shape, *, parted: bool
) -> dict[tuple[int, ...], FloatArray]:
    """For each lip line of the mesh its (11, 2) points on the drawing, px."""
    columns = np.flatnonzero(inside.any(0))
    at = np.linspace(columns[0], columns[-1], len(mesh.UPPER_INNER))
    first, last = inside.argmax(0), len(inside) - 1 - inside[::-1].argmax(0)
    above, below = (np.interp(at, columns, edge[columns]) for edge in (first, last))
    if not parted:
        above = below = (above + below) / 2
    lips = _LIPS * shape.unit * np.sqrt(np.clip(1 - np.linspace(-1, 1, len(at)) ** 2, 0, 1))
    whole = np.flatnonzero(blob.any(0))
    high, low = blob.argmax(0), len(blob) - 1 - blob[::-1].argmax(0)
    top = np.minimum(above - lips, np.interp(at, whole, high[whole]))
    bottom = np.maximum(below + lips, np.interp(at, whole, low[whole]))
    ends = [0, -1]
    for edge in (top, bottom, above, below):
        edge[ends] = ((above + below) / 2)[ends]
    rows = ((mesh.UPPER_OUTER, top), (mesh.UPPER_INNER, above), (mesh.LOWER_INNER, below), (mesh.LOWER_OUTER, bottom))
    return {ids: np.stack([at, edge], -1) + corner for ids, edge in rows}


def _on_lines(shape: Shape, lines: dict[tuple[int, ...], FloatArray]) -> Shape:
    """`shape` bent so that its lips lie on `lines`; eyes, outline and nose bridge stay."""
    goals = {index: point for ids, line in lines.items() for index, point in zip(ids, line, strict=True)}
    still = [*mesh.OVAL, *mesh.BROW_CORE, 6, 168, *(i for ids in mesh.EYES for i in ids["upper"] + ids["lower"])]
    goals |= {index: shape.points[index, :2] for index in still}
    which = list(goals)
    ways = np.array([goals[index] for index in which]) - shape.points[which, :2]
    points = shape.points.copy()
    points[:, :2] += Spline(shape.local[which], ways, smoothing=1e-6)(shape.local)
    points[which, :2] = np.array([goals[index] for index in which])
    centre = (points[mesh.LIP_CENTRE_UPPER, :2] + points[mesh.LIP_CENTRE_LOWER, :2]) / 2
    local = (points[:, :2] - centre) @ shape.axes.T / shape.unit
    return replace(shape, points=points, centre=centre, local=local)
