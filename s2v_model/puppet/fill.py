"""Holes in pictures, filled smoothly from around.

In: pixels and a mask. Out: pixels. Knows no face.
Source: push-pull, Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.3.
"""

import cv2
import numpy as np

from s2v_model.contract import Float32Array, UInt8Array


def filled(rgb: UInt8Array, hole: UInt8Array) -> UInt8Array:
    """`rgb` with `hole` filled from around, smoothly: down to coarse means and up again (push-pull)."""
    known = cv2.compare(hole, 0, cv2.CMP_EQ)
    levels = [_halved(cv2.bitwise_and(rgb, rgb, mask=known).astype(np.float32), known.astype(np.float32) / 255)]
    while min(levels[-1][1].shape) > 2:
        levels.append(_halved(*levels[-1]))
    values, weights = levels[-1]
    guess = values / np.maximum(weights[..., None], 1e-4)
    for values, weights in reversed(levels[:-1]):
        coarse = cv2.resize(guess, weights.shape[::-1], interpolation=cv2.INTER_LINEAR)
        sure = np.clip(weights * 4, 0, 1)[..., None]
        guess = values / np.maximum(weights[..., None], 1e-4) * sure + coarse * (1 - sure)
    # The picture itself is a level of its own: known where it is, nothing where it is not.
    smooth = cv2.resize(np.clip(np.round(guess), 0, 255).astype(np.uint8), hole.shape[::-1])
    return np.where(hole[..., None] > 0, smooth, rgb)


def _halved(values: Float32Array, weights: Float32Array) -> tuple[Float32Array, Float32Array]:
    size = ((values.shape[1] + 1) // 2, (values.shape[0] + 1) // 2)
    small = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (values, weights))
    return np.asarray(next(small), np.float32), np.asarray(next(small), np.float32)
