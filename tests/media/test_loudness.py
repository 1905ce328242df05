"""Loudness, true peak and the limiter, on the signals of EBU Tech 3341 and of our own."""

from collections.abc import Iterator

import numpy as np
import pytest

from tasks.media.loudness import SILENCE_DBTP, SILENCE_LUFS, Loudness, Meter, limited

RATE_HZ = 48_000


def sine(level_db: float, seconds: float, frequency_hz: float = 1000.0, phase_degrees: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency_hz * time + np.radians(phase_degrees))
    return wave.astype(np.float32)


def stereo(*parts: np.ndarray) -> np.ndarray:
    return np.tile(np.concatenate(parts), (2, 1))


def blocks(samples: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, samples.shape[1], size):
        yield samples[:, start : start + size]


def measured(samples: np.ndarray, size: int = 33_333) -> Loudness:
    meter = Meter(samples.shape[0], RATE_HZ)
    for block in blocks(samples, size):
        meter.add(block)
    return meter.result()


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (stereo(sine(-23, 20)), -23.0),
        (stereo(sine(-33, 20)), -33.0),
        (stereo(sine(-36, 10), sine(-23, 60), sine(-36, 10)), -23.0),
        (stereo(sine(-72, 10), sine(-36, 10), sine(-23, 60), sine(-36, 10), sine(-72, 10)), -23.0),
        (stereo(sine(-26, 20), sine(-20, 20.1), sine(-26, 20)), -23.0),
    ],
    ids=["case 1", "case 2", "case 3", "case 4", "case 5"],
)
def test_integrated_loudness_is_that_of_tech_3341(samples, expected):
    """Integrated loudness of EBU Tech 3341's cases 1 to 5 is within its 0.1 LU."""
    assert measured(samples).integrated_lufs == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("frequency_hz", "phase_degrees", "amplitude", "expected"),
    [(12_000, 0, 0.5, -6.0), (12_000, 45, 0.5, -6.0), (8_000, 60, 0.5, -6.0), (6_000, 67.5, 0.5, -6.0),
     (12_000, 45, 1.41, 3.0)],
)  # fmt: skip
def test_true_peak_is_that_of_tech_3341(frequency_hz, phase_degrees, amplitude, expected):
    """True peak of the sines of Tech 3341's cases 15 to 19, faded in, is within +0.2 and -0.4 dB."""
    wave = sine(20 * np.log10(amplitude), 1.0, frequency_hz, phase_degrees)
    faded = wave * np.minimum(1.0, np.arange(wave.size) / 4800).astype(np.float32)

    found = measured(faded[None]).true_peak_dbtp

    assert expected - 0.4 <= found <= expected + 0.2


def test_blocks_of_any_size_measure_alike():
    """How a programme is cut into blocks does not alter what is measured."""
    samples = np.random.default_rng(3).normal(0, 0.1, (2, 100_000)).astype(np.float32)

    one, many = measured(samples, 100_000), measured(samples, 777)

    assert many.integrated_lufs == pytest.approx(one.integrated_lufs, abs=1e-6)
    assert many.true_peak_dbtp == pytest.approx(one.true_peak_dbtp, abs=1e-4)


@pytest.mark.parametrize("count", [0, 1, 100, 19_199])
def test_silence_and_nothing_have_no_loudness(count):
    """Silence of any length, none included, is at the gate and breaks nothing."""
    found = measured(np.zeros((1, count), np.float32))

    assert found == Loudness(integrated_lufs=SILENCE_LUFS, true_peak_dbtp=SILENCE_DBTP)


def test_a_tenth_of_a_second_counts_as_one_block():
    """Sound shorter than a gating block is measured over what there is."""
    assert measured(sine(-20, 0.1)[None]).integrated_lufs == pytest.approx(-23.0, abs=0.3)


def bursts(seed: int = 0) -> np.ndarray:
    """Noise with loud clicks: much for a limiter to do."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.05, (2, RATE_HZ * 4))
    for place in rng.integers(0, samples.shape[1] - 50, 60):
        samples[:, place : place + 40] += rng.normal(0, 0.8, (2, 40))
    return samples.astype(np.float32)


def test_no_true_peak_passes_the_limiter():
    """Whatever comes in, what goes out stays under the ceiling, to 0.05 dB."""
    out = np.concatenate(list(limited(blocks(bursts(), 48_000), 6.0, -2.0, RATE_HZ)), axis=1)

    assert measured(out).true_peak_dbtp <= -1.95


def test_the_limiter_does_not_care_for_blocks():
    """Blocks of any size, shorter than its reach too, give the same samples."""
    samples = bursts(1)
    whole = np.concatenate(list(limited([samples], 3.0, -2.0, RATE_HZ)), axis=1)
    parts = np.concatenate(list(limited(blocks(samples, 401), 3.0, -2.0, RATE_HZ)), axis=1)

    assert whole.shape == samples.shape
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_below_the_ceiling_the_gain_is_all_that_changes():
    """Sound that needs no limiting is multiplied, sample for sample in its place."""
    samples = bursts(2) * 0.1

    out = np.concatenate(list(limited(blocks(samples, 10_000), -6.0206, -1.0, RATE_HZ)), axis=1)

    np.testing.assert_allclose(out, samples * 0.5, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 700])
def test_the_limiter_returns_as_many_samples_as_it_got(count):
    """Even sound shorter than the limiter's reach keeps its length."""
    out = list(limited([np.ones((1, count), np.float32)], 0.0, -1.0, RATE_HZ))

    assert sum(block.shape[1] for block in out) == count
