"""The house in numbers: short files, short functions, tests with their facts, documents that name everything."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("flows", "tasks", "s2v_model", "infra")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60


def files(*folders: str) -> list[Path]:
    """Every Python file below some folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files(*PACKAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    """No file passes 500 lines and no function 60."""
    text = path.read_text("utf-8")
    long = [
        (node.name, node.end_lineno - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert len(text.splitlines()) <= MAX_FILE_LINES
    assert long == []


@pytest.mark.parametrize("path", files("tests"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_states_its_fact(path: Path) -> None:
    """A test's docstring is the fact it proves."""
    silent = [
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and ast.get_docstring(node) is None
    ]

    assert silent == []


def test_no_test_folder_is_a_package() -> None:
    """An __init__.py below tests/ would hide a package of the product."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_readme_names_every_setting() -> None:
    """Each setting stands in the README by its name."""
    from pydantic import BaseModel

    from flows.settings import Settings

    names = []
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            names += [f"{name}.{inner}" for inner in group.model_fields]
        else:
            names.append(name)
    readme = (ROOT / "README.md").read_text("utf-8")

    assert [name for name in names if f"`{name}`" not in readme] == []


def test_the_readme_names_every_command() -> None:
    """Each command of `troupe` stands in the README."""
    from flows.cli import app

    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    readme = (ROOT / "README.md").read_text("utf-8")

    assert [name for name in commands if f"troupe {name}" not in readme] == []


def test_the_readme_names_every_engine() -> None:
    """Each engine that a setting can name stands in the README."""
    from tasks.engines import aligners, diarizers, transcribers, voices

    readme = (ROOT / "README.md").read_text("utf-8")
    roles = (aligners, diarizers, transcribers, voices)
    names = {name for role in roles for name in role.ENGINES} | {"puppet", "wan-s2v"}

    assert sorted(name for name in names if f"`{name}`" not in readme) == []


def test_nothing_names_this_workplace() -> None:
    """No absolute path of a machine and no registry's host stands in what is committed."""
    suspicious = re.compile(r"/work/(?:main|shared|build)|files\.pythonhosted|pypi\.org/simple")
    found = [
        str(path.relative_to(ROOT))
        for folder in (*PACKAGES, "tests", "examples", ".ci")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and path.suffix in (".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".lock", ".in", "")
        and path.name != Path(__file__).name
        and suspicious.search(path.read_text("utf-8", errors="ignore"))
    ]

    assert found == []
