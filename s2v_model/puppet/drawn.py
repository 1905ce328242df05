"""Eyes of flat drawings, found by their colour: the mesh knows how eyes of people sit, not those of cartoons.

In: a picture and its `Shape`. Out: outlines of eyes, or None where the picture is no flat drawing. Knows no motion.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.drawn_lids import Lid
from s2v_model.puppet.shape import Shape

FloatArray = npt.NDArray[np.float64]

_FLAT_LEVELS, _FLAT_SHARE = 5, 0.48
"""A drawing is flat where this share of the face varies by no more levels from pixel to pixel."""
_FULL_CONTRAST = 150
"""Levels between a face's dark and light: where it has less, so much less counts as varying."""
_BURNT_OUT, _FLAT_ELSEWHERE = 250, 0.05
"""A photograph is flat where its light is lost; elsewhere no more than this share of it is."""
_FLAT_UNIT = 64
"""Px between the eyes' corners at which that is judged: a photograph that is large enough varies little either."""
OTHER_THAN_SKIN = 28
_WHITE = 190
_REACH = (0.60, 0.52)
"""Half of the window about an eye's place in the mesh, relative."""
_LINE_SHARE = 0.6
"""Lines have less than this share of the skin's light."""
_THINNEST, _THICKEST = 0.012, 0.045
"""Of lids' lines, relative."""
_WIDTHS, _HEIGHTS = (0.04, 0.75), (0.05, 0.70)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnEye:
    """An eye with its outline, relative local coordinates, left to right."""

    upper: FloatArray
    """(n, 2)."""
    lower: FloatArray
    lid: Lid


def find_drawn_eyes(rgb: UInt8Array, shape: Shape) -> tuple[DrawnEye, ...] | None:
    """The eyes of a flat drawing (those that can be told from the skin); None for any other picture."""
    if not is_flat_drawing(rgb, shape.points):
        return None
    skin = skin_of(rgb, shape)
    found = (_eye(rgb, shape, skin, ids) for ids in mesh.EYES)
    return tuple(eye for eye in found if eye is not None)


def skin_of(rgb: UInt8Array, shape: Shape) -> FloatArray:
    """The colour of a flat drawing's face: (3,)."""
    return _commonest(rgb[_face_mask(rgb, shape.points) > 0])


def _face_mask(rgb: UInt8Array, points: FloatArray) -> UInt8Array:
    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(points[list(mesh.OVAL), :2]).astype(np.int32)), 255)
    return mask


def is_flat_drawing(rgb: UInt8Array, points: FloatArray) -> bool:
    """Whether the face whose mesh is `points` (468, 3), px, is made of areas of one colour."""
    left, right = (points[index, :2] for index in mesh.EYE_CORNERS_OUTER)
    scale = min(1.0, _FLAT_UNIT / max(float(np.linalg.norm(right - left)), 1.0))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    face = _face_mask(np.asarray(small, np.uint8), points * scale)
    if not face.any():
        return False
    kernel = np.ones((3, 3), np.uint8)
    range_of = cv2.subtract(cv2.dilate(small, kernel), cv2.erode(small, kernel)).max(2)
    low, high = np.percentile(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[face > 0], (2, 98))
    # In a dark or faded photograph, too, neighbouring pixels hardly differ.
    is_flat = range_of[face > 0] <= _FLAT_LEVELS * min(1.0, float(high - low) / _FULL_CONTRAST)
    burnt_out = small.min(2)[face > 0] >= _BURNT_OUT
    elsewhere = float(is_flat[~burnt_out].mean()) if not burnt_out.all() else 0.0
    return float(is_flat.mean()) > _FLAT_SHARE and elsewhere > _FLAT_ELSEWHERE


def _commonest(colours: UInt8Array) -> FloatArray:
    """The colour that most of `colours` (n, 3) have, to eight levels."""
    coarse = (colours // 8).astype(np.int64) @ np.array([1024, 32, 1])
    most = np.bincount(coarse).argmax()
    return np.asarray(np.median(colours[coarse == most], axis=0))


def _eye(rgb: UInt8Array, shape: Shape, skin: FloatArray, ids: dict[str, tuple[int, ...]]) -> DrawnEye | None:
    middle = shape.points[list(ids["upper"] + ids["lower"]), :2].mean(0)
    reach = np.array(_REACH) * shape.unit
    left, top = np.maximum(np.floor(middle - reach), 0).astype(int)
    right, bottom = np.ceil(middle + reach).astype(int)
    part = rgb[top:bottom, left:right]
    if min(part.shape[:2]) < 8:
        return None
    differs = np.abs(part.astype(float) - skin).max(2) > OTHER_THAN_SKIN
    white = differs & (part.min(2) > _WHITE) & (np.ptp(part, axis=2) < 45)
    # The white of the eye tells it from a brow that touches it; eyes without any white are taken whole.
    for wanted, hull in ((white, True), (differs, False)):
        mask = _likeliest(wanted, middle - [left, top], shape.unit)
        if mask is not None:
            if hull:
                outline, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
                cv2.fillConvexPoly(mask, cv2.convexHull(np.concatenate(outline)), 1)
            lid = _lid(part, mask, skin, shape.unit, is_ink=not hull)
            return DrawnEye(*_rims(mask, np.array([left, top]), shape), lid)
    return None


def _likeliest(wanted: npt.NDArray[np.bool_], middle: FloatArray, unit: float) -> UInt8Array | None:
    """The part of `wanted` that is as large as an eye and nearest to where one should be."""
    count, labels, stats, centres = cv2.connectedComponentsWithStats(wanted.astype(np.uint8))
    best, most = 0, 0.0
    sized: list[int] = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        touches = x == 0 or y == 0 or x + width == wanted.shape[1] or y + height == wanted.shape[0]
        if touches or not _eye_sized(width / unit, height / unit):
            continue
        sized.append(label)
        away = float(np.linalg.norm(centres[label] - middle)) / unit
        likely = area * float(np.exp(-((away / 0.25) ** 2)))
        if likely > most:
            best, most = label, likely
    # An iris as high as the eye parts its white in two.
    beside = [k for k in sized if (np.abs(centres[k] - centres[best]) < np.array([0.32, 0.06]) * unit).all()]
    return np.isin(labels, beside).astype(np.uint8) if best else None


def _eye_sized(width: float, height: float) -> bool:
    return _WIDTHS[0] < width < _WIDTHS[1] and _HEIGHTS[0] < height < _HEIGHTS[1] and height < 3 * width


def _rims(mask: UInt8Array, corner: FloatArray, shape: Shape) -> tuple[FloatArray, FloatArray]:
    """The upper and the lower rim of `mask` along the face's own x: (n, 2) each, relative."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    rim = shape.to_local(np.concatenate(outlines)[:, 0] + corner)
    # Three px wide, so that each has points of both rims, however the head is held.
    edges = np.linspace(rim[:, 0].min(), rim[:, 0].max(), max(4, int(np.ptp(rim[:, 0]) * shape.unit / 3)))
    which = np.abs(rim[:, 0, None] - edges).argmin(1)
    rows = [(x, rim[which == k, 1]) for k, x in enumerate(edges)]
    upper = np.array([(x, y.min()) for x, y in rows if len(y)])
    lower = np.array([(x, y.max()) for x, y in rows if len(y)])
    return upper, lower


def _lid(part: UInt8Array, mask: UInt8Array, skin: FloatArray, unit: float, *, is_ink: bool) -> Lid:
    """The skin's colour, and a line as dark and as thick as the eye's own upper line."""
    heights = mask.sum(0)[mask.any(0)]
    if is_ink:
        line, thick = part[mask > 0], float(np.percentile(heights, 20))
    else:
        ring = cv2.dilate(mask, np.ones((2 * max(2, round(0.02 * unit)) + 1,) * 2, np.uint8)) - mask
        light = part.max(2).astype(float)
        dark = (ring > 0) & (light < _LINE_SHARE * skin.max())
        line = part[dark] if dark.any() else np.round(skin[None] * _LINE_SHARE)
        thick = float(_thicknesses(light < _LINE_SHARE * skin.max(), mask, round(_THICKEST * unit)))
    red, green, blue = (float(value) for value in np.median(line, axis=0))
    return Lid(
        skin=(float(skin[0]), float(skin[1]), float(skin[2])),
        line=(red, green, blue),
        thick=float(np.clip(thick / unit, _THINNEST, _THICKEST)),
        is_ink=is_ink,
    )


def _thicknesses(dark: npt.NDArray[np.bool_], mask: UInt8Array, most: int) -> float:
    """Median thickness, px, of what is dark right above the middle half of `mask`; 0 without any."""
    columns = np.flatnonzero(mask.any(0))
    found = []
    for x in columns[len(columns) // 4 : -(len(columns) // 4) or None]:
        y = int(mask[:, x].argmax())
        above = dark[max(0, y - most) : y, x][::-1]
        # The first two px may still be the white's soft edge.
        begin = next((k for k in range(min(3, len(above))) if above[k]), None)
        if begin is not None:
            run = above[begin:]
            found.append(len(run) if run.all() else int(np.argmin(run)))
    return float(np.median(found)) if found else 0.0
