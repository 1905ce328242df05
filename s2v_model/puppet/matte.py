"""The person apart from what is behind: an alpha matte, the still background, and where each of them shows.

In: a portrait at frame size, its `Shape` and the segmentation model. Out: a `Backdrop`. Knows no time.
Source of the model: MediaPipe selfie segmentation, Apache-2.0. Refinement: He et al., "Guided Image Filtering",
IEEE PAMI 35(6), 2013.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array, UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.fill import filled
from s2v_model.puppet.landmarks import Model
from s2v_model.puppet.shape import Shape

FloatArray = npt.NDArray[np.float64]

MODEL = "selfie_segmentation.tflite"
_MODEL_PX = 256
_CROP = 3.4
"""The model sees a square this many times as high as the face, or the whole frame."""
_SURE = 0.9
"""Share of the face that must lie in the matte; drawings often fail, and are then warped with their background."""
_TILE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A row of tiles: [left, right) x [top, bottom) of the frame."""

    top: int
    bottom: int
    left: int
    right: int
    mixed: bool
    """Person and background both show here; else only the person."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backdrop:
    """What stands still, and where it can be seen."""

    plate: UInt8Array
    """(height, width, 3): the background, continued behind the person."""
    person: UInt8Array
    """(height, width, 4): the person over black, colours already times alpha; over `plate` it gives the portrait."""
    runs: tuple[Run, ...]
    """Where the person can get to; everywhere else the plate shows."""


class Segmenter:
    """Tells persons from backgrounds."""

    def __init__(self, model: Path) -> None:
        self._model = Model(model)

    def matte(self, rgb: UInt8Array, shape: Shape) -> Float32Array | None:
        """(height, width) in 0 .. 1: 1 on the person of `shape`; None where the model does not see one."""
        left, top, right, bottom = _crop(rgb, shape)
        part = rgb[top:bottom, left:right]
        small = cv2.resize(part, (_MODEL_PX, _MODEL_PX), interpolation=cv2.INTER_AREA)
        coarse = self._model(small.astype(np.float32) / 255)[0].reshape(_MODEL_PX, _MODEL_PX)
        full = np.zeros(rgb.shape[:2], np.float32)
        full[top:bottom, left:right] = np.clip(_guided(part, coarse), 0, 1)
        face = np.zeros(rgb.shape[:2], np.uint8)
        cv2.fillConvexPoly(face, cv2.convexHull(np.round(shape.points[list(mesh.OVAL), :2]).astype(np.int32)), 255)
        inside = full[face > 0]
        if not inside.size or float((inside > 0.5).mean()) < _SURE:
            return None
        # The face itself is never see-through, whatever the model thinks of glasses or a beard.
        return np.asarray(np.maximum(full, cv2.GaussianBlur(face, (0, 0), 2.0).astype(np.float32) / 255))


def build_backdrop(rgb: UInt8Array, matte: Float32Array | None, reach: Float32Array) -> Backdrop:
    """The backdrop of `rgb`; `reach` (height, width): how far, in px, a point of the person may ever move."""
    if matte is None:
        person = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
        return Backdrop(plate=rgb, person=np.asarray(person, np.uint8), runs=_runs(None, reach))
    alpha = np.round(np.where(matte < 0.04, 0, np.where(matte > 0.96, 1, matte)) * 255).astype(np.uint8)
    # One pixel more than the matte: its outermost colours are already mixed with the person's.
    hidden = cv2.dilate((alpha > 8).astype(np.uint8), np.ones((5, 5), np.uint8))
    plate = filled(rgb, hidden)
    alpha = np.maximum(alpha, _needed(rgb, plate))
    share = alpha[..., None].astype(np.float32) / 255
    # What the plate does not account for is the person's: over the plate it gives the portrait back exactly.
    colours = np.clip(np.round(rgb - (1 - share) * plate), 0, alpha[..., None]).astype(np.uint8)
    return Backdrop(plate=plate, person=np.dstack([colours, alpha]), runs=_runs(alpha, reach))


def _needed(rgb: UInt8Array, plate: UInt8Array) -> UInt8Array:
    """The least alpha, 0 .. 255, with which a person over `plate` can look like `rgb`.

    A doubtful matte over a background that was guessed wrong would let hats and furniture fade.
    """
    apart = rgb.astype(np.float32) - plate
    room = np.where(apart > 0, 255 - plate.astype(np.float32), plate)
    return np.asarray(np.ceil(np.abs(apart) / np.maximum(room, 1) * 255).max(2), np.uint8)


def _crop(rgb: UInt8Array, shape: Shape) -> tuple[int, int, int, int]:
    height, width = rgb.shape[:2]
    oval = shape.points[list(mesh.OVAL), :2]
    low, high = oval.min(0), oval.max(0)
    side = int(min(_CROP * (high[1] - low[1]), max(height, width)))
    x, y = (low + high) / 2
    left = int(np.clip(x - side / 2, 0, max(0, width - side)))
    top = int(np.clip(y - 0.45 * side, 0, max(0, height - side)))
    return left, top, min(width, left + side), min(height, top + side)


def _guided(rgb: UInt8Array, coarse: Float32Array) -> Float32Array:
    """`coarse` enlarged to `rgb`, its edges drawn to those of the picture."""
    height, width = rgb.shape[:2]
    guide = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    mask = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    size = (max(3, round(max(height, width) * 0.016) * 2 + 1),) * 2
    mean_g, mean_m = cv2.blur(guide, size), cv2.blur(mask, size)
    slope = (cv2.blur(guide * mask, size) - mean_g * mean_m) / (cv2.blur(guide * guide, size) - mean_g**2 + 4e-3)
    offset = mean_m - slope * mean_g
    refined = cv2.blur(slope, size) * guide + cv2.blur(offset, size)
    return np.asarray(np.clip((refined - 0.10) / 0.80, 0, 1), np.float32)


def _runs(alpha: UInt8Array | None, reach: Float32Array) -> tuple[Run, ...]:
    """Tiles that the person can touch, joined along rows."""
    height, width = reach.shape
    runs: list[Run] = []
    for top in range(0, height, _TILE):
        bottom = min(height, top + _TILE)
        for left in range(0, width, _TILE):
            right = min(width, left + _TILE)
            far = int(np.ceil(float(reach[top:bottom, left:right].max())))
            if far == 0 and alpha is None:
                continue
            mixed = False
            if alpha is not None:
                around = alpha[max(0, top - far) : bottom + far, max(0, left - far) : right + far]
                if not around.any():
                    continue
                mixed = int(around.min()) < 255
            last = runs[-1] if runs else None
            if last and last.top == top and last.right == left and last.mixed == mixed:
                runs[-1] = Run(top=top, bottom=bottom, left=last.left, right=right, mixed=mixed)
            else:
                runs.append(Run(top=top, bottom=bottom, left=left, right=right, mixed=mixed))
    return tuple(runs)
