"""What a clip costs at several encodings: CPU per frame, size, quality.

    python tests/bench/bench_clip_encoding.py [PICTURE] [--frames 75]

Frames: a portrait (drawn, or PICTURE) that nods, breathes and talks at 1280x720, with a little sensor noise.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasks.media.video import ClipEncoding, read_frames, to_i420, write_video
from tests.synthetic import portrait_like

WIDTH, HEIGHT = 1280, 720
cv2.setNumThreads(1)


def talking(picture: np.ndarray, num_frames: int) -> Iterator[np.ndarray]:
    """Frames of a picture whose head moves by sub-pixels and whose mouth opens."""
    scale = WIDTH / picture.shape[1]
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top = max(0, (large.shape[0] - HEIGHT) // 3)
    ground = large[top : top + HEIGHT]
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    head = np.exp(-(((x - 640) / 260) ** 2) - ((y - 330) / 260) ** 2).astype(np.float32)
    mouth = np.exp(-(((x - 640) / 70) ** 2) - ((y - 480) / 45) ** 2).astype(np.float32)
    for k in range(num_frames):
        t = k / 25
        dx = 3 * np.sin(2 * np.pi * 0.4 * t) * head
        dy = (1.5 * np.sin(2 * np.pi * 0.25 * t) + 1) * head + 9 * abs(np.sin(2 * np.pi * 2.2 * t)) * mouth
        yield cv2.remap(
            *(ground, (x + dx).astype(np.float32), (y + dy).astype(np.float32), cv2.INTER_LINEAR),
            borderMode=cv2.BORDER_REPLICATE,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("picture", nargs="?")
    parser.add_argument("--frames", type=int, default=75)
    options = parser.parse_args()
    picture = portrait_like(1, 1024) if options.picture is None else cv2.imread(options.picture)[..., ::-1].copy()
    frames = list(talking(picture, options.frames))
    planes = [to_i420(frame) for frame in frames]
    start = time.process_time()
    for frame in frames:
        to_i420(frame)
    print(f"RGB to I420: {1000 * (time.process_time() - start) / len(frames):.2f} ms/frame")
    print("| preset | crf | write ms/frame | read ms/frame | kB/s | PSNR-Y dB |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for preset, crf in [(p, c) for p in ("ultrafast", "superfast", "veryfast", "faster") for c in (16, 18, 20)]:
            path = Path(folder) / "clip.mp4"
            start = time.process_time()
            write_video(frames, Fraction(25), path, encoding=ClipEncoding(preset=preset, crf=crf))
            wrote = time.process_time()
            for _ in read_frames(path):
                pass
            done = time.process_time()
            error = np.mean(
                [
                    np.mean((a[:HEIGHT].astype(np.float32) - b[:HEIGHT].astype(np.float32)) ** 2)
                    for a, b in zip(planes, read_frames(path), strict=True)
                ]
            )
            per_frame = [1000 * seconds / len(frames) for seconds in (wrote - start, done - wrote)]
            rate = path.stat().st_size / len(frames) * 25 / 1000
            psnr = 10 * np.log10(255**2 / error)
            print(f"| {preset} | {crf} | {per_frame[0]:.1f} | {per_frame[1]:.1f} | {rate:.0f} | {psnr:.1f} |")


if __name__ == "__main__":
    main()
