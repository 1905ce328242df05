"""The command: its words, its exit codes, and sentences in place of tracebacks."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli import main
from tests.episodes import small_episode


def run(*arguments: str) -> int:
    """The exit code of one command in this process."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def write(folder: Path, text: str, name: str = "episode.yaml") -> str:
    """A file's path."""
    path = folder / name
    path.write_text(text, "utf-8")
    return str(path)


GOOD = """\
schema: episode/1
id: talk
language: en
source: {script: "ANNA: Hello.\\nBEN: Hello to you."}
cast: {anna: {portrait: anna.png}, ben: {portrait: ben.png}}
"""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` is exit 0 and lists what there is."""
    assert run("--help") == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("produce", "check", "diarize", "plan", "verify", "doctor"))


@pytest.mark.parametrize("arguments", [("nope",), ("produce",), ("check", "a", "--as"), ("produce", "a", "--wrong")])
def test_a_wrong_command_line_is_one_sentence(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """What the shell got wrong is exit 2 and one line on standard error."""
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.strip().splitlines()) == 1


def test_two_findings_and_how_many_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of many errors the first two are shown, a line each, and the number of the others."""
    path = write(tmp_path, "schema: episode/1\nid: a b\nlanguage: klingonese-x\nsauce: 1\ncast: {}\nlayout: 3\n")

    assert run("check", path) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("and ")
    assert all("episode.yaml" in line for line in lines[:2])


def test_json_has_all_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` is one document with every error, where it is and what to do."""
    path = write(tmp_path, GOOD.replace("language: en", "lnguage: en"))

    assert run("check", path, "--json") == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["kind"], report["ok"]) == ("episode", False)
    assert any("language" in error["remedy"] or "language" in error["message"] for error in report["errors"])
    assert all(set(error) == {"where", "message", "remedy"} for error in report["errors"])


@pytest.mark.parametrize("name", ["missing.yaml", "nul\0.yaml", "."])
def test_a_missing_file_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file: exit 2, from `check` as from `produce`."""
    for command in ("check", "produce"):
        assert run(command, str(tmp_path) + "/" + name) == 2
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.txt", "a.xml", "a"])
def test_a_file_that_may_not_be_read_is_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every kind, and where its content would say the kind: exit 2."""
    path = write(tmp_path, "ANNA: Hi.", name)

    def closed(*_: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    monkeypatch.setattr("os.access", lambda *_: False)

    assert run("check", path) == 2
    assert "may not be read" in capsys.readouterr().err


def test_missing_portraits_are_all_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every member of the cast is judged, not only the first who is wrong."""
    path = write(tmp_path, GOOD)

    assert run("check", path, "--json") == 2
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert {"anna.png", "ben.png"} <= {word.strip("'\".,") for error in errors for word in error["message"].split()}


def test_a_speaker_without_an_entry_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label that the cast does not know is an error with a suggestion."""
    path = write(tmp_path, GOOD.replace("BEN:", "BENN:"))

    assert run("check", path, "--json") == 2
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert any("'BENN'" in error["message"] and "'ben'" in error["remedy"] for error in errors)


def test_a_script_reads_as_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check --json` of a script carries its reading."""
    path = write(tmp_path, "Title\n\nANNA: Hello.\nBEN: Hi.\n", "talk.txt")

    assert run("check", path, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["lines_spoken"], report["speakers"]) == (2, {"ANNA": 1, "BEN": 1})
    assert [item["speaker"] for item in report["items"]] == ["ANNA", "BEN"]


@pytest.mark.parametrize(
    "setting",
    [
        *("TROUPE_WORKERS=many", "TROUPE_NONSENSE__X=1", "TROUPE_STORE=ftp://x", "TROUPE_POOLS=gpu"),
        *("TROUPE_NETWORK__ALLOW=10.0.0.1", "TROUPE_SCRATCH=/proc/none"),
    ],
)
def test_a_wrong_setting_is_named(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A setting that cannot be is exit 2 before anything starts."""
    name, _, value = setting.partition("=")
    monkeypatch.setenv(name, value)
    picture = write(tmp_path, GOOD)
    code = run("plan", picture)

    assert code == 2
    assert capsys.readouterr().err.strip()


def test_a_settings_file_with_an_unknown_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt setting in the file is told by its name."""
    monkeypatch.setenv("TROUPE_SETTINGS", write(tmp_path, "[engines]\ndraught = 'puppet'\n", "mine.toml"))

    assert run("check", write(tmp_path, "ANNA: Hi.\n", "a.txt")) == 2
    assert "engines.draught" in capsys.readouterr().err


def test_a_settings_file_that_is_no_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TOML is UTF-8."""
    (tmp_path / "mine.toml").write_bytes(b'store = "file:\xff"')
    monkeypatch.setenv("TROUPE_SETTINGS", str(tmp_path / "mine.toml"))

    assert run("check", write(tmp_path, "ANNA: Hi.\n", "a.txt")) == 2
    assert "mine.toml: 'utf-8' codec" in capsys.readouterr().err


def test_doctor_says_what_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Every engine is named, ready or with what to install."""
    assert run("doctor", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["engines"]
    assert {"puppet", "wan-s2v", "embedded", "espeak"} <= {row["engine"] for row in rows}
    assert all(row["state"] == "ready" or "pip install" in row["state"] for row in rows)


def test_verify_of_no_programme_is_exit_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a manifest is no programme."""
    assert run("verify", str(tmp_path)) == 2
    assert "manifest" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": {"script": " \n \n"}}, "source.script is empty"),
        ({"source": {"podcast": "http://127.0.0.1/a.mp3"}}, "not a public address"),
        ({"source": {"podcast": "a.wav", "transcript": "none.vtt"}}, "there is no file 'none.vtt'"),
        ({"title": "a\x07b"}, "title holds a control character"),
        ({"languages": ["it"]}, "has no text in 'it'"),
        ({"cast": {"anna": {"voice": "en-us/zz9"}}}, "espeak has no variant 'zz9'"),
        ({"cast": {"anna": {"consent": "none.yaml"}}}, "there is no file 'none.yaml'"),
        ({"cast": {"anna": {"sample": "none.wav"}}}, "there is no file 'none.wav'"),
        ({"source": {"script": "ANNA: Hello.\n[scene 4 s none.png: a sea]\n"}}, "there is no file 'none.png'"),
    ],
)
def test_check_finds_what_produce_would_stumble_over(
    change: dict[str, Any], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only a later stage of a run reads is judged before it: texts, addresses, voices, consents, samples."""
    path = small_episode(tmp_path)
    document = yaml.safe_load(path.read_text())
    for entry, more in change.pop("cast", {}).items():
        document["cast"][entry] |= more
    path.write_text(yaml.safe_dump(document | change))
    assert run("check", str(path), "--json") == 2
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert any(told in error["message"] for error in errors), errors
