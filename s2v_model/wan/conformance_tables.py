"""The two goldens that are no safetensors, sizes.json and audio_index.json, as cases with outputs. Compared exactly.

In: the parsed file. Out: its cases, and for each what it must give. Runs nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Case = Mapping[str, Any]
Tensors = dict[str, Tensor]


def _sizes(table: Any) -> tuple[list[Case], dict[str, Tensors]]:
    rows = torch.tensor(table["rows"], dtype=torch.int64)
    return [{"name": "rows", "rows": table["rows"]}], {"rows": {"size": rows[:, 3:]}}


def _audio_index(table: Any) -> tuple[list[Case], dict[str, Tensors]]:
    cases: list[Case] = []
    outputs: dict[str, Tensors] = {}
    for row in table["bucket"]:
        name = f"bucket_{row['F30']}_{row['infer_frames']}"
        cases.append({"name": name, **row})
        outputs[name] = {"num_clips": torch.tensor([row["num_clips"]]), "index": torch.tensor(row["index"])}
    for row in table["interp"]:
        name = f"interp_{row['T50']}"
        cases.append({"name": name, **row})
        outputs[name] = {"F30": torch.tensor([row["F30"]])}
        outputs[name].update({end: torch.tensor(row[end]) for end in ("first", "last")})
    return cases, outputs


TABLES: dict[str, Callable[[Any], tuple[list[Case], dict[str, Tensors]]]] = {
    "sizes.json": _sizes,
    "audio_index.json": _audio_index,
}
"""By file."""
