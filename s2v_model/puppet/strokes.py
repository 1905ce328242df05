"""What a painter draws with: arrays that are used again, lines, curves and soft masks.

In: shapes and masks. Out: arrays. Knows no face.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array, UInt8Array

FloatArray = npt.NDArray[np.float64]


class Scratch:
    """Room for what one frame needs and the next one overwrites; each name is one room."""

    def __init__(self) -> None:
        self._rooms: dict[str, npt.NDArray[Any]] = {}

    def floats(self, name: str, *shape: int) -> Float32Array:
        """An array of `shape` with whatever was left in it."""
        return np.asarray(self._room(name, shape, np.float32), np.float32)

    def bytes(self, name: str, *shape: int) -> UInt8Array:
        """The same of bytes."""
        return np.asarray(self._room(name, shape, np.uint8), np.uint8)

    def _room(self, name: str, shape: tuple[int, ...], kind: type) -> npt.NDArray[Any]:
        size = int(np.prod(shape))
        room = self._rooms.get(name)
        if room is None or room.size < size:
            # A mouth opens: a little more than is needed now.
            room = self._rooms[name] = np.empty(size + size // 4, kind)
        return room[:size].reshape(shape)


def ramp(values: Float32Array, low: float, high: float, out: Float32Array, spare: Float32Array) -> None:
    """Fill `out` with 0 below `low`, 1 above `high`, smooth between; `spare` is overwritten."""
    np.subtract(values, np.float32(low), out=out)
    out *= np.float32(1 / (high - low))
    np.clip(out, 0, 1, out=out)
    np.multiply(out, -2, out=spare)
    spare += 3
    spare *= out
    out *= spare


def draw_outline(
    inside: Float32Array, alpha: Float32Array, outline: FloatArray, thick_px: float, colour: Float32Array
) -> None:
    """The line that a drawing has around its mouth, into the colours and their alpha."""
    stroke = np.zeros(alpha.shape, np.uint8)
    cv2.polylines(stroke, [np.int32(outline * 64)], True, 255, max(1, round(thick_px)), cv2.LINE_AA, 6)
    share = stroke.astype(np.float32) / 255
    inside += (colour - inside) * share[..., None]
    np.maximum(alpha, share, out=alpha)


def blurred(mask: UInt8Array, sigma: float) -> Float32Array:
    """`mask` blurred widely, at a quarter of its size where that cannot be seen."""
    height, width = mask.shape
    if sigma < 4 or min(height, width) < 16:
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.float32)
    small = cv2.resize(mask, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small.astype(np.float32), (0, 0), sigma / 4)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def curve_weights(count: int, parts: int = 6) -> FloatArray:
    """(curve points, count): the closed Catmull-Rom curve through `count` points is this times them."""
    points = np.eye(count)
    t = np.linspace(0, 1, parts, endpoint=False)[:, None]
    pieces = []
    for k in range(count):
        a, b, c, d = (points[(k + step) % count] for step in (-1, 0, 1, 2))
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack(pieces)
