"""Pose videos: somebody's body poses, taken in from outside once, and read again as frames.

In: a video file of any origin. Out: a small MP4 of our own, at its own rate; its first seconds as RGB frames.
Knows no skeleton and no renderer: what the poses mean is the model's business.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av.error
import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from tasks.domain.errors import InputError, RecordingError
from tasks.media.container import MediaLimits, open_media, source_file
from tasks.media.video import read_frames, to_rgb, video_facts, write_video

UInt8Array = npt.NDArray[np.uint8]

REVISION = 1
MAX_SIDE_PX = 832
"""A pose video is fitted to the frame by its renderer; more pixels say no more."""
MAX_SOURCE_PIXELS = 4096 * 2304
MIN_RATE, MAX_RATE = Fraction(5), Fraction(120)
MAX_SECONDS = Fraction(24)
"""A shot is shorter: what comes behind is never seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poses:
    """Body poses over time."""

    frames: UInt8Array
    """(n, height, width, 3), RGB."""
    rate: Fraction


def write_poses(source: Path, target: Path, *, name: str, watch: Watch) -> int:
    """The first MAX_SECONDS of the video `source` as an MP4 of ours; returns the number of frames.

    Raises InputError for what is no video, or one of a size or rate out of all reason.
    """
    limits = MediaLimits(max_bytes=2 * 2**30)
    try:
        with source_file(source, limits, name) as file, open_media(file) as container:
            if not container.streams.video:
                raise file.refusal("it has no picture.", "Name a video of body poses.")
            stream = container.streams.video[0]
            rate = _rate(stream, file)
            frames = _scaled(container, stream, int(MAX_SECONDS * rate), file, watch)
            return write_video(frames, rate, target)
    except RecordingError as error:
        where = f"pose video {name!r}"
        raise InputError(error.message, where=where, remedy=error.remedy) from error


def check_poses(source: Path, *, name: str) -> None:
    """Judge a pose video without keeping it. Raises InputError as `write_poses`."""
    with TemporaryDirectory(prefix="troupe-poses-") as folder:
        write_poses(source, Path(folder) / "poses.mp4", name=name, watch=lambda done, total: None)


def read_poses(path: Path, seconds: Fraction) -> Poses:
    """The first `seconds` of a pose video of ours, and one frame more."""
    facts = video_facts(path)
    wanted = min(facts.num_frames, int(seconds * facts.rate) + 1)
    frames = np.stack([to_rgb(planes) for planes in read_frames(path, range(wanted))])
    return Poses(frames=frames, rate=facts.rate)


def _rate(stream: Any, file: Any) -> Fraction:
    rate = Fraction(stream.average_rate or stream.guessed_rate or 0).limit_denominator(1001)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise file.refusal(
            f"it has {float(rate):g} frames a second; {MIN_RATE} to {MAX_RATE} are allowed.", "Export it at 16."
        )
    pixels = stream.codec_context.width * stream.codec_context.height
    if not 0 < pixels <= MAX_SOURCE_PIXELS:
        raise file.refusal(f"its frames have {pixels:,} px; at most {MAX_SOURCE_PIXELS:,}.", "Export it smaller.")
    return rate


def _scaled(container: Any, stream: Any, most: int, file: Any, watch: Watch) -> Iterator[UInt8Array]:
    """RGB frames with even sides, at most `most` of them."""
    stream.codec_context.thread_count = 1
    size: tuple[int, int] | None = None
    try:
        for index, frame in enumerate(container.decode(stream)):
            if index == most:
                return
            watch(index, most)
            file.progress()
            if frame.width * frame.height > MAX_SOURCE_PIXELS:
                raise file.refusal("its frames change their size.", "Export it again.")
            if size is None:
                scale = min(1.0, MAX_SIDE_PX / max(frame.width, frame.height))
                size = max(2, int(frame.width * scale) // 2 * 2), max(2, int(frame.height * scale) // 2 * 2)
            yield np.asarray(cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA), np.uint8)
    except (av.error.FFmpegError, ValueError, MemoryError) as error:
        raise file.refusal("it is damaged.", "Export it again.") from error
    if size is None:
        raise file.refusal("it holds no frame.", "Export it again.")
