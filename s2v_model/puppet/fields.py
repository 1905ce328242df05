"""Displacements of points made smooth over the plane, and their inversion on a grid.

In: displacements of scattered points. Out: displacement fields sampled on a regular `Grid`. Knows no face.
Source: thin-plate splines, Bookstein, "Principal Warps", IEEE PAMI 11(6), 1989.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array

FloatArray = npt.NDArray[np.float64]

_BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Nodes in the middle of square cells that cover a rectangle of the frame.

    Cells rather than corners, because enlarging node values by `cv2.resize` then lands exactly on the pixels; but for
    the outer half of the outermost cells, which have a node on one side only: see `Enlarger`.
    """

    left: int
    top: int
    step: int
    columns: int
    rows: int

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of what the cells cover."""
        return self.columns * self.step, self.rows * self.step

    @property
    def box(self) -> tuple[int, int, int, int]:
        """left, top, right, bottom in px."""
        return self.left, self.top, self.left + self.columns * self.step, self.top + self.rows * self.step

    def nodes(self) -> FloatArray:
        """(rows, columns, 2): where the nodes lie, px."""
        x = self.left + (np.arange(self.columns) + 0.5) * self.step - 0.5
        y = self.top + (np.arange(self.rows) + 0.5) * self.step - 0.5
        return np.stack(np.meshgrid(x, y), -1)

    def index_of(self, px: FloatArray) -> FloatArray:
        """Px positions (..., 2) as fractional column and row."""
        return np.asarray((px - np.array([self.left, self.top]) + 0.5) / self.step - 0.5)


def covering(low: FloatArray, high: FloatArray, step: int, width: int, height: int) -> Grid:
    """The grid of whole cells, aligned to multiples of `step`, over [low, high] cut to the frame."""
    left, top = (max(0, int(value // step)) for value in low)
    right = min(-(-width // step), -int(-high[0] // step))
    bottom = min(-(-height // step), -int(-high[1] // step))
    return Grid(left=left * step, top=top * step, step=step, columns=max(2, right - left), rows=max(2, bottom - top))


class Spline:
    """Thin-plate interpolation of values given at `centres` (n, 2)."""

    def __init__(self, centres: FloatArray, values: FloatArray, *, smoothing: float) -> None:
        count = len(centres)
        system = np.zeros((count + 3, count + 3))
        system[:count, :count] = _kernel(centres, centres) + np.eye(count) * smoothing
        affine = np.c_[np.ones(count), centres]
        system[:count, count:] = affine
        system[count:, :count] = affine.T
        self._centres = centres
        self._weights = np.linalg.solve(system, np.r_[values, np.zeros((3, values.shape[1]))])

    def __call__(self, at: FloatArray) -> FloatArray:
        """Values at `at` (m, 2): (m, number of values)."""
        parts = []
        for start in range(0, len(at), _BLOCK):
            block = at[start : start + _BLOCK]
            basis = np.c_[_kernel(block, self._centres), np.ones(len(block)), block]
            parts.append(basis @ self._weights)
        return np.concatenate(parts)


def _kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    squared = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)
    return np.asarray(0.5 * squared * np.log(squared + 1e-9))


class Inverter:
    """Turns forward displacements on a grid into backward ones, by fixed point; reuses its buffers."""

    def __init__(self, grid: Grid, iterations: int) -> None:
        columns, rows = np.meshgrid(np.arange(grid.columns), np.arange(grid.rows))
        self._index = np.stack([columns, rows], -1).astype(np.float32)
        self._at, self._before = np.empty_like(self._index), np.empty_like(self._index)
        self._scale = 1 / grid.step
        self._iterations = iterations

    def __call__(self, forward: Float32Array, backward: Float32Array) -> None:
        """Fill `backward` so that backward(p) = -forward(p + backward(p)); both (rows, columns, 2), px."""
        np.negative(forward, out=backward)
        for _ in range(self._iterations):
            np.copyto(self._before, backward)
            cv2.scaleAdd(backward, self._scale, self._index, dst=self._at)
            cv2.remap(forward, self._at, None, cv2.INTER_LINEAR, dst=backward, borderMode=cv2.BORDER_REPLICATE)
            np.negative(backward, out=backward)
        # Where a field is too steep the steps swing to and fro, about the middle of the last two.
        cv2.addWeighted(backward, 0.5, self._before, 0.5, 0, dst=backward)


def weighted_sum(bases: Float32Array, weights: Float32Array, out: Float32Array) -> None:
    """Fill `out` with the sum of weights[k] * bases[k]; term by term, so that the number of cores alters nothing."""
    out.fill(0)
    for basis, weight in zip(bases, weights, strict=True):
        if weight:
            cv2.scaleAdd(basis, float(weight), out, dst=out)


class Enlarger:
    """Values of a grid's nodes at every pixel of its cells; reuses its buffers.

    They go on straight beyond the outermost nodes: `cv2.resize` alone repeats half a cell there, as streaks.
    """

    def __init__(self, grid: Grid) -> None:
        self._room = np.empty((grid.rows + 2, grid.columns + 2, 2), np.float32)
        width, height = grid.size_px
        self._px = np.empty((height + 2 * grid.step, width + 2 * grid.step, 2), np.float32)
        self.values: Float32Array = self._px[grid.step :, grid.step :]
        """What the last call made: from the grid's left and top on, and a cell further than it reaches."""

    def __call__(self, nodes: Float32Array) -> None:
        """Fill `values` from `nodes` (rows, columns, 2)."""
        room = self._room
        room[1:-1, 1:-1] = nodes
        for line in (room[:, 1:-1], room.swapaxes(0, 1)):
            for end, beside, next_to_it in ((0, 1, 2), (-1, -2, -3)):
                np.multiply(line[beside], 2, out=line[end])
                line[end] -= line[next_to_it]
        cv2.resize(room, self._px.shape[1::-1], dst=self._px, interpolation=cv2.INTER_LINEAR)
