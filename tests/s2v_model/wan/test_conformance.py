"""The proof itself: the shared goldens, and that nothing wrong passes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch; make test-wan")

from safetensors.torch import load_file, save_file  # noqa: E402

from s2v_model.wan import conformance  # noqa: E402
from s2v_model.wan.conformance import tolerance_of  # noqa: E402

pytestmark = pytest.mark.wan
GOLDENS = Path(__file__).parent.parent / "goldens"
PROJECT = GOLDENS.parents[2]


def test_every_shared_golden_is_met():
    """All 522 tensors of the shared goldens are within the tolerance of their file, in a process of its own."""
    command = [sys.executable, "-m", "s2v_model.wan.conformance", str(GOLDENS)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    lines = run.stdout.splitlines()
    assert run.returncode == 0, [line for line in lines if "FAILED" in line]
    assert lines[-1] == "522 tensors, 218 cases, 15 files: ok"


def test_it_imports_only_what_its_environment_has():
    """The proof needs numpy, pillow, torch, diffusers, transformers and safetensors, and no other package of ours."""
    code = (
        "import sys\nfor name in ('ftfy', 'cv2', 'scipy', 'av', 'minio', 'peft', 'prefect'): sys.modules[name] = None\n"
        "import s2v_model.wan.conformance"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A goldens folder with the quick files alone."""
    entries = json.loads((GOLDENS / "cases.json").read_text())["files"]
    quick = [entry for entry in entries if entry["file"] in ("audio_injector.safetensors", "schedulers.safetensors")]
    for name in ("sizes.json", "audio_index.json", *(entry["file"] for entry in quick)):
        shutil.copy(GOLDENS / name, tmp_path / name)
    (tmp_path / "cases.json").write_text(json.dumps({"files": quick}))
    return tmp_path


def verdict(folder: Path, capsys) -> tuple[int, list[str]]:
    """Exit status and lines."""
    threads = torch.get_num_threads()
    status = conformance.main([str(folder)])
    torch.set_num_threads(threads)
    return status, capsys.readouterr().out.splitlines()


def edit_cases(folder: Path, edit) -> None:
    """Rewrite cases.json."""
    cases = json.loads((folder / "cases.json").read_text())
    edit(cases["files"])
    (folder / "cases.json").write_text(json.dumps(cases))


def edit_tensors(folder: Path, edit, file: str = "audio_injector.safetensors") -> None:
    """Rewrite one file of tensors."""
    tensors = load_file(folder / file)
    edit(tensors)
    save_file(tensors, folder / file)


def test_a_folder_that_is_met_passes(folder, capsys):
    """Other folders of the same form are read; exit 0 and ok."""
    status, lines = verdict(folder, capsys)
    assert status == 0, [line for line in lines if "FAILED" in line][:3]
    assert lines[-1].endswith("4 files: ok")


OUTPUT = "blk0_B1_T2_s0.004/out.hidden"


def put(name: str, tensor: torch.Tensor):
    """Damage that adds or replaces a tensor."""
    return lambda folder: edit_tensors(folder, lambda tensors: tensors.update({name: tensor}))


def change(index: int, **entry):
    """Damage to one entry of cases.json."""
    return lambda folder: edit_cases(folder, lambda files: files[index].update(entry))


@pytest.mark.parametrize(
    ("damage", "remark"),
    [
        (lambda folder: edit_tensors(folder, lambda tensors: tensors[OUTPUT].add_(1e-3)), "out.hidden: abs 1.0"),
        (lambda folder: edit_tensors(folder, lambda tensors: tensors[OUTPUT][0, 0].fill_(float("nan"))), "FAILED"),
        (lambda folder: edit_tensors(folder, lambda tensors: tensors.pop(OUTPUT)), "has no output"),
        (put(OUTPUT, torch.zeros(1, 3, 40)), "shape"),
        (put("blk0_B1_T2_s0.004/out.more", torch.ones(1)), "was not compared"),
        (put("other/out", torch.ones(1)), "belongs to no listed case"),
        (change(0, kind="magic"), "unknown kind of case 'magic'"),
        (change(0, cases=[]), "lists no case"),
        (lambda folder: edit_cases(folder, lambda files: files.pop(0)), "is not listed"),
        (change(1, tolerance={"sigmas": 0}), "states no tolerance"),
        (lambda folder: (folder / "schedulers.safetensors").unlink(), "FAILED"),
        (lambda folder: (folder / "sizes.json").unlink(), "FAILED"),
        (lambda folder: (folder / "cases.json").write_text("{"), "cannot be read"),
    ],
)
def test_nothing_wrong_passes(damage, remark, folder, capsys):
    """A wrong number, shape or kind, and a tensor that was not compared, are each a failure with its reason."""
    damage(folder)
    status, lines = verdict(folder, capsys)
    assert status == 1
    assert any(remark in line for line in lines), lines[-5:]
    assert lines[-1].endswith(": failed")


def test_a_tolerance_belongs_to_a_family_of_names():
    """The longest family name with which an output begins counts."""
    stated = {"latents": 2e-4, "motion_latents": 1e-3, "velocity": {"atol": 1e-5, "rtol": 1e-4}}
    assert tolerance_of(stated, "out.clip0.latents_final") == (2e-4, 0.0)
    assert tolerance_of(stated, "out.clip1.motion_latents") == (1e-3, 0.0)
    assert tolerance_of(stated, "out.clip0.velocity_cond_step0") == (1e-5, 1e-4)
    assert tolerance_of(stated, "out.video_sub") is None
    assert tolerance_of({"atol": 1, "rtol": 2}, "out") == (1.0, 2.0)


def test_a_wrong_call_says_how(capsys):
    """Without a folder the usage is told, and the status is 2."""
    assert conformance.main([]) == 2
    assert "usage" in capsys.readouterr().err
