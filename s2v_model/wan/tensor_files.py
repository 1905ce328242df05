"""Tensors in files: what a checkpoint holds, and one tensor at a time out of it.

In: safetensors and .pth files. Out: names, shapes, dtypes without reading any tensor; then each tensor in memory of its
own, not mapped: mapped pages would count once more beside the tensors. Knows no model.
"""

import json
import math
import pickle
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2v_model.contract import RendererMissing

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64, "I64": torch.int64}
MAX_HEADER_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One tensor in a file."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    offset: int
    """Where its bytes begin; -1 for a .pth file, which is opened as a whole."""


def stored_tensors(files: list[Path]) -> dict[str, Stored]:
    """Everything in `files` by name. Raises RendererMissing for a damaged file, or a name that occurs twice."""
    found: dict[str, Stored] = {}
    for file in files:
        for stored in _safetensors(file) if file.suffix == ".safetensors" else _pickled(file):
            if stored.name in found:
                raise RendererMissing(f"{stored.name} is both in {found[stored.name].file.name} and in {file.name}.")
            found[stored.name] = stored
    return found


def read_tensors(stored: Mapping[str, Stored]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor, file by file in the order of its bytes; the key of `stored` with it."""
    files = sorted({entry.file for entry in stored.values()})
    for file in files:
        mine = sorted(
            ((key, entry) for key, entry in stored.items() if entry.file == file), key=lambda it: it[1].offset
        )
        if file.suffix == ".safetensors":
            with file.open("rb") as opened:
                yield from ((key, _read(opened, entry)) for key, entry in mine)
        else:
            tensors = _load_pickled(file)
            yield from ((key, tensors.pop(entry.name)) for key, entry in mine)


def _safetensors(file: Path) -> Iterator[Stored]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise RendererMissing(f"{file} is no safetensors file, or was cut off. Fetch it again.")
        try:
            header = json.loads(opened.read(length))
        except ValueError as error:
            raise RendererMissing(f"{file} has a damaged header. Fetch it again.") from error
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise RendererMissing(f"{file} holds {name} as {entry['dtype']}; allowed are {', '.join(DTYPES)}.")
        dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        if end - begin != math.prod(shape) * dtype.itemsize or not 0 <= begin <= end <= size - 8 - length:
            raise RendererMissing(f"{file} is cut off, or its header is wrong about {name}. Fetch it again.")
        yield Stored(file=file, name=name, shape=shape, dtype=dtype, offset=8 + length + begin)


def _read(opened: Any, entry: Stored) -> Tensor:
    tensor = torch.empty(entry.shape, dtype=entry.dtype)
    if tensor.numel():
        opened.seek(entry.offset)
        opened.readinto(tensor.view(-1).view(torch.uint8).numpy())
    return tensor


def _pickled(file: Path) -> Iterator[Stored]:
    for name, tensor in _load_pickled(file).items():
        yield Stored(file=file, name=name, shape=tuple(tensor.shape), dtype=tensor.dtype, offset=-1)


def _load_pickled(file: Path) -> dict[str, Tensor]:
    """A flat state dict, each tensor read when it is used. `weights_only`: a pickle must not run code."""
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError) as error:
        raise RendererMissing(f"{file} is no file of tensors, or was cut off. Fetch it again.") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise RendererMissing(f"{file} holds something else than tensors by name. It is not the published file.")
    return tensors
