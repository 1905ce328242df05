"""A drawn face with its mesh, and stand-ins for the models that find it: the puppet's tests need no model file.

    python -m tests.faces MODELS

writes the mesh (tests/golden/drawn_face.csv) with the real models of that folder.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from s2v_model.puppet.landmarks import Face, FaceFinder
from s2v_model.puppet.renderer import MODEL_FILES, Puppet
from tests.model_cache import model_cache

MESH = Path(__file__).with_name("golden") / "drawn_face.csv"
MESH_SIZE = 320


class DrawnFaceFinder:
    """Finds the face of `drawn_portrait` by knowing where it is."""

    def find_in(self, rgb: np.ndarray, box: tuple[float, float, float, float]) -> Face | None:
        """The known mesh, scaled; None where `box` is elsewhere."""
        face = drawn_face(len(rgb))
        x, y, width, height = face.box
        inside = box[0] < x + width / 2 < box[0] + box[2] and box[1] < y + height / 2 < box[1] + box[3]
        return face if inside else None


class DrawnMatte:
    """The outline of `drawn_portrait` without a model."""

    def matte(self, rgb: np.ndarray, shape: object) -> np.ndarray:
        """1 where the picture is not background."""
        away = np.abs(rgb.astype(int) - BACKGROUND).max(2)
        return cv2.GaussianBlur((away > 24).astype(np.float32), (0, 0), 1.0)


def drawn_face(size: int) -> Face:
    """The mesh of `drawn_portrait(size)`."""
    points = np.loadtxt(MESH, delimiter=",") * (size / MESH_SIZE)
    return Face(points=points, score=1.0, detection=0.9)


def drawn_puppet(cache: object = None) -> Puppet:
    """The puppet for `drawn_portrait`, without model files."""
    return Puppet(DrawnFaceFinder(), DrawnMatte(), "drawn", cache)


def model_paths(names: tuple[str, ...] = MODEL_FILES) -> dict[str, Path]:
    """The real models in the user's cache; the test is skipped where they were never fetched."""
    cache = model_cache(names)
    return {name: cache / name for name in names}


BACKGROUND = (196, 208, 216)


def drawn_portrait(size: int = 320) -> np.ndarray:
    """(size, size, 3): a plain face, drawn, that the detector takes for one."""
    scale = size / 320
    picture = np.full((size, size, 3), BACKGROUND, np.uint8)

    def oval(x: float, y: float, rx: float, ry: float, colour: tuple[int, int, int]) -> None:
        centre, axes = (round(x * scale), round(y * scale)), (round(rx * scale), round(ry * scale))
        cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    skin, shade, hair = (224, 178, 150), (206, 156, 128), (70, 48, 36)
    oval(160, 330, 120, 90, (60, 90, 140))
    oval(160, 250, 36, 50, shade)
    oval(160, 135, 88, 105, hair)
    oval(160, 160, 72, 95, skin)
    oval(160, 85, 74, 34, hair)
    for side in (-1, 1):
        oval(160 + 30 * side, 148, 15, 8, (250, 250, 250))
        oval(160 + 30 * side, 148, 7, 7, (60, 44, 30))
        oval(160 + 30 * side, 126, 18, 4, hair)
        oval(160 + 42 * side, 188, 16, 12, (230, 170, 148))
    oval(160, 180, 9, 12, shade)
    oval(160, 211, 26, 9, (184, 92, 88))
    cv2.line(
        picture, (round(136 * scale), round(211 * scale)), (round(184 * scale), round(211 * scale)), (120, 50, 50), 1
    )
    return cv2.GaussianBlur(picture, (0, 0), max(0.5, 0.9 * scale))


if __name__ == "__main__":
    finder = FaceFinder({path.name: path for path in Path(sys.argv[1]).glob("*.tflite")})
    np.savetxt(MESH, finder.find(drawn_portrait(MESH_SIZE))[0].points, fmt="%.2f", delimiter=",")
