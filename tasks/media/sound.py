"""The programme's sound: the master at its target loudness, encoded once, and measured as a player would hear it.

In: the path of a master, its exact number of samples, a target. Out: an .m4a file and what was measured on it.
Reads and writes in blocks: memory does not grow with the length.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from tasks.domain.errors import MediaError
from tasks.domain.options import SoundOptions
from tasks.media.loudness import SILENCE_LUFS, Float32Array, Loudness, Meter, limited
from tasks.media.storage import disk_errors

log = logging.getLogger(__name__)

RATE_HZ = 48_000
BLOCK_SAMPLES = RATE_HZ
TOLERANCE_LU = 0.2
"""A programme that is nearer to its target is left alone; the promise is 0.5."""
MOST_GAIN_DB = 40.0
"""Nothing is made louder than this: what remains is noise."""
AAC_HEADROOM_DB = 1.0
"""AAC adds peaks: the limiter holds this much below the ceiling at first, and more if the decoded file asks for it."""
MOST_PASSES = 4
"""Encodings of the sound at most; one is enough for nearly every programme."""
LONGEST_PADDING_SECONDS = 0.1
"""A master may end so much before its programme; more is a damaged file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is done to a master."""

    gain_db: float
    ceiling_dbtp: float


def write_sound(
    master: Path, num_samples: int, options: SoundOptions, new: Callable[[], Path], watch: Callable[[], None]
) -> tuple[Path, Loudness]:
    """Encode `master` at its target. Returns the file and what was measured on it, decoded again.

    new: a path for each try. watch: called for every second of sound.
    Raises MediaError where the master cannot be read or is shorter than the programme, StoreError for a full disk.
    """
    channels = channels_of(master)
    level = _first_level(master, num_samples, channels, options, watch)
    best: tuple[float, Path, Loudness] | None = None
    for _ in range(MOST_PASSES):
        path = new()
        blocks = limited(read_sound(master, num_samples), level.gain_db, level.ceiling_dbtp, RATE_HZ)
        with disk_errors(path):
            _encode(_watched(blocks, watch), channels, options.audio_bitrate, path)
        heard = measure(_watched(read_sound(path, num_samples), watch), channels)
        miss = _miss(heard, options)
        if best is None or miss < best[0]:
            best = (miss, path, heard)
        if miss == 0 or heard.integrated_lufs <= SILENCE_LUFS:
            break
        corrected = _corrected(level, heard, options)
        if corrected == level:
            break
        level = corrected
    assert best is not None
    log.info("Sound at %.2f LUFS, %.2f dBTP.", best[2].integrated_lufs, best[2].true_peak_dbtp)
    return best[1], best[2]


def _first_level(
    master: Path, num_samples: int, channels: int, options: SoundOptions, watch: Callable[[], None]
) -> Level:
    """The level that meets the target before encoding: limiting takes loudness away, so it is measured after it."""
    ceiling = options.true_peak_dbtp - AAC_HEADROOM_DB
    plain = measure(_watched(read_sound(master, num_samples), watch), channels)
    if plain.integrated_lufs <= SILENCE_LUFS:
        return Level(gain_db=0.0, ceiling_dbtp=ceiling)
    gain = min(MOST_GAIN_DB, options.loudness_lufs - plain.integrated_lufs)
    if plain.true_peak_dbtp + gain <= ceiling:
        return Level(gain_db=gain, ceiling_dbtp=ceiling)
    for _ in range(MOST_PASSES):
        blocks = limited(read_sound(master, num_samples), gain, ceiling, RATE_HZ)
        heard = measure(_watched(blocks, watch), channels)
        missing = options.loudness_lufs - heard.integrated_lufs
        gain = min(MOST_GAIN_DB, gain + missing)
        if abs(missing) <= TOLERANCE_LU:
            break
    return Level(gain_db=gain, ceiling_dbtp=ceiling)


def _miss(heard: Loudness, options: SoundOptions) -> float:
    """How far a decoded file is from what was promised; 0 where it keeps it. An overshot peak weighs most."""
    over = max(0.0, heard.true_peak_dbtp - options.true_peak_dbtp)
    off = abs(heard.integrated_lufs - options.loudness_lufs)
    return 10 * over + (off if off > TOLERANCE_LU else 0.0)


def _corrected(level: Level, heard: Loudness, options: SoundOptions) -> Level:
    over = heard.true_peak_dbtp - options.true_peak_dbtp
    return Level(
        gain_db=min(MOST_GAIN_DB, level.gain_db + options.loudness_lufs - heard.integrated_lufs),
        ceiling_dbtp=level.ceiling_dbtp - (over + 0.1 if over > 0 else 0.0),
    )


def measure(blocks: Iterator[Float32Array], channels: int) -> Loudness:
    """Loudness and true peak of a whole sound at RATE_HZ."""
    meter = Meter(channels, RATE_HZ)
    for block in blocks:
        meter.add(block)
    return meter.result()


def channels_of(path: Path) -> int:
    """One or two. Raises MediaError for anything without sound."""
    with _opened(path) as container:
        return min(2, int(container.streams.audio[0].codec_context.channels))


def read_sound(path: Path, num_samples: int) -> Iterator[Float32Array]:
    """Exactly `num_samples` samples at RATE_HZ as blocks (channels, n), n up to BLOCK_SAMPLES.

    A rest up to LONGEST_PADDING_SECONDS is silence. Raises MediaError where the sound is damaged or shorter.
    """
    channels, done = channels_of(path), 0
    gathered: list[Float32Array] = []
    size = 0
    for piece in _decoded(path, "mono" if channels == 1 else "stereo"):
        wanted = piece[:, : num_samples - done - size]
        gathered.append(wanted)
        size += wanted.shape[1]
        if size >= BLOCK_SAMPLES or done + size == num_samples:
            yield np.concatenate(gathered, axis=1)
            done, size, gathered = done + size, 0, []
        if done == num_samples:
            return
    missing = num_samples - done - size
    if missing > LONGEST_PADDING_SECONDS * RATE_HZ:
        raise MediaError(
            f"{path.name} ends after {(done + size) / RATE_HZ:.2f} s, "
            f"the programme lasts {num_samples / RATE_HZ:.2f} s: make its speech again."
        )
    yield np.concatenate([*gathered, np.zeros((channels, missing), np.float32)], axis=1)


def _decoded(path: Path, layout: str) -> Iterator[Float32Array]:
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE_HZ)
    try:
        with _opened(path) as container:
            for frame in container.decode(audio=0):
                yield from (piece.to_ndarray() for piece in resampler.resample(frame))
            yield from (piece.to_ndarray() for piece in resampler.resample(None))
    except av.error.FFmpegError as error:
        raise MediaError(f"{path.name} is damaged ({error}): make its speech again.") from error


def _opened(path: Path) -> Any:
    try:
        container = av.open(str(path), options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path.name} cannot be opened ({error}): make its speech again.") from error
    if not container.streams.audio:
        container.close()
        raise MediaError(f"{path.name} holds no sound: make its speech again.")
    return container


def _encode(blocks: Iterator[Float32Array], channels: int, bitrate: int, path: Path) -> None:
    """AAC in an .m4a file, from blocks at RATE_HZ."""
    layout = "mono" if channels == 1 else "stereo"
    try:
        with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
            stream: Any = container.add_stream("aac", rate=RATE_HZ, layout=layout, bit_rate=bitrate)
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
            done = 0
            for block in blocks:
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
                frame.sample_rate, frame.pts = RATE_HZ, done
                done += block.shape[1]
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except av.error.FFmpegError as error:
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise
        raise MediaError(f"the sound could not be encoded ({error}).") from error


def _watched(blocks: Iterator[Float32Array], watch: Callable[[], None]) -> Iterator[Float32Array]:
    for block in blocks:
        watch()
        yield block
