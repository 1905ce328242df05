"""What each mouth and brow parameter does to the points of a face: two sheets of displacements.

The upper sheet is the skull with the upper lip, the lower one the jaw with the lower lip; they part along the lip
line. In: a `Shape`. Out: displacements of all mesh points in local relative units, one per parameter and sheet.
Knows no pixels. The weights were found by eye on some forty portraits.
"""

import numpy as np
import numpy.typing as npt

from s2v_model.puppet import topology as mesh
from s2v_model.puppet.shape import Shape

FloatArray = npt.NDArray[np.float64]

PARAMETERS = ("jaw", "round", "spread", "press", "fv", "lowdn", "upup", "smile", "brow")
"""jaw opens; round puckers; spread pulls the corners; press closes the lips; fv lifts the lower lip to the teeth;
lowdn and upup bare the lower and upper teeth; smile lifts the corners; brow lifts the brows. 0 .. 1, 1 is strong."""

_BROAD = 0.16
"""No smile is relaxed as one wider than this."""
_CORNER_FOLLOWS = 0.40
"""Share of the jaw's way that the corners of the mouth go down."""


def smoothstep(x: FloatArray | float, low: float, high: float) -> FloatArray:
    """0 below `low`, 1 above `high`, smooth between; `high` may lie below `low`."""
    t = np.clip((np.asarray(x, float) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


class _Weights:
    """How much each mesh point belongs to lips, corners and jaw; (468,) each."""

    def __init__(self, shape: Shape, chin_follows: float) -> None:
        self.x, self.y = shape.local[:, 0], shape.local[:, 1]
        half = shape.mouth_half
        index = np.arange(mesh.NUM_POINTS)
        self.upper, self.lower = np.isin(index, list(mesh.UPPER_LIP)), np.isin(index, list(mesh.LOWER_LIP))
        self.upper_edge, self.lower_edge = np.isin(index, mesh.UPPER_INNER), np.isin(index, mesh.LOWER_INNER)
        self.side = np.sign(self.x)
        # 1 in the middle of the lips, 0 at the corners.
        self.arc = np.clip(1 - np.clip(np.abs(self.x) / half, 0, 1) ** 2.0, 0, 1) ** 0.68
        self.corner = np.exp(-((np.abs(self.x) - half) ** 2) / (2 * 0.10**2) - self.y**2 / (2 * 0.09**2))
        near = np.clip(np.abs(self.y) - 0.05, 0, None) ** 2 / (2 * 0.09**2)
        beside = np.clip(np.abs(self.x) - half, 0, None) ** 2 / (2 * 0.17**2)
        self.lips = np.exp(-near - beside)
        self.below_skin = ~self.lower & ~self.upper & (self.y > 0)
        # The jaw turns about the ears: what lies further in front of them moves further.
        ears, front = shape.depth[list(mesh.JAW_HINGES)].mean(), shape.depth[[mesh.CHIN, mesh.LOWER_LIP_EDGE]].mean()
        hinge = np.clip((ears - shape.depth) / (ears - front + 1e-6), 0, 1.15)
        lateral = 1 - smoothstep(np.abs(self.x), half * 0.9, half * 2.3)
        self.jaw_skin = chin_follows * smoothstep(self.y, -0.06, 0.16) * hinge * (0.35 + 0.65 * lateral)


def displacements(shape: Shape, *, chin_follows: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """(upper, lower): each (parameters, 468, 2), relative, for a parameter of 1 (jaw: for an opening of one unit).

    chin_follows: share of the jaw's way that the skin below the lips goes.
    """
    weights = _Weights(shape, chin_follows)
    upper = np.zeros((len(PARAMETERS), mesh.NUM_POINTS, 2))
    lower = np.zeros_like(upper)
    _jaw(weights, _of(upper, "jaw"), _of(lower, "jaw"))
    _lip_shapes(weights, upper, lower)
    _closures(weights, shape.gap, upper, lower)
    _bared(weights, upper, lower)
    for sheet in (upper, lower):
        _of(sheet, "brow")[:, 1] = -0.045 * _brow_weights()
    return _mirrored(upper, lower)


def _of(sheet: FloatArray, name: str) -> FloatArray:
    return np.asarray(sheet[PARAMETERS.index(name)])


def _jaw(w: _Weights, upper: FloatArray, lower: FloatArray) -> None:
    follows = _CORNER_FOLLOWS
    down = np.where(w.lower, follows + (1 - follows) * w.arc, 0)
    down = np.where(w.below_skin, np.maximum(w.jaw_skin, down), down)
    lower[:, 1] = np.where(~w.lower & (w.y <= 0), follows * w.corner, down)
    lifted = np.where(w.upper, follows * (1 - w.arc) - 0.05 * w.arc, follows * w.corner * (w.y < 0.12))
    upper[:, 1] = np.where(w.below_skin, down, lifted)
    for sheet in (upper, lower):
        sheet[:, 0] = -w.side * 0.20 * w.corner


def _lip_shapes(w: _Weights, upper: FloatArray, lower: FloatArray) -> None:
    for sheet in (upper, lower):
        _of(sheet, "round")[:, 0] = -np.clip(w.x, -0.34, 0.34) * w.lips * 0.34
        _of(sheet, "spread")[:, 0] = w.side * 0.055 * w.corner + w.x * w.lips * 0.06
        _of(sheet, "spread")[:, 1] = -0.012 * w.corner
        _of(sheet, "smile")[:, 0] = w.side * 0.04 * w.corner
        _of(sheet, "smile")[:, 1] = -0.055 * w.corner
    # A pucker opens in the middle and shuts beside it: zero at the corners, where the sheets meet.
    beside = 0.09 * w.arc * (1 - w.arc)
    _of(upper, "round")[:, 1] = np.where(w.upper, beside - 0.018 * w.arc**3, -0.008 * w.lips)
    _of(lower, "round")[:, 1] = np.where(w.lower, 0.024 * w.arc**3 - beside, 0.012 * w.lips * (w.y > 0))
    _of(lower, "spread")[:, 1] += np.where(w.lower, -0.006 * w.arc, 0)


def _closures(w: _Weights, gap: float, upper: FloatArray, lower: FloatArray) -> None:
    """Closing an open-mouthed portrait is the jaw turned back, not the lips pulled together."""
    upper_skin, lower_skin = w.upper & ~w.upper_edge, w.lower & ~w.lower_edge
    _of(upper, "press")[:, 1] = np.where(w.upper, 0.25 * gap * w.arc, 0) + np.where(upper_skin, 0.012 * w.arc, 0)
    _of(lower, "press")[:, 1] = -np.where(lower_skin, 0.014 * w.arc, 0)
    # Of teeth that the portrait bares, the edges are seen on the lip, not the gums above them.
    _of(upper, "fv")[:, 1] = np.where(w.upper, (0.22 * min(gap, _BROAD) - 0.026) * w.arc, -0.008 * w.lips * (w.y < 0))
    # The edge of the lower lip goes behind the teeth; what is seen of it ends where they do.
    rise = min(0.016, 0.25 * gap)
    _of(lower, "fv")[:, 1] = -np.where(w.lower, rise * w.arc, 0) - np.where(lower_skin, 0.016 * w.arc, 0)
    for sheet in (upper, lower):
        _of(sheet, "press")[:] -= 0.75 * gap * _of(sheet, "jaw")
        _of(sheet, "fv")[:] -= 0.62 * gap * _of(sheet, "jaw")
        _of(sheet, "round")[:] -= 0.30 * min(gap, 0.12) * _of(sheet, "jaw")
        # A broad smile that shuts grows narrower, and its corners come down.
        _of(sheet, "press")[:, 0] -= np.clip(w.x, -0.34, 0.34) * w.lips * min(0.22, 1.6 * gap)
        _of(sheet, "press")[:, 1] += 0.40 * min(gap, _BROAD) * w.corner
    _meet(w, _of(upper, "press"), _of(lower, "press"))
    _of(upper, "round")[:, 1] += np.where(w.upper, 0.25 * min(gap, 0.12) * w.arc, 0)


def _meet(w: _Weights, upper: FloatArray, lower: FloatArray) -> None:
    """A smile gapes further aside than an arc does: what is left between the pressed lips is shared by both."""
    above, below = list(mesh.UPPER_INNER), list(mesh.LOWER_INNER)
    left = np.maximum(w.y[below] + lower[below, 1] - w.y[above] - upper[above, 1], 0)
    order = np.argsort(w.x[above])
    apart = np.interp(w.x, w.x[above][order], left[order], left=0, right=0)
    upper[:, 1] += np.where(w.upper, 0.4 * apart, 0)
    lower[:, 1] -= np.where(w.lower, 0.6 * apart, 0)


def _bared(w: _Weights, upper: FloatArray, lower: FloatArray) -> None:
    _of(lower, "lowdn")[:, 1] = np.where(w.lower, 0.045 * w.arc, 0.02 * w.lips * (w.y > 0))
    _of(upper, "upup")[:, 1] = np.where(w.upper, -0.040 * w.arc, -0.018 * w.lips * (w.y < 0))


def _brow_weights() -> FloatArray:
    weights = np.zeros(mesh.NUM_POINTS)
    weights[list(mesh.FOREHEAD_LOW)] = 0.55
    weights[list(mesh.BROW_UNDERSIDE)] = 0.9
    weights[list(mesh.BROW_CORE)] = 1
    return weights


def _mirrored(upper: FloatArray, lower: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A point of the other lip takes, in each sheet, the motion of the point that faces it."""
    own_upper, own_lower = upper.copy(), lower.copy()
    for above, below in mesh.LIP_PAIRS:
        if above != below:
            upper[:, below], lower[:, above] = own_upper[:, above], own_lower[:, below]
    return upper, lower
