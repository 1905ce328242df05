"""How the head and the chest move: six displacement bases over the frame.

In: a `Shape`, a grid and the person's matte. Out: displacement bases in px for yaw, pitch, roll (radians), shift x and
y (units of the eyes' distance) and breath. Knows no time.
"""

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.fields import Grid, Spline
from s2v_model.puppet.shape import Shape
from s2v_model.puppet.sheets import smoothstep

FloatArray = npt.NDArray[np.float64]

HEAD_PARAMETERS = ("yaw", "pitch", "roll", "shift_x", "shift_y", "breath")

HEAD_LIMITS = (0.056, 0.056, 0.056, 0.06, 0.06, 0.02)
"""No pose goes further than this; three degrees of turn, beyond which a flat portrait shows."""

_EDGE = 0.5
"""Relative distance from the picture's edge over which what the edge cuts through comes to a stop."""


def head_bases(shape: Shape, grid: Grid, matte: Float32Array | None, width: int, height: int) -> Float32Array:
    """(6, rows, columns, 2), px: the forward displacement of every node for each of HEAD_PARAMETERS at 1.

    matte: (height, width), 1 on the person; None where all of the frame moves.
    """
    local = shape.to_local(grid.nodes())
    x, y = local[..., 0], local[..., 1]
    oval = shape.local[list(mesh.OVAL)]
    centre, radius = (oval.min(0) + oval.max(0)) / 2, np.ptp(oval, axis=0) / 2
    chin = float(oval[:, 1].max())
    follows = _head_weight(x, y, centre, radius, chin)
    depth = _depth(shape, local, grid, centre, radius)
    bases = np.zeros((len(HEAD_PARAMETERS), *x.shape, 2))
    # A turn moves what lies in front of the axis; the small constant is the whole head's way about the neck.
    bases[0, ..., 0] = (depth + 0.10) * follows
    bases[1, ..., 1] = (depth + 0.12) * follows
    bases[2, ..., 0] = -(y - (chin + 0.25)) * follows
    bases[2, ..., 1] = (x - centre[0]) * follows
    bases[3, ..., 0] = bases[4, ..., 1] = follows
    chest = smoothstep(y, chin, chin + 1.0) * np.exp(-(np.clip(np.abs(x - centre[0]) - 1.2, 0, None) ** 2) / 0.5)
    bases[5, ..., 1] = -chest
    bases[5, ..., 0] = 0.25 * chest * np.tanh(x - centre[0])
    in_px = (bases @ shape.axes) * shape.unit
    _hold_at_edges(in_px, shape, grid, np.ones((height, width), np.float32) if matte is None else matte)
    return np.asarray(in_px, np.float32)


def _hold_at_edges(bases: FloatArray, shape: Shape, grid: Grid, matte: Float32Array) -> None:
    """Hair that the left, right or upper edge cuts through stays there: nothing is known of what would follow it."""
    width = matte.shape[1]
    nodes, reach = grid.nodes(), _EDGE * shape.unit
    for axis, from_edge, cut in (
        (0, nodes[..., 0], _along(matte[:, :2].max(1), grid.rows, shape, grid)[:, None]),
        (0, width - 1 - nodes[..., 0], _along(matte[:, -2:].max(1), grid.rows, shape, grid)[:, None]),
        (1, nodes[..., 1], _along(matte[:2].max(0), grid.columns, shape, grid)[None]),
    ):
        bases[..., axis] *= 1 - cut * (1 - smoothstep(from_edge, 0, reach))


def _along(edge: Float32Array, count: int, shape: Shape, grid: Grid) -> FloatArray:
    """(count,): the matte of one edge of the frame at the grid's nodes, softly beginning and ending."""
    at_nodes = np.interp((np.arange(count) + 0.5) * grid.step - 0.5, np.arange(len(edge)), edge)
    soft = cv2.GaussianBlur(at_nodes[None], (0, 0), max(0.5, 0.15 * shape.unit / grid.step))[0]
    return np.asarray(np.maximum(at_nodes, soft), float)


def _head_weight(x: FloatArray, y: FloatArray, centre: FloatArray, radius: FloatArray, chin: float) -> FloatArray:
    """1 on the head, falling to 0 around it and down the neck."""
    around = np.hypot((x - centre[0]) / (radius[0] * 1.30), (y - (centre[1] - 0.18 * radius[1])) / (radius[1] * 1.40))
    neck = 1 - smoothstep(y, chin - 0.05, chin + 1.1)
    return np.asarray((1 - smoothstep(around, 0.92, 2.1)) * np.where(y > centre[1], neck, 1))


def _depth(shape: Shape, local: FloatArray, grid: Grid, centre: FloatArray, radius: FloatArray) -> FloatArray:
    """Towards the camera, relative: the mesh's own depth inside the face, an ellipsoid around it."""
    towards = -shape.depth
    towards = towards - np.median(towards[list(mesh.OVAL)])
    spline = Spline(shape.local, towards[:, None], smoothing=5e-3)
    x, y = local[..., 0], local[..., 1]
    inside = 1 - smoothstep(np.hypot((x - centre[0]) / radius[0], (y - centre[1]) / radius[1]), 0.80, 1.12)
    face = np.zeros(x.shape)
    needed = inside > 0
    face[needed] = np.clip(spline(local[needed])[:, 0], -0.4, 0.9)
    around = np.hypot((x - centre[0]) / (radius[0] * 1.30), (y - (centre[1] - 0.18 * radius[1])) / (radius[1] * 1.40))
    skull = 0.175 * np.sqrt(np.clip(1 - around**2, 0, 1))
    depth = (face * inside + skull * (1 - inside)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(depth, (0, 0), max(1.0, 0.05 * shape.unit / grid.step)), float)
