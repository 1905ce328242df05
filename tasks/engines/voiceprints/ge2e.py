"""Voice prints by the GE2E speaker encoder: three LSTM layers over 1.6 s of mel power, a projection, unit length.

In: mono speech at 16 kHz. Out: prints, (256,) float32 of length 1, all components >= 0.
The weights are read out of the pinned file at fixed places: its digest is checked first, so nothing is unpickled.
Source: Wan et al., Generalized end-to-end loss for speaker verification, 2018; frames and mel filters as Resemblyzer
0.1.4 takes them from librosa (Slaney's mel scale and area norm, power, no logarithm).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.domain.options import EngineId
from tasks.engines import model_files
from tasks.engines.voiceprints import onnx_graph

Float32Array = npt.NDArray[np.float32]

RATE_HZ = 16_000
HOP_SAMPLES = RATE_HZ // 100
FRAME_SAMPLES = RATE_HZ // 40
NUM_MELS = 40
WINDOW_SAMPLES = RATE_HZ * 8 // 5
"""1.6 s: the length that the network was trained on."""
WINDOW_HOP_SAMPLES = RATE_HZ * 2 // 5
PRINT_SIZE = 256
BATCH = 32
LEVEL = 10 ** (-28 / 20)
"""Every window is brought to -28 dBFS: the mel powers have no logarithm, so the network hears level. Training pushed
quiet speech up to -30 dBFS; -40 halves the separation of voices, -20 costs a little."""
MAX_GAIN = 1000.0
"""60 dB: digital silence stays silence."""

_UNITS = 256
_LSTM_OFFSET, _LSTM_FLOATS = 269_883, 1_357_824
"""Byte offset and length of the one block that holds all LSTM weights of the pinned file."""
_BIAS_START = 1_351_680
_LINEAR_WEIGHT_OFFSET, _LINEAR_BIAS_OFFSET = 7_731, 6_699


class Ge2e:
    """The encoder, on one thread of onnxruntime: equal speech gives equal prints whatever else runs."""

    def __init__(self, cache: Path) -> None:
        """cache: the folder of model files. Raises EngineMissing without the encoder's file."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        blob = model_files.locate(model_files.GE2E_ENCODER, cache).read_bytes()
        self._session: Any = onnxruntime.InferenceSession(_graph(blob), options, providers=["CPUExecutionProvider"])

    def identity(self) -> EngineId:
        """Role "voiceprint"; the weights are the pinned file's digest."""
        weights = model_files.model_file(model_files.GE2E_ENCODER).sha256
        return EngineId(role="voiceprint", name="ge2e", version="1", weights=weights)

    def embed(self, speech: Float32Array) -> Float32Array:
        """One print for all of `speech`, (n,) at 16 kHz: the mean over windows of 1.6 s that start every 0.4 s.

        Shorter speech is repeated up to one window. Returns zeros for speech without a sample.
        """
        if not speech.size:
            return np.zeros(PRINT_SIZE, np.float32)
        starts = range(0, max(1, speech.size - WINDOW_SAMPLES + 1), WINDOW_HOP_SAMPLES)
        total = np.zeros(PRINT_SIZE, np.float64)
        for first in range(0, len(starts), BATCH):
            windows = [speech[start : start + WINDOW_SAMPLES] for start in starts[first : first + BATCH]]
            total += self.embed_windows(windows).sum(axis=0, dtype=np.float64)
        return unit(total.astype(np.float32))

    def embed_windows(self, windows: Sequence[Float32Array], num_samples: int = WINDOW_SAMPLES) -> Float32Array:
        """A print for each of `windows` at 16 kHz, (n, 256); each is repeated or cut to `num_samples` first.

        1.6 s is what the network was trained on; half of it still tells voices apart, with more noise.
        """
        prints = np.zeros((len(windows), PRINT_SIZE), np.float32)
        for first in range(0, len(windows), BATCH):
            mels = [mel_power(_levelled(np.resize(window, num_samples))) for window in windows[first : first + BATCH]]
            prints[first : first + BATCH] = self._session.run(None, {"mel": np.stack(mels)})[0]
        return np.nan_to_num(prints)


def unit(prints: Float32Array) -> Float32Array:
    """Vectors along the last axis, brought to length 1; zeros stay zeros."""
    length = np.linalg.norm(prints, axis=-1, keepdims=True)
    return np.asarray(prints / np.maximum(length, 1e-9), np.float32)


def _levelled(window: Float32Array) -> Float32Array:
    level = float(np.sqrt(np.mean(np.square(window, dtype=np.float64))))
    return np.asarray(window * min(LEVEL / max(level, 1e-9), MAX_GAIN), np.float32)


def mel_power(speech: Float32Array) -> Float32Array:
    """Mel powers, (frames, 40) float32, one frame per 10 ms; (n,) at 16 kHz gives n // 160 frames."""
    padded = np.pad(speech, FRAME_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[: speech.size : HOP_SAMPLES]
    spectrum = np.fft.rfft(frames * _WINDOW)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    return np.asarray(power @ _MELS.T, np.float32)


def _mel_filters() -> Float32Array:
    """(40, 201): triangles on Slaney's mel scale, each of unit area. Source: librosa.filters.mel."""
    below, step = 200 / 3, np.log(6.4) / 27  # Hz per mel up to 1 kHz; logarithmic above

    def hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(mel < 15, mel * below, 1000 * np.exp(step * (mel - 15)))

    top = 15 + np.log(RATE_HZ / 2 / 1000) / step
    corners = hertz(np.linspace(0, top, NUM_MELS + 2))
    bins = np.linspace(0, RATE_HZ / 2, FRAME_SAMPLES // 2 + 1)
    slopes = corners[:, None] - bins[None, :]
    widths = np.diff(corners)[:, None]
    triangles = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    return np.asarray(triangles * (2 / (corners[2:] - corners[:-2]))[:, None], np.float32)


_MELS = _mel_filters()
_WINDOW = np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)


def _graph(blob: bytes) -> bytes:
    """The network as an ONNX model: mel (n, t, 40) -> prints (n, 256)."""
    lstm = np.frombuffer(blob, "<f4", _LSTM_FLOATS, _LSTM_OFFSET)
    nodes = [onnx_graph.node("Transpose", ["mel"], ["x0"], perm=[1, 0, 2])]
    constants = [
        onnx_graph.constant("directions", np.array([1], np.int64)),
        onnx_graph.constant("layers", np.array([0], np.int64)),
        onnx_graph.constant(
            "project", np.frombuffer(blob, "<f4", _UNITS**2, _LINEAR_WEIGHT_OFFSET).reshape(256, 256).T
        ),
        onnx_graph.constant("shift", np.frombuffer(blob, "<f4", _UNITS, _LINEAR_BIAS_OFFSET)),
    ]
    place = 0
    for layer in range(3):
        width = NUM_MELS if layer == 0 else _UNITS
        inner, recurrent = (
            lstm[at : at + 4 * _UNITS * size] for at, size in ((place, width), (place + 4 * _UNITS * width, _UNITS))
        )
        place += 4 * _UNITS * (width + _UNITS)
        biases = lstm[_BIAS_START + 8 * _UNITS * layer :][: 8 * _UNITS].reshape(2, -1)
        constants += [
            onnx_graph.constant(f"w{layer}", _gates(inner.reshape(-1, width))[None]),
            onnx_graph.constant(f"r{layer}", _gates(recurrent.reshape(-1, _UNITS))[None]),
            onnx_graph.constant(f"b{layer}", np.concatenate([_gates(bias) for bias in biases])[None]),
        ]
        inputs = [f"x{layer}", f"w{layer}", f"r{layer}", f"b{layer}"]
        nodes.append(onnx_graph.node("LSTM", inputs, [f"y{layer}", f"h{layer}"], hidden_size=_UNITS))
        if layer < 2:
            nodes.append(onnx_graph.node("Squeeze", [f"y{layer}", "directions"], [f"x{layer + 1}"]))
    nodes += [
        onnx_graph.node("Squeeze", ["h2", "layers"], ["last"]),
        onnx_graph.node("MatMul", ["last", "project"], ["projected"]),
        onnx_graph.node("Add", ["projected", "shift"], ["shifted"]),
        onnx_graph.node("Relu", ["shifted"], ["positive"]),
        onnx_graph.node("LpNormalization", ["positive"], ["print"], axis=1, p=2),
    ]
    ends = ("mel", ("n", "t", NUM_MELS)), ("print", ("n", PRINT_SIZE))
    return onnx_graph.model("ge2e", nodes, constants, *ends)


def _gates(rows: Float32Array) -> Float32Array:
    """PyTorch keeps the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
    i, f, c, o = np.split(rows, 4)
    return np.concatenate([i, o, f, c])
