"""Inboxes: each new episode file once, by its content."""

import os
import time
from pathlib import Path

import pytest

from flows.inbox import Bucket, visit_inbox
from flows.orders import open_order
from flows.settings import Settings
from tasks.domain.batch import Order, Outcome
from tasks.domain.errors import EpisodeError
from tests.fakes import MemoryStore

EPISODE = "{schema: episode/1, id: %s, language: en, source: {script: a.txt}, cast: {anna: {portrait: a.png}}}"


def drop(folder: Path, name: str, text: str, *, age: float = 60) -> None:
    """A file that was put there `age` seconds ago."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))


class Studio:
    """A `Submit` that notes orders."""

    def __init__(self) -> None:
        self.orders: list[Order] = []

    def __call__(self, order: Order) -> Outcome:
        """All goes well."""
        self.orders.append(order)
        assert open_order(order).id == order.id
        return Outcome(id=order.id, state="done", programme=f"/p/{order.id}")


def test_each_file_is_made_once_by_its_content(tmp_path: Path) -> None:
    """A copy is not made again, an edited file is; cast sheets and files that may still grow are left alone."""
    settings, box, studio = Settings(store=f"file:{tmp_path}/store"), tmp_path / "box", Studio()
    drop(box, "one.yaml", EPISODE % "one")
    drop(box, "deep/two.yml", EPISODE % "two")
    drop(box, "cast.yaml", "{anna: {portrait: a.png}}")
    drop(box, "growing.yaml", EPISODE % "three", age=0)
    first = visit_inbox("box", str(box), settings, studio)
    drop(box, "copy.yaml", EPISODE % "one")
    drop(box, "deep/two.yml", EPISODE % "two-b")
    second = visit_inbox("box", f"file:{box}", settings, studio)

    assert [(entry.title, entry.episode, entry.state) for entry in first] == [
        ("deep/two.yml", "two", "done"),
        ("one.yaml", "one", "done"),
    ]
    assert [entry.episode for entry in second] == ["two-b"]
    assert [order.folder for order in studio.orders] == [str(box / "deep"), str(box), str(box / "deep")]


def test_a_file_that_is_wrong_is_told_and_the_others_are_made(tmp_path: Path) -> None:
    """Its entry says what is wrong; it is not tried for ever."""
    settings, box, studio = Settings(store=f"file:{tmp_path}/store"), tmp_path / "box", Studio()
    drop(box, "bad.yaml", "{schema: episode/1, id: 'a b'}")
    drop(box, "good.yaml", EPISODE % "good")
    visits = [[entry.state for entry in visit_inbox("box", str(box), settings, studio)] for _ in range(4)]

    assert visits == [["wrong", "done"], ["wrong"], ["wrong"], []]


def test_what_cannot_be_read_keeps_no_other_file_waiting(tmp_path: Path) -> None:
    """A file that is too large, a link to itself, one to nothing, a name that is no text: the others are made."""
    settings, box, studio = Settings(store=f"file:{tmp_path}/store"), tmp_path / "box", Studio()
    drop(box, "large.yaml", f"schema: episode/1\n#{'x' * (4 << 20)}")
    drop(box, os.fsdecode(b"\xff.yaml"), EPISODE % "unnamed")
    (box / "loop.yaml").symlink_to("loop.yaml")
    (box / "none.yaml").symlink_to("gone")
    drop(box, "z.yaml", EPISODE % "good")

    assert [entry.episode for entry in visit_inbox("box", str(box), settings, studio)] == ["good"]


def test_an_object_that_is_too_large_keeps_no_other_waiting(tmp_path: Path) -> None:
    """In a bucket, its size is known before it is read."""
    store = MemoryStore()
    store.write("a.yaml", b"schema: episode/1" + b" " * (4 << 20), "")
    store.write("b.yaml", (EPISODE % "one").encode(), "")
    store.objects = {key: (content, at.replace(year=2020)) for key, (content, at) in store.objects.items()}

    assert [dropped.name for dropped in Bucket(store, tmp_path, Settings()).files()] == ["b.yaml"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """In a sentence."""
    with pytest.raises(EpisodeError, match="no such folder"):
        visit_inbox("box", str(tmp_path / "none"), Settings(store=f"file:{tmp_path}/store"), Studio())


def test_an_episode_comes_down_with_its_folder(tmp_path: Path) -> None:
    """From a bucket: what lies beside the episode file, and nothing else."""
    store = MemoryStore()
    for key in ("in/a/e.yaml", "in/a/a.png", "in/a/deep/a.txt", "in/b/other.txt"):
        store.write(key, (EPISODE % "one").encode() if key.endswith("yaml") else b"x", "")
    store.objects = {key: (content, at.replace(year=2020)) for key, (content, at) in store.objects.items()}
    bucket = Bucket(store, tmp_path, Settings())
    dropped = next(bucket.files())
    folder = bucket.folder_of(dropped)

    assert dropped.name == "in/a/e.yaml"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "a.png", "deep/a.txt", "e.yaml",
    ]  # fmt: skip


def test_too_much_beside_an_episode_is_refused(tmp_path: Path) -> None:
    """A bucket with everything in one place would come down whole."""
    store = MemoryStore()
    for number in range(501):
        store.write(f"f{number}", b"", "")
    store.write("e.yaml", (EPISODE % "one").encode(), "")
    store.objects = {key: (content, at.replace(year=2020)) for key, (content, at) in store.objects.items()}
    bucket = Bucket(store, tmp_path, Settings())

    with pytest.raises(EpisodeError, match="502 files"):
        bucket.folder_of(next(bucket.files()))
