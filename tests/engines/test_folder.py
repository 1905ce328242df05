"""The folder store under faults: full disks, broken disks, killed writers, other people's files."""

import errno
import multiprocessing
import os
import random
import shutil
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.domain.errors import SettingsError, StoreError
from tasks.engines import stores
from tasks.engines.stores.folder import FolderStore

JSON = "application/json"
PREFIX = "programmes/ep/0011"
# Everything by which the store changes a disk, or waits for it.
SYSTEM_CALLS = ("open", "write", "fsync", "close", "link", "rename", "replace", "mkdir", "unlink", "utime")


@contextmanager
def failing_call(n: int, code: int) -> Iterator[list[str]]:
    """The n-th call to the system fails with `code`, as do all later calls of that kind: a full disk stays full.

    Yields the names of the calls, in order. close and unlink still do their work: the kernel does, too.
    """
    called: list[str] = []
    broken: set[str] = set()
    real: dict[str, Callable[..., object]] = {name: getattr(os, name) for name in SYSTEM_CALLS}

    def fake(name: str) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            called.append(name)
            if len(called) == n:
                broken.add(name)
            if name in broken and name not in ("close", "unlink"):
                raise OSError(code, os.strerror(code))
            result = real[name](*args, **kwargs) if name != "fsync" else None
            if name in broken and len(called) == n:
                raise OSError(code, os.strerror(code))
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in SYSTEM_CALLS:
            patch.setattr(os, name, fake(name))
        yield called


@pytest.fixture
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for no disk: for tests of many writes, in which nothing loses its power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(store_folder: Path) -> FolderStore:
    return FolderStore(store_folder)


def state(store: FolderStore) -> dict[str, bytes | None]:
    return {stored.key: store.read(stored.key) for stored in store.list("")}


OPERATIONS: dict[str, Callable[[FolderStore, Path], object]] = {
    "put": lambda store, source: store.put("a/b.mp4", source, "video/mp4"),
    "write": lambda store, source: store.write("a/b.mp4", source.read_bytes(), JSON),
    "create": lambda store, source: store.create("a/new.mp4", source.read_bytes(), JSON),
    "copy": lambda store, source: store.copy("assets/film.mp4", "a/b.mp4"),
    "publish": lambda store, source: store.publish(PREFIX, {"film.mp4": "assets/film.mp4"}, b"{}"),
    "fetch": lambda store, source: store.fetch("a/b.mp4", source.with_name("fetched")),
    "touch": lambda store, source: store.touch("a/b.mp4"),
    "delete": lambda store, source: store.delete("a/b.mp4"),
}


@pytest.mark.usefixtures("_quick_disk")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_call_fails_nothing_is_half_written(tmp_path: Path, operation: str, code: int) -> None:
    """With the n-th system call failing, n = 1, 2, ...: a StoreError, the state before or after, and a retry works."""
    source = tmp_path / "source.mp4"
    source.write_bytes(os.urandom(3 << 20))
    act = OPERATIONS[operation]
    for n in range(1, 60):
        store = FolderStore(tmp_path / f"store{n}")
        store.write("a/b.mp4", b"old", JSON)
        store.write("assets/film.mp4", b"film", JSON)
        before = state(store)
        with failing_call(n, code) as called:
            try:
                act(store, source)
                failed = False
            except StoreError as error:
                failed = True
                told = str(error)
        if len(called) < n:
            assert n > 1
            return
        between = state(store)
        act(store, source)
        after = state(store)
        assert between in (before, after), (n, called)
        if failed:
            expected = "its disk is full. Free some space" if code == errno.ENOSPC else "Input/output error"
            assert expected in told
        # What could not be removed waits for `tidy`, and is no object.
        store.tidy(datetime.now(UTC) + timedelta(days=1))
        assert list((tmp_path / f"store{n}" / "tmp").iterdir()) == []
        assert state(store) == after
    pytest.fail("never ran through")


@pytest.mark.parametrize("operation", ["put", "write", "create", "publish"])
def test_the_disk_has_the_bytes_before_the_name_and_the_name_before_the_answer(
    store: FolderStore, tmp_path: Path, operation: str
) -> None:
    """A power cut finds no name without its bytes, and loses nothing that was answered for."""
    source = tmp_path / "source.mp4"
    source.write_bytes(b"film")
    store.write("assets/film.mp4", b"film", JSON)
    with failing_call(1_000_000, errno.EIO) as called:
        OPERATIONS[operation](store, source)
    naming = {"create": "link", "publish": "rename"}.get(operation, "replace")
    last = max(number for number, name in enumerate(called) if name == naming)
    assert "fsync" in called[called.index("write") : last]
    assert "fsync" in called[last:]


def _write_for_ever(root: Path, seed: int) -> None:
    store, chance = FolderStore(root), random.Random(seed)
    film = root.with_name(f"film{seed}")
    film.write_bytes(b"f" * 400_000)
    for number in range(1_000_000):
        letter = bytes([65 + number % 26])
        store.write("latest.json", letter * 300_000, JSON)
        store.put(f"put/{chance.randrange(50)}", film, JSON)
        store.create(f"created/{number}", letter * 100_000, JSON)
        store.publish(f"programmes/{seed}/{number}", {"a.mp4": "assets/a", "b.mp4": "assets/b"}, b"manifest")


def test_a_killed_writer_leaves_nothing_half_visible(tmp_path: Path) -> None:
    """Two writers killed at random moments, ten times: every object is whole, every published folder complete."""
    root = tmp_path / "store"
    store = FolderStore(root)
    store.write("assets/a", b"a", JSON)
    store.write("assets/b", b"b", JSON)
    context = multiprocessing.get_context("fork")
    chance = random.Random(3)
    for round_ in range(10):
        writers = [context.Process(target=_write_for_ever, args=(root, 2 * round_ + k)) for k in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.02, 0.25))
        for writer in writers:
            assert writer.pid is not None
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
    num_created = 0
    for stored in list(store.list("")):
        content = store.read(stored.key)
        assert content is not None
        if stored.key.startswith("created/"):
            num_created += 1
            assert content == content[:1] * 100_000
        elif stored.key == "latest.json":
            assert content == content[:1] * 300_000
        elif stored.key.startswith("put/"):
            assert content == b"f" * 400_000
    assert num_created > 0
    for folder in root.glob("programmes/*/*"):
        assert sorted(os.listdir(folder)) == ["a.mp4", "b.mp4", "manifest.json"]
    store.tidy(datetime.now(UTC) + timedelta(seconds=1))
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.usefixtures("_quick_disk")
def test_processes_race_to_create(store: FolderStore, tmp_path: Path) -> None:
    """Four processes create the same two hundred keys: each key has exactly one winner."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)

    def race(number: int) -> None:
        barrier.wait()
        won = [key for key in range(200) if store.create(f"race/{key}", b"%d" % number, JSON)]
        (tmp_path / f"won{number}").write_text(" ".join(map(str, won)))

    racers = [context.Process(target=race, args=(number,)) for number in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    won = [[int(key) for key in (tmp_path / f"won{number}").read_text().split()] for number in range(4)]
    assert sorted(key for keys in won for key in keys) == list(range(200))
    for number, keys in enumerate(won):
        assert {store.read(f"race/{key}") for key in keys} <= {b"%d" % number}


def test_a_folder_without_its_manifest_is_no_programme(store: FolderStore, store_folder: Path) -> None:
    """Where somebody deleted a manifest, publishing again replaces the rest whole."""
    store.write("assets/film.mp4", b"film", JSON)
    assert store.publish(PREFIX, {"film.mp4": "assets/film.mp4"}, b"{}") is True
    store.write(f"{PREFIX}/runs/r1.json", b"{}", JSON)
    (store_folder / PREFIX / "manifest.json").unlink()
    assert store.publish(PREFIX, {"other.mp4": "assets/film.mp4"}, b"{1}") is True
    assert sorted(os.listdir(store_folder / PREFIX)) == ["manifest.json", "other.mp4"]


def test_a_delivery_takes_no_second_place(store: FolderStore, store_folder: Path) -> None:
    """Published files are further names of the assets' bytes."""
    store.write("assets/film.mp4", b"film", JSON)
    store.publish(PREFIX, {"film.mp4": "assets/film.mp4"}, b"{}")
    assert os.stat(store_folder / PREFIX / "film.mp4").st_ino == os.stat(store_folder / "assets/film.mp4").st_ino


@pytest.mark.usefixtures("_quick_disk")
def test_a_reader_sees_the_old_or_the_new(store: FolderStore) -> None:
    """While a document is replaced a thousand times, every reading is one of its versions."""
    versions = [bytes([65 + number]) * 50_000 for number in range(4)]
    store.write("a/latest.json", versions[0], JSON)
    done = threading.Event()

    def replace() -> None:
        for number in range(300):
            store.write("a/latest.json", versions[number % 4], JSON)
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    while not done.is_set():
        assert store.read("a/latest.json") in versions
    writer.join()


def test_other_peoples_files_are_no_objects(store: FolderStore, store_folder: Path) -> None:
    """A file manager's files, folders, devices and what lies in tmp/ are not listed, and folders are not read."""
    store.write("a/b.json", b"x", JSON)
    (store_folder / "a" / ".DS_Store").write_bytes(b"x")
    (store_folder / "a" / "with space").write_bytes(b"x")
    (store_folder / "tmp" / "half").write_bytes(b"x")
    os.mkfifo(store_folder / "a" / "pipe")
    assert [stored.key for stored in store.list("")] == ["a/b.json"]
    assert store.stat("a") is None
    assert store.read("a") is None
    assert store.stat("a/pipe") is None
    assert store.stat("a/b.json/c") is None
    with pytest.raises(StoreError, match="could not write a/b"):
        store.write("a/b.json/c", b"x", JSON)


def test_tidying_leaves_what_is_young(store: FolderStore, store_folder: Path) -> None:
    """Only what has not been written to since the given time is removed from tmp/."""
    store.write("a/b", b"x", JSON)
    (store_folder / "tmp" / "young").write_bytes(b"x")
    (store_folder / "tmp" / "old.folder").mkdir()
    (store_folder / "tmp" / "old.folder" / "film.mp4").write_bytes(b"x")
    os.utime(store_folder / "tmp" / "old.folder", (time.time() - 90_000,) * 2)
    assert store.tidy(datetime.now(UTC) - timedelta(days=1)) == 1
    assert os.listdir(store_folder / "tmp") == ["young"]
    assert store.read("a/b") == b"x"


def test_files_are_readable_as_the_umask_says(store: FolderStore, store_folder: Path) -> None:
    """A delivery can be read by whoever may read the folder: no private mode is left on it."""
    former = os.umask(0o022)
    try:
        store.write("a/b", b"x", JSON)
    finally:
        os.umask(former)
    assert stat.S_IMODE(os.stat(store_folder / "a" / "b").st_mode) == 0o644


def test_looking_writes_nothing(store: FolderStore, store_folder: Path) -> None:
    """No folder appears before the first write."""
    store.check()
    store.stat("a/b")
    store.tidy(datetime.now(UTC))
    assert list(store.list("a/")) == []
    assert not store_folder.exists()


def test_a_folder_without_permission_is_told(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written is a SettingsError before work starts."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SettingsError, match="no permission for"):
        store.check()


def test_a_file_system_without_hard_links_is_told(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hard links creating has no single winner: the check for writing says so, and leaves nothing."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(SettingsError, match="without hard links"):
        store.check(write=True)
    assert list(store.list("")) == []


def test_a_disk_without_room_is_told(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot hold a programme is a StoreError before work starts."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(StoreError, match="its disk has 1 MB left"):
        store.check()


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    """A store below a file is a SettingsError before work starts, and a StoreError later."""
    (tmp_path / "file").write_bytes(b"")
    store = FolderStore(tmp_path / "file" / "store")
    with pytest.raises(SettingsError, match="is a file"):
        store.check()
    with pytest.raises(StoreError, match="could not write a/b"):
        store.write("a/b", b"", JSON)


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("file:/abs/store", "/abs/store"),
        ("file:///abs/store", "/abs/store"),
        ("file://localhost/abs/store", "/abs/store"),
        ("file:/abs/a/../store/", "/abs/store"),
        ("file:store", None),
        ("file:./store", None),
    ],
)
def test_addresses_of_folders(uri: str, folder: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """file:/abs, file:///abs and file:rel name folders; rel lies below the working folder."""
    monkeypatch.chdir(tmp_path)
    assert stores.load(uri, {}).uri == f"file:{folder or tmp_path / 'store'}"


@pytest.mark.parametrize(
    "uri", ["", "store", "/store", "file:", "file://", "file://host", "file://host/a", "ftp://h/a"]
)
def test_addresses_that_name_no_store(uri: str) -> None:
    """Anything else is a SettingsError that says how to write one."""
    with pytest.raises(SettingsError, match=r"file:/path/to/folder"):
        stores.load(uri, {})


def test_a_folder_has_no_settings() -> None:
    """A setting that would be ignored is an error."""
    with pytest.raises(SettingsError, match="endpoint"):
        stores.load("file:store", {"endpoint": "http://h"})
