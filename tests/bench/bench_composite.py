"""What the compositor costs: CPU for a second of programme, beside a bare FFmpeg encode of the same frames.

    python tests/bench/bench_composite.py [--seconds 24] [--runs 3]

Clips: drawn people that nod, at the sizes that a planner asks for; one 1280x720 output, captions burned, names, label,
speech-like sound brought to its target. CPU is process time of this process and of FFmpeg; the median of the runs.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasks.composite import composite
from tasks.domain.editing import Clip, Cue, Cut, Framing, NameTag, Plan
from tasks.domain.options import EngineId, MarkingOptions, OutputOptions, SoundOptions
from tasks.media import mux
from tasks.media.screen import frames
from tasks.media.video import write_video
from tests.composing import Files, clip_of, shot_of, write_master
from tests.synthetic import portrait_like, speech_like

SIZE = (1280, 720)
OUTPUT = OutputOptions(aspect="16:9", height=720, captions=("burned",))
CLIP_SIZES = ((1280, 720), (720, 720), (1220, 720), (960, 1280))


def nodding(seed: int, size: tuple[int, int], num_frames: int) -> Iterator[np.ndarray]:
    """Frames of a drawn person that moves by fractions of a px."""
    side = max(size)
    picture = cv2.resize(portrait_like(seed, 512), (side, side), interpolation=cv2.INTER_CUBIC)
    picture = picture[: size[1], (side - size[0]) // 2 :][:, : size[0]]
    for k in range(num_frames):
        shift = np.float32([[1, 0, 3 * np.sin(k / 9)], [0, 1, 2 * np.sin(k / 5)]])
        yield cv2.warpAffine(picture, shift, size, borderMode=cv2.BORDER_REPLICATE)


def programme(files: Files, seconds: int) -> tuple[Plan, tuple[Clip, ...]]:
    """Shots of four seconds, captions of two lines nearly all the time."""
    shots, clips, cuts = [], [], []
    for number in range(seconds // 4):
        size = CLIP_SIZES[number % len(CLIP_SIZES)]
        shot = shot_of(number, number * 100, number * 100 + 100, size=size)
        width, height = size
        face = (width * 0.5 - height * 0.16, height * 0.25, height * 0.32, height * 0.36)
        shot = replace(shot, framing=Framing(crop=(0, 0, width, height), width=width, height=height, face_box=face))
        path = files.new(".mp4")
        write_video(nodding(number, size, 100), Fraction(25), path)
        shots.append(shot)
        clips.append(clip_of(shot, files.keep(path)))
        cuts.append(Cut(start_frame=shot.start_frame, end_frame=shot.end_frame, layout="active", shots=(shot.id,)))
    master = files.new(".flac")
    write_master(master, [speech_like(seconds, 3, 48_000)[None, : seconds * 48_000]])
    text = ("So the first thing we look at is always", "the light: where it falls, and on whom.")
    cues = tuple(Cue(start_frame=f, end_frame=f + 48, lines=text, speaker="A") for f in range(0, len(cuts) * 100, 50))
    names = tuple(NameTag(start_frame=c.start_frame, end_frame=c.start_frame + 88, name="Anna Ruiz") for c in cuts)
    plan = Plan(
        episode="bench", title="Bench", language="en", rate=Fraction(25), num_frames=len(cuts) * 100,
        master=files.keep(master), shots=tuple(shots), cuts=tuple(cuts), cues=cues, names=names, chapters=(),
        renderer=EngineId(role="renderer", name="fake", version="1"),
    )  # fmt: skip
    return plan, tuple(clips)


def cpu_of(work: Callable[[], object]) -> tuple[float, float, float]:
    """(CPU seconds here, CPU seconds of children, wall seconds)."""
    before, since = os.times(), time.monotonic()
    work()
    after = os.times()
    return sum(after[:2]) - sum(before[:2]), sum(after[2:4]) - sum(before[2:4]), time.monotonic() - since


def bare_encode(raw: Path, target: Path) -> None:
    """The same frames through x264 alone, with the same settings."""
    settings = ["-preset", mux.PRESET, "-crf", str(mux.CRF), "-threads", str(mux.THREADS), "-g", "100"]
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "1280x720", "-r", "25", "-i", str(raw)]
    program = mux.ffmpeg_program()
    subprocess.run([*program, "-y", *source, "-c:v", "libx264", *settings, str(target)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        files = Files(Path(temporary) / "work")
        plan, clips = programme(files, options.seconds)
        paths = {shot.id: files.path(clip.video) for shot, clip in zip(plan.shots, clips, strict=True)}
        raw = Path(temporary) / "raw.yuv"
        with raw.open("wb") as file:
            for canvas in frames(plan, paths, SIZE):
                file.write(canvas.data)
        chosen = (plan, clips, (OUTPUT,), SoundOptions(), MarkingOptions())
        rows = []
        for _ in range(options.runs):
            whole = cpu_of(lambda: composite(*chosen, workspace=files, watch=lambda done, total: None))
            painted = cpu_of(lambda: sum(1 for _ in frames(plan, paths, SIZE)))
            bare = cpu_of(lambda: bare_encode(raw, Path(temporary) / "bare.mp4"))
            rows.append((sum(whole[:2]), whole[0], whole[1], painted[0], bare[1], whole[2]))
    names = ("all of composite", "its own process", "its FFmpeg", "decode and paint alone", "bare encode", "wall")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, PyAV {av.__version__}")
    print(f"x264 {mux.PRESET}, crf {mux.CRF}, {mux.THREADS} threads; {options.seconds} s, {options.runs} runs\n")
    print("| CPU seconds for a programme second | median | all |\n| --- | --- | --- |")
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        each = [value / options.seconds for value in values]
        print(f"| {name} | {median(each):.3f} | {', '.join(f'{value:.3f}' for value in each)} |")


if __name__ == "__main__":
    main()
