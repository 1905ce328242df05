"""How the head and the chest move: six displacement bases over the frame.

In: a `Shape` and a grid. Out: displacement bases in px for yaw, pitch, roll (radians), shift x and y (units of the
eyes' distance) and breath. Knows no time.
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


def head_bases(shape: Shape, grid: Grid) -> Float32Array:
    """(6, rows, columns, 2), px: the forward displacement of every node for each of HEAD_PARAMETERS at 1."""
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
    return np.asarray((bases @ shape.axes) * shape.unit, np.float32)


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
