"""The commands that make a delivered file: burned text, H.264, sound by copy, chapters, tags. And a file's digest.

In: sizes, paths, chapters. Out: command lines for `tasks.media.encoder`, built with ffmpeg-python, and digests.
Knows no clips: frames come from outside as raw I420.
"""

import hashlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import av
import ffmpeg
import imageio_ffmpeg

from tasks.domain.errors import MediaError
from tasks.media.languages import iso639_2

PRESET, CRF, THREADS = "veryfast", 20, 4
"""x264: a fixed number of threads makes equal frames an equal file everywhere. Part of composite's REVISION."""
KEYFRAME_SECONDS = 4
_COLOURS = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}


def video_command(
    *,
    target: Path,
    size: tuple[int, int],
    rate: Fraction,
    subtitles: Path | None,
    sound: Path,
    metadata: Path,
    language: str,
) -> list[str]:
    """FFmpeg's command for one delivered file: raw I420 on standard input, everything else from files.

    subtitles: an ASS file to burn. sound: an .m4a, copied. metadata: as `metadata_text` writes it. language: BCP 47.
    """
    tongue = iso639_2(language)
    output = ffmpeg.output(
        _burned(_frames(size, rate), subtitles),
        ffmpeg.input(str(sound), protocol_whitelist="file").audio,
        str(target),
        **{
            "c:v": "libx264",
            "preset": PRESET,
            "crf": CRF,
            "profile:v": "high",
            "pix_fmt": "yuv420p",
            "threads": THREADS,
            "g": floor(KEYFRAME_SECONDS * rate),
            **_COLOURS,
            "c:a": "copy",
            "map_metadata": 2,
            "map_chapters": 2,
            "metadata:s:v:0": f"language={tongue}",
            "metadata:s:a:0": f"language={tongue}",
            "disposition:a:0": "default",
            "movflags": "+faststart",
            "fflags": "+bitexact",
            "flags:v": "+bitexact",
            "f": "mp4",
        },
    )
    # ffmpeg-python has no input without streams: the metadata goes in as a third input, by hand, behind the first two.
    command: list[str] = output.compile(cmd=ffmpeg_program(), overwrite_output=True)
    behind_inputs = _last_input(command) + 2
    return [*command[:behind_inputs], "-f", "ffmetadata", "-i", str(metadata), *command[behind_inputs:]]


def still_command(*, target: Path, size: tuple[int, int], subtitles: Path | None) -> list[str]:
    """FFmpeg's command for a JPEG of one raw frame, with the texts of its first instant."""
    picture = _burned(_frames(size, Fraction(25)), subtitles)
    # JPEG's own colours: BT.601, full range.
    picture = picture.filter("scale", in_color_matrix="bt709", out_color_matrix="bt601", in_range="tv", out_range="pc")
    output = ffmpeg.output(
        picture.filter("format", "yuvj420p"),
        str(target),
        **{"frames:v": 1, "q:v": 2, "c:v": "mjpeg", "f": "image2", "update": 1, "flags:v": "+bitexact"},
    )
    command: list[str] = output.compile(cmd=ffmpeg_program(), overwrite_output=True)
    return command


def _frames(size: tuple[int, int], rate: Fraction) -> Any:
    return ffmpeg.input(
        "pipe:0",
        format="rawvideo",
        pix_fmt="yuv420p",
        s=f"{size[0]}x{size[1]}",
        framerate=f"{rate.numerator}/{rate.denominator}",
        **_COLOURS,
    ).video


def _burned(picture: Any, subtitles: Path | None) -> Any:
    return picture if subtitles is None else picture.filter("ass", filename=str(subtitles))


def ffmpeg_program() -> list[str]:
    """FFmpeg and the options that every call has: quiet but for warnings, never asking."""
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"]


def _last_input(command: Sequence[str]) -> int:
    return max(index for index, word in enumerate(command) if word == "-i")


def metadata_text(title: str, chapters: Sequence[tuple[int, int, str]], rate: Fraction) -> str:
    """FFMETADATA of a programme. chapters: (start frame, end frame, title)."""
    lines = [";FFMETADATA1", f"title={_escaped(title)}"]
    for start, end, name in chapters:
        # A chapter's time base is that of the frames: exact.
        lines += ["[CHAPTER]", f"TIMEBASE={rate.denominator}/{rate.numerator}", f"START={start}", f"END={end}"]
        lines.append(f"title={_escaped(name)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Text for FFMETADATA: one line, special characters behind a backslash."""
    one_line = " ".join(text.replace("\x00", " ").split())
    return "".join(f"\\{char}" if char in "=;#\\" else char for char in one_line)


def stream_sha256(path: Path, watch: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file's elementary streams: what is seen and heard, whatever the container says around it.

    For picture, then sound: the codec's name, its parameter sets, and every packet's presentation time (exact seconds)
    and bytes. Chapters, tags, signatures and the order of boxes are not part of it. watch: called for every packet.
    Raises MediaError where the file cannot be read.
    """
    try:
        digests = _stream_digests(path, watch)
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path.name} cannot be read ({error}).") from error
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _stream_digests(path: Path, watch: Callable[[], None]) -> list[str]:
    # MP4 or nothing: of a delivery from elsewhere, a playlist could name other files.
    with av.open(str(path), format="mp4", options={"protocol_whitelist": "file"}) as container:
        streams = [*container.streams.video, *container.streams.audio]
        if not streams:
            raise MediaError(f"{path.name} holds neither picture nor sound.")
        running = {stream.index: hashlib.sha256(_head(stream)) for stream in streams}
        for packet in container.demux(streams):
            watch()
            if packet.size:
                instant = Fraction(packet.pts or 0) * Fraction(packet.time_base)
                running[packet.stream.index].update(f"{instant} {packet.size}\n".encode())
                running[packet.stream.index].update(bytes(packet))
        return [running[stream.index].hexdigest() for stream in streams]


def _head(stream: Any) -> bytes:
    extradata = stream.codec_context.extradata or b""
    return f"{stream.type} {stream.codec_context.name} {len(extradata)}\n".encode() + bytes(extradata)
