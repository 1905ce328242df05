"""One audio track as float blocks on a gapless sample grid.

In: a container and one of its audio streams. Out: float32 blocks (channels, n) of about one second, and what was
damaged on the way. Lost packets become silence, so that time keeps its place. Knows no files, no mixing, no levels.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.stream import Discard

from tasks.media.container import MediaLimits, SourceFile

log = logging.getLogger(__name__)

Float32Array = npt.NDArray[np.float32]

GAP_SECONDS = 0.03
"""A smaller hole in the timestamps is their rounding (Matroska: 1 ms, MPEG-TS: jitter)."""
MAX_GAP_SECONDS = 30.0
"""A larger one is a broken clock, not lost sound."""
MAX_SAMPLE = 4.0
"""Float formats may pass full scale; beyond this (+12 dB) it is no sound."""

_WITHOUT_TIME = {"mp3", "aac", "ac3", "eac3", "dts", "loas"}
"""Bare streams: their times are counted by the reader, at the first frame's rate, and prove no hole."""

_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "s64": 9223372036854775808.0}


@dataclass(slots=True)
class Damage:
    """What a pass met. Seconds are seconds of sound."""

    num_errors: int = 0
    num_corrupt_frames: int = 0
    silence_seconds: float = 0.0
    num_changes: int = 0
    """Frames in another rate or layout than the track's."""
    is_broken_off: bool = False
    """Whether reading ended before the end of the file."""


class TrackReader:
    """Decodes one track once, from its start."""

    def __init__(self, container: Any, stream: Any, source: SourceFile, limits: MediaLimits) -> None:
        """container, stream: as of PyAV; the container is at its first packet."""
        self._container, self._stream, self._source, self._limits = container, stream, source, limits
        self.rate_hz = int(stream.codec_context.sample_rate or 0)
        self.channels = int(stream.codec_context.channels or 0)
        self.damage = Damage()
        self._adapter: Any = None
        self._adapter_kind: tuple[int, str, str] | None = None
        self._position = 0
        self._lost = False
        """Whether a packet was lost since the last frame."""
        self._anchor: float | None = None

    def blocks(self) -> Iterator[Float32Array]:
        """float32 (channels, n) at `rate_hz`, full scale 1.0; each about a second, the last one shorter.

        Raises RecordingError past the limit of duration.
        """
        self._stream.codec_context.thread_count = 1
        for other in self._container.streams:
            if other.index != self._stream.index:
                other.discard = Discard.all
        waiting: list[Float32Array] = []
        num_waiting = 0
        for piece in self._pieces():
            if self._position > self._limits.max_duration * self.rate_hz:
                raise self._source.refusal(
                    f"it is longer than {float(self._limits.max_duration) / 3600:g} hours.",
                    "Cut it into parts, or raise the limit in the settings.",
                )
            waiting.append(piece)
            num_waiting += piece.shape[1]
            if num_waiting >= self.rate_hz:
                yield np.concatenate(waiting, axis=1)
                waiting, num_waiting = [], 0
                # Behind the yield: the time that the caller takes is none that the file took.
                self._source.progress()
        if waiting:
            yield np.concatenate(waiting, axis=1)

    def _pieces(self) -> Iterator[Float32Array]:
        for frame in self._frames():
            hole = self._hole_before(frame)
            samples = self._samples(frame)
            # In slices: a hole of half a minute is cheap in time but not in one piece of memory.
            while hole > 0:
                size = min(hole, self.rate_hz)
                hole -= size
                self._position += size
                yield np.zeros((self.channels, size), np.float32)
            self._position += samples.shape[1]
            yield samples

    def _frames(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except IndexError:
                # PyAV does not know streams that begin later, as MPEG-TS has them; their packets are passed over.
                packets = self._container.demux(self._stream)
                continue
            except (av.error.FFmpegError, OSError) as error:
                log.info("%s: reading ends early: %s", self._source.label, error)
                self.damage.is_broken_off = True
                return
            try:
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.damage.num_errors += 1
                self._lost = True
                continue
            for frame in frames:
                self.damage.num_corrupt_frames += bool(frame.is_corrupt)
                if frame.samples:
                    yield frame

    def _hole_before(self, frame: Any) -> int:
        """Samples of silence that the timestamps ask for before this frame."""
        if frame.pts is None or frame.time_base is None:
            return 0
        time = float(frame.pts * frame.time_base)
        here = self._position / self.rate_hz
        if self._anchor is None:
            self._anchor = time - self._start_offset(time)
        hole = time - self._anchor - here
        is_told = self._lost or self._container.format.name not in _WITHOUT_TIME
        self._lost = False
        if is_told and GAP_SECONDS < hole <= MAX_GAP_SECONDS:
            if self._position:
                self.damage.silence_seconds += hole
            return round(hole * self.rate_hz)
        if abs(hole) > GAP_SECONDS:
            # Time jumped: chained streams begin again at 0. Sound goes on where it is.
            self._anchor = time - here
        return 0

    def _start_offset(self, first: float) -> float:
        """By how much this track starts after the container's first stream, in seconds: films may start silent."""
        start = self._container.start_time
        if start is None or len(self._container.streams) < 2:
            return 0.0
        late = first - start / av.time_base
        return late if GAP_SECONDS < late <= MAX_GAP_SECONDS else 0.0

    def _samples(self, frame: Any) -> Float32Array:
        channels = int(frame.layout.nb_channels)
        if frame.sample_rate == self.rate_hz and channels == self.channels:
            return to_float(frame, channels)
        # Advertisements that were inserted into a podcast often differ in rate and channels.
        self.damage.num_changes += 1
        return _with_channels(self._at_own_rate(frame, channels), self.channels)

    def _at_own_rate(self, frame: Any, channels: int) -> Float32Array:
        """float32 (channels, n) at the track's rate; a little comes late while the resampler fills."""
        if frame.sample_rate == self.rate_hz:
            return to_float(frame, channels)
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        if kind != self._adapter_kind:
            self._adapter = av.AudioResampler(format="fltp", layout=frame.layout, rate=self.rate_hz)
            self._adapter_kind = kind
        frame.pts = None
        try:
            pieces = [to_float(piece, channels) for piece in self._adapter.resample(frame)]
        except (av.error.FFmpegError, ValueError):
            self._adapter_kind = None
            self.damage.num_errors += 1
            pieces = []
        return np.concatenate(pieces, axis=1) if pieces else np.zeros((channels, 0), np.float32)


def _with_channels(samples: Float32Array, channels: int) -> Float32Array:
    """One channel is heard on all, several are averaged to one; else further ones are dropped or silent."""
    if len(samples) == channels:
        return samples
    if channels == 1:
        return np.asarray(samples.mean(axis=0, keepdims=True), np.float32)
    if len(samples) == 1:
        return np.repeat(samples, channels, axis=0)
    fitted = np.zeros((channels, samples.shape[1]), np.float32)
    shared = min(channels, len(samples))
    fitted[:shared] = samples[:shared]
    return fitted


def to_float(frame: Any, channels: int) -> Float32Array:
    """Samples of an av.AudioFrame as float32 (channels, n), finite."""
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, channels).T
    kind = frame.format.name.removesuffix("p")
    if kind in ("flt", "dbl"):
        finite = np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        return np.asarray(np.clip(finite, -MAX_SAMPLE, MAX_SAMPLE), np.float32)
    samples = array.astype(np.float32)
    if kind == "u8":
        samples -= 128.0
    return np.asarray(samples * np.float32(1 / _SCALE[kind]), np.float32)
