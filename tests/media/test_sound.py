"""The programme's sound: at its target when it is decoded again, whatever the master is like."""

from pathlib import Path

import numpy as np
import pytest

from tasks.domain.options import SoundOptions
from tasks.media.sound import measure, read_sound, write_sound
from tests.composing import syllables, write_master

SECONDS = 12
COUNT = SECONDS * 48_000


def peaky(level: float) -> np.ndarray:
    """Speech-like noise with a click every half second."""
    samples = np.concatenate(list(syllables(COUNT, 5, level)), axis=1)
    samples[:, ::24_000] = 0.99
    return samples


MASTERS = {
    "ordinary": lambda: np.concatenate(list(syllables(COUNT)), axis=1),
    "quiet": lambda: np.concatenate(list(syllables(COUNT, 1, 0.004)), axis=1),
    "loud": lambda: np.concatenate(list(syllables(COUNT, 2, 0.5)), axis=1),
    "clicks": lambda: peaky(0.02),
    "stereo": lambda: np.concatenate([peaky(0.05), peaky(0.01)]),
    "square": lambda: np.sign(np.sin(np.arange(COUNT) * 2 * np.pi * 110 / 48_000))[None] * 0.9,
}


@pytest.mark.parametrize("name", MASTERS)
def test_the_decoded_file_keeps_its_promise(tmp_path, name):
    """Decoded again, the sound is within 0.5 LU of -16 LUFS and its true peak at most -1 dBTP."""
    samples = MASTERS[name]()
    path = master(tmp_path, samples)

    encoded, heard = write_sound(path, COUNT, SoundOptions(), paths(tmp_path), lambda: None)

    again = measure(read_sound(encoded, COUNT), samples.shape[0])
    assert again == heard
    assert heard.integrated_lufs == pytest.approx(-16.0, abs=0.5)
    assert heard.true_peak_dbtp <= -1.0


@pytest.mark.parametrize("count", [1920, 48_000])
def test_silence_stays_silent(tmp_path, count):
    """A silent master, even of one frame, is encoded as it is."""
    path = master(tmp_path, np.zeros((1, count), np.float32))

    _, heard = write_sound(path, count, SoundOptions(), paths(tmp_path), lambda: None)

    assert (heard.integrated_lufs, heard.true_peak_dbtp) == (-70.0, -150.0)


def test_another_target_is_met(tmp_path):
    """Target and ceiling are settable."""
    path = master(tmp_path, MASTERS["ordinary"]())
    options = SoundOptions(loudness_lufs=-23.0, true_peak_dbtp=-3.0)

    _, heard = write_sound(path, COUNT, options, paths(tmp_path), lambda: None)

    assert heard.integrated_lufs == pytest.approx(-23.0, abs=0.2)
    assert heard.true_peak_dbtp <= -3.0


def test_nothing_moves_in_time(tmp_path):
    """What the master has at a sample, the decoded file has there: encoder delay and limiter cost no sample."""
    samples = np.zeros((1, COUNT), np.float32)
    for start in range(24_000, COUNT, 48_000):
        samples[:, start : start + 4800] = 0.2 * np.sin(np.arange(4800) * 2 * np.pi * 440 / 48_000)
    path = master(tmp_path, samples)

    encoded, _ = write_sound(path, COUNT, SoundOptions(), paths(tmp_path), lambda: None)

    decoded = np.concatenate(list(read_sound(encoded, COUNT)), axis=1)[0]
    shifts = range(-40, 41)
    fit = [float(np.dot(np.roll(decoded, -shift)[100:-100], samples[0, 100:-100])) for shift in shifts]
    assert shifts[int(np.argmax(fit))] == 0


def master(folder: Path, samples: np.ndarray) -> Path:
    path = folder / "master.flac"
    write_master(path, [samples], "mono" if samples.shape[0] == 1 else "stereo")
    return path


def paths(folder: Path):
    tries = iter(range(100))
    return lambda: folder / f"try{next(tries)}.m4a"
