"""Writes a small ONNX model, byte for byte, so that a network can run in onnxruntime without the onnx package.

In: nodes, constants and the names and shapes at both ends. Out: a serialized ModelProto.
Knows only the handful of message fields that such a model needs.
Source: onnx.proto3 of ONNX 1.17 (field numbers beside each message).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_FLOAT, _INT64 = 1, 7
"""TensorProto.DataType."""
_ATTRIBUTE_INT, _ATTRIBUTE_INTS = 2, 7
"""AttributeProto.AttributeType."""
IR_VERSION, OPSET = 8, 17


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        if not value:
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


def _field(number: int, value: int | str | bytes) -> bytes:
    """One protobuf field: a varint for a number, length-delimited for anything else."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def constant(name: str, values: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> bytes:
    """TensorProto: dims 1, data_type 2, name 8, raw_data 9 (little-endian)."""
    kind = _FLOAT if values.dtype == np.float32 else _INT64
    raw = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(_field(1, size) for size in values.shape) + _field(2, kind) + _field(8, name) + _field(9, raw)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: int | Sequence[int]) -> bytes:
    """NodeProto: input 1, output 2, op_type 4, attribute 5."""
    parts = [_field(1, name) for name in inputs] + [_field(2, name) for name in outputs] + [_field(4, kind)]
    return b"".join([*parts, *(_field(5, _attribute(name, value)) for name, value in attributes.items())])


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    """AttributeProto: name 1, i 3, ints 8, type 20."""
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, _ATTRIBUTE_INT)
    return _field(1, name) + b"".join(_field(8, item) for item in value) + _field(20, _ATTRIBUTE_INTS)


def _end(name: str, shape: Sequence[int | str]) -> bytes:
    """ValueInfoProto: name 1, type 2 (tensor_type 1: elem_type 1, shape 2: dim 1: dim_value 1 or dim_param 2)."""
    dims = b"".join(_field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, _FLOAT) + _field(2, dims)))


def model(
    name: str,
    nodes: Sequence[bytes],
    constants: Sequence[bytes],
    source: tuple[str, Sequence[int | str]],
    result: tuple[str, Sequence[int | str]],
) -> bytes:
    """ModelProto: ir_version 1, graph 7 (node 1, name 2, initializer 5, input 11, output 12), opset_import 8."""
    parts = [_field(1, item) for item in nodes] + [_field(2, name)] + [_field(5, item) for item in constants]
    graph = b"".join([*parts, _field(11, _end(*source)), _field(12, _end(*result))])
    return _field(1, IR_VERSION) + _field(7, graph) + _field(8, _field(1, "") + _field(2, OPSET))
