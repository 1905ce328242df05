"""Skin darkens where it folds or sinks as the mouth moves: hollows of the cheeks, folds beside the nose, the chin.

In: a `Shape` and a grid. Out: for some parameters, the share of light that is lost at each node. Knows no colours.
"""

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.fields import Grid
from s2v_model.puppet.shape import Shape
from s2v_model.puppet.sheets import PARAMETERS, smoothstep

FloatArray = npt.NDArray[np.float64]

_FOLDS = ((129, 203, 206, 216, 212), (358, 423, 426, 436, 432))
"""From the wings of the nose past the corners of the mouth."""
_HOLLOWS = (213, 433)
"""In the cheeks, between the corners of the mouth and the angle of the jaw."""
_BELOW_LIP = 18


def shade_fields(shape: Shape, grid: Grid) -> Float32Array:
    """(parameters, rows, columns): light lost, 0 .. 1, for a parameter of 1 (jaw: of JAW_OPENING)."""
    local = shape.to_local(grid.nodes())
    fields = np.zeros((len(PARAMETERS), grid.rows, grid.columns))
    fold = sum(_tube(local, shape.local[list(ids)], 0.040) for ids in _FOLDS)
    hollow = sum(_spot(local, shape.local[index], 0.17, 0.24) for index in _HOLLOWS)
    chin = shape.local[mesh.CHIN, 1]
    under_chin = _spot(local, np.array([0.0, chin + 0.10]), 0.38, 0.13) * smoothstep(
        local[..., 1], chin - 0.03, chin + 0.08
    )
    groove = _spot(local, shape.local[_BELOW_LIP] + [0, 0.02], 0.17, 0.035)
    corners = sum(_spot(local, shape.local[index], 0.07, 0.06) for index in mesh.MOUTH_CORNERS_OUTER)
    fields[PARAMETERS.index("jaw")] = 0.15 * hollow + 0.16 * under_chin
    fields[PARAMETERS.index("spread")] = 0.13 * fold + 0.05 * corners
    fields[PARAMETERS.index("smile")] = 0.20 * fold + 0.05 * corners
    fields[PARAMETERS.index("round")] = 0.08 * hollow + 0.08 * corners
    fields[PARAMETERS.index("press")] = 0.09 * groove + 0.06 * corners
    fields[PARAMETERS.index("fv")] = 0.12 * groove
    soft = [cv2.GaussianBlur(field.astype(np.float32), (0, 0), 0.8) for field in fields]
    return np.asarray(np.clip(soft, 0, 0.3), np.float32)


def _spot(local: FloatArray, at: FloatArray, wide: float, tall: float) -> FloatArray:
    offset = (local - at) / np.array([wide, tall])
    return np.asarray(np.exp(-(offset**2).sum(-1)))


def _tube(local: FloatArray, points: FloatArray, width: float) -> FloatArray:
    """A soft line through `points` (n, 2)."""
    nearest = np.full(local.shape[:-1], np.inf)
    for start, end in pairwise(points):
        way = end - start
        along = np.clip(((local - start) @ way) / (way @ way + 1e-9), 0, 1)
        nearest = np.minimum(nearest, ((local - start - along[..., None] * way) ** 2).sum(-1))
    return np.asarray(np.exp(-nearest / width**2))
