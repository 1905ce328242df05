"""Everything about one portrait at one frame size that does not change from frame to frame.

In: a portrait at frame size and its mesh. Out: a `Rig`, which `painter.py` poses. Knows no time and no sound.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array, UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.drawn import is_flat_drawing
from s2v_model.puppet.drawn_mouth import DrawnMouth, find_drawn_mouth
from s2v_model.puppet.eyes import Eye, measure_eyes, outline, shut_eyes
from s2v_model.puppet.fields import Grid, Spline, covering
from s2v_model.puppet.glasses import wears_glasses
from s2v_model.puppet.head import HEAD_LIMITS, head_bases
from s2v_model.puppet.matte import Backdrop, Segmenter, build_backdrop
from s2v_model.puppet.mouth import Mouth, build_mouth
from s2v_model.puppet.shading import shade_fields
from s2v_model.puppet.shape import Shape, measure
from s2v_model.puppet.sheets import PARAMETERS, displacements, smoothstep

FloatArray = npt.NDArray[np.float64]

TEXTURE_SCALE = 2
"""The picture is warped from twice its size: plain bilinear sampling then stays sharp."""

_RINGING_PX = 8
"""How far enlarging reaches beyond what is enlarged."""
_DRAWN_CHIN = 0.25
"""Drawings talk with their mouths: the line of a jaw that follows all the way gets corners."""
_BEHIND_GLASSES = 0.8
"""Share of their way that brows do not go behind glasses, whose rims would bend with them."""
_BARED, _PIT = 0.055, 0.45
"""From this gap, relative, a smile has pits at its corners; they have less than this share of the lips' light."""

_BESIDE_EYES = 0.03, 0.12
"""Distances from a drawn eye, relative, over which the mouth's motion sets in."""
_ABOUT_MOUTH = 0.30, 0.10
"""Distances from drawn lips, relative, over which their motion, but for the jaw's, dies away."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rig:
    """One portrait ready to move."""

    width: int
    height: int
    shape: Shape
    face_grid: Grid
    head_grid: Grid
    upper_points: FloatArray
    """(parameters, 468, 2), relative: the upper sheet's way of each mesh point."""
    lower_points: FloatArray
    upper_fields: Float32Array
    """(parameters, rows, columns, 2), px: the upper sheet on the face grid."""
    lower_fields: Float32Array
    shade_fields: Float32Array
    """(parameters, rows, columns): light lost on the face grid."""
    head_fields: Float32Array
    backdrop: Backdrop
    texture: UInt8Array
    """The person, RGBA, at TEXTURE_SCALE times the frame."""
    healed: UInt8Array
    """The same around the mouth, with the slit painted out: nothing to smear when the lips part or meet."""
    healed_at: tuple[int, int]
    """Left and top of `healed` in the texture."""
    mouth: Mouth
    eyes: tuple[Eye, ...]
    lids: UInt8Array
    """RGBA at TEXTURE_SCALE around the eyes, with skin in the place of the eyeballs."""
    lids_at: tuple[int, int]


def build_rig(rgb: UInt8Array, points: FloatArray, segmenter: Segmenter) -> Rig:
    """The rig of the face `points` (468, 3) in `rgb` (height, width, 3), both in px of the frame."""
    height, width = rgb.shape[:2]
    shape = measure(rgb, points)
    is_flat = is_flat_drawing(rgb, shape.points)
    drawn = find_drawn_mouth(rgb, shape) if is_flat else None
    shape = shape if drawn is None else drawn.shape
    upper_points, lower_points = displacements(shape, chin_follows=_DRAWN_CHIN if is_flat else 1.0)
    face_grid, anchors = _face_grid(shape, width, height)
    eyes = measure_eyes(rgb, shape)
    upper_fields, lower_fields = _fields(shape, face_grid, anchors, upper_points, lower_points)
    brows_go = np.float32(1 - _BEHIND_GLASSES * wears_glasses(rgb, shape))
    for fields in (upper_fields, lower_fields):
        fields[PARAMETERS.index("brow")] *= brows_go
    if is_flat:
        _keep_lines(shape, face_grid, eyes, upper_fields, lower_fields)
    step = max(8, 2 * face_grid.step)
    head_grid = covering(np.zeros(2), np.array([width, height]), step, width, height)
    matte = segmenter.matte(rgb, shape)
    turns = head_bases(shape, head_grid, matte, width, height)
    backdrop = build_backdrop(rgb, matte, _reach(shape, turns, head_grid, face_grid, rgb))
    person = backdrop.person
    healed_rgb = np.dstack([_healed(np.ascontiguousarray(person[..., :3]), shape, drawn), person[..., 3]])
    healed, healed_at = _around(healed_rgb, shape, mesh.UPPER_OUTER + mesh.LOWER_OUTER)
    # Areas of one colour have no folds.
    shades = shade_fields(shape, face_grid) * np.float32(not is_flat)
    shut, lids_at = _around(person, shape, mesh.EYE_CORNERS_OUTER)
    shut[..., :3] = shut_eyes(np.ascontiguousarray(shut[..., :3]), shape, eyes, lids_at)
    return Rig(
        width=width,
        height=height,
        shape=shape,
        face_grid=face_grid,
        head_grid=head_grid,
        upper_points=upper_points,
        lower_points=lower_points,
        upper_fields=upper_fields,
        lower_fields=lower_fields,
        shade_fields=shades,
        head_fields=turns,
        backdrop=backdrop,
        texture=doubled(person),
        healed=doubled(healed),
        healed_at=(healed_at[0] * TEXTURE_SCALE, healed_at[1] * TEXTURE_SCALE),
        mouth=build_mouth(rgb, shape, line_px=drawn.line_px if drawn is not None else 0.0),
        eyes=eyes,
        lids=doubled(shut),
        lids_at=(lids_at[0] * TEXTURE_SCALE, lids_at[1] * TEXTURE_SCALE),
    )


def _face_grid(shape: Shape, width: int, height: int) -> tuple[Grid, FloatArray]:
    """The grid over all that the face's own motion moves, and points around it that stay put."""
    oval = shape.points[list(mesh.OVAL), :2]
    low, high = oval.min(0), oval.max(0)
    middle, reach = (low + high) / 2, (high - low) * np.array([0.72, 0.66])
    step = max(2, round(shape.unit / 32))
    grid = covering(middle - reach, middle + reach + [0, 0.22 * shape.unit], step, width, height)
    x0, y0, x1, y1 = grid.box
    along = np.linspace(0, 1, 13)
    frame = [(x, y) for t in along for x, y in ((x0 + t * (x1 - x0), y0), (x0 + t * (x1 - x0), y1))]
    frame += [(x, y) for t in along for x, y in ((x0, y0 + t * (y1 - y0)), (x1, y0 + t * (y1 - y0)))]
    ring = ((oval - middle) * 1.22 + middle)[shape.local[list(mesh.OVAL), 1] < 0.15]
    return grid, np.unique(np.round(np.concatenate([np.array(frame, float), ring])), axis=0)


def _fields(
    shape: Shape, grid: Grid, anchors: FloatArray, upper: FloatArray, lower: FloatArray
) -> tuple[Float32Array, Float32Array]:
    count = len(PARAMETERS)
    values = np.concatenate([upper, lower]).transpose(1, 0, 2).reshape(mesh.NUM_POINTS, -1)
    centres = np.concatenate([shape.local, shape.to_local(anchors)])
    values = np.concatenate([values, np.zeros((len(anchors), values.shape[1]))])
    nodes = grid.nodes()
    local = shape.to_local(nodes).reshape(-1, 2)
    sampled = Spline(centres, values, smoothing=2e-4)(local).reshape(*nodes.shape[:2], 2 * count, 2)
    # Exactly zero on the frame of the grid: the face meets the rest of the head without a seam.
    x0, y0, x1, y1 = grid.box
    margin = 0.22 * shape.unit
    window = smoothstep(np.minimum(nodes[..., 0] - x0, x1 - nodes[..., 0]), 0, margin)
    window = window * smoothstep(np.minimum(nodes[..., 1] - y0, y1 - nodes[..., 1]), 0, margin)
    in_px = (sampled * window[..., None, None]) @ shape.axes * shape.unit
    fields = np.ascontiguousarray(in_px.transpose(2, 0, 1, 3), np.float32)
    return fields[:count], fields[count:]


def _keep_lines(shape: Shape, grid: Grid, eyes: tuple[Eye, ...], upper: Float32Array, lower: Float32Array) -> None:
    """Keep a drawing's lines as they are: of skin in one colour nobody sees that it moves, of a ring every dent."""
    rings = [np.concatenate([above, below[::-1]]) for above, below in (outline(eye) for eye in eyes if eye.drawn)]
    lips = shape.local[list(mesh.UPPER_OUTER + mesh.LOWER_OUTER[::-1])]
    beside_eyes = smoothstep(_away(shape, grid, rings), *_BESIDE_EYES)
    about_mouth = smoothstep(_away(shape, grid, [lips]), *_ABOUT_MOUTH)
    for index, name in enumerate(PARAMETERS):
        share = 1.0 if name == "brow" else beside_eyes if name == "jaw" else beside_eyes * about_mouth
        for fields in (upper, lower):
            fields[index] *= np.asarray(share, np.float32)


def _away(shape: Shape, grid: Grid, rings: list[FloatArray]) -> FloatArray:
    """How far the nodes lie from the areas within `rings`, relative: (rows, columns, 1)."""
    x0, y0, x1, y1 = grid.box
    free = np.full((y1 - y0, x1 - x0), 255, np.uint8)
    for ring in rings:
        cv2.fillPoly(free, [np.round(shape.to_frame(ring) - [x0, y0]).astype(np.int32)], 0)
    if free.all():
        return np.full((grid.rows, grid.columns, 1), np.inf)
    away = cv2.distanceTransform(free, cv2.DIST_L2, 5) / shape.unit
    at_nodes = cv2.resize(away, (grid.columns, grid.rows), interpolation=cv2.INTER_AREA)
    return np.asarray(at_nodes[..., None], float)


def _reach(shape: Shape, turns: Float32Array, head_grid: Grid, face_grid: Grid, rgb: UInt8Array) -> Float32Array:
    """(height, width): px that a point may move at most, the head's turn and the face's own motion together."""
    height, width = rgb.shape[:2]
    limits = np.array(HEAD_LIMITS, np.float32)
    ways = np.sqrt((np.einsum("kyxd,k->yxd", np.abs(turns), limits) ** 2).sum(-1))
    full = cv2.resize(ways.astype(np.float32), head_grid.size_px)[:height, :width].copy()
    full[full < 0.02] = 0
    x0, y0, x1, y1 = face_grid.box
    full[y0:y1, x0:x1] += 0.30 * shape.unit
    return np.asarray(full)


def _healed(rgb: UInt8Array, shape: Shape, drawn: DrawnMouth | None) -> UInt8Array:
    """`rgb` with the slit of the mouth painted out."""
    upper, lower = list(mesh.UPPER_INNER), list(mesh.LOWER_INNER[-2:0:-1])
    outline = np.concatenate([shape.points[upper, :2], shape.points[lower, :2]])
    mask = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.int32(outline * 16)], 255, cv2.LINE_AA, 4)
    size = max(1, int(0.030 * shape.unit) | 1)
    if shape.gap > _BARED:
        mask |= _pits(rgb, shape)
    if drawn is not None:
        # Nothing but the drawing's own lines: what is between them has one colour up to its edge.
        mask, size = drawn.slit, 5
    mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    x, y, width, height = cv2.boundingRect(mask)
    part = np.s_[max(0, y - 8) : y + height + 8, max(0, x - 8) : x + width + 8]
    healed = rgb.copy()
    healed[part] = cv2.inpaint(rgb[part], (mask[part] > 40).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return healed


def _pits(rgb: UInt8Array, shape: Shape) -> UInt8Array:
    """255 on the dark of a smile's corners, which the mesh counts as lips."""
    outline = np.concatenate([shape.points[list(mesh.UPPER_OUTER), :2], shape.points[list(mesh.LOWER_OUTER[::-1]), :2]])
    within = np.zeros(rgb.shape[:2], np.uint8)
    cv2.fillPoly(within, [np.round(outline).astype(np.int32)], 255)
    within = cv2.dilate(within, np.ones((max(1, int(0.05 * shape.unit)),) * 2, np.uint8))
    light = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if not within.any():
        return np.asarray(within)
    return np.asarray(np.where(light < _PIT * float(np.median(light[within > 0])), within, 0), np.uint8)


def _around(rgba: UInt8Array, shape: Shape, ids: tuple[int, ...]) -> tuple[UInt8Array, tuple[int, int]]:
    """A copy of the part of `rgba` about some mesh points, and its left and top."""
    points = shape.points[list(ids), :2]
    reach = 0.45 * shape.unit
    low = np.clip(np.floor(points.min(0) - reach).astype(int), 0, np.array(rgba.shape[1::-1]) - 1)
    high = np.maximum(np.ceil(points.max(0) + reach).astype(int), low + 1)
    return rgba[low[1] : high[1], low[0] : high[0]].copy(), (int(low[0]), int(low[1]))


def doubled(rgba: UInt8Array) -> UInt8Array:
    """RGBA at TEXTURE_SCALE whose 2 x 2 means give `rgba` back: a still face is then as sharp as its portrait."""
    left, top, width, height = cv2.boundingRect(cv2.extractChannel(rgba, 3))
    low = np.maximum([left - _RINGING_PX, top - _RINGING_PX], 0)
    high = np.minimum([left + width + _RINGING_PX, top + height + _RINGING_PX], rgba.shape[1::-1])
    if (high - low < rgba.shape[1::-1]).any():
        # Nothing is there but the person.
        whole = np.zeros((rgba.shape[0] * TEXTURE_SCALE, rgba.shape[1] * TEXTURE_SCALE, 4), np.uint8)
        (x0, y0), (x1, y1) = low * TEXTURE_SCALE, high * TEXTURE_SCALE
        whole[y0:y1, x0:x1] = _enlarged(np.ascontiguousarray(rgba[low[1] : high[1], low[0] : high[0]]))
        return whole
    return _enlarged(rgba)


def _enlarged(rgba: UInt8Array) -> UInt8Array:
    size = (rgba.shape[1] * TEXTURE_SCALE, rgba.shape[0] * TEXTURE_SCALE)
    large = cv2.resize(rgba, size, interpolation=cv2.INTER_CUBIC)
    for _ in range(2):
        error = cv2.subtract(rgba, cv2.resize(large, rgba.shape[1::-1], interpolation=cv2.INTER_AREA), dtype=cv2.CV_16S)
        large = cv2.add(large, cv2.resize(error, size, interpolation=cv2.INTER_CUBIC), dtype=cv2.CV_8U)
    return np.asarray(large, np.uint8)
