"""Hands near a face: a palm detector and a 21-point hand mesh, run by LiteRT on one thread.

In: RGB pixels, a face found in them and the model files. Out: `Hand` values in pixels of that picture. Knows nothing of
refusals: `judge.py` says which hand is in the way.
Source of the models: MediaPipe palm detection (full) and hand landmarks (lite), Apache-2.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import UInt8Array
from s2v_model.puppet.landmarks import Face, Model, cell_centres, require, square_of, sureness
from s2v_model.puppet.topology import LIP_CENTRE_LOWER, LIP_CENTRE_UPPER

FloatArray = npt.NDArray[np.float64]

PALMS = "palm_detection_full.tflite"
HAND_MESH = "hand_landmark_lite.tflite"
MODEL_FILES = (PALMS, HAND_MESH)
"""Names of the files that HandFinder needs."""

NUM_POINTS = 21
_WRIST, _MIDDLE_KNUCKLE, _INDEX_KNUCKLE, _LITTLE_KNUCKLE = 0, 9, 5, 17
_PALM = (0, 1, 5, 9, 13, 17)
_FINGERS = ((0, 1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
_LONG_PER_WIDE = 1.35
"""Wrist to knuckles of an open palm, in widths across the knuckles; the longer of both survives foreshortening."""
_FINGER, _ARM, _ARM_WIDTH = 0.22, 1.0, 0.6
"""In lengths of the palm: thickness of a finger, how much of the arm counts as hand, and its width."""

_PALM_PX, _MESH_PX = 192, 224
_PALM_STRIDES = (8, 16, 16, 16)
_SEARCH = 3.0
"""The detector sees a square this many times as wide as the face is high from brow to chin: palms are best found where
they take a fifth to a half of it. Twice 192 px of it are kept: the hand mesh needs no more."""
_PALM_SCORE = 0.5
_HAND_SCORE = 0.75
"""Neither network is enough: the detector takes chins for palms up to 0.80, and the mesh is sure of those by 0.44 at
most, but by up to 0.88 of what the detector doubts. Of 19 in 20 hands found before a mouth it is sure by 0.94."""
_MESH_CROP, _MESH_SHIFT = 2.6, 0.5
"""The hand mesh wants a square this many times as wide as the palm, moved by this share of it towards the fingers."""
_MOST_HANDS = 4


@dataclass(frozen=True, eq=False)
class Hand:
    """One hand, in px of the picture it was found in."""

    points: FloatArray
    """(21, 2): wrist, then thumb to little finger, each from the palm to its tip."""
    score: float
    """0 .. 1: how sure the mesh is that this is a hand."""

    def covers(self, outline: FloatArray) -> float:
        """Which share (0 .. 1) of the area within `outline` (n, 2), in px of the picture, lies behind the hand."""
        low = outline.min(0)
        scale = 64 / max(float((outline.max(0) - low).max()), 1.0)

        def drawn(points: FloatArray) -> npt.NDArray[np.int32]:
            return np.asarray(np.round(np.clip((points - low) * scale, -4096, 4096)), np.int32)

        area, hand = np.zeros((65, 65), np.uint8), np.zeros((65, 65), np.uint8)
        cv2.fillPoly(area, [drawn(outline)], 1)
        cv2.fillConvexPoly(hand, cv2.convexHull(drawn(np.concatenate([self.points[list(_PALM)], self._arm]))), 1)
        thick = int(np.clip(_FINGER * self._palm_length * scale, 1, 255))
        for finger in _FINGERS:
            cv2.polylines(hand, [drawn(self.points[list(finger)])], False, 1, thick)
        return float((area & hand).sum()) / max(float(area.sum()), 1.0)

    @property
    def _arm(self) -> FloatArray:
        """(2, 2): where the arm is as far from the wrist as _ARM says."""
        down = self.points[_WRIST] - self.points[_MIDDLE_KNUCKLE]
        along = down / max(float(np.linalg.norm(down)), 1e-6) * self._palm_length
        across = np.array([-along[1], along[0]]) * _ARM_WIDTH / 2
        return np.asarray(self.points[_WRIST] + _ARM * along + np.stack([across, -across]))

    @property
    def _palm_length(self) -> float:
        long = float(np.linalg.norm(self.points[_MIDDLE_KNUCKLE] - self.points[_WRIST]))
        wide = float(np.linalg.norm(self.points[_LITTLE_KNUCKLE] - self.points[_INDEX_KNUCKLE]))
        return max(long, _LONG_PER_WIDE * wide)


@dataclass(frozen=True, eq=False)
class _Palm:
    centre: FloatArray
    size: float
    """Longer side of its box."""
    up: FloatArray
    """Unit vector from the wrist towards the fingers."""


class HandFinder:
    """Finds hands near faces with the models in `model_paths` (file name -> path; MODEL_FILES says which)."""

    def __init__(self, model_paths: Mapping[str, Path]) -> None:
        require(model_paths, MODEL_FILES)
        self._paths = {name: Path(model_paths[name]) for name in MODEL_FILES}
        self._anchors = _anchors()

    def near(self, rgb: UInt8Array, face: Face) -> tuple[Hand, ...]:
        """The hands about `face` in `rgb` (height, width, 3): within one and a half heights of it from its mouth."""
        scale = max(1.0, _SEARCH * face.brow_to_chin_px / (2 * _PALM_PX))
        picture = rgb
        if scale > 1:
            height, width = (max(1, round(side / scale)) for side in rgb.shape[:2])
            picture = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        hands = (self._hand_of(picture, palm) for palm in self._palms(picture, face, scale))
        return tuple(Hand(points=hand.points * scale, score=hand.score) for hand in hands if hand.score > _HAND_SCORE)

    def _palms(self, picture: UInt8Array, face: Face, scale: float) -> list[_Palm]:
        """The palms about `face`, surest first, in px of `picture`, of which one stands for `scale` px of the face."""
        mouth = face.points[[LIP_CENTRE_UPPER, LIP_CENTRE_LOWER], :2].mean(0) / scale
        size = max(8.0, _SEARCH * face.brow_to_chin_px / scale)
        square, to_picture = square_of(picture, mouth, size, np.radians(face.roll_degrees), _PALM_PX)
        outputs = self._palm_model(np.asarray(square / 255, np.float32))
        boxes = next(out for out in outputs if out.shape[-1] == 18)[0]
        logits = next(out for out in outputs if out.shape[-1] == 1)[0, :, 0]
        scores = sureness(logits)
        found: list[_Palm] = []
        for index in np.argsort(-scores):
            if scores[index] < _PALM_SCORE or len(found) == _MOST_HANDS:
                break
            palm = _palm(boxes[index].astype(float), self._anchors[index], to_picture)
            if all(np.linalg.norm(palm.centre - other.centre) > 0.5 * other.size for other in found):
                found.append(palm)
        return found

    def _hand_of(self, picture: UInt8Array, palm: _Palm) -> Hand:
        centre = palm.centre + _MESH_SHIFT * palm.size * palm.up
        angle = float(np.arctan2(palm.up[0], -palm.up[1]))
        square, to_picture = square_of(picture, centre, max(8.0, _MESH_CROP * palm.size), angle, _MESH_PX)
        outputs = self._mesh_model(np.asarray(square / 255, np.float32))
        # Screen points, presence, handedness, world points: in this order, two of them alike in shape.
        flat = outputs[0].reshape(NUM_POINTS, 3)[:, :2].astype(float)
        points = flat @ to_picture[:, :2].T + to_picture[:, 2]
        return Hand(points=points, score=float(outputs[1].ravel()[0]))

    @cached_property
    def _palm_model(self) -> Model:
        return Model(self._paths[PALMS])

    @cached_property
    def _mesh_model(self) -> Model:
        """Loaded at the first palm: most portraits show none."""
        return Model(self._paths[HAND_MESH])


def _palm(raw: FloatArray, anchor: FloatArray, to_picture: FloatArray) -> _Palm:
    """One row of the detector: centre, size and seven points (the wrist first, the middle knuckle third)."""
    values = raw.reshape(9, 2)
    turn, shift = to_picture[:, :2], to_picture[:, 2]
    scale = float(np.sqrt(abs(np.linalg.det(turn))))
    up = turn @ (values[4] - values[2])
    return _Palm(
        centre=turn @ (values[0] + anchor) + shift,
        size=float(values[1].max()) * scale,
        up=up / max(float(np.linalg.norm(up)), 1e-6),
    )


def _anchors() -> FloatArray:
    """(2016, 2): the points, in px of the detector's square, that its boxes are told from: two a cell and layer."""
    strides = sorted(set(_PALM_STRIDES))
    cells = [cell_centres(_PALM_PX // stride, 2 * _PALM_STRIDES.count(stride)) for stride in strides]
    return np.concatenate(cells) * _PALM_PX
