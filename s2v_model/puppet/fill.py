"""Holes in pictures, filled smoothly from around.

In: pixels and a mask. Out: pixels. Knows no face.
Source: push-pull, Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.3.
"""

import cv2
import numpy as np

from s2v_model.contract import UInt8Array


def filled(rgb: UInt8Array, hole: UInt8Array) -> UInt8Array:
    """`rgb` with `hole` filled from around, smoothly: down to coarse means and up again (push-pull)."""
    colours = rgb.astype(np.float32)
    known = (hole == 0).astype(np.float32)
    levels = [(colours * known[..., None], known)]
    while min(levels[-1][1].shape) > 2:
        values, weights = levels[-1]
        size = ((values.shape[1] + 1) // 2, (values.shape[0] + 1) // 2)
        levels.append(
            (
                cv2.resize(values, size, interpolation=cv2.INTER_AREA),
                cv2.resize(weights, size, interpolation=cv2.INTER_AREA),
            )
        )
    values, weights = levels[-1]
    guess = values / np.maximum(weights[..., None], 1e-4)
    for values, weights in reversed(levels[:-1]):
        coarse = cv2.resize(guess, weights.shape[::-1], interpolation=cv2.INTER_LINEAR)
        sure = np.clip(weights * 4, 0, 1)[..., None]
        guess = values / np.maximum(weights[..., None], 1e-4) * sure + coarse * (1 - sure)
    filled = np.clip(np.round(guess), 0, 255).astype(np.uint8)
    return np.where(hole[..., None] > 0, filled, rgb)
