"""A contact sheet of the puppet: every portrait of a folder, saying each sound.

    python tests/bench/sheet_puppet.py PORTRAITS MODELS OUT [--height 360] [--closer] [--only NAME ...]

PORTRAITS: a folder of pictures. MODELS: the folder of .tflite files. OUT: a folder for PNG sheets, four rows each.
One row a portrait: the portrait, then rest, "ah", "ee", "oo", "m", "f", "th", "l", lids half and
wholly shut, and a glance aside.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from s2v_model.puppet.landmarks import Face, FaceFinder
from s2v_model.puppet.matte import MODEL, Segmenter
from s2v_model.puppet.painter import Painter
from s2v_model.puppet.pose import CHANNEL, rest
from s2v_model.puppet.rig import build_rig

ROWS = 4
POSES = {
    "portrait": None,
    "rest": {},
    "ah": {"jaw": 0.66, "spread": 0.1, "lowdn": 0.1, "upup": 0.05},
    "ee": {"jaw": 0.13, "spread": 0.95, "lowdn": 0.2, "upup": 0.12},
    "oo": {"jaw": 0.15, "round": 1.0},
    "m": {"press": 1.0, "round": 0.12},
    "f": {"jaw": 0.012, "fv": 1.0, "upup": 0.2, "spread": 0.1},
    "th": {"jaw": 0.16, "spread": 0.2, "lowdn": 0.25, "upup": 0.1, "tongue": 1.0},
    "l": {"jaw": 0.22, "spread": 0.2, "lowdn": 0.18, "upup": 0.08, "tongue": 0.9},
    "half": {"blink": 0.5},
    "blink": {"jaw": 0.3, "blink": 1.0, "yaw": 0.04, "pitch": 0.03},
    "glance": {"jaw": 0.2, "gaze_x": 1.0, "yaw": -0.04, "brow": 0.4, "roll": 0.02},
}


def main() -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--height", type=int, default=360, help="of one picture, px")
    parser.add_argument("--closer", action="store_true", help="show the lower face only, three times as large")
    parser.add_argument("--only", nargs="*", default=[], help="parts of file names")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    finder = FaceFinder({path.name: path for path in arguments.models.glob("*.tflite")})
    segmenter = Segmenter(arguments.models / MODEL)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in sorted(arguments.portraits.iterdir()):
        picture = cv2.imread(str(path))
        if picture is None or (arguments.only and not any(part in path.name for part in arguments.only)):
            continue
        row = row_of(
            np.ascontiguousarray(picture[..., ::-1]), finder, segmenter, arguments.height, closer=arguments.closer
        )
        if row is None:
            print(f"{path.name}: no face")
            continue
        cv2.putText(
            row, path.stem, (6, row.shape[0] - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1, cv2.LINE_AA
        )
        rows.append(row)
    for start in range(0, len(rows), ROWS):
        sheet = np.vstack(rows[start : start + ROWS])
        cv2.imwrite(str(arguments.out / f"sheet_{start // ROWS:02d}.png"), sheet[..., ::-1])


def row_of(
    picture: np.ndarray, finder: FaceFinder, segmenter: Segmenter, height: int, *, closer: bool
) -> np.ndarray | None:
    """One portrait in every pose, side by side."""
    faces = finder.find(picture)
    if not faces:
        return None
    picture, points = framed(picture, faces[0], height * (3 if closer else 1))
    rig = build_rig(picture, points, segmenter)
    painter = Painter(rig)
    cells = []
    for name, channels in POSES.items():
        pose = rest(1)[0]
        if name not in ("portrait", "rest"):
            pose[CHANNEL["own"]] = 0
        for channel, value in (channels or {}).items():
            pose[CHANNEL[channel]] = value
        frame = picture.copy() if channels is None else painter.paint(pose).copy()
        cells.append(lower_face(frame, points, height) if closer else frame)
    return np.hstack(cells)


def framed(picture: np.ndarray, face: Face, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A square around the face at `height` px, and the mesh in it."""
    x, y, width, tall = face.box
    side = int(min(2.0 * tall, *picture.shape[:2]))
    left = int(np.clip(x + width / 2 - side / 2, 0, picture.shape[1] - side))
    top = int(np.clip(y + 0.52 * tall - side / 2, 0, picture.shape[0] - side))
    scale = height / side
    part = picture[top : top + side, left : left + side]
    part = cv2.resize(part, (height, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    points = (face.points - [left, top, 0]) * scale
    points[:, :2] += (scale - 1) / 2
    return part, points


def lower_face(frame: np.ndarray, points: np.ndarray, height: int) -> np.ndarray:
    """The third of the frame about the mouth."""
    x, y = (points[[13, 14], :2].mean(0) - np.array([0, 0.02 * len(frame)])).astype(int)
    left = int(np.clip(x - height / 2, 0, frame.shape[1] - height))
    top = int(np.clip(y - height / 2, 0, frame.shape[0] - height))
    return np.ascontiguousarray(frame[top : top + height, left : left + height])


if __name__ == "__main__":
    main()
