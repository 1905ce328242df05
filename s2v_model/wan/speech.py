"""Speech to features: what the mouth is driven by.

In: mono samples at 16 kHz. Out: (1, 25, channels, frames): wav2vec2's 25 layers for every frame at 16 per second.
Knows no picture and no chunk but their length. SPEC, section 3.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Wav2Vec2Model

from s2v_model.contract import SPEECH_RATE_HZ, Float32Array, RenderError
from s2v_model.wan.config import NATIVE_RATE_HZ

WAV2VEC_RATE_HZ = 50.0
"""Nominal; wav2vec2 yields slightly fewer, which the reference takes for 50."""
FEATURE_RATE_HZ = 30
MIN_SPEECH_SAMPLES = SPEECH_RATE_HZ // 20
"""50 ms: two wav2vec2 frames, below which nothing can be interpolated."""
GATE_DB = -45.0
"""A vocal stem this far below its loud passages is bleed of the instruments, not voice."""
GATE_SECONDS = 0.05


def wav2vec_features(speech: Float32Array, encoder: Wav2Vec2Model) -> Tensor:
    """All layers of wav2vec2, (25, T50, channels), float32.

    speech: (n,), mono, 16 kHz; normalised here over its whole length and encoded at once, as the reference does.
    The last layer is taken behind the encoder's final norm: transformers before 5 returned it so as
    `hidden_states[24]`, and the model was trained on that; from 5 on it is `last_hidden_state` alone.
    """
    if speech.size < MIN_SPEECH_SAMPLES:
        raise RenderError(
            f"The speech is {speech.size} samples long; at least {MIN_SPEECH_SAMPLES} (50 ms at 16 kHz) are needed. "
            "Merge the line with its neighbour."
        )
    normalised = (speech - speech.mean()) / np.sqrt(speech.var() + 1e-7)
    device = next(encoder.parameters()).device
    with torch.no_grad():
        output = encoder(torch.from_numpy(normalised)[None].to(device), output_hidden_states=True)
    return torch.cat([*output.hidden_states[:-1], output.last_hidden_state]).float()


def resample_features(features: Tensor) -> Tensor:
    """(25, T50, channels) -> (25, F30, channels): linear, both end points aligned."""
    num_frames = int(features.shape[1] / WAV2VEC_RATE_HZ * FEATURE_RATE_HZ)
    resampled = functional.interpolate(features.transpose(1, 2), size=num_frames, align_corners=True, mode="linear")
    return resampled.transpose(1, 2)


def num_clips(num_features: int, infer_frames: int) -> int:
    """Chunks that the reference makes of `num_features` at 30 Hz: always one more than are full."""
    return int(num_features / (infer_frames * FEATURE_RATE_HZ / NATIVE_RATE_HZ)) + 1


def bucket_indices(num_features: int, num_frames: int) -> list[int]:
    """For every frame at 16 Hz the feature at 30 Hz that drives it; -1 behind the end.

    round() here is Python's, half to even, like the reference.
    """
    nearest = (round(frame * FEATURE_RATE_HZ / NATIVE_RATE_HZ) for frame in range(num_frames))
    return [index if index < num_features else -1 for index in nearest]


def bucket_features(features: Tensor, num_frames: int) -> Tensor:
    """(25, F30, channels) -> (1, 25, channels, num_frames): one column for each frame, zeros behind the end."""
    indices = torch.tensor(bucket_indices(features.shape[1], num_frames), device=features.device)
    columns = features[:, indices.clamp_min(0)] * (indices >= 0)[None, :, None]
    return columns.permute(0, 2, 1)[None]


def driving_features(speech: Float32Array, encoder: Wav2Vec2Model, num_frames: int) -> Tensor:
    """Speech -> (1, 25, channels, num_frames)."""
    return bucket_features(resample_features(wav2vec_features(speech, encoder)), num_frames)


def gate_vocals(vocals: Float32Array) -> Float32Array:
    """A vocal stem with everything that is not voice set to exact silence.

    Separated stems carry what is left of the instruments; normalised, it would move the mouth through an
    instrumental opening. Blocks of 50 ms more than 45 dB below the loudest tenth are silenced, but for
    neighbours of voice.
    """
    block = int(GATE_SECONDS * SPEECH_RATE_HZ)
    padded = np.pad(vocals, (0, -vocals.size % block)).reshape(-1, block)
    levels = np.sqrt(np.mean(np.square(padded, dtype=np.float64), axis=1))
    loud = np.quantile(levels, 0.9) if levels.size else 0.0
    voiced = levels > loud * 10 ** (GATE_DB / 20)
    kept = voiced | np.roll(voiced, 1) | np.roll(voiced, -1)
    if kept.size > 1:
        kept[0], kept[-1] = voiced[0] or voiced[1], voiced[-1] or voiced[-2]
    return (padded * kept[:, None]).reshape(-1)[: vocals.size].astype(np.float32)
