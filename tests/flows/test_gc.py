"""`troupe gc`: counts first, removes when told to, and what is in use stays."""

import json
import os
import time
from pathlib import Path

import pytest

from flows.cli import main


def troupe(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def old_asset(store: Path, letter: str, days: float) -> Path:
    """An asset that nothing refers to."""
    path = store / "assets" / (letter * 2) / f"{letter * 64}.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 2**20)
    os.utime(path, (time.time() - days * 86400,) * 2)
    return path


def test_nothing_goes_until_it_is_told_to(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The first run counts; --remove removes what is older than the grace period, and a second finds nothing."""
    old, young = old_asset(tmp_path, "a", 20), old_asset(tmp_path, "b", 5)
    counted = troupe(capsys, "gc", "--store", f"file:{tmp_path}")
    assert old.exists()
    removed = troupe(capsys, "gc", "--store", f"file:{tmp_path}", "--remove", "--json")
    again = json.loads(troupe(capsys, "gc", "--store", f"file:{tmp_path}", "--json")[1])

    assert counted[0] == 0
    assert "1 objects could go, 1 stay; --remove removes them (1.0 MiB, unused for 14 days)." in counted[1]
    assert (removed[0], json.loads(removed[1])["removed"]) == (0, 1)
    assert json.loads(removed[1])["kinds"] == {"assets": {"objects": 1, "bytes": 2**20}}
    assert (old.exists(), young.exists(), again["objects"]) == (False, True, 0)


@pytest.mark.parametrize("days", ["3651", "1000000", "9" * 30])
def test_a_grace_period_beyond_all_times_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, days: str
) -> None:
    """No calendar goes back so far: exit code 2, and what is allowed."""
    code, _, error = troupe(capsys, "gc", "--store", f"file:{tmp_path}", "--grace", days)

    assert code == 2
    assert "3650" in error


def test_a_grace_period_that_endangers_runs_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 2, and what is allowed."""
    code, _, error = troupe(capsys, "gc", "--store", f"file:{tmp_path}", "--grace", "1")

    assert code == 2
    assert "at least 2 days" in error
