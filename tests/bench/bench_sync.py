"""Picture and sound in step: a long programme of many utterances, every frame and every beep looked at.

    python tests/bench/bench_sync.py [--minutes 60] [--utterances 400] [--folder FOLDER]

A tiny fake renderer makes clips of 64x36 whose frames spell their number; the master beeps at the start of every shot.
The delivered file is decoded: each frame must spell the number that the plan has there, each beep must start with its
cut. --folder keeps the clips for another run.
"""

import argparse
import os
import pickle
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasks.composite import composite
from tasks.domain.editing import Clip, Cue, Plan
from tasks.domain.options import MarkingOptions, OutputOptions, SoundOptions
from tests.composing import Files, marks_of, num_samples_of, programme

OUTPUT = OutputOptions(aspect="16:9", height=144, captions=("burned",))
BEEP_SAMPLES = 2400
SAMPLES_PER_FRAME = 1920


def lengths_of(num_frames: int, count: int) -> list[int]:
    """`count` uneven lengths that fill `num_frames`."""
    weights = np.random.default_rng(7).uniform(0.1, 1.9, count)
    edges = np.round(np.cumsum(weights) / weights.sum() * num_frames).astype(int)
    return [int(length) for length in np.diff(np.concatenate(([0], edges)))]


def beeps(lengths: list[int]) -> Iterator[np.ndarray]:
    """Soft noise, and a beep with a sharp edge at the start of every shot."""
    rng = np.random.default_rng(1)
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(BEEP_SAMPLES) / 48_000)
    for length in lengths:
        samples = rng.normal(0, 0.0005, length * SAMPLES_PER_FRAME)
        samples[:BEEP_SAMPLES] += tone[: samples.size]
        yield samples.astype(np.float32)[None]


def prepared(folder: Path, minutes: float, count: int) -> tuple[Files, Plan, tuple[Clip, ...]]:
    """Clips, master and plan, made once for a folder."""
    root, known = folder / f"{minutes:g}-{count}", folder / f"{minutes:g}-{count}.pickle"
    if known.exists():
        return pickle.loads(known.read_bytes())
    lengths = lengths_of(round(minutes * 1500), count)
    starts = np.cumsum([0, *lengths[:-1]])
    cues = tuple(
        Cue(start_frame=int(start), end_frame=int(start) + length, lines=(f"Utterance {number}",), speaker="A")
        for number, (start, length) in enumerate(zip(starts, lengths, strict=True))
    )
    files = Files(root)
    plan, clips = programme(files, lengths, sound=lambda _: beeps(lengths), cues=cues)
    known.write_bytes(pickle.dumps((files, plan, clips)))
    return files, plan, clips


def wrong_frames(path: Path, plan: Plan) -> tuple[int, int, int]:
    """(frames in the file, frames that are not the plan's, cuts whose first or last frame is not)."""
    wrong, edges = set(), {frame for cut in plan.cuts for frame in (cut.start_frame, cut.end_frame - 1)}
    number = -1
    for number, mark in enumerate(marks_of(path)):
        if mark != number:
            wrong.add(number)
    return number + 1, len(wrong), len(wrong & edges)


def beep_errors(path: Path, plan: Plan) -> np.ndarray:
    """Samples by which each beep starts after its cut (negative: before)."""
    with av.open(str(path)) as container:
        # As 16 bits: an hour is 350 MB.
        heard = np.concatenate(
            [(frame.to_ndarray()[0] * 32767).astype(np.int16) for frame in container.decode(audio=0)]
        )
    errors = []
    for cut in plan.cuts:
        start = cut.start_frame * SAMPLES_PER_FRAME
        near = np.abs(heard[max(0, start - 1920) : start + 1920].astype(np.int32))
        # AAC smears an edge by a few samples: half of the beep's own height counts as its start.
        errors.append(int(np.argmax(near > near.max() / 2)) - min(start, 1920))
    return np.array(errors)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--utterances", type=int, default=400)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only-prepare", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        files, plan, clips = prepared(options.folder or Path(temporary), options.minutes, options.utterances)
        if options.only_prepare:
            return
        before, since = os.times(), time.monotonic()
        composition = composite(
            plan, clips, (OUTPUT,), SoundOptions(), MarkingOptions(), workspace=files, watch=lambda done, total: None
        )
        after, wall = os.times(), time.monotonic() - since
        memory = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        path = files.path(composition.outputs[0].asset)
        report(plan, path, sum(after[:4]) - sum(before[:4]), wall, memory)


def report(plan: Plan, path: Path, cpu: float, wall: float, memory: list[float]) -> None:
    """One row for each fact."""
    num_frames, wrong, cuts_off = wrong_frames(path, plan)
    errors, num_samples = beep_errors(path, plan), num_samples_of(path)
    seconds = plan.num_frames / 25
    rows = [
        (
            "programme",
            f"{seconds:.0f} s, {len(plan.cuts)} cuts, clips of 64x36, output {OUTPUT.size[0]}x{OUTPUT.size[1]}",
        ),
        ("frames in the file - frames of the plan", num_frames - plan.num_frames),
        ("frames that are not the plan's", wrong),
        ("cuts that are a frame or more off", cuts_off),
        (
            "samples in the file - samples of the plan (a packet is 1024)",
            num_samples - plan.num_frames * SAMPLES_PER_FRAME,
        ),
        (
            "beep against cut in samples: earliest, median, latest",
            f"{errors.min()}, {np.median(errors):.0f}, {errors.max()}",
        ),
        ("CPU seconds for a programme second", f"{cpu / seconds:.3f}"),
        ("wall seconds", f"{wall:.0f}"),
        ("peak memory of the composing process, of its largest child", f"{memory[0]:.0f} MB, {memory[1]:.0f} MB"),
    ]
    print(f"{platform.machine()}, Python {platform.python_version()}, PyAV {av.__version__}\n")
    print("| what | value |\n| --- | --- |")
    for what, value in rows:
        print(f"| {what} | {value} |")


if __name__ == "__main__":
    main()
