"""Assets, memory, clips and chunks over a store."""

import hashlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.domain.assets import Asset
from tasks.domain.editing import Clip
from tasks.domain.errors import StoreError
from tasks.domain.speech import Turn
from tasks.domain.timing import Span
from tasks.engines import stores
from tasks.engines.stores import Store
from tasks.engines.workspace import Workspace, assets_in
from tests.fakes import MemoryStore

PRINT = "ab" * 32


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return stores.load(f"file:{tmp_path / 'store'}", {}) if request.param == "folder" else MemoryStore()


@pytest.fixture
def workspace(store: Store, tmp_path: Path) -> Workspace:
    return Workspace(store, tmp_path / "scratch")


def made(workspace: Workspace, content: bytes, extension: str = ".mp4") -> Asset:
    path = workspace.new(extension)
    path.write_bytes(content)
    return workspace.keep(path)


def damage(store: Store, key: str, content: bytes) -> None:
    if isinstance(store, MemoryStore):
        store.objects[key] = (content, store.now)
    else:
        Path(store.address(key)).write_bytes(content)


def a_clip(workspace: Workspace, content: bytes = b"video") -> Clip:
    return Clip(
        fingerprint=PRINT, video=made(workspace, content), num_frames=50, rate=Fraction(25), width=320, height=180
    )


class TestAssets:
    def test_a_file_is_kept_under_its_digest(self, workspace: Workspace) -> None:
        """An asset's name is the SHA-256 of its bytes, and its path gives them back."""
        asset = made(workspace, b"some film")
        expected = hashlib.sha256(b"some film").hexdigest()
        assert asset == Asset(sha256=expected, size=9, extension=".mp4")
        assert workspace.store.read(f"assets/{expected[:2]}/{expected}.mp4") == b"some film"
        assert workspace.path(asset).read_bytes() == b"some film"

    def test_another_machine_finds_the_same_file(self, workspace: Workspace, tmp_path: Path) -> None:
        """What one workspace kept, another one over the same store reads."""
        asset = made(workspace, b"some film")
        assert Workspace(workspace.store, tmp_path / "other").path(asset).read_bytes() == b"some film"

    def test_a_file_of_a_person_is_read_and_left(self, workspace: Workspace, tmp_path: Path) -> None:
        """Keep of a path outside the scratch folder copies; a later edit of that file changes no asset."""
        path = tmp_path / "Portrait.PNG"
        path.write_bytes(b"face")
        asset = workspace.keep(path)
        path.write_bytes(b"edited")
        assert asset.extension == ".png"
        assert workspace.path(asset).read_bytes() == b"face"

    @pytest.mark.parametrize("name", ["portrait", "take 1.mp3~", "a.ÄÖ", "x.", "a." + "b" * 30])
    def test_a_person_may_name_files_as_he_likes(self, workspace: Workspace, tmp_path: Path, name: str) -> None:
        """A file whose extension could be no part of a key is kept as ".bin"."""
        (tmp_path / name).write_bytes(b"x")
        asset = workspace.keep(tmp_path / name)
        assert asset.extension == ".bin"
        assert workspace.path(asset).read_bytes() == b"x"

    def test_a_made_file_leaves_nothing_in_scratch(self, workspace: Workspace, tmp_path: Path) -> None:
        """Kept files take no second place, however many a run makes."""
        for number in range(3):
            made(workspace, b"film %d" % number)
        assert list((tmp_path / "scratch" / "made").iterdir()) == []

    def test_equal_bytes_are_sent_once(self, tmp_path: Path) -> None:
        """A file that is in the store is not sent again, not even by another process."""
        store = MemoryStore()
        for name in ("one", "two"):
            made(Workspace(store, tmp_path / name), b"film")
        assert [call.split()[0] for call in store.calls].count("write") == 1

    def test_what_was_sent_is_not_fetched(self, tmp_path: Path) -> None:
        """The local file of an asset just kept is used as it is."""
        store = MemoryStore()
        workspace = Workspace(store, tmp_path)
        workspace.path(made(workspace, b"film"))
        assert [call for call in store.calls if call.startswith("read")] == []

    def test_a_fetched_file_is_kept_and_checked(self, tmp_path: Path) -> None:
        """A second request for an asset does not travel; a cached file that somebody altered is fetched anew."""
        store = MemoryStore()
        asset = made(Workspace(store, tmp_path / "one"), b"film")
        workspace = Workspace(store, tmp_path / "two")
        first = workspace.path(asset)
        assert workspace.path(asset) == first
        assert [call.split()[0] for call in store.calls].count("read") == 1
        first.write_bytes(b"altered")
        assert workspace.path(asset).read_bytes() == b"film"
        assert [call.split()[0] for call in store.calls].count("read") == 2

    @pytest.mark.parametrize("content", [b"bad", b"", b"some fil\0"])
    def test_a_damaged_asset_is_never_handed_out(self, workspace: Workspace, tmp_path: Path, content: bytes) -> None:
        """An object with other bytes than its name says is an error, is removed, and can be made anew."""
        asset = made(workspace, b"some film")
        damage(workspace.store, asset.key, content)
        other = Workspace(workspace.store, tmp_path / "other")
        with pytest.raises(StoreError, match="damaged"):
            other.path(asset)
        assert workspace.store.stat(asset.key) is None
        assert made(other, b"some film") == asset
        assert other.path(asset).read_bytes() == b"some film"

    def test_keeping_mends_what_was_damaged(self, tmp_path: Path) -> None:
        """A damaged file of a folder store, of the right size even, is replaced by the next one with its name."""
        workspace = Workspace(stores.load(f"file:{tmp_path / 'store'}", {}), tmp_path / "scratch")
        asset = made(workspace, b"some film")
        damage(workspace.store, asset.key, b"some fi1m")
        assert made(workspace, b"some film") == asset
        assert workspace.path(asset).read_bytes() == b"some film"

    def test_a_scratch_folder_in_use_stays_young(self, workspace: Workspace, tmp_path: Path) -> None:
        """A process that keeps its folder for days does not lose it to whoever clears what dead ones left."""
        workspace.new(".mp4")
        os.utime(tmp_path / "scratch", (0, 0))
        workspace.new(".mp4")

        assert (tmp_path / "scratch").stat().st_mtime > 0

    def test_a_scratch_folder_that_cannot_be_made_is_told(self, store: Store, tmp_path: Path) -> None:
        """A file in the way of the scratch folder is a StoreError."""
        (tmp_path / "scratch").write_bytes(b"")
        with pytest.raises(StoreError, match="scratch folder"):
            Workspace(store, tmp_path / "scratch").new(".mp4")

    def test_a_missing_asset_says_so(self, workspace: Workspace, tmp_path: Path) -> None:
        """An asset that is gone from the store is a StoreError that says what to do."""
        asset = made(workspace, b"film")
        workspace.store.delete(asset.key)
        with pytest.raises(StoreError, match=r"gone|damaged"):
            Workspace(workspace.store, tmp_path / "other").path(asset)

    def test_the_file_of_a_folder_store_is_used_in_place(self, tmp_path: Path) -> None:
        """Over a folder nothing is copied to be read."""
        store = stores.load(f"file:{tmp_path / 'store'}", {})
        workspace = Workspace(store, tmp_path / "scratch")
        assert workspace.path(made(workspace, b"film")).is_relative_to(tmp_path / "store" / "assets")
        assert not (tmp_path / "scratch" / "assets").exists()

    @pytest.mark.parametrize("extension", ["mp4", ".", "", ".MP4", "./../a", ".mp4/x", ".tar.gz", "." + "a" * 20])
    def test_only_plain_extensions(self, workspace: Workspace, extension: str) -> None:
        """A file's extension cannot lead elsewhere."""
        with pytest.raises(ValueError, match="extension"):
            workspace.new(extension)

    def test_a_full_disk_is_a_store_error(
        self, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that cannot be read or copied is a StoreError, and leaves nothing in scratch."""
        with pytest.raises(StoreError, match="could not be kept"):
            workspace.keep(tmp_path / "none.png")
        assert list((tmp_path / "scratch" / "made").iterdir()) == []

    def test_threads_keep_and_read_one_asset_at_once(self, workspace: Workspace) -> None:
        """Eight threads that keep equal bytes agree on one asset."""
        with ThreadPoolExecutor(8) as pool:
            assets = list(pool.map(lambda _: made(workspace, b"x" * 300_000), range(24)))
            assert len(set(assets)) == 1
            assert {path.read_bytes() for path in pool.map(workspace.path, assets)} == {b"x" * 300_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a stage might return."""

    turns: tuple[Turn, ...]
    sound: Asset
    extra: tuple[tuple[str, Asset | None], ...] = ()


def some_heard(workspace: Workspace) -> Heard:
    turns = (Turn(speaker="anna", span=Span(Fraction(1, 3), Fraction(7, 3))),)
    return Heard(turns=turns, sound=made(workspace, b"sound", ".flac"), extra=(("a", None),))


class TestMemory:
    def test_a_result_comes_back_exactly(self, workspace: Workspace, tmp_path: Path) -> None:
        """What one process remembered, another recalls: fractions exact, tuples tuples."""
        heard = some_heard(workspace)
        workspace.remember("diarize", PRINT, heard)
        assert Workspace(workspace.store, tmp_path / "other").recall("diarize", PRINT, Heard) == heard
        assert workspace.store.stat(f"memo/diarize/ab/{PRINT}.json") is not None

    def test_bare_tuples_are_remembered(self, workspace: Workspace) -> None:
        """A stage may return a tuple of values."""
        turns = some_heard(workspace).turns
        workspace.remember("diarize", PRINT, turns)
        assert workspace.recall("diarize", PRINT, tuple[Turn, ...]) == turns

    def test_nothing_is_known_of_other_inputs(self, workspace: Workspace) -> None:
        """Another digest, or another stage, has no memory."""
        workspace.remember("diarize", PRINT, some_heard(workspace))
        assert workspace.recall("diarize", "cd" * 32, Heard) is None
        assert workspace.recall("transcribe", PRINT, Heard) is None

    def test_a_memo_whose_asset_is_gone_is_no_memo(self, workspace: Workspace, tmp_path: Path) -> None:
        """A result that names a deleted asset is made again."""
        heard = some_heard(workspace)
        workspace.remember("diarize", PRINT, heard)
        workspace.store.delete(heard.sound.key)
        assert Workspace(workspace.store, tmp_path / "other").recall("diarize", PRINT, Heard) is None

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"turns": 1}', b"\xff\xfe", b"[" * 100_000])
    def test_a_damaged_memo_is_ignored_and_replaced(
        self, workspace: Workspace, content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A memo that cannot be read is as none, with a warning, and remembering mends it."""
        heard = some_heard(workspace)
        workspace.remember("diarize", PRINT, heard)
        damage(workspace.store, f"memo/diarize/ab/{PRINT}.json", content)
        with caplog.at_level(logging.WARNING):
            assert workspace.recall("diarize", PRINT, Heard) is None
        assert "damaged" in caplog.text
        workspace.remember("diarize", PRINT, heard)
        assert workspace.recall("diarize", PRINT, Heard) == heard

    def test_assets_are_found_however_deep(self, workspace: Workspace) -> None:
        """assets_in walks dataclasses, tuples and mappings."""
        one, two, three = (made(workspace, content) for content in (b"1", b"2", b"3"))
        value = {"a": Heard(turns=(), sound=one, extra=(("x", two), ("y", None))), "b": [(three,), "text", 5]}
        assert list(assets_in(value)) == [one, two, three]

    def test_what_is_used_stays_young(self, tmp_path: Path) -> None:
        """Recalling a result that is days old renews it and its assets, so that a sweep leaves them."""
        store = MemoryStore()
        workspace = Workspace(store, tmp_path, clock=lambda: store.now)
        heard = some_heard(workspace)
        workspace.remember("diarize", PRINT, heard)
        store.ahead = timedelta(days=3)
        assert workspace.recall("diarize", PRINT, Heard) == heard
        assert {store.now - stored.modified < timedelta(minutes=1) for stored in store.list("")} == {True}
        calls = len([call for call in store.calls if call.startswith("touch")])
        workspace.recall("diarize", PRINT, Heard)
        assert len([call for call in store.calls if call.startswith("touch")]) == calls == 2

    def test_an_asset_is_asked_for_once(self, tmp_path: Path) -> None:
        """A hundred recalls of one asset cost one question to the store."""
        store = MemoryStore()
        heard = some_heard(Workspace(store, tmp_path / "one"))
        workspace = Workspace(store, tmp_path / "two")
        workspace.remember("diarize", PRINT, heard)
        for _ in range(100):
            workspace.recall("diarize", PRINT, Heard)
        assert len([call for call in store.calls if call == f"stat {heard.sound.key}"]) <= 2


class TestClips:
    def test_a_named_clip_is_known_everywhere(self, workspace: Workspace, tmp_path: Path) -> None:
        """The fingerprint alone finds the clip, with its asset."""
        clip = a_clip(workspace)
        assert workspace.clip(PRINT) is None
        assert workspace.name_clip(clip) == clip
        assert Workspace(workspace.store, tmp_path / "other").clip(PRINT) == clip
        assert workspace.store.stat(f"clips/ab/{PRINT}.json") is not None

    def test_the_loser_of_a_race_takes_the_winners(self, workspace: Workspace) -> None:
        """Of two clips of one fingerprint the first stays, whoever asks."""
        first, second = a_clip(workspace, b"one"), a_clip(workspace, b"two")
        assert workspace.name_clip(first) == first
        assert workspace.name_clip(second) == first
        assert workspace.clip(PRINT) == first

    def test_a_clip_whose_video_is_gone_is_replaced(self, workspace: Workspace, tmp_path: Path) -> None:
        """A record without its asset is no clip, and does not stand in the way of the next one."""
        first = a_clip(workspace, b"one")
        workspace.name_clip(first)
        workspace.store.delete(first.video.key)
        other = Workspace(workspace.store, tmp_path / "other")
        assert other.clip(PRINT) is None
        second = a_clip(other, b"two")
        assert other.name_clip(second) == second
        assert other.clip(PRINT) == second

    def test_a_record_of_another_clip_is_none(self, workspace: Workspace) -> None:
        """A record whose fingerprint is not its name's is not believed."""
        workspace.name_clip(replace(a_clip(workspace), fingerprint="cd" * 32))
        workspace.store.copy(f"clips/cd/{'cd' * 32}.json", f"clips/ab/{PRINT}.json")
        assert workspace.clip(PRINT) is None


def are_equal(one: list[dict[str, np.ndarray]], other: list[dict[str, np.ndarray]]) -> bool:
    return len(one) == len(other) and all(
        mine.keys() == theirs.keys()
        and all(mine[n].dtype == theirs[n].dtype and np.array_equal(mine[n], theirs[n]) for n in mine)
        for mine, theirs in zip(one, other, strict=True)
    )


class TestChunks:
    ARRAYS = {
        "frames": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "latents": np.linspace(0, 1, 30, dtype=np.float16).reshape(5, 6).T,
        "step": np.array(7, dtype=np.int64),
    }

    def test_chunks_come_back_in_order(self, workspace: Workspace, tmp_path: Path) -> None:
        """Another process loads every chunk that was saved, with types, shapes and numbers."""
        chunks = workspace.chunks(PRINT)
        assert chunks.load() == []
        for index in range(12):
            chunks.save(index, {**self.ARRAYS, "index": np.array([index])})
        loaded = Workspace(workspace.store, tmp_path / "other").chunks(PRINT).load()
        assert are_equal(loaded, [{**self.ARRAYS, "index": np.array([index])} for index in range(12)])
        assert loaded[0]["step"].shape == ()
        assert workspace.chunks("cd" * 32).load() == []
        assert list((tmp_path / "scratch" / "made").iterdir()) == []

    def test_loading_ends_at_a_gap(self, workspace: Workspace) -> None:
        """What lies behind a missing chunk is not used."""
        for index in (0, 1, 3):
            workspace.chunks(PRINT).save(index, self.ARRAYS)
        assert len(workspace.chunks(PRINT).load()) == 2

    @pytest.mark.parametrize("how", ["cut", "flip", "text", "empty"])
    def test_loading_ends_at_a_damaged_chunk(
        self, workspace: Workspace, how: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A damaged chunk is as none, with a warning, and is saved again."""
        for index in range(3):
            workspace.chunks(PRINT).save(index, self.ARRAYS)
        key = f"partial/{PRINT}/1.safetensors"
        whole = workspace.store.read(key)
        assert whole is not None
        flipped = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
        damage(workspace.store, key, {"cut": whole[:-9], "flip": flipped, "text": b"hello", "empty": b""}[how])
        assert len(workspace.chunks(PRINT).load()) == 1
        assert "damaged" in caplog.text
        workspace.chunks(PRINT).save(1, self.ARRAYS)
        assert len(workspace.chunks(PRINT).load()) == 3

    def test_naming_the_clip_drops_its_chunks(self, workspace: Workspace) -> None:
        """A finished clip leaves no chunks; those of other clips stay."""
        for name in (PRINT, "cd" * 32):
            workspace.chunks(name).save(0, self.ARRAYS)
            workspace.chunks(name).save(1, self.ARRAYS)
        workspace.name_clip(a_clip(workspace))
        assert workspace.chunks(PRINT).load() == []
        assert len(workspace.chunks("cd" * 32).load()) == 2

    def test_a_clip_without_chunks_lists_nothing(self, tmp_path: Path) -> None:
        """Naming a clip costs no listing where its renderer keeps no chunks."""
        store = MemoryStore()
        workspace = Workspace(store, tmp_path)
        workspace.name_clip(a_clip(workspace))
        assert [call for call in store.calls if call.startswith("list")] == []


class TestTidying:
    def test_old_scratch_goes_and_young_stays(self, workspace: Workspace) -> None:
        """Files that a dead process left are removed after a day; those of today are somebody's."""
        old, young = workspace.new(".mp4"), workspace.new(".mp4")
        for path in (old, young):
            path.write_bytes(b"x")
        os.utime(old, (time.time() - 90_000,) * 2)
        workspace.tidy()
        assert (old.exists(), young.exists()) == (False, True)

    def test_the_cache_is_bounded(self, tmp_path: Path) -> None:
        """The longest unused fetched files go where there are more bytes than allowed; today's stay."""
        workspace = Workspace(MemoryStore(), tmp_path)
        assets = [made(workspace, bytes([number]) * 100) for number in range(4)]
        for days, asset in enumerate(assets):
            os.utime(tmp_path / asset.key, (time.time() - 86_400 * days * 2,) * 2)
        workspace.tidy(cache_bytes=250)
        assert [(tmp_path / asset.key).exists() for asset in assets] == [True, True, False, False]
        workspace.tidy(cache_bytes=0)
        assert [(tmp_path / asset.key).exists() for asset in assets] == [True, False, False, False]
        assert workspace.path(assets[3]).read_bytes() == b"\3" * 100


def test_a_failing_store_is_told_and_leaves_no_half_result(tmp_path: Path) -> None:
    """With the n-th call of the store failing, n = 1, 2, ..., a later attempt always ends with the same clip."""
    for n in range(1, 50):
        store = MemoryStore()
        store.fail_at = n
        workspace = Workspace(store, tmp_path / str(n))

        def attempt(workspace: Workspace = workspace) -> Clip:
            workspace.chunks(PRINT).save(0, TestChunks.ARRAYS)
            known = workspace.clip(PRINT) or workspace.name_clip(a_clip(workspace))
            workspace.remember("render", PRINT, known)
            assert workspace.recall("render", PRINT, Clip) == known
            workspace.path(known.video)
            return known

        with suppress(StoreError):
            attempt()
        if store.num_calls < n:
            assert n > 10
            return
        assert attempt() == workspace.clip(PRINT)
        assert workspace.path(attempt().video).read_bytes() == b"video"
    pytest.fail("never ran through")
