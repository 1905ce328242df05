"""Where the tests find the face models, and a portrait drawn for them."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from s2v_model.puppet.landmarks import MODEL_FILES


def model_paths() -> dict[str, Path]:
    """The face models in the user's cache; the test is skipped where they were never fetched."""
    folders = [Path(__file__).parents[2] / ".local" / "models", Path.home() / ".cache" / "troupe" / "models"]
    if "TROUPE_MODELS" in os.environ:
        folders.insert(0, Path(os.environ["TROUPE_MODELS"]))
    for folder in folders:
        if all((folder / name).is_file() for name in MODEL_FILES):
            return {path.name: path for path in folder.glob("*.tflite")}
    pytest.skip("the face models are not in the cache: run `troupe doctor`")


def drawn_portrait(size: int = 320) -> np.ndarray:
    """(size, size, 3): a plain face, drawn, that the detector takes for one."""
    scale = size / 320
    picture = np.full((size, size, 3), (196, 208, 216), np.uint8)

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
