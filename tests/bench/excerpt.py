"""An excerpt of a programme as an animated WebP, for a page that plays no video.

python tests/bench/excerpt.py VIDEO OUT.webp [--start 0.3] [--seconds 12] [--width 560] [--every 2] [--quality 40]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import av
from PIL import Image


def excerpt(video: Path, start: float, seconds: float, width: int, every: int) -> Iterator[tuple[Image.Image, float]]:
    """Each `every`-th frame from `start` on, `width` px wide, and for how many seconds it is shown."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        shown = every / float(stream.average_rate or 25)
        for index, frame in enumerate(container.decode(stream)):
            time = frame.time or 0.0
            if time >= start + seconds:
                return
            if time >= start and index % every == 0:
                size = (width, round(frame.height * width / frame.width))
                yield frame.to_image().resize(size, Image.Resampling.LANCZOS), shown


def main() -> None:
    """Writes the file that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=float, default=0.3)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--width", type=int, default=560, help="px")
    parser.add_argument("--every", type=int, default=2, help="leave out the frames between")
    parser.add_argument("--quality", type=int, default=40, help="0 .. 100")
    asked = parser.parse_args()
    frames = list(excerpt(asked.video, asked.start, asked.seconds, asked.width, asked.every))
    if not frames:
        raise SystemExit(f"{asked.video}: it has no frame there.")
    (first, shown), rest = frames[0], [frame for frame, _ in frames[1:]]
    how = {"save_all": True, "append_images": rest, "duration": round(1000 * shown), "loop": 0}
    first.save(asked.out, "WEBP", quality=asked.quality, method=6, **how)


if __name__ == "__main__":
    main()
