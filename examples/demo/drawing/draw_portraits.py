"""Draws the demo's portraits: `python draw_portraits.py ines otto kofi`.

Needs Blender as a module, in an environment of its own (Python 3.11): pip install bpy==5.0.1 scikit-image scipy pillow.
The project itself needs none of these: the pictures are part of it. One takes some ten minutes of two cores.
"""

import argparse
import os
import tempfile
from pathlib import Path

import scene
from people import PEOPLE
from PIL import Image

PORTRAITS = Path(__file__).resolve().parent.parent / "portraits"


def main() -> None:
    """Draws each person named, all three if none is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[], help=f"out of {', '.join(PEOPLE)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of 1600 x 1200 px")
    parser.add_argument("--samples", type=int, default=8, help="light paths per pixel, before noise is removed")
    parser.add_argument("--detail", type=float, default=1.5, help="1 is a sketch, 1.5 the finished picture")
    parser.add_argument("--to", type=Path, default=PORTRAITS, help="the folder to draw into")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    for name in asked.names or PEOPLE:
        scene.begin()
        PEOPLE[name](asked.detail)
        with tempfile.TemporaryDirectory() as folder:
            raw = os.path.join(folder, "raw.png")
            scene.take_picture(raw, samples=asked.samples, scale=asked.scale, exposure=0.0)
            with Image.open(raw) as picture:
                picture.convert("RGB").save(asked.to / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
