"""A rig as bytes and back, so that a portrait is set up once for every process and machine of one platform.

In: a `Rig`. Out: an .npz without pickle: every array, and a tree of what they belong to. Knows no store.
"""

import json
from dataclasses import fields, is_dataclass
from io import BytesIO
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np

from s2v_model.puppet.drawn_lids import Lid
from s2v_model.puppet.eyes import Eye
from s2v_model.puppet.fields import Grid
from s2v_model.puppet.matte import Backdrop, Run
from s2v_model.puppet.mouth import Mouth
from s2v_model.puppet.rig import Rig, doubled
from s2v_model.puppet.shape import Shape
from s2v_model.puppet.teeth import Texture

_CLASSES = {kind.__name__: kind for kind in (Rig, Shape, Grid, Backdrop, Run, Mouth, Texture, Eye, Lid)}
_DERIVED = {"Rig": ("texture",)}
"""Left out: made again faster than read."""
_TREE = "tree"


def pack(rig: Rig) -> bytes:
    """`rig` as bytes."""
    arrays: dict[str, np.ndarray] = {}
    tree = _flat(rig, arrays)
    out = BytesIO()
    arrays[_TREE] = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    cast(Any, np.savez)(out, **arrays)
    return out.getvalue()


def unpack(kept: bytes) -> Rig | None:
    """What `pack` was given; None for anything else."""
    try:
        with np.load(BytesIO(kept), allow_pickle=False) as file:
            tree = json.loads(file[_TREE].tobytes())
            return cast(Rig, _whole(tree, {name: file[name] for name in file.files}))
    except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile):
        return None


def _flat(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if is_dataclass(value):
        kind = type(value).__name__
        kept = [field.name for field in fields(value) if field.name not in _DERIVED.get(kind, ())]
        return {"kind": kind, "fields": {name: _flat(getattr(value, name), arrays) for name in kept}}
    if isinstance(value, tuple):
        return [_flat(one, arrays) for one in value]
    return value


def _whole(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(tree, list):
        return tuple(_whole(one, arrays) for one in tree)
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]]
    values = {name: _whole(one, arrays) for name, one in tree["fields"].items()}
    if tree["kind"] == "Rig":
        values["texture"] = doubled(values["backdrop"].person)
    return _CLASSES[tree["kind"]](**values)
