"""Whether somebody wears glasses: a rim is stiff, and brows that lift it along make it rubber.

In: a picture and its `Shape`. Out: how sure it is. Knows no motion.
"""

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.landmarks import square_of
from s2v_model.puppet.shape import Shape
from s2v_model.puppet.sheets import smoothstep

FloatArray = npt.NDArray[np.float64]

_BRIDGE = (168, 6, 197)
"""Down the bridge of the nose."""
_UNIT_PX, _SIDE_PX, _EYES_ROW = 100, 140, 55
"""Px between the outer corners of the eyes in the square that is looked at; its side; the row of the eyes in it."""
_FACE_ROWS, _BRIDGE_ROWS = slice(15, 125), slice(37, 77)
_HALF_PX = 5
_NONE, _SURE = 0.12, 0.18
"""Steps of light down the bridge, of the face's contrast: up to 0.14 in most bare faces, 0.17 where it is deeply lined;
0.17 to 0.72 behind glasses."""


def wears_glasses(rgb: UInt8Array, shape: Shape) -> float:
    """0 a bare face .. 1 glasses: the bridge between the rims is a line across a nose that has none by itself."""
    left, right = (shape.points[index, :2] for index in mesh.EYE_CORNERS_OUTER)
    down = (_SIDE_PX / 2 - _EYES_ROW) / _UNIT_PX * shape.unit * shape.axes[1]
    angle = float(np.arctan2(shape.axes[0, 1], shape.axes[0, 0]))
    side = _SIDE_PX / _UNIT_PX * shape.unit
    look, _ = square_of(rgb, (left + right) / 2 + down, side, angle, _SIDE_PX)
    light = cv2.GaussianBlur(cv2.cvtColor(look, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32), (0, 0), 1.0)
    low, high = np.percentile(light[_FACE_ROWS], (5, 95))
    bridge = shape.points[list(_BRIDGE), :2].mean(0) - (left + right) / 2
    middle = round(_SIDE_PX / 2 + float(bridge @ shape.axes[0]) / shape.unit * _UNIT_PX)
    slopes = np.gradient(light, axis=0)[_BRIDGE_ROWS, middle - _HALF_PX : middle + _HALF_PX + 1]
    across = np.median(slopes, axis=1)
    return float(smoothstep(np.ptp(across) / max(float(high - low), 1.0), _NONE, _SURE))
