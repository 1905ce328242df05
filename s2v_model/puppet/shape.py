"""The measured shape of one portrait's face: points, axes, unit and what its mouth looks like at rest.

In: a picture at frame size and its mesh in px. Out: `Shape`, on which every displacement is built. All lengths that
are called relative are in units of the distance between the outer corners of the eyes. Knows no motion.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import UInt8Array
from s2v_model.puppet import topology as mesh

FloatArray = npt.NDArray[np.float64]

_SNAP_SAMPLES = 32
_SNAP_FROM, _SNAP_TO = -0.35, 0.75
"""The lip edge is sought between these fractions of the way from the inner to the outer lip line."""
_EDGE_MIN = 8.0
"""Rise of Lab a* across the whole way that counts as the edge of a lip."""
_CORNER_PULL = 0.80
"""The mesh's inner corners lie inside the lips; the slit really ends this far towards the outer corners."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A face in a frame. Local coordinates: origin between the lips, x along the eyes, y towards the chin, in units."""

    points: FloatArray
    """(468, 3), px of the frame."""
    unit: float
    """Px between the outer corners of the eyes."""
    centre: FloatArray
    """(2,), px: between the lips."""
    axes: FloatArray
    """(2, 2): rows are the face's x and y axes in the frame."""
    local: FloatArray
    """(468, 2), relative."""
    depth: FloatArray
    """(468,), relative, away from the camera."""

    @property
    def mouth_half(self) -> float:
        """Half the distance of the mouth's outer corners, relative."""
        left, right = mesh.MOUTH_CORNERS_OUTER
        return float(np.linalg.norm(self.points[left, :2] - self.points[right, :2])) / self.unit / 2

    @property
    def slit_width(self) -> float:
        """Distance of the inner corners, relative."""
        left, right = mesh.MOUTH_CORNERS_INNER
        return float(np.linalg.norm(self.points[left, :2] - self.points[right, :2])) / self.unit

    @property
    def gap(self) -> float:
        """How far the lips of the portrait itself are apart, relative; 0 where they touch."""
        return max(0.0, float(self.local[mesh.LIP_CENTRE_LOWER, 1] - self.local[mesh.LIP_CENTRE_UPPER, 1]))

    def to_frame(self, local: FloatArray) -> FloatArray:
        """Relative local coordinates (..., 2) as px of the frame."""
        return np.asarray(local @ self.axes * self.unit + self.centre)

    def to_local(self, frame: FloatArray) -> FloatArray:
        """Px of the frame (..., 2) as relative local coordinates."""
        return np.asarray((frame - self.centre) @ self.axes.T / self.unit)


def measure(rgb: UInt8Array, points: FloatArray) -> Shape:
    """The shape of the face whose mesh is `points` (468, 3) in px of `rgb`; the lip line is snapped to the lips."""
    points = snap_lips(rgb, points)
    left, right = (points[index, :2] for index in mesh.EYE_CORNERS_OUTER)
    unit = float(np.linalg.norm(right - left))
    across = (right - left) / unit
    axes = np.stack([across, np.array([-across[1], across[0]])])
    centre = (points[mesh.LIP_CENTRE_UPPER, :2] + points[mesh.LIP_CENTRE_LOWER, :2]) / 2
    local = (points[:, :2] - centre) @ axes.T / unit
    return Shape(points=points, unit=unit, centre=centre, axes=axes, local=local, depth=points[:, 2] / unit)


def snap_lips(rgb: UInt8Array, points: FloatArray) -> FloatArray:
    """`points` with the inner lip line moved to where the lips' redness ends: the mesh alone puts it on the teeth."""
    points = points.copy()
    left, right = (points[index, :2] for index in mesh.EYE_CORNERS_OUTER)
    unit = float(np.linalg.norm(right - left))
    smooth = cv2.GaussianBlur(rgb, (0, 0), max(0.6, 0.006 * unit))
    redness = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)[..., 1].astype(np.float32)
    for inner, outer in ((mesh.UPPER_INNER, mesh.UPPER_OUTER), (mesh.LOWER_INNER, mesh.LOWER_OUTER)):
        _snap(points, redness, inner, outer)
    _keep_apart(points, (right - left) / unit)
    for inner_corner, outer_corner in zip(mesh.MOUTH_CORNERS_INNER, mesh.MOUTH_CORNERS_OUTER, strict=True):
        points[inner_corner, :2] += _CORNER_PULL * (points[outer_corner, :2] - points[inner_corner, :2])
    return points


def _snap(points: FloatArray, redness: npt.NDArray[np.float32], inner: tuple[int, ...], outer: tuple[int, ...]) -> None:
    ways = np.linspace(_SNAP_FROM, _SNAP_TO, _SNAP_SAMPLES)
    # Edges near the mesh's own guess are likelier.
    trust = np.exp(-((ways / 0.45) ** 2))
    moved = np.zeros(len(inner))
    for k in range(1, len(inner) - 1):
        start, way = points[inner[k], :2], points[outer[k], :2] - points[inner[k], :2]
        if np.linalg.norm(way) < 2:
            continue
        at = (start + ways[:, None] * way).astype(np.float32)
        values = cv2.remap(redness, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        slope = np.gradient(values[0])
        best = int(np.argmax(slope * trust))
        if slope[best] * _SNAP_SAMPLES / (_SNAP_TO - _SNAP_FROM) > _EDGE_MIN and ways[best] > -0.3:
            moved[k] = ways[best]
    moved = np.convolve(np.pad(moved, 1), [0.25, 0.5, 0.25], "valid")
    for k in range(1, len(inner) - 1):
        points[inner[k], :2] += moved[k] * (points[outer[k], :2] - points[inner[k], :2])


def _keep_apart(points: FloatArray, across: FloatArray) -> None:
    down = np.array([-across[1], across[0]])
    for upper, lower in zip(mesh.UPPER_INNER[1:-1], mesh.LOWER_INNER[1:-1], strict=True):
        if (points[lower, :2] - points[upper, :2]) @ down < 0:
            points[[upper, lower], :2] = (points[upper, :2] + points[lower, :2]) / 2
