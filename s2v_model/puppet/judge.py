"""Which face of a picture can be made to talk, and how well.

In: RGB pixels, the faces found in them, who looks for hands, and the box a person may have drawn. Out: a `Verdict`.
Knows nothing of files: who asks puts the picture's name before the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.drawn import is_flat_drawing
from s2v_model.puppet.hands import Hand
from s2v_model.puppet.landmarks import Face

FloatArray = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]

MIN_BROW_TO_CHIN_PX = 48
GOOD_BROW_TO_CHIN_PX = 120
MAX_YAW_DEGREES = 45.0
GOOD_YAW_DEGREES = 35.0
_HUMAN_SCORE, _DRAWN_SCORE = 0.75, 0.2
"""People, painted ones too, get 1.00 from the mesh, flat drawings 0.3 and more; a painted monkey 0.66, a cat 0."""
_SURE_SCORE = 0.9
"""Below it the face may be a drawing, whose colours tell nothing of cloth or glasses."""
_MOST_DOUBTFUL = 3
"""So many faces that are no human ones, the surest, are looked at for a hand before them."""
_NOTICEABLE = 0.35
"""A face smaller than this share of the largest is somebody in the background."""
_MAX_ASPECT = 4.0
_DARK_GLASSES = 0.33
"""The rims of bare eyes have at least half of the skin's brightness; behind dark glasses an eighth."""
_DARK_OBJECT = 0.36
_FLAT_LIGHT, _FLAT_COLOUR, _OTHER_COLOUR, _OTHER_LIGHT = 14.0, 5.0, 12.0, 60.0
"""Lab distances: lips, chin and upper lip so alike and so unlike the forehead are cloth."""
_CHEEKS_AND_BROW = (50, 280, 101, 330, 151, 9)
_FOREHEAD = (151, 9, 108, 337)
_EYE_RIMS = (159, 145, 386, 374, 33, 133, 362, 263)
_LIPS, _UPPER_LIP_SKIN, _CHIN_SKIN = (0, 17, 37, 267, 84, 314), (164, 167, 393), (199, 175, 200)
_EYES = tuple(index for ids in mesh.EYES for index in ids["upper"] + ids["lower"])
_MOUTH = (*mesh.UPPER_OUTER, *mesh.LOWER_OUTER[-2:0:-1])
_JAW = (397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, *mesh.LOWER_OUTER)
"""Outlines: the lips; what lies below them, down to the edge of the chin."""
_CUT_OFF = 0.1
"""A mouth, or the eyes, with so much beyond the picture's edge cannot be moved."""
_BEFORE_MOUTH, _BEFORE_JAW = 0.15, 0.2
"""A hand that hides these shares of them is in the way; a finger laid on the lips hides a fifth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What became of a picture: a face with warnings, or a reason and a remedy."""

    face: Face | None
    reason: str = ""
    """Why the picture is refused: a phrase to put after the picture's name; "" where it is not."""
    remedy: str = ""
    warnings: tuple[str, ...] = ()
    """Phrases to put after the picture's name."""


class Hands(Protocol):
    """Looks for hands: `s2v_model.puppet.hands.HandFinder`."""

    def near(self, rgb: UInt8Array, face: Face) -> Sequence[Hand]:
        """The hands about `face` in `rgb`."""
        ...


def judge(rgb: UInt8Array, faces: Sequence[Face], box: Box | None = None, *, hands: Hands) -> Verdict:
    """The face of `rgb` (height, width, 3) to use; `faces` as FaceFinder found them; `box` says which, if given."""
    height, width = rgb.shape[:2]
    if max(height, width) > _MAX_ASPECT * min(height, width):
        return _refused(f"is a strip of {width}x{height} px", "Crop it to a portrait.")
    human = [face for face in faces if _is_human(rgb, face)]
    if not human:
        return _no_face(rgb, faces, hands)
    if box is not None:
        return _in_box(rgb, human, box, hands)
    largest = max(face.brow_to_chin_px for face in human)
    seen = [face for face in human if face.brow_to_chin_px >= _NOTICEABLE * largest]
    if len(seen) > 1:
        where = "; ".join(_words(face.box) for face in sorted(seen, key=lambda f: f.box[0]))
        return _refused(f"shows {len(seen)} faces ({where})", "Crop it to one, or say which with `box` in the cast.")
    return _of_face(rgb, seen[0], hands)


def _is_human(rgb: UInt8Array, face: Face) -> bool:
    return face.score >= _HUMAN_SCORE or (face.score >= _DRAWN_SCORE and is_flat_drawing(rgb, face.points))


def _in_box(rgb: UInt8Array, faces: Sequence[Face], box: Box, hands: Hands) -> Verdict:
    x, y, width, height = box

    def shared(face: Face) -> float:
        left, top, wide, high = face.box
        across = min(x + width, left + wide) - max(x, left)
        down = min(y + height, top + high) - max(y, top)
        return max(0.0, across) * max(0.0, down) / (wide * high)

    best = max(faces, key=shared)
    if shared(best) < 0.4:
        where = "; ".join(_words(face.box) for face in faces)
        return _refused(
            f"has no face in the box {_words(box)}; faces are at {where}", "Give the box of one of them in the cast."
        )
    return _of_face(rgb, best, hands)


def _of_face(rgb: UInt8Array, face: Face, hands: Hands) -> Verdict:
    size = round(face.brow_to_chin_px)
    if size < MIN_BROW_TO_CHIN_PX:
        return _refused(
            f"has a face of {size} px from brow to chin; at least {MIN_BROW_TO_CHIN_PX} px are needed",
            "Put a larger picture into the cast.",
        )
    if abs(face.yaw_degrees) > MAX_YAW_DEGREES:
        return _refused(
            f"shows a face turned about {abs(face.yaw_degrees):.0f} degrees aside; {MAX_YAW_DEGREES:.0f} are the limit",
            "Put a picture that faces the camera into the cast.",
        )
    for part, ids in (("mouth", _MOUTH), ("eyes", _EYES)):
        if _beyond(rgb, face, ids) > _CUT_OFF:
            return _refused(
                f"cuts the face off at its edge: part of the {part} is not in the picture",
                "Put a picture of the whole face into the cast.",
            )
    return Verdict(face=face, warnings=(*_warnings(rgb, face, size), *_covered(rgb, face, hands)))


def _beyond(rgb: UInt8Array, face: Face, ids: tuple[int, ...]) -> float:
    """Share of these mesh points that lie outside the picture."""
    points = face.points[list(ids), :2]
    return float(((points < 0) | (points > np.array(rgb.shape[1::-1]) - 1)).any(1).mean())


def _warnings(rgb: UInt8Array, face: Face, size: int) -> list[str]:
    found = []
    if _beyond(rgb, face, (mesh.CHIN,)):
        found.append("is cut off above the chin: leave room below it, or the mouth will open out of the picture")
    if size < GOOD_BROW_TO_CHIN_PX:
        found.append(f"has a small face, {size} px from brow to chin: from {GOOD_BROW_TO_CHIN_PX} px on it looks sharp")
    if abs(face.yaw_degrees) > GOOD_YAW_DEGREES:
        found.append(f"shows a face turned about {abs(face.yaw_degrees):.0f} degrees aside: its far side may look odd")
    look = _upright(rgb, face)
    light = cv2.cvtColor(look, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low, middle, high = (float(value) for value in np.percentile(light[24:104, 24:104], (5, 50, 95)))
    if middle < 38:
        found.append("is very dark: brighten it")
    elif low > 125 and middle > 195:
        found.append("is washed out: use a picture with more contrast")
    elif high - low < _FADED:
        found.append("is faded: use a picture with more contrast, or the mouth will be too dark in it")
    if high - low > 3 and _sharpness(light, high - low) < _SHARP:
        found.append("is blurred: use a sharper picture")
    return found


_LOOK_PX = 128
_SHARP = 0.045
_FADED = 36
"""Levels between a face's dark and light; from 73 on in portraits as they are usually taken."""


def _upright(rgb: UInt8Array, face: Face) -> UInt8Array:
    """The face turned upright in a square of _LOOK_PX: eyes at (40, 48) and (88, 48)."""
    left, right = (face.points[index, :2] for index in mesh.EYE_CORNERS_OUTER)
    across = right - left
    down = np.array([-across[1], across[0]])
    source = np.array([left, right, left + down], np.float32)
    target = np.array([[34, 48], [94, 48], [34, 108]], np.float32)
    matrix = cv2.getAffineTransform(source, target)
    shrink = 60 / max(float(np.linalg.norm(across)), 1e-3)
    if shrink < 0.5:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.35 / shrink), np.uint8)
    return np.asarray(
        cv2.warpAffine(rgb, matrix, (_LOOK_PX, _LOOK_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def _sharpness(light: npt.NDArray[np.float32], spread: float) -> float:
    """Strength of the finest detail about the eyes, against the face's own contrast."""
    eyes = light[30:66, 24:104]
    fine = eyes - cv2.GaussianBlur(eyes, (0, 0), 1.5)
    return float(np.percentile(np.abs(fine), 95)) / max(spread, 20.0)


def _covered(rgb: UInt8Array, face: Face, hands: Hands) -> list[str]:
    """What seems to lie over eyes, mouth or chin."""
    found = []
    lab = _Patches(rgb, face) if face.score >= _SURE_SCORE else None
    if lab and _is_behind_dark_glasses(lab):
        found.append("seems to wear dark glasses: its eyes will not be seen to move")
    seen = hands.near(rgb, face)
    if _hidden(face, _MOUTH, seen) > _BEFORE_MOUTH:
        found.append("seems to have a hand before its mouth: the hand would be warped along")
    elif lab and _is_behind_something(lab):
        found.append("seems to have something before its mouth: a mask, a hand or a microphone would be warped along")
    elif _hidden(face, _JAW, seen) > _BEFORE_JAW:
        found.append("seems to have a hand at its chin: the hand would move along with the jaw")
    return found


def _hidden(face: Face, outline: tuple[int, ...], hands: Sequence[Hand]) -> float:
    """Share of `outline` (mesh points of `face`) behind the hand that hides most of it."""
    return max((hand.covers(face.points[list(outline), :2]) for hand in hands), default=0.0)


def _is_behind_dark_glasses(lab: "_Patches") -> bool:
    skin = lab.median(_CHEEKS_AND_BROW)
    return bool(skin[0] > 30) and lab.bright(_EYE_RIMS) < _DARK_GLASSES * skin[0]


def _is_behind_something(lab: "_Patches") -> bool:
    """Whether the mouth has colours that a bare one does not have: those of cloth, or of a dark object."""
    skin, brow = lab.median(_CHEEKS_AND_BROW), lab.median(_FOREHEAD)
    patches = [lab.median(ids) for ids in (_LIPS, _UPPER_LIP_SKIN, _CHIN_SKIN)]
    dark = max(patches[0][0], patches[2][0]) < _DARK_OBJECT * skin[0]
    apart = max(float(np.linalg.norm((a - b)[1:])) for a in patches for b in patches)
    differ = min(float(np.linalg.norm((a - brow)[1:])) for a in patches)
    brightness = [float(patch[0] - brow[0]) for patch in patches]
    alike = max(brightness) - min(brightness) < _FLAT_LIGHT
    cloth = alike and ((apart < _FLAT_COLOUR and differ > _OTHER_COLOUR) or min(map(abs, brightness)) > _OTHER_LIGHT)
    return bool(dark or cloth)


class _Patches:
    """Small patches of a face about mesh points, in Lab (8 bit)."""

    def __init__(self, rgb: UInt8Array, face: Face) -> None:
        self._reach = max(1, int(0.035 * face.eye_distance_px))
        low = np.maximum(np.floor(face.points[:, :2].min(0)).astype(int) - 2 * self._reach, 0)
        high = np.ceil(face.points[:, :2].max(0)).astype(int) + 2 * self._reach
        self._lab = cv2.cvtColor(np.ascontiguousarray(rgb[low[1] : high[1], low[0] : high[0]]), cv2.COLOR_RGB2LAB)
        limit = np.array(self._lab.shape[1::-1]) - 1
        self._at = np.clip(np.round(face.points[:, :2] - low).astype(int), 0, limit)

    def _of(self, ids: tuple[int, ...]) -> FloatArray:
        reach = self._reach
        parts = [
            self._lab[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
            for x, y in self._at[list(ids)]
        ]
        return np.concatenate([part.reshape(-1, 3) for part in parts]).astype(float)

    def median(self, ids: tuple[int, ...]) -> FloatArray:
        return np.asarray(np.median(self._of(ids), axis=0))

    def bright(self, ids: tuple[int, ...]) -> float:
        return float(np.percentile(self._of(ids)[:, 0], 80))


def _no_face(rgb: UInt8Array, faces: Sequence[Face], hands: Hands) -> Verdict:
    remedy = "Put a picture with one face, seen from the front, into the cast."
    if any(_hidden(face, _MOUTH, hands.near(rgb, face)) > _BEFORE_MOUTH for face in faces[:_MOST_DOUBTFUL]):
        return _refused("shows a face behind a hand", "Put a picture in which nothing hides the face into the cast.")
    if any(face.detection > 0.7 for face in faces):
        return _refused("shows a face that is not a human one", remedy)
    height, width = rgb.shape[:2]
    if min(height, width) < MIN_BROW_TO_CHIN_PX:
        return _refused(f"is {width}x{height} px, too small for a face", remedy)
    small = cv2.resize(rgb, (256, max(1, 256 * height // width)), interpolation=cv2.INTER_AREA)
    light = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if float(np.percentile(light, 95)) < 60:
        return _refused("is so dark that no face can be seen in it", remedy)
    fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), 1.0))
    if float(np.percentile(fine, 99)) < 0.03 * max(float(np.ptp(light)), 1.0):
        return _refused("is so blurred that no face can be seen in it", remedy)
    return _refused("shows no face", remedy)


def _refused(reason: str, remedy: str) -> Verdict:
    return Verdict(face=None, reason=reason, remedy=remedy)


def _words(box: Box) -> str:
    return "[" + ", ".join(f"{value:.0f}" for value in box) + "]"
