"""Scripts of the shared data read as the files beside them say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tasks.domain.errors import ScriptError
from tasks.formats.script import read_script, reading

pytestmark = pytest.mark.data

SCRIPTS = ("fountain", "txt", "md", "csv", "srt", "vtt")


def matches(name: str, got: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """What differs. A format that cannot hold a thing has null for it; cues and tables hold no actions.

    Fountain writes directions in small letters and without their stop, so directions are compared without both.
    """
    faults = [key for key in ("title", "language") if got[key] not in (expected[key], None)]
    faults += [key for key in ("lines_spoken", "speakers") if got[key] != expected[key]]
    if not name.endswith((".srt", ".vtt", ".csv")) and got["title"] is None:
        faults.append("title is null")
    items = [item for item in expected["items"] if "text" in item or not name.endswith((".srt", ".vtt", ".csv"))]
    if len(items) != len(got["items"]):
        faults.append(f"{len(got['items'])} items instead of {len(items)}")
    for mine, theirs in zip(got["items"], items, strict=False):
        held = mine if mine.get("directions") is not None else {**mine, "directions": theirs.get("directions")}
        if plain(held) != plain(theirs):
            faults.append(f"{mine} instead of {theirs}")
    return faults


def plain(item: dict[str, Any]) -> dict[str, Any]:
    directions = [re.sub(r"\.$", "", each).casefold() for each in item.get("directions") or []]
    return {key: value for key, value in {**item, "directions": directions}.items() if value is not None}


def test_every_script_reads_as_expected(shared_data: Path) -> None:
    """Each script gives the title, language, speakers, lines and actions of its expected reading."""
    num_read = 0
    for expected_path in sorted((shared_data / "scripts").glob("*.expected.json")):
        expected = json.loads(expected_path.read_text())
        stem = expected_path.name.removesuffix(".expected.json")
        paths = [expected_path.with_name(f"{stem}.{extension}") for extension in SCRIPTS]
        paths.append(expected_path.with_name(f"{stem.rpartition('.')[0]}.all.csv"))
        for path in filter(Path.is_file, paths):
            language = expected["language"] if path.name.endswith(".all.csv") else None
            script = read_script(path.read_bytes(), name=path.name, language=language)
            assert matches(path.name, reading(script), expected) == [], path.name
            assert script.warnings == (), path.name
            num_read += 1
    assert num_read >= 21


def test_one_lesson_has_one_set_of_ids(shared_data: Path) -> None:
    """The same lesson has the same line ids as text, SRT, WebVTT and table."""
    folder = shared_data / "scripts"
    for language in ("en", "it", "es", "zh"):
        found = set()
        for name in (f"lesson_phishing.{language}.{end}" for end in ("txt", "srt", "vtt")):
            found.add(tuple(line.id for line in read_script((folder / name).read_bytes(), name=name).spoken))
        table = (folder / "lesson_phishing.all.csv").read_bytes()
        found.add(tuple(line.id for line in read_script(table, name="a.csv", language=language).spoken))
        assert len(found) == 1, language


def test_every_bad_script_does_what_its_case_says(shared_data: Path) -> None:
    """What a case accepts is read, what it rejects is refused in at most two sentences."""
    for case in json.loads((shared_data / "scripts_bad" / "cases.json").read_text()):
        path = shared_data / case["file"]
        expect = case["expect"]
        refusal = refused(path)
        if refusal is None:
            assert expect.startswith("accept"), path.name
        else:
            assert "reject" in expect, (path.name, refusal)
            assert len(re.findall(r"[.!?](?= [A-Z]|$)", refusal)) <= 2, refusal


def refused(path: Path) -> str | None:
    try:
        script = read_script(path.read_bytes(), name=path.name)
    except ScriptError as error:
        return str(error)
    assert script.spoken, path.name
    return None


def test_bad_scripts_keep_what_is_good(shared_data: Path) -> None:
    """Accents survive Latin-1, colons make no speakers, three voices stay three, formulas stay text."""

    def read(name: str) -> dict[str, Any]:
        return reading(read_script((shared_data / "scripts_bad" / name).read_bytes(), name=name))

    assert read("latin1.txt")["items"][0]["text"] == "Perché no? Così è più facile."
    assert list(read("colon_in_text.txt")["speakers"]) == ["HOST", "GUEST"]
    assert list(read("prompt_injection.txt")["speakers"]) == ["HOST", "GUEST", "SYSTEM"]
    assert [item["text"] for item in read("formula.csv")["items"]][1:] == ["+1+1", "-2", "@SUM(A1)"]
    assert read("nul_bytes.txt")["items"][0]["text"] == "Hello."
    assert read("utf16.txt") == read("bom_crlf.txt")
