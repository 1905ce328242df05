"""Opening media that strangers made: one file, a closed list of formats, no protocol, nothing else touched.

In: the path of a regular file. Out: an FFmpeg container that reads through our own file object, so that no name is
taken for an option, a pattern or a protocol, and nothing that the content names can be opened.
Knows nothing of tracks, levels or pictures.
"""

import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import av.logging

from tasks.domain.errors import RecordingError
from tasks.media.paths import shown

log = logging.getLogger(__name__)

FORMATS = ",".join(
    (
        *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dts", "eac3", "flac", "flv", "loas"),
        *("matroska", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "ogg", "tta", "w64", "wav", "wv"),
    )
)
"""FFmpeg's demuxers that hold sound and read nothing but the file itself: no playlist, script or picture among them."""

_OPTIONS = {
    "format_whitelist": FORMATS,
    # No protocol at all: the bytes come from our own file object. mov's external references stay off as well.
    "protocol_whitelist": "none",
    "enable_drefs": "0",
    "use_absolute_path": "0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """How much of a recording is too much."""

    max_bytes: int = 20 * 2**30
    max_duration: Fraction = Fraction(12 * 3600)
    """Seconds."""
    max_streams: int = 64
    max_channels: int = 32
    stall_seconds: float = 60.0
    """Wall-clock time without a decoded second after which reading ends."""
    max_reads_of_file: int = 8
    """How many times its own size may be read in one pass: a file that sends the reader to and fro ends there."""


class SourceFile:
    """A file opened for FFmpeg: counts what is read, knows when it stalls. Has no name on purpose."""

    def __init__(self, path: Path, limits: MediaLimits, name: str = "") -> None:
        """name: how messages call it; the file's name by default.

        Raises RecordingError for what is no regular file, is empty, too large or may not be read.
        """
        self.label = f"recording {shown(name or path.name)}"
        try:
            # Without O_NONBLOCK, opening a pipe would wait for its writer.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise self.refusal(f"it cannot be opened ({reason}).", "Check its name and rights.") from error
        self._limits = limits
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        try:
            self._check(status.st_mode)
        except RecordingError:
            self.close()
            raise
        self._num_read = 0
        self.progress()

    def _check(self, mode: int) -> None:
        if not stat.S_ISREG(mode):
            raise self.refusal("it is no ordinary file.", "Name an audio or video file.")
        if self.size == 0:
            raise self.refusal("it is empty (0 bytes).", "Export or download it again.")
        if self.size > self._limits.max_bytes:
            raise self.refusal(
                f"it has {self.size / 2**30:.1f} GiB; at most {self._limits.max_bytes / 2**30:.1f} GiB are read.",
                "Compress it, or raise the limit in the settings.",
            )

    def refusal(self, message: str, remedy: str) -> RecordingError:
        """An error about this file."""
        return RecordingError(message, where=self.label, remedy=remedy)

    def head(self, num_bytes: int = 4096) -> bytes:
        """The first bytes, for telling what it is."""
        return os.pread(self._descriptor, num_bytes, 0)

    def tail(self, num_bytes: int = 65536) -> bytes:
        """The last bytes."""
        return os.pread(self._descriptor, num_bytes, max(0, self.size - num_bytes))

    def at(self, offset: int, num_bytes: int) -> bytes:
        """Bytes from `offset` on."""
        return os.pread(self._descriptor, num_bytes, offset)

    def rewind(self) -> None:
        """Start another pass from the first byte."""
        self.seek(0)
        self._num_read = 0
        self.progress()

    def progress(self) -> None:
        """Something came out: the stall clock starts anew."""
        self._last_progress = time.monotonic()

    def read(self, num_bytes: int) -> bytes:
        """As a file object's. Raises RecordingError when reading leads nowhere."""
        stalled = time.monotonic() - self._last_progress > self._limits.stall_seconds
        if stalled or self._num_read > self._limits.max_reads_of_file * self.size + 2**24:
            raise self.refusal("reading it does not come to an end.", "Convert it to WAV or FLAC first.")
        block = os.read(self._descriptor, num_bytes)
        self._num_read += len(block)
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file object's, but -1 for a place that is not there: damaged files ask for those."""
        try:
            return os.lseek(self._descriptor, offset, whence)
        except (OSError, OverflowError):
            return -1

    def tell(self) -> int:
        """As a file object's."""
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def close(self) -> None:
        """As a file object's; once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def source_file(path: Path, limits: MediaLimits, name: str = "") -> Iterator[SourceFile]:
    """A `SourceFile`, closed at the end."""
    source = SourceFile(path, limits, name)
    try:
        yield source
    finally:
        source.close()


def _refuse_other_files(url: str, _flags: int, _options: dict[str, str]) -> Any:
    raise PermissionError("media may not open further files")


@contextmanager
def open_media(source: SourceFile) -> Iterator[Any]:
    """An av.InputContainer over `source`, from its first byte.

    Raises RecordingError when the content is none of `FORMATS`; says what it looks like instead.
    """
    source.rewind()
    try:
        container = av.open(
            source, options=dict(_OPTIONS), metadata_errors="replace", io_open=_refuse_other_files, buffer_size=2**17
        )
    except RecordingError:
        raise
    except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise source.refusal(*_what_it_is(source)) from error
    try:
        yield container
    finally:
        container.close()


_LOOKS = (
    (rb"\s*<(!doctype|html|\?xml|rss)", "it is a web page or XML, not a recording.", "The download may have failed."),
    (rb"(#EXTM3U|ffconcat|\[playlist\]|\s*<asx)", "it is a playlist, not a recording.", "Name the recording itself."),
    (
        rb"(\xff\xd8\xff|\x89PNG|GIF8|BM|II\*\0|MM\0\*|RIFF....WEBP)",
        "it is a picture, not a recording.",
        "Name audio or video.",
    ),
    (rb"(PK\x03\x04|\xfd7zXZ|\x1f\x8b|7z\xbc\xaf|Rar!)", "it is an archive, not a recording.", "Unpack it first."),
    (rb"%PDF", "it is a PDF document, not a recording.", "Name an audio or video file."),
    (rb"....ftyp", "it is protected or damaged.", "Export it again without copy protection."),
    (rb"(RIFF....WAVE|fLaC|OggS|ID3)", "it is damaged.", "Export it again."),
)
_UNKNOWN = ("it is no audio or video format that can be read.", "Convert it to WAV, FLAC, MP3, M4A or MP4.")


def _what_it_is(source: SourceFile) -> tuple[str, str]:
    """(message, remedy) for content that FFmpeg did not take."""
    head = source.head()
    for pattern, message, remedy in _LOOKS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            return message, remedy
    return _UNKNOWN


def clean_text(value: str | None, limit: int = 200) -> str | None:
    """A tag as one line of printable text, cut to `limit` characters; None where nothing is left."""
    if not value:
        return None
    line = "".join(letter if letter.isprintable() else " " for letter in value[: 20 * limit])
    line = " ".join(line.split())
    return (line[: limit - 1] + "…" if len(line) > limit else line) or None
