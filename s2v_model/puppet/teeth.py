"""Teeth and a tongue as pictures: what is laid behind parted lips.

In: sizes in mouth widths, a colour. Out: `Texture`, sampled at points of the face. Knows no portrait and no lips.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array
from s2v_model.puppet.sheets import smoothstep

FloatArray = npt.NDArray[np.float64]

_MIDLINE = 0.006
_UNEVEN = (
    (1.00, 1.03, 0.96, 1.0, 1.0, 1.0),
    (1.02, 0.97, 1.02, 1.0, 1.0, 1.0),
    (1.00, 0.97, 1.01, 0.98, 1.0, 1.0),
    (0.985, 1.00, 0.97, 1.02, 1.0, 1.0),
)
"""Widths left and right, then heights left and right, of teeth from the middle outwards."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Texture:
    """A picture in local coordinates: texel (column, row) lies at (column - column0) / scale, relative."""

    rgba: Float32Array
    column0: float
    row0: float
    scale: float


def sample(
    texture: Texture, x: Float32Array, y: Float32Array, out: Float32Array, border: int = cv2.BORDER_CONSTANT
) -> Float32Array:
    """Fill `out` (h, w, 4) with RGBA at the points (x, y), (h, w) each, relative and overwritten; alpha is 0 .. 1."""
    x *= np.float32(texture.scale)
    x += np.float32(texture.column0)
    y *= np.float32(texture.scale)
    y += np.float32(texture.row0)
    return np.asarray(cv2.remap(texture.rgba, x, y, cv2.INTER_LINEAR, dst=out, borderMode=border), np.float32)


def canvas(scale: float, width: float) -> tuple[FloatArray, FloatArray, float]:
    """X and y of the texels in mouth widths, and the column of x = 0."""
    texels = width * scale
    columns, rows = int(texels * 1.25) + 8, int(texels * 0.9) + 8
    x = (np.arange(columns) - columns / 2) / texels
    return *np.meshgrid(x, np.arange(rows) / texels), columns / 2


def teeth(
    scale: float,
    width: float,
    colour: FloatArray,
    *,
    widths: tuple[float, ...],
    heights: tuple[float, ...],
    bend: float,
) -> Texture:
    """A row of teeth seen from the front; sizes in mouth widths, from the middle outwards; the gum is at the top.

    No two teeth are alike: each side varies by _UNEVEN, or the row looks like a piano.
    """
    x, y, column0 = canvas(scale, width)
    right = x > 0
    aside = np.abs(x - _MIDLINE)
    sides = [np.array(widths) * np.array(uneven) for uneven in (_UNEVEN[0], _UNEVEN[1])]
    tall = [np.array(heights) * np.array(uneven) for uneven in (_UNEVEN[2], _UNEVEN[3])]
    ends = [np.cumsum(side) for side in sides]
    which = np.where(right, np.searchsorted(ends[1], aside), np.searchsorted(ends[0], aside))
    which = np.clip(which, 0, len(widths) - 1)
    wide = np.where(right, sides[1][which], sides[0][which])
    start = np.where(right, ends[1][which], ends[0][which]) - wide
    along = np.clip((aside - start) / wide, 0, 1)
    round_off = 1 - 0.13 * np.abs(2 * along - 1) ** 2.6
    edge = np.where(right, tall[1][which], tall[0][which]) * round_off - bend * x**2
    alpha = 1 / (1 + np.exp(np.clip((y - edge) / 0.007, -60, 60))) * (1 - smoothstep(aside, 0.42, 0.56))
    seam = np.exp(-((np.minimum(along, 1 - along) * wide / 0.0055) ** 2)) * smoothstep(y, 0.0, 0.08)
    shade = (1 - 0.42 * smoothstep(aside, 0.06, 0.44)) * (1 - 0.26 * seam) * (1 - 0.07 * np.abs(2 * along - 1) ** 2)
    below_gum = 0.84 + 0.16 * smoothstep(y, 0, 0.07)
    tip = 1 - 0.08 * np.clip((y - edge + 0.03) / 0.03, 0, 1)
    gleam = (
        0.10
        * np.exp(-(((along - 0.42) / 0.20) ** 2) - ((y - 0.55 * edge) / 0.030) ** 2)
        * (1 - smoothstep(aside, 0, 0.3))
    )
    rgb = np.clip(colour * (shade * below_gum * tip + gleam)[..., None], 0, 250)
    rgba = cv2.GaussianBlur(np.dstack([rgb, alpha]).astype(np.float32), (0, 0), max(0.6, 0.0035 * scale))
    return Texture(rgba=rgba, column0=column0, row0=0.0, scale=scale)


def flipped(texture: Texture) -> Texture:
    """Teeth of the lower jaw: the gum is at the bottom."""
    rgba = np.ascontiguousarray(texture.rgba[::-1])
    return Texture(rgba=rgba, column0=texture.column0, row0=float(len(rgba)), scale=texture.scale)


def tongue(scale: float, width: float, colour: FloatArray) -> Texture:
    """A tongue seen from the front, lighter towards its tip, with the furrow in its middle."""
    x, y, column0 = canvas(scale, width)
    distance = (x / 0.30) ** 2 + ((y - 0.42) / 0.34) ** 2
    alpha = 1 / (1 + np.exp(np.clip((distance - 1) / 0.10, -60, 60)))
    shade = 0.66 + 0.34 * smoothstep(y, 0.05, 0.36) - 0.10 * np.exp(-((x / 0.035) ** 2)) - 0.9 * x**2
    rgb = np.clip(colour * shade[..., None], 0, 255)
    return Texture(rgba=np.dstack([rgb, alpha]).astype(np.float32), column0=column0, row0=0.0, scale=scale)
