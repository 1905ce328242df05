"""Which way imports point, and what loads when."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "s2v_model", "infra")
NEEDS_TORCH = ("s2v_model/wan/",)
NEEDS_PREFECT = ("flows/steps.py", "flows/produce.py", "flows/watching.py", "flows/webhooks.py")
PYANNOTE = "tasks/engines/diarizers/pyannote.py"
"""It switches telemetry off, which is a variable of the environment and nothing else."""


def sources() -> list[Path]:
    """Every Python file of the product."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_cpu_modules_load_without_torch() -> None:
    """No module on a CPU path imports torch, not even by a name in a string."""
    modules = [
        module_of(path)
        for path in sources()
        if not str(path.relative_to(ROOT)).startswith((*NEEDS_TORCH, "infra/", *NEEDS_PREFECT))
    ]
    # A finder that refuses: with None in sys.modules, scipy would take torch for half-loaded.
    refuse = (
        "import sys\nclass Refuse:\n    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError('torch on a CPU path')\n"
        "sys.meta_path.insert(0, Refuse())\n"
    )
    code = refuse + "\n".join(f"import {module}" for module in modules)

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_direct_way_loads_no_prefect() -> None:
    """`troupe produce --direct` never pays for Prefect's import."""
    code = "import sys, flows.commands, flows.checking; print([m for m in sys.modules if m.split('.')[0] == 'prefect'])"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["tasks", "s2v_model"])
def test_stages_and_models_name_no_prefect(package: str) -> None:
    """Only flows/ and infra/ know Prefect."""
    named = [
        str(path)
        for path in (ROOT / package).rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.lstrip().startswith(("import prefect", "from prefect"))
    ]

    assert named == []


def test_only_settings_read_the_environment() -> None:
    """`os.environ` and `os.getenv` are read in flows/settings.py alone."""
    readers = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_read = isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
            if is_read and isinstance(node.value, ast.Name) and node.value.id == "os":
                readers.add(str(path.relative_to(ROOT)))

    # pool.py sets BLAS threads for its children and puts back what it found; encoder.py hands all of it to FFmpeg.
    assert readers - {"flows/settings.py", "flows/pool.py", "tasks/media/encoder.py", PYANNOTE} == set()


def test_every_stage_has_a_policy() -> None:
    """A stage of tasks/ that the pipeline runs stands in flows/policy.py."""
    from flows import policy

    calls = [n for n in ast.walk(ast.parse((ROOT / "flows/pipeline.py").read_text("utf-8"))) if isinstance(n, ast.Call)]
    called = {ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) in ("run", "run.each")}

    assert called == {f"{stage.__module__}.{stage.__name__}" for stage in policy.POLICY}


def test_a_stage_is_named_like_its_file() -> None:
    """The first stage of a file is the file's own verb; further ones of one verb stand beside it."""
    from flows import policy

    verbs: dict[str, list[str]] = {}
    for stage in policy.POLICY:
        verbs.setdefault(stage.__module__.removeprefix("tasks."), []).append(stage.__name__)
    unlike = {name for name, stages in verbs.items() if not any(stage.split("_")[0] == name for stage in stages)}

    assert unlike == set()


def test_the_wiring_supplies_what_stages_ask_for() -> None:
    """Every keyword-only parameter of a stage, and of what runs a row of a table, is an engine's name or `watch`."""
    from flows import batch, policy
    from flows.wiring import Wiring

    for stage in (*policy.POLICY, batch.produce_order):
        wanted = {p.name for p in inspect.signature(stage).parameters.values() if p.kind is p.KEYWORD_ONLY}
        assert {name for name in wanted - {"watch"} if not hasattr(Wiring, name)} == set(), stage
