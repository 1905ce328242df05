"""Recordings decoded once, for good: driving speech at 16 kHz and the programme's master at 48 kHz.

In: the path of anything that `probe` accepts. Out: a mono s16 WAV and a FLAC of one or two channels, written in blocks;
memory does not grow with length. Two passes: the first listens (levels choose the mixing), the second writes.
Knows no speakers, no loudness target and no store.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from tasks.domain.errors import MediaError, RecordingError
from tasks.domain.timing import MASTER_RATE_HZ, SPEECH_RATE_HZ, index_at
from tasks.media.container import MediaLimits, SourceFile, open_media, source_file
from tasks.media.decoding import TrackReader
from tasks.media.levels import QUIET_DBFS
from tasks.media.probe import MediaFacts, probe_source, unwatched
from tasks.media.storage import disk_errors, unwritable
from tasks.media.wav import write_wav

Float32Array = npt.NDArray[np.float32]

REVISION = 1
"""Bump when equal bytes would decode to other samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFacts:
    """What was written."""

    facts: MediaFacts
    master_channels: int
    num_master_samples: int
    num_speech_samples: int

    @property
    def duration(self) -> Fraction:
        """Seconds of the recording, from its decoded samples."""
        return self.facts.duration


def decode_recording(
    path: Path,
    *,
    speech_out: Path,
    master_out: Path,
    name: str = "",
    watch: Watch = unwatched,
    limits: MediaLimits = MediaLimits(),
) -> DecodedFacts:
    """Write the recording at `path` as driving speech and as master, both of its exact length, aligned at sample 0.

    speech_out: WAV, mono, 16 kHz, s16. master_out: FLAC, 48 kHz, one or two channels, at the recording's own level.
    name: how messages call the recording; the file's name by default.
    Raises RecordingError as `probe`, StoreError when the disk refuses, Stopped out of `watch`; no file is left then.
    """
    with source_file(path, limits, name) as source:
        facts = probe_source(source, watch=lambda done, total: watch(done, 2 * total), limits=limits)
        num_speech = index_at(facts.duration, SPEECH_RATE_HZ)
        num_master = index_at(facts.duration, MASTER_RATE_HZ)
        channels = len(facts.mix.master)
        is_quiet = max(facts.levels.level_dbfs) < QUIET_DBFS
        try:
            with FlacWriter(master_out, MASTER_RATE_HZ, channels, bits=24 if is_quiet else 16) as master:
                speech = _both(source, facts, master, watch, limits)
                written = write_wav(speech_out, exactly(speech, num_speech))
                if (written, master.num_samples) != (num_speech, num_master):
                    raise MediaError(f"{source.label}: the second reading differs from the first.")
        except BaseException:
            speech_out.unlink(missing_ok=True)
            raise
    return DecodedFacts(
        facts=facts, master_channels=channels, num_master_samples=num_master, num_speech_samples=num_speech
    )


def _both(
    source: SourceFile, facts: MediaFacts, master: "FlacWriter", watch: Watch, limits: MediaLimits
) -> Iterator[Float32Array]:
    """Write the master on the way; yield driving speech, (n,) at 16 kHz."""
    mix = facts.mix
    to_master = np.array(mix.master, np.float32)
    to_speech = np.array([mix.speech], np.float32) * np.float32(mix.speech_gain)
    dc = np.array(mix.dc, np.float32)[:, None]
    with open_media(source) as container:
        reader = TrackReader(container, container.streams[facts.track_index], source, limits)
        master_rate = Resampler(reader.rate_hz, MASTER_RATE_HZ, len(mix.master))
        speech_rate = Resampler(reader.rate_hz, SPEECH_RATE_HZ, 1)
        padded = Exactly(index_at(facts.duration, MASTER_RATE_HZ))
        num_samples = 0
        for block in reader.blocks():
            num_samples += block.shape[1]
            centred = block - dc
            master.write(padded.take(master_rate.convert(np.asarray(to_master @ centred, np.float32))))
            yield speech_rate.convert(np.asarray(to_speech @ centred, np.float32))[0]
            seconds = num_samples / reader.rate_hz
            watch(float(facts.duration) + seconds, 2 * float(facts.duration))
        master.write(padded.take(master_rate.flush()))
        master.write(padded.rest(len(mix.master)))
        yield speech_rate.flush()[0]


class Exactly:
    """Cuts a stream of blocks (channels, n) to a length and says what is missing at its end."""

    def __init__(self, num_samples: int) -> None:
        """num_samples: that come out."""
        self._left = num_samples

    def take(self, block: Float32Array) -> Float32Array:
        """`block`, or what of it is still wanted."""
        kept = block[..., : self._left]
        self._left -= kept.shape[-1]
        return kept

    def rest(self, channels: int) -> Float32Array:
        """Silence for what never came: less than a filter's length."""
        return np.zeros((channels, self._left), np.float32)


def exactly(blocks: Iterable[Float32Array], num_samples: int) -> Iterator[Float32Array]:
    """Mono blocks (n,), cut or filled with silence to `num_samples` in all."""
    cut = Exactly(num_samples)
    for block in blocks:
        yield cut.take(block)
    yield cut.rest(1)[0]


class Resampler:
    """A stream of float32 blocks (channels, n) at another rate; sample 0 stays at time 0."""

    def __init__(self, rate_hz: int, target_hz: int, channels: int) -> None:
        """channels: one or two."""
        self._rate_hz, self._channels = rate_hz, channels
        self._layout = "mono" if channels == 1 else "stereo"
        self._engine: Any = None
        if rate_hz != target_hz:
            self._engine = av.AudioResampler(format="fltp", layout=self._layout, rate=target_hz)

    def convert(self, block: Float32Array) -> Float32Array:
        """What is ready after `block`; the filter holds a few samples back."""
        if self._engine is None:
            return block
        if block.shape[1] == 0:
            return block
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._layout)
        frame.sample_rate = self._rate_hz
        return self._joined(self._engine.resample(frame))

    def flush(self) -> Float32Array:
        """What the filter held back."""
        if self._engine is None:
            return np.zeros((self._channels, 0), np.float32)
        return self._joined(self._engine.resample(None))

    def _joined(self, frames: list[Any]) -> Float32Array:
        blocks = [frame.to_ndarray() for frame in frames if frame is not None and frame.samples]
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((self._channels, 0), np.float32)


class FlacWriter:
    """A FLAC file written in blocks, beside its name and renamed at the end. A context manager."""

    def __init__(self, path: Path, rate_hz: int, channels: int, *, bits: int = 16) -> None:
        """bits: 16 or 24 a sample. Raises StoreError when the disk refuses."""
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._layout, self._rate_hz = "mono" if channels == 1 else "stereo", rate_hz
        self._format = "s16" if bits == 16 else "s32"
        self.num_samples = 0
        try:
            # "file:" keeps a name with a colon or a leading dash a name. Bit-exact: no version, no date in the file.
            self._file = av.open(f"file:{self._part.absolute()}", "w", format="flac", options={"fflags": "+bitexact"})
        except OSError as error:
            raise unwritable(path, error) from error
        except av.error.FFmpegError as error:
            raise MediaError(f"{path.name} cannot be encoded ({error.strerror}).") from error
        self._stream = self._file.add_stream("flac", rate=rate_hz, options={"flags": "+bitexact"})
        self._stream.codec_context.layout = self._layout
        self._stream.codec_context.format = self._format

    def write(self, block: Float32Array) -> None:
        """block: float32 (channels, n) in [-1, 1]; what lies beyond is clipped. Raises StoreError, MediaError."""
        if block.shape[1] == 0:
            return
        scale, kind = (32768.0, np.int16) if self._format == "s16" else (2147483648.0, np.int32)
        # Through float64: the largest int32 is no float32.
        scaled = np.clip(np.rint(block.astype(np.float64) * scale), -scale, scale - 1).astype(kind)
        packed = np.ascontiguousarray(scaled.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format=self._format, layout=self._layout)
        frame.sample_rate = self._rate_hz
        frame.pts = self.num_samples
        self.num_samples += block.shape[1]
        self._mux(frame)

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._file.mux(packet)
        except OSError as error:
            raise unwritable(self._path, error) from error
        except av.error.FFmpegError as error:
            raise MediaError(f"{self._path.name} cannot be encoded ({error.strerror}).") from error

    def __enter__(self) -> "FlacWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._mux(None)
            with disk_errors(self._path) if kind is None else suppress(OSError):
                self._file.close()
            if kind is None:
                with disk_errors(self._path):
                    os.replace(self._part, self._path)
        finally:
            self._part.unlink(missing_ok=True)


@contextmanager
def _reader(path: Path, limits: MediaLimits) -> Iterator[TrackReader]:
    with source_file(path, limits) as source, open_media(source) as container:
        if not container.streams.audio:
            raise source.refusal("it has no audio track.", "Name a recording with sound.")
        yield TrackReader(container, container.streams.audio[0], source, limits)


def read_blocks(path: Path, *, limits: MediaLimits = MediaLimits()) -> Iterator[Float32Array]:
    """float32 (channels, n) of the first audio track, about a second each, at its own rate: for masters and outputs.

    Raises MediaError for a file that cannot be read: it is ours, so nobody can mend it by another recording.
    """
    try:
        with _reader(path, limits) as reader:
            yield from reader.blocks()
    except RecordingError as error:
        raise MediaError(f"{path.name} cannot be read: {error.message} Remove it; run again.") from error
