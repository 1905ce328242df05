"""Speech-like sound, drawn faces and short videos out of a seed, so that the repository holds no media.

Everything is deterministic: the same arguments give the same samples and pixels.
"""

import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]

SPEECH_RATE_HZ = 16_000
FORMANTS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410))
"""Of the vowels a, i, u, e, o of an adult man. Source: Peterson and Barney 1952, table II."""
BANDWIDTHS_HZ = (80, 110, 160)


def speech_like(seconds: float, seed: int, rate: int = SPEECH_RATE_HZ, pitch_hz: float | None = None) -> Float32Array:
    """Syllables of a synthetic voice in phrases with pauses: float32 (n,), peak about 0.5.

    Voice activity detectors take it for speech. The seed chooses voice (pitch, vocal tract) and syllables.
    """
    generator = np.random.default_rng(seed)
    pitch = pitch_hz or float(generator.uniform(95, 240))
    tract = 1.0 + 0.2 * (pitch - 95) / 145
    count = round(seconds * rate)
    speech = np.zeros(count)
    at = round(0.1 * rate)
    while at < count:
        for _ in range(int(generator.integers(4, 10))):
            syllable = _syllable(generator, rate, pitch * float(generator.uniform(0.85, 1.2)), tract)
            end = min(count, at + len(syllable))
            if end <= at:
                break
            speech[at:end] += syllable[: end - at]
            at += len(syllable) - round(0.015 * rate)
        at += round(float(generator.uniform(0.25, 0.6)) * rate)
    peak = float(np.max(np.abs(speech), initial=1e-9))
    return (speech * (0.5 / peak)).astype(np.float32)


def _syllable(generator: np.random.Generator, rate: int, pitch: float, tract: float) -> npt.NDArray[np.float64]:
    """A burst of noise and a vowel: float64 (n,), about 0.2 s."""
    count = round(float(generator.uniform(0.14, 0.24)) * rate)
    time = np.arange(count) / rate
    glide = pitch * (1.08 - 0.2 * time / time[-1]) * (1 + 0.01 * np.sin(2 * np.pi * 5 * time))
    phase = np.cumsum(glide) / rate
    formants = FORMANTS_HZ[int(generator.integers(len(FORMANTS_HZ)))]
    voiced = np.zeros(count)
    # Harmonics weighed by the formants' resonance curves: the spectrum of a vowel without a filter's run-in.
    for harmonic in range(1, int(0.45 * rate / (pitch * 1.1))):
        frequency = harmonic * pitch
        gain = sum(
            weight / (1 + ((frequency - formant * tract) / width) ** 2)
            for formant, width, weight in zip(formants, BANDWIDTHS_HZ, (1.0, 0.6, 0.3), strict=True)
        )
        voiced += (gain + 0.02) / harmonic**0.3 * np.sin(2 * np.pi * harmonic * phase)
    attack = np.clip(time / 0.03, 0, 1) * np.clip((time[-1] - time) / 0.05, 0, 1)
    consonant = np.diff(generator.standard_normal(count + 1)) * np.exp(-time / 0.02) * 0.5
    return voiced * attack + consonant


def tone(seconds: float, frequency_hz: float, rate: int = SPEECH_RATE_HZ, amplitude: float = 0.5) -> Float32Array:
    """A sine: float32 (n,)."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def conversation_like(
    num_turns: int, seed: int, num_speakers: int = 2, rate: int = SPEECH_RATE_HZ
) -> tuple[Float32Array, tuple[tuple[int, float, float], ...]]:
    """Several synthetic voices by turns: samples (n,), and (speaker, start seconds, end seconds) of each turn."""
    generator = np.random.default_rng(seed)
    pitches = np.linspace(100, 230, num_speakers)
    parts, turns, at = [], [], 0.0
    for index in range(num_turns):
        seconds = float(generator.uniform(2.0, 4.0))
        speaker = index % num_speakers
        parts.append(speech_like(seconds, seed * 1000 + index, rate, float(pitches[speaker])))
        turns.append((speaker, at, at + len(parts[-1]) / rate))
        parts.append(np.zeros(round(0.3 * rate), np.float32))
        at += (len(parts[-2]) + len(parts[-1])) / rate
    return np.concatenate(parts), tuple(turns)


def write_wav(path: Path, samples: npt.NDArray[np.generic], rate: int = SPEECH_RATE_HZ) -> Path:
    """s16 WAV of float samples in [-1, 1] or of int16; (n,) or (n, channels)."""
    if samples.dtype != np.int16:
        samples = np.clip(np.rint(samples.astype(np.float64) * 32767), -32768, 32767).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def write_compressed(path: Path, speech: Float32Array, rate: int = SPEECH_RATE_HZ) -> Path:
    """Mono speech as FLAC, Opus (.ogg, .opus; rate 8, 16 or 48 kHz), MP3 or AAC (.m4a, .ts), by extension."""
    codecs = {".flac": "flac", ".ogg": "libopus", ".opus": "libopus", ".mp3": "libmp3lame"}
    codec = codecs.get(path.suffix, "aac")
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech[None, :], format="fltp", layout="mono")
        frame.sample_rate = rate
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def portrait_like(seed: int, size: int = 512, background: tuple[int, int, int] | None = None) -> UInt8Array:
    """A drawn frontal face: uint8 (size, size, 3), sRGB. A face finder finds exactly one; the seed chooses colours."""
    generator = np.random.default_rng(seed)
    skin = np.array([(236, 200, 172), (214, 166, 132), (168, 116, 84), (250, 218, 196)][seed % 4], np.float64)
    hair = np.array([(52, 36, 26), (112, 70, 36), (28, 26, 28), (150, 118, 60)][(seed // 4) % 4], np.float64)
    shirt = generator.integers(40, 200, 3).astype(np.float64)
    ground = np.array(background or tuple(generator.integers(150, 226, 3)), np.float64)
    picture = _Drawing(512, ground)
    picture.ellipse((256, 560), (190, 150), shirt, shade=0.1)
    picture.ellipse((256, 390), (58, 90), skin * 0.86, shade=0.1)
    picture.ellipse((256, 222), (136, 160), hair)
    picture.ellipse((256, 252), (112, 146), skin, shade=0.22)
    picture.ellipse((256, 120), (108, 42), hair)
    for side in (-1, 1):
        _draw_eye(picture, 256 + side * 46, 232, hair)
    picture.ellipse((256, 268), (13, 42), skin * 1.06, blur=9)
    picture.ellipse((256, 302), (24, 13), skin * 0.84, blur=5)
    for side in (-1, 1):
        picture.ellipse((256 + side * 11, 306), (6, 4), skin * 0.45, blur=2)
    lips = skin * np.array([0.78, 0.52, 0.54])
    picture.ellipse((256, 343), (38, 8), lips, blur=1.5)
    picture.ellipse((256, 350), (34, 10), lips * 1.08, blur=1.5)
    picture.ellipse((256, 346), (36, 1.6), lips * 0.45, blur=1)
    return picture.pixels(size)


def _draw_eye(picture: "_Drawing", x: float, y: float, hair: npt.NDArray[np.float64]) -> None:
    picture.ellipse((x, y - 28), (28, 6), hair, blur=2)
    picture.ellipse((x, y), (30, 17), np.array([150.0, 105, 85]), blur=7, opacity=0.45)
    picture.ellipse((x, y), (22, 11), np.array([246.0, 244, 240]), blur=1)
    picture.ellipse((x, y), (10.5, 10.5), np.array([88.0, 66, 44]), blur=1)
    picture.ellipse((x, y), (5, 5), np.array([14.0, 12, 12]), blur=0.7)
    picture.ellipse((x + 3, y - 3), (2, 2), np.array([250.0, 250, 250]), blur=0.6)
    picture.ellipse((x, y - 11), (23, 3), np.array([60.0, 40, 34]), blur=1)


class _Drawing:
    """A canvas of soft ellipses; all lengths in px of the canvas."""

    def __init__(self, size: int, ground: npt.NDArray[np.float64]) -> None:
        self._canvas = np.broadcast_to(ground, (size, size, 3)).copy()
        self._y, self._x = np.mgrid[0:size, 0:size] + 0.5

    def ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        colour: npt.NDArray[np.float64],
        *,
        blur: float = 1.0,
        shade: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Fill an ellipse; `blur` px of soft edge; `shade` darkens towards the rim and the right."""
        across, down = (self._x - centre[0]) / radii[0], (self._y - centre[1]) / radii[1]
        distance = np.sqrt(across**2 + down**2)
        alpha = opacity * np.clip(0.5 + (1 - distance) * min(radii) / (2 * blur), 0, 1)[..., None]
        light = (1 - shade * np.clip(distance, 0, 1) ** 2 - shade * 0.5 * across)[..., None] if shade else 1.0
        self._canvas = self._canvas * (1 - alpha) + colour * light * alpha

    def pixels(self, size: int) -> UInt8Array:
        """uint8 (size, size, 3)."""
        picture = np.clip(np.rint(self._canvas), 0, 255).astype(np.uint8)
        interpolation = cv2.INTER_AREA if size < picture.shape[0] else cv2.INTER_CUBIC
        return np.ascontiguousarray(cv2.resize(picture, (size, size), interpolation=interpolation), np.uint8)


def moving_frames(num_frames: int, width: int, height: int, seed: int = 0) -> Iterator[UInt8Array]:
    """Frames of a disc that circles over a gradient: uint8 (height, width, 3). Frame k is told by its disc."""
    generator = np.random.default_rng(seed)
    across = np.linspace(40, 200, width)[None, :, None]
    down = np.linspace(0, 50, height)[:, None, None]
    ground = (across + down + generator.uniform(-20, 20, 3)).clip(0, 255).astype(np.uint8)
    for index in range(num_frames):
        frame = ground.copy()
        angle = 2 * np.pi * index / 50
        x, y = width / 2 + width / 4 * np.cos(angle), height / 2 + height / 4 * np.sin(angle)
        cv2.circle(frame, (round(x), round(y)), max(2, height // 8), (220, 60, 40), -1, cv2.LINE_AA)
        yield frame


def write_picture(path: Path, picture: UInt8Array) -> Path:
    """A picture file of RGB pixels; the extension chooses the format."""
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"could not write {path}")
    return path


def write_movie(
    path: Path,
    *,
    num_frames: int = 25,
    width: int = 160,
    height: int = 96,
    rate: Fraction = Fraction(25),
    speech: Float32Array | None = None,
    speech_rate: int = SPEECH_RATE_HZ,
) -> Path:
    """A short H.264 video of `moving_frames`, with an AAC track where `speech` is given."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = file.add_stream("aac", rate=speech_rate, layout="mono") if speech is not None else None
        for pixels in moving_frames(num_frames, width, height):
            file.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(video.encode())
        if audio is not None and speech is not None:
            sound = av.AudioFrame.from_ndarray(speech[None, :], format="fltp", layout="mono")
            sound.sample_rate = speech_rate
            file.mux(audio.encode(sound))
            file.mux(audio.encode())
    return path
