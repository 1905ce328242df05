"""The proof: `python -m s2v_model.wan.conformance FOLDER` runs a folder of goldens through the product's own classes.

In: a folder with cases.json, its safetensors, sizes.json, audio_index.json. Out: a line for every tensor compared, and
a verdict. Exit status 0 only if every tensor of every case is within the tolerance of its file. What was not compared
is a failure.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from s2v_model.wan.conformance_cases import KINDS, Golden
from s2v_model.wan.conformance_tables import TABLES

INDEX = "cases.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison, or what kept it from being made."""

    file: str
    case: str
    tensor: str
    absolute: float = float("nan")
    relative: float = float("nan")
    tolerance: str = "-"
    passed: bool = False
    remark: str = ""

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILED"
        figures = f"abs {self.absolute:.3e}  rel {self.relative:.3e}  tolerance {self.tolerance}"
        return f"{self.file} {self.case} {self.tensor}: {figures}  {verdict}{self.remark and ': ' + self.remark}"


def check_folder(folder: Path) -> Iterator[Row]:
    """Every comparison of a folder, made as it is asked for."""
    try:
        entries = json.loads((folder / INDEX).read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError) as error:
        yield Row(file=INDEX, case="-", tensor="-", remark=f"cannot be read: {error}")
        return
    for name in TABLES:
        yield from _check(name, {"file": name, "kind": name, "cases": [], "tolerance": 0}, folder)
    for entry in entries:
        if entry["file"] not in TABLES:
            yield from _check(entry["file"], entry, folder)
    listed = {entry["file"] for entry in entries}
    for path in sorted(folder.glob("*.safetensors")):
        if path.name not in listed:
            yield Row(file=path.name, case="-", tensor="-", remark=f"is not listed in {INDEX}")


def _check(name: str, entry: Mapping[str, Any], folder: Path) -> Iterator[Row]:
    try:
        golden = _open(folder / name, entry)
        if entry["kind"] not in KINDS:
            yield Row(file=name, case="-", tensor="-", remark=f"unknown kind of case {entry['kind']!r}")
            return
        run = KINDS[entry["kind"]](golden)
    except Exception as error:  # noqa: BLE001  - whatever goes wrong is a verdict on the file, the rest is still checked
        yield Row(file=name, case="-", tensor="-", remark=f"{type(error).__name__}: {error}")
        return
    if not golden.cases:
        yield Row(file=name, case="-", tensor="-", remark="lists no case")
    for case in golden.cases:
        yield from _check_case(golden, case, run)
    known = {f"{case['name']}/{output}" for case in golden.cases for output in golden.outputs(case["name"])}
    for stray in sorted(golden.all_outputs() - known):
        yield Row(file=name, case="-", tensor=stray, remark="belongs to no listed case and was not compared")


def _check_case(golden: Golden, case: Mapping[str, Any], run: Any) -> Iterator[Row]:
    name, case_name = golden.name, case["name"]
    expected = golden.outputs(case_name)
    if not expected:
        yield Row(file=name, case=case_name, tensor="-", remark="has no output to compare")
    try:
        computed = run(case)
    except Exception as error:  # noqa: BLE001  - see _check
        yield Row(file=name, case=case_name, tensor="-", remark=f"{type(error).__name__}: {error}")
        computed = {}
    for output, wanted in expected.items():
        if output not in computed:
            yield Row(file=name, case=case_name, tensor=output, remark="was not compared")
            continue
        tolerance = tolerance_of(golden.entry["tolerance"], output)
        yield _compare(Row(file=name, case=case_name, tensor=output), computed[output], wanted, tolerance)


def tolerance_of(stated: Any, output: str) -> tuple[float, float] | None:
    """(absolute, relative) for one output; None where the file states none for it.

    A file states one number, one {atol, rtol}, or one of these for each family: the longest family name
    with which the output's own name begins ("velocity" for out.clip0.velocity_cond_step0).
    """
    if isinstance(stated, int | float):
        return float(stated), 0.0
    if "atol" in stated or "rtol" in stated:
        return float(stated.get("atol", 0)), float(stated.get("rtol", 0))
    own = output.rsplit(".", 1)[-1]
    families = sorted((family for family in stated if own.startswith(family)), key=len)
    return tolerance_of(stated[families[-1]], output) if families else None


def _compare(of: Row, computed: Tensor, wanted: Tensor, tolerance: tuple[float, float] | None) -> Row:
    """`of`, completed with what the comparison of one tensor gave."""
    if tolerance is None:
        return replace(of, remark="its file states no tolerance for it")
    atol, rtol = tolerance
    shown = f"{atol:g}" + (f"+{rtol:g}*|golden|" if rtol else "")
    if computed.shape != wanted.shape:
        remark = f"shape {tuple(computed.shape)} instead of {tuple(wanted.shape)}"
        return replace(of, tolerance=shown, remark=remark)
    if not wanted.numel():
        return replace(of, absolute=0.0, relative=0.0, tolerance=shown, passed=True)
    ours, golden = computed.detach().double().cpu(), wanted.double()
    difference = (ours - golden).abs()
    relative = (difference / golden.abs().clamp_min(1e-12)).masked_fill(difference == 0, 0.0)
    passed = bool((difference <= atol + rtol * golden.abs()).all())  # NaN compares as false
    return replace(
        of,
        tolerance=shown,
        passed=passed,
        absolute=difference.max().item(),
        relative=relative.max().item(),
    )


def _open(path: Path, entry: Mapping[str, Any]) -> Golden:
    """The file's tensors, with the zeros and duplicates that it does not store."""
    if path.suffix == ".json":
        return Golden(name=path.name, entry=entry, tensors={}, table=json.loads(path.read_text("utf-8")))
    tensors = load_file(path)
    tensors.update({name: torch.zeros(shape) for name, shape in entry.get("zeros", {}).items()})
    aliases = entry.get("aliases", {})
    for name, of in aliases.items():
        while of not in tensors:
            of = aliases[of]  # noqa: PLW2901  - an alias of an alias
        tensors[name] = tensors[of]
    return Golden(name=path.name, entry=entry, tensors=tensors, table=None)


def main(arguments: list[str]) -> int:
    """Print every row and the verdict; 0 if all is well, 1 if not, 2 if it was called wrongly."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m s2v_model.wan.conformance FOLDER", file=sys.stderr)  # noqa: T201
        return 2
    torch.set_num_threads(1)  # small tensors: faster, and the same sums on every machine
    rows: list[Row] = []
    with torch.inference_mode():
        for row in check_folder(Path(arguments[0])):
            rows.append(row)
            print(row, flush=True)  # noqa: T201
    cases = {(row.file, row.case) for row in rows}
    passed = bool(rows) and all(row.passed for row in rows)
    files = {row.file for row in rows}
    print(f"{len(rows)} tensors, {len(cases)} cases, {len(files)} files: {'ok' if passed else 'failed'}")  # noqa: T201
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
