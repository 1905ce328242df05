"""Clips as files: frames in, H.264 out, and back again, one frame in memory at a time.

In: RGB frames (sRGB). Out: an MP4 of yuv420p, BT.709, limited range, equal bytes for equal frames; and its frames as
I420 planes for the compositor. Knows no sound, no shots and no layout.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

from tasks.domain.errors import MediaError
from tasks.media.storage import disk_errors, unwritable

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipEncoding:
    """How a clip is stored. Part of its fingerprint: another value is another clip."""

    codec: str = "libx264"
    preset: str = "veryfast"
    crf: int = 16
    """Finer than the delivered file, which is coded once more."""
    keyframe_frames: int = 50
    threads: int = 1
    """Clips run side by side, and one thread gives equal bytes on any number of cores."""
    pixel_format: str = "yuv420p"
    colour: str = "bt709-limited"

    def canonical(self) -> dict[str, str | int]:
        """For a fingerprint."""
        return asdict(self)


CLIP_ENCODING = ClipEncoding()

_BT709 = 1
"""Of primaries, transfer and matrix. Source: ITU-T H.273, tables 2 to 4."""
_KR, _KB = 0.2126, 0.0722
_KG = 1 - _KR - _KB
"""Shares of red, blue and green in luma. Source: ITU-R BT.709-6, 3.2."""
_Y, _C = 219 / 255, 224 / 255
"""Limited range. Source: ITU-R BT.709-6, 4.6."""
_LUMA = np.array([[_Y * _KR, _Y * _KG, _Y * _KB, 16]], np.float32)
_CHROMA = np.array(
    [
        [-_C * _KR / (2 * (1 - _KB)), -_C * _KG / (2 * (1 - _KB)), _C / 2, 128],
        [_C / 2, -_C * _KG / (2 * (1 - _KR)), -_C * _KB / (2 * (1 - _KR)), 128],
    ],
    np.float32,
)
_BIT_EXACT = {"fflags": "+bitexact", "movflags": "+faststart"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """A clip as its file says."""

    num_frames: int
    rate: Fraction
    width: int
    height: int


def write_video(
    frames: Iterable[UInt8Array], rate: Fraction, path: Path, *, encoding: ClipEncoding = CLIP_ENCODING
) -> int:
    """Write `frames`, uint8 (height, width, 3) sRGB with even sides, beside `path` and rename; returns their number.

    A frame may be reused by its maker after the next is asked for. What `frames` raises passes through.
    Raises MediaError when the encoder refuses, StoreError when the disk does; leaves nothing half-written.
    """
    part = path.with_name(path.name + ".part")
    try:
        num_frames = _encode(frames, Fraction(rate), part, encoding)
        with disk_errors(path):
            with part.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise MediaError(f"{path.name} cannot be encoded ({error.strerror}).", command=f"{encoding}") from error
    finally:
        part.unlink(missing_ok=True)
    return num_frames


def _encode(frames: Iterable[UInt8Array], rate: Fraction, part: Path, encoding: ClipEncoding) -> int:
    count, size = 0, (0, 0)
    stream: Any = None
    # "file:" keeps a name with a colon or a leading dash a name.
    with av.open(f"file:{part.absolute()}", "w", format="mp4", options=_BIT_EXACT) as file:
        for frame in frames:
            if stream is None:
                size = frame.shape[:2]
                stream = _add_stream(file, rate, size, encoding)
            if frame.shape[:2] != size:
                raise MediaError(f"frame {count} has {frame.shape[:2]} px, the first one {size}.")
            picture = av.VideoFrame.from_ndarray(to_i420(frame), format="yuv420p")
            picture.pts, picture.time_base = count, 1 / rate
            file.mux(stream.encode(picture))
            count += 1
        if stream is None:
            raise MediaError(f"{part.stem} would hold no frame.")
        file.mux(stream.encode(None))
    return count


def _add_stream(file: Any, rate: Fraction, size: tuple[int, int], encoding: ClipEncoding) -> Any:
    options = {"preset": encoding.preset, "crf": str(encoding.crf), "flags": "+bitexact"}
    stream = file.add_stream(encoding.codec, rate=rate, options=options)
    stream.height, stream.width = size
    stream.pix_fmt = encoding.pixel_format
    context = stream.codec_context
    context.time_base = 1 / rate
    context.gop_size = encoding.keyframe_frames
    context.thread_count = encoding.threads
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = ColorRange.MPEG
    return stream


def to_i420(pixels: UInt8Array) -> UInt8Array:
    """uint8 (height * 3 / 2, width): Y, then U, then V planes in BT.709, limited range, of sRGB (height, width, 3).

    Sides must be even. Chroma is the mean of its four pixels. Three times as fast as swscale, equal to within 1.
    """
    height, width = pixels.shape[:2]
    planes = np.empty((height * 3 // 2, width), np.uint8)
    flat, luma = planes.reshape(-1), height * width
    cv2.transform(pixels, _LUMA, dst=planes[:height])
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = cv2.transform(half, _CHROMA)
    flat[luma : luma * 5 // 4] = chroma[..., 0].reshape(-1)
    flat[luma * 5 // 4 :] = chroma[..., 1].reshape(-1)
    return planes


def to_rgb(planes: UInt8Array) -> UInt8Array:
    """uint8 (height, width, 3) sRGB of I420 planes in BT.709 limited range."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
    shown = frame.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return np.asarray(shown.to_ndarray(), np.uint8)


def video_facts(path: Path) -> VideoFacts:
    """Frames, rate and size of a clip of ours; counts packets and decodes nothing. Raises MediaError."""
    with _opened(path) as file:
        stream = file.streams.video[0]
        num_frames = sum(1 for packet in file.demux(stream) if packet.size)
        rate = Fraction(stream.average_rate)
        return VideoFacts(num_frames=num_frames, rate=rate, width=stream.width, height=stream.height)


def read_frames(path: Path, indices: Iterable[int] | None = None) -> Iterator[UInt8Array]:
    """Frames of a clip of ours as I420 planes, uint8 (height * 3 / 2, width); one decoder, one frame in memory.

    indices: which frames, in an order that never steps back; a frame may repeat. None: all of them.
    The yielded array is read-only where it repeats. Raises MediaError for a frame that is not there.
    """
    with _opened(path) as file:
        decoded = _decoded(file, path)
        if indices is None:
            yield from (np.asarray(frame.to_ndarray(), np.uint8) for frame in decoded)
            return
        at, planes = -1, np.zeros((0, 0), np.uint8)
        for index in indices:
            if index < at:
                raise ValueError(f"frames are read forwards: {index} was asked for after {at}")
            if index > at:
                planes = _skipped_to(decoded, index - at, index, path)
                planes.flags.writeable = False
                at = index
            yield planes


def _skipped_to(decoded: Iterator[Any], steps: int, index: int, path: Path) -> UInt8Array:
    frame: Any = None
    for _ in range(steps):
        frame = next(decoded, None)
        if frame is None:
            raise MediaError(f"{path.name} has no frame {index}.")
    return np.asarray(frame.to_ndarray(), np.uint8)


def _decoded(file: Any, path: Path) -> Iterator[Any]:
    stream = file.streams.video[0]
    stream.codec_context.thread_count = 1
    try:
        yield from file.decode(stream)
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path.name} is damaged ({error.strerror}).") from error


def _opened(path: Path) -> Any:
    try:
        file = av.open(f"file:{path.absolute()}", format="mp4", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path.name} is no clip ({error.strerror}).") from error
    if not file.streams.video:
        file.close()
        raise MediaError(f"{path.name} is no clip: it has no picture.")
    return file
