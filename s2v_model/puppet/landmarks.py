"""Faces in a picture: a detector and a 468-point mesh, run by LiteRT on one thread.

In: RGB pixels and the model files. Out: `Face` values in pixels of that picture. Knows nothing of files that people
write, casts or refusals: `judge.py` says which face is good enough.
Source of the models: MediaPipe face detection (short and full range) and face mesh, Apache-2.0.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import RendererMissing, UInt8Array
from s2v_model.puppet import topology as mesh

FloatArray = npt.NDArray[np.float64]

DETECTORS = ("face_detection_full_range_sparse.tflite", "face_detection_short_range.tflite")
MESH = "face_landmark.tflite"
MODEL_FILES = (*DETECTORS, MESH)
"""Names of the files that FaceFinder needs."""

_INPUT_PX = {DETECTORS[0]: 192, DETECTORS[1]: 128}
_MESH_PX = 192
_DETECTION_SCORE = 0.5
_MESH_CROP = 1.5
"""The mesh wants a square crop this many times as wide as the face."""
_WORKING_PX = 1600
"""Larger pictures are shrunk to this longest side first: the mesh sees 192 px of a face at most."""
_JITTER = ((0, 0, 1, 0), (0.02, 0, 1, 0.05), (-0.02, 0, 1, -0.05), (0, 0.02, 0.95, 0), (0, -0.02, 1.05, 0))
"""Shift x, shift y, scale, turn of the crops whose meshes are averaged: steadier than one crop, below a pixel."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face, in px of the picture it was found in."""

    points: FloatArray
    """(468, 3): x right, y down, z away from the camera, all in px."""
    score: float
    """0 .. 1: how sure the mesh is that this is a human face."""
    detection: float
    """0 .. 1: score of the detector; 1 where a person gave the box."""

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height around all points."""
        low, high = self.points[:, :2].min(0), self.points[:, :2].max(0)
        return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])

    @cached_property
    def eye_distance_px(self) -> float:
        """Between the outer corners of the eyes."""
        return float(np.linalg.norm(self._eye_line()[:2]))

    @cached_property
    def roll_degrees(self) -> float:
        """Positive where the head leans clockwise in the picture."""
        line = self._eye_line()
        return float(np.degrees(np.arctan2(line[1], line[0])))

    @cached_property
    def yaw_degrees(self) -> float:
        """0 faces the camera; positive looks to the right of the picture. An estimate: +- 5 degrees."""
        left, right = (self.points[[pair[side] for pair in mesh.SYMMETRIC]] for side in (0, 1))
        across = (right - left).mean(0)
        return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))

    @cached_property
    def brow_to_chin_px(self) -> float:
        """From the higher brow to the tip of the chin."""
        return float(np.linalg.norm(self.points[mesh.CHIN, :2] - self.points[list(mesh.BROW_TOPS), :2], axis=1).max())

    def _eye_line(self) -> FloatArray:
        left, right = mesh.EYE_CORNERS_OUTER
        return np.asarray(self.points[right] - self.points[left])


@dataclass(frozen=True, eq=False)
class _Detection:
    score: float
    box: FloatArray
    """x0, y0, x1, y1."""
    eyes: FloatArray
    """(2, 2): the left and the right eye."""


class FaceFinder:
    """Finds faces with the models in `model_paths` (file name -> path; MODEL_FILES says which)."""

    def __init__(self, model_paths: Mapping[str, Path]) -> None:
        require(model_paths, MODEL_FILES)
        self._models = {name: Model(Path(model_paths[name])) for name in MODEL_FILES}
        self._anchors = {name: _anchors(name) for name in DETECTORS}

    def find(self, rgb: UInt8Array) -> tuple[Face, ...]:
        """Every face in `rgb` (height, width, 3), surest first."""
        picture, scale = _shrunk(rgb)
        faces = [self._mesh_of(picture, detection, scale) for detection in self._detect(picture)]
        return tuple(sorted(_distinct(faces), key=lambda face: -face.score * face.detection))

    def find_in(self, rgb: UInt8Array, box: tuple[float, float, float, float]) -> Face | None:
        """The face in `box` (x, y, width, height), found even where the detector sees none; None without a mesh."""
        inside = [face for face in self.find(rgb) if _overlap(face.box, box) > 0.25 or _holds_centre(box, face.box)]
        if inside:
            return max(inside, key=lambda face: _overlap(face.box, box))
        picture, scale = _shrunk(rgb)
        x, y, width, height = (value / scale for value in box)
        eyes = np.array([[x + 0.3 * width, y + 0.4 * height], [x + 0.7 * width, y + 0.4 * height]])
        face = self._mesh_of(picture, _Detection(1.0, np.array([x, y, x + width, y + height]), eyes), scale)
        return face if face.score > 0.5 and _overlap(face.box, box) > 0.1 else None

    def _detect(self, rgb: UInt8Array) -> list[_Detection]:
        found = [one for name in DETECTORS for one in self._detect_with(name, rgb)]
        for parts in (2, 3):
            if not found:
                found = self._detect_in_tiles(rgb, max(max(rgb.shape[:2]) // parts, 96))
        found.sort(key=lambda one: -one.score)
        kept: list[_Detection] = []
        for one in found:
            centre = (one.box[:2] + one.box[2:]) / 2
            if not any((k.box[:2] < centre).all() and (centre < k.box[2:]).all() for k in kept):
                kept.append(one)
        return kept

    def _detect_in_tiles(self, rgb: UInt8Array, size: int) -> list[_Detection]:
        found = []
        height, width = rgb.shape[:2]
        for y in range(0, max(1, height - size // 2), size // 2):
            for x in range(0, max(1, width - size // 2), size // 2):
                tile = rgb[y : y + size, x : x + size]
                if min(tile.shape[:2]) >= size // 2:
                    shift = np.array([x, y])
                    for one in self._detect_with(DETECTORS[0], tile):
                        found.append(_Detection(one.score, one.box + np.tile(shift, 2), one.eyes + shift))
        return found

    def _detect_with(self, name: str, rgb: UInt8Array) -> list[_Detection]:
        size = _INPUT_PX[name]
        square, scale, offset = _letterboxed(rgb, size)
        outputs = self._models[name](square.astype(np.float32) / 127.5 - 1)
        boxes = next(out for out in outputs if out.shape[-1] == 16)[0]
        logits = next(out for out in outputs if out.shape[-1] == 1)[0, :, 0]
        scores = sureness(logits)
        found = []
        for index in np.flatnonzero(scores > _DETECTION_SCORE):
            anchor = self._anchors[name][index] * size
            raw = boxes[index].reshape(8, 2).astype(float)
            centre, half = raw[0] + anchor, raw[1] / 2
            corners = (np.stack([centre - half, centre + half]) - offset) / scale
            eyes = (raw[2:4] + anchor - offset) / scale
            found.append(_Detection(float(scores[index]), corners.ravel(), eyes))
        return _merged(found)

    def _mesh_of(self, rgb: UInt8Array, detection: _Detection, scale: float) -> Face:
        line = detection.eyes[1] - detection.eyes[0]
        angle = float(np.arctan2(line[1], line[0]))
        centre = (detection.box[:2] + detection.box[2:]) / 2
        size = _MESH_CROP * float(max(detection.box[2:] - detection.box[:2]))
        score = 0.0
        for _ in range(3):
            points, score = self._mesh_once(rgb, centre, size, angle)
            centre, size, angle = _crop_around(points)
        every = [
            self._mesh_once(rgb, centre + np.array([dx, dy]) * size, size * zoom, angle + turn)[0]
            for dx, dy, zoom, turn in _JITTER
        ]
        return Face(points=np.mean(every, axis=0) * scale, score=score, detection=detection.score)

    def _mesh_once(self, rgb: UInt8Array, centre: FloatArray, size: float, angle: float) -> tuple[FloatArray, float]:
        size = max(size, 8.0)
        crop, to_picture = square_of(rgb, centre, size, angle, _MESH_PX)
        outputs = self._models[MESH](np.asarray(crop.astype(np.float32) / 255, np.float32))
        flat = next(out for out in outputs if out.size == 3 * mesh.NUM_POINTS).reshape(mesh.NUM_POINTS, 3)
        logit = float(next(out for out in outputs if out.size == 1).ravel()[0])
        points = np.empty((mesh.NUM_POINTS, 3))
        points[:, :2] = flat[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        points[:, 2] = flat[:, 2] * (size / _MESH_PX)
        return points, float(sureness(logit))


def sureness(logits: Any) -> Any:
    """0 .. 1 for each of a network's logits: an array, or a number."""
    return 1 / (1 + np.exp(-np.clip(logits, -80, 80)))


def cell_centres(count: int, repeats: int) -> FloatArray:
    """(count * count * repeats, 2): the middle of each of count x count cells of a square, its side being 1."""
    axes = np.meshgrid(np.arange(count), np.arange(count))
    return np.asarray(np.repeat((np.stack(axes, -1).reshape(-1, 2) + 0.5) / count, repeats, axis=0))


def square_of(
    rgb: UInt8Array, centre: FloatArray, size: float, angle: float, size_px: int
) -> tuple[UInt8Array, FloatArray]:
    """A square of `rgb`, `size` px wide and turned by `angle` (radians, clockwise), as (size_px, size_px, 3).

    With it the matrix (2, 3) from px of the square to px of `rgb`. Beyond its border the picture goes on as it ends.
    """
    scale = size / size_px
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_picture = np.c_[turn * scale, centre - turn @ np.full(2, size_px / 2) * scale]
    picture = rgb
    if scale > 2:
        # Four samples of a much larger crop alias; blurring only around the crop keeps it cheap.
        picture, to_crop = _blurred_part(rgb, centre, size, scale)
    else:
        to_crop = np.zeros(2)
    matrix = to_picture.copy()
    matrix[:, 2] -= to_crop
    crop = cv2.warpAffine(
        picture,
        matrix,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(crop, np.uint8), to_picture


def require(model_paths: Mapping[str, Path], names: tuple[str, ...]) -> None:
    """Raises RendererMissing where one of `names` is not in `model_paths` or not on the disk."""
    missing = [name for name in names if name not in model_paths or not Path(model_paths[name]).is_file()]
    if missing:
        raise RendererMissing(
            f"The face model {missing[0]} is not there. Run `troupe doctor`: it says how to fetch model files."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the runtime's greeting off standard error; it is written past Python, and no setting stops it."""
    sys.stderr.flush()
    kept = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(silence)
        os.close(kept)


class Model:
    """One .tflite file with one picture as input."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _quiet():
            self._interpreter: Any = Interpreter(str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, picture: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """Every output for `picture` (height, width, channels), each with its leading batch axis."""
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index).copy() for index in self._outputs]


def _shrunk(rgb: UInt8Array) -> tuple[UInt8Array, float]:
    """`rgb` no larger than the working size, and how many of its px one px of the result stands for."""
    longest = max(rgb.shape[:2])
    if longest <= _WORKING_PX:
        return rgb, 1.0
    height, width = (max(1, round(side * _WORKING_PX / longest)) for side in rgb.shape[:2])
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8), longest / _WORKING_PX


def _letterboxed(rgb: UInt8Array, size: int) -> tuple[UInt8Array, float, FloatArray]:
    height, width = rgb.shape[:2]
    scale = size / max(height, width)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (size - fitted[0]) // 2, (size - fitted[1]) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top : top + fitted[1], left : left + fitted[0]] = cv2.resize(rgb, fitted, interpolation=cv2.INTER_AREA)
    return square, scale, np.array([left, top], float)


def _blurred_part(rgb: UInt8Array, centre: FloatArray, size: float, scale: float) -> tuple[UInt8Array, FloatArray]:
    low = np.maximum(np.floor(centre - size), 0).astype(int)
    high = np.ceil(centre + size).astype(int)
    part = rgb[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)]
    if not part.size:
        return rgb, np.zeros(2)
    return np.asarray(cv2.GaussianBlur(part, (0, 0), scale * 0.35), np.uint8), low.astype(float)


def _crop_around(points: FloatArray) -> tuple[FloatArray, float, float]:
    left, right = (points[index, :2] for index in mesh.EYE_CORNERS_OUTER)
    angle = float(np.arctan2(*(right - left)[::-1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    upright = points[:, :2] @ turn
    low, high = upright.min(0), upright.max(0)
    return turn @ ((low + high) / 2), _MESH_CROP * float((high - low).max()), angle


def _anchors(name: str) -> FloatArray:
    return cell_centres(48, 1) if name == DETECTORS[0] else np.concatenate([cell_centres(16, 2), cell_centres(8, 6)])


def _merged(found: list[_Detection]) -> list[_Detection]:
    """Overlapping detections of one model become one, weighted by score."""
    groups: list[list[_Detection]] = []
    for one in sorted(found, key=lambda d: -d.score):
        for group in groups:
            if _overlap(_xywh(one.box), _xywh(group[0].box)) > 0.3:
                group.append(one)
                break
        else:
            groups.append([one])
    merged = []
    for group in groups:
        weights = np.array([one.score for one in group])
        box = np.average([one.box for one in group], axis=0, weights=weights)
        eyes = np.average([one.eyes for one in group], axis=0, weights=weights)
        merged.append(_Detection(group[0].score, box, eyes))
    return merged


def _distinct(faces: list[Face]) -> list[Face]:
    """Two detections whose meshes settled on one face count once."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.score):
        if all(_overlap(face.box, other.box) < 0.4 for other in kept):
            kept.append(face)
    return kept


def _xywh(corners: FloatArray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in corners)
    return x0, y0, x1 - x0, y1 - y0


def _holds_centre(outer: tuple[float, float, float, float], inner: tuple[float, float, float, float]) -> bool:
    x, y = inner[0] + inner[2] / 2, inner[1] + inner[3] / 2
    return outer[0] < x < outer[0] + outer[2] and outer[1] < y < outer[1] + outer[3]


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)
