"""Lids of flat drawings: an area in the colour of the skin, and a line like those that the drawing has.

In: frames and the outline of an eye in their px. Out: the frame with the lid on it. Knows no head and no time.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import UInt8Array

FloatArray = npt.NDArray[np.float64]

_SHIFT = 6
"""Binary digits behind the point in OpenCV's coordinates."""
_FRINGE_PX = 1.0
"""How far the soft edge of an eye reaches beyond its outline."""
_ALL_HIDDEN = 0.8
"""An eye of ink, whose lid ends on an arc above its lowest point, is gone from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lid:
    """How a drawing would draw a lid."""

    skin: tuple[float, float, float]
    """RGB."""
    line: tuple[float, float, float]
    """RGB."""
    thick: float
    """Of the line, relative to the distance of the eyes' outer corners."""
    is_ink: bool
    """The eye has no white: it is a line with a pupil below."""


def draw_lid(rgba: UInt8Array, lid: Lid, above: FloatArray, below: FloatArray, thick_px: float, closed: float) -> None:
    """Draw `lid` onto `rgba`, `closed` 0 open .. 1 shut, over an eye between `above` and `below`: (n, 2), px."""
    down = (below - above).sum(0)
    down /= max(float(np.linalg.norm(down)), 1e-6)
    shut = _arc(above, below, down) if lid.is_ink else below
    line = above + (shut - above) * closed
    # The edge of ink jumps at the pupil, by more than its curve shows.
    hidden = below + 4 * _FRINGE_PX * down if lid.is_ink and closed > _ALL_HIDDEN else line
    area = np.concatenate([_wider(above) - _FRINGE_PX * down, _wider(hidden)[::-1]])
    cv2.fillPoly(rgba, [_fixed(area)], (*lid.skin, 255.0), cv2.LINE_AA, _SHIFT)
    # From the eye's upper line onto its lower one. OpenCV's soft lines are nearly a px thicker than asked for.
    line = line + down * (closed - 0.5) * thick_px * (0 if lid.is_ink else 1)
    cv2.polylines(rgba, [_fixed(line)], False, (*lid.line, 255.0), max(1, round(thick_px - 0.7)), cv2.LINE_AA, _SHIFT)


def _arc(above: FloatArray, below: FloatArray, down: FloatArray) -> FloatArray:
    """From corner to corner, sagging nearly as far as the eye is high."""
    start, end = ((above[k] + below[k]) / 2 for k in (0, -1))
    along = np.linspace(0, 1, len(above))[:, None]
    chord = start + (end - start) * along
    deepest = float(((below - chord) @ down).max())
    return np.asarray(chord + down * (0.75 * deepest * 4 * along * (1 - along)))


def _wider(edge: FloatArray) -> FloatArray:
    """`edge` with its ends moved outwards by the fringe."""
    way = edge[-1] - edge[0]
    share = np.linspace(-1, 1, len(edge))[:, None]
    return np.asarray(edge + share * way * (_FRINGE_PX / max(float(np.linalg.norm(way)), 1.0)))


def _fixed(px: FloatArray) -> npt.NDArray[np.int32]:
    return np.round(px * (1 << _SHIFT)).astype(np.int32)
