"""Our own WAV files: s16, written in blocks, read at any place without loading the rest.

In and out: float32 in [-1, 1] or int16. Reads only what it has written itself (PCM s16, header of 44 bytes);
what comes from outside goes through `tasks.media.audio`.
"""

import os
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tasks.domain.errors import MediaError
from tasks.domain.timing import SPEECH_RATE_HZ
from tasks.media.storage import disk_errors

Float32Array = npt.NDArray[np.float32]
Int16Array = npt.NDArray[np.int16]

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MAX_BYTES = 2**32 - _HEADER.size


def to_int16(samples: npt.NDArray[np.floating] | Int16Array) -> Int16Array:
    """Full scale is 32768, so that s16 sound comes through unchanged; what lies beyond is clipped."""
    if samples.dtype == np.int16:
        return np.asarray(samples, np.int16)
    scaled = np.rint(np.asarray(samples, np.float32) * np.float32(32768.0))
    return np.asarray(np.clip(scaled, -32768, 32767), np.int16)


def write_wav(
    path: Path,
    samples: npt.NDArray[np.floating] | Int16Array | Iterable[npt.NDArray[np.floating] | Int16Array],
    rate_hz: int = SPEECH_RATE_HZ,
) -> int:
    """Write s16 WAV beside `path` and rename; returns the number of samples per channel.

    samples: one array or blocks of it; (n,) for mono, (n, channels) else; float32 in [-1, 1] or int16.
    Raises StoreError when the disk refuses, MediaError past 4 GiB.
    """
    blocks = [samples] if isinstance(samples, np.ndarray) else samples
    part = path.with_name(path.name + ".part")
    channels, num_bytes = 1, 0
    try:
        with disk_errors(path):
            file = part.open("wb")
        with file:
            file.write(bytes(_HEADER.size))
            for block in blocks:
                channels = 1 if block.ndim == 1 else block.shape[1]
                pcm = to_int16(block).astype("<i2", copy=False).tobytes()
                num_bytes += len(pcm)
                if num_bytes > _MAX_BYTES:
                    raise MediaError(f"{path.name} would pass the 4 GiB that a WAV can hold.")
                # Around the write alone: what `blocks` raises is no fault of this disk's.
                with disk_errors(path):
                    file.write(pcm)
            with disk_errors(path):
                file.seek(0)
                file.write(_header(num_bytes, rate_hz, channels))
                file.flush()
                os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return num_bytes // (2 * channels)


def _header(num_bytes: int, rate_hz: int, channels: int) -> bytes:
    frame = 2 * channels
    riff = num_bytes + _HEADER.size - 8
    return _HEADER.pack(
        *(b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, channels, rate_hz, rate_hz * frame, frame, 16, b"data", num_bytes)
    )


def wav_facts(path: Path) -> tuple[int, int, int]:
    """(samples per channel, rate in Hz, channels) of a WAV that `write_wav` made.

    Raises MediaError for any other file.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        size = os.fstat(file.fileno()).st_size - _HEADER.size
    if len(head) < _HEADER.size:
        raise MediaError(f"{path.name} is no WAV of ours: it has only {len(head)} bytes.")
    channels, rate_hz, num_bytes = (fields := _HEADER.unpack(head))[6], fields[7], fields[12]
    is_ours = size == num_bytes and 1 <= channels <= 2 and 1 <= rate_hz <= 2**20
    if not is_ours or head != _header(num_bytes, rate_hz, channels):
        raise MediaError(f"{path.name} is no WAV of ours: its header does not fit its {size} bytes of sound.")
    return num_bytes // (2 * channels), rate_hz, channels


def num_speech_samples(path: Path) -> int:
    """Samples of driving speech in a WAV of ours. Raises MediaError unless it is mono at 16 kHz."""
    count, rate_hz, channels = wav_facts(path)
    if (rate_hz, channels) != (SPEECH_RATE_HZ, 1):
        raise MediaError(f"{path.name} is not driving speech: {channels} channels at {rate_hz} Hz, not 1 at 16000.")
    return count


def read_speech_pcm(path: Path, start_sample: int = 0, end_sample: int | None = None) -> Int16Array:
    """int16 (end - start,): a cut of driving speech as stored; silence where it reaches beyond the file."""
    count = num_speech_samples(path)
    end = count if end_sample is None else end_sample
    if end < start_sample:
        raise ValueError(f"a cut cannot end before it starts: [{start_sample}, {end})")
    cut = np.zeros(end - start_sample, np.int16)
    first, last = max(0, start_sample), min(end, count)
    if first < last:
        stored = np.memmap(path, "<i2", "r", offset=_HEADER.size + 2 * first, shape=(last - first,))
        cut[first - start_sample : last - start_sample] = stored
    return cut


def read_speech(path: Path, start_sample: int = 0, end_sample: int | None = None) -> Float32Array:
    """float32 (end - start,) in [-1, 1): as `read_speech_pcm`."""
    return read_speech_pcm(path, start_sample, end_sample).astype(np.float32) * np.float32(1 / 32768)


def map_speech(path: Path) -> Int16Array:
    """int16 (n,): all of the driving speech of a file, mapped: hours of it take no memory until they are read."""
    count = num_speech_samples(path)
    if count == 0:
        return np.zeros(0, np.int16)
    return np.memmap(path, "<i2", "r", offset=_HEADER.size, shape=(count,))
