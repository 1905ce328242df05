"""Sweeping: what nobody needs goes, after a grace period; what anybody needs stays."""

import os
import time
from contextlib import suppress
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.domain.assets import Asset
from tasks.domain.editing import Clip, Programme
from tasks.domain.errors import SettingsError, StoreError
from tasks.engines import stores
from tasks.engines.workspace import Workspace
from tasks.publish import publish
from tasks.sweep import Rubbish, find_rubbish, sweep
from tests.fakes import MemoryStore
from tests.publishing import a_cast, a_composition, a_plan, some_options

DAY = timedelta(days=1)
GRACE = 14 * DAY


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def workspace(store: MemoryStore, tmp_path: Path) -> Workspace:
    return Workspace(store, tmp_path, clock=lambda: store.now)


def unwatched(done: float, total: float) -> None:
    assert 0 <= done <= total


def swept(store: MemoryStore, grace: timedelta = GRACE) -> list[str]:
    """The keys that went."""
    rubbish = find_rubbish(store, now=store.now, grace=grace)
    before = set(store.objects)
    num_gone = sweep(rubbish, store=store, now=store.now, watch=unwatched)
    gone = sorted(before - set(store.objects))
    assert num_gone == len(gone)
    return gone


def kept(workspace: Workspace, content: bytes) -> Asset:
    path = workspace.new(".mp4")
    path.write_bytes(content)
    return workspace.keep(path)


def named(workspace: Workspace, fingerprint: str, content: bytes) -> Clip:
    video = kept(workspace, content)
    clip = Clip(fingerprint=fingerprint, video=video, num_frames=5, rate=Fraction(25), width=320, height=180)
    return workspace.name_clip(clip)


def a_programme(workspace: Workspace) -> Programme:
    plan = a_plan()
    clips = tuple(named(workspace, shot.fingerprint, shot.id.encode()) for shot in plan.shots)
    workspace.remember("plan", "ab" * 32, plan)
    workspace.remember("cast", "ef" * 32, clips)
    return publish(plan, clips, a_cast(), a_composition(workspace), some_options(), workspace=workspace)


def test_a_programme_and_its_clips_stay_for_ever(store: MemoryStore, workspace: Workspace) -> None:
    """Years later, outputs, clips and the clips' assets are all there; only the memory of stages has gone."""
    programme = a_programme(workspace)
    store.ahead = 1000 * DAY
    gone = swept(store)
    assert gone == [f"memo/cast/ef/{'ef' * 32}.json", f"memo/plan/ab/{'ab' * 32}.json"]
    for shot in a_plan().shots:
        assert workspace.clip(shot.fingerprint) is not None
    for output in programme.outputs:
        assert store.stat(output.asset.key) is not None
    assert swept(store) == []


def test_what_no_manifest_refers_to_goes_after_the_grace_period(store: MemoryStore, workspace: Workspace) -> None:
    """A clip that no programme shows stays thirteen days and goes after fourteen, with its asset."""
    a_programme(workspace)
    orphan = named(workspace, "cd" * 32, b"orphan")
    store.ahead = 13 * DAY
    assert swept(store) == []
    store.ahead = 15 * DAY
    gone = swept(store)
    assert f"clips/cd/{'cd' * 32}.json" in gone
    assert orphan.video.key in gone
    assert workspace.clip("cd" * 32) is None


def test_an_asset_of_two_is_kept_for_the_other(store: MemoryStore, workspace: Workspace) -> None:
    """Bytes that a published clip shares with a forgotten one stay."""
    a_programme(workspace)
    orphan = named(workspace, "cd" * 32, b"s1")
    store.ahead = 15 * DAY
    gone = swept(store)
    assert f"clips/cd/{'cd' * 32}.json" in gone
    assert orphan.video.key not in gone


def test_memory_that_is_used_keeps_its_assets(store: MemoryStore, workspace: Workspace) -> None:
    """A memo that a run recalled within the grace period stays, with every asset that it names."""
    sound = kept(workspace, b"sound")
    workspace.remember("ingest", "ab" * 32, (sound, sound))
    store.ahead = 10 * DAY
    assert workspace.recall("ingest", "ab" * 32, tuple[Asset, Asset]) == (sound, sound)
    store.ahead = 20 * DAY
    assert swept(store) == []
    store.ahead = 25 * DAY
    assert swept(store) == sorted((sound.key, f"memo/ingest/ab/{'ab' * 32}.json"))


def test_what_a_running_flow_keeps_anew_stays(store: MemoryStore, workspace: Workspace, tmp_path: Path) -> None:
    """An old asset that a run made again is young: sent once, it is the run's until the grace period ends."""
    kept(workspace, b"sound")
    store.ahead = 30 * DAY
    rubbish = find_rubbish(store, now=store.now, grace=GRACE)
    assert len(rubbish.objects) == 1
    again = kept(Workspace(store, tmp_path / "run", clock=lambda: store.now), b"sound")
    assert sweep(rubbish, store=store, now=store.now, watch=unwatched) == 0
    assert store.stat(again.key) is not None


def test_chunks_go_after_seven_days_together(store: MemoryStore, workspace: Workspace) -> None:
    """A render under way keeps all its chunks, the old ones too; one that nobody goes on with loses all."""
    for name in ("ab" * 32, "cd" * 32):
        workspace.chunks(name).save(0, {"a": np.arange(3)})
    store.ahead = 6 * DAY
    workspace.chunks("cd" * 32).save(1, {"a": np.arange(3)})
    assert swept(store) == []
    store.ahead = 8 * DAY
    assert swept(store) == [f"partial/{'ab' * 32}/0.safetensors"]
    assert len(workspace.chunks("cd" * 32).load()) == 2


def test_an_unfinished_programme_goes(store: MemoryStore, workspace: Workspace) -> None:
    """Files that a dead publisher left without a manifest go after the grace period; what is published stays."""
    programme = a_programme(workspace)
    store.write("programmes/onboarding-07/0011223344556677/16x9.en.mp4", b"x", "video/mp4")
    store.ahead = 13 * DAY
    assert swept(store) == []
    store.ahead = 15 * DAY
    assert [key for key in swept(store) if key.startswith("programmes/")] == [
        "programmes/onboarding-07/0011223344556677/16x9.en.mp4"
    ]
    assert store.stat(f"{programme.folder}/16x9.en.mp4") is not None
    assert store.stat("programmes/onboarding-07/latest.json") is not None


def test_what_is_not_ours_stays(store: MemoryStore) -> None:
    """Objects of others below the same prefix are never touched."""
    for key in ("inbox/episode.yaml", "readme.txt", "feeds/a.json", "clipsx/a", "programmes/notes.txt"):
        store.write(key, b"x", "text/plain")
    store.ahead = 1000 * DAY
    assert swept(store) == []


def test_a_dry_run_changes_nothing(store: MemoryStore, workspace: Workspace) -> None:
    """Finding says what would go, by kind and in bytes, and writes nothing."""
    named(workspace, "cd" * 32, b"12345")
    workspace.chunks("ab" * 32).save(0, {"a": np.arange(3)})
    store.ahead = 15 * DAY
    before = dict(store.objects)
    rubbish = find_rubbish(store, now=store.now)
    assert store.objects == before
    kinds = rubbish.by_kind()
    assert {kind: number for kind, (number, _) in kinds.items()} == {"clips": 1, "partial": 1, "assets": 1}
    assert kinds["assets"] == (1, 5)
    assert rubbish.size == sum(size for _, size in kinds.values())


def test_records_go_before_what_they_name(store: MemoryStore, workspace: Workspace) -> None:
    """However a sweep is cut short, no record is left that names a missing asset."""
    named(workspace, "cd" * 32, b"12345")
    workspace.remember("ingest", "ab" * 32, kept(workspace, b"sound"))
    store.ahead = 15 * DAY
    rubbish = find_rubbish(store, now=store.now)
    kinds = [stored.key.partition("/")[0] for stored in rubbish.objects]
    assert kinds == sorted(kinds, key=lambda kind: kind == "assets")
    for cut_after in range(2, 10, 2):
        store.fail_at = store.num_calls + cut_after
        with suppress(StoreError):
            sweep(rubbish, store=store, now=store.now, watch=unwatched)
        if any(key.startswith(("clips/", "memo/")) for key in store.objects):
            assert len([key for key in store.objects if key.startswith("assets/")]) == 2
    assert store.objects == {}


def test_a_manifest_that_cannot_be_read_stops_the_sweep(store: MemoryStore, workspace: Workspace) -> None:
    """What it refers to is not known, so nothing goes, and the sentence names it."""
    programme = a_programme(workspace)
    store.write(f"{programme.folder}/manifest.json", b"{", "application/json")
    store.ahead = 1000 * DAY
    with pytest.raises(StoreError, match=r"Nothing was removed: .*manifest\.json"):
        find_rubbish(store, now=store.now)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"5"])
def test_a_damaged_record_keeps_nothing_and_stops_nothing(
    store: MemoryStore, workspace: Workspace, content: bytes
) -> None:
    """A memo that cannot be read names no asset, and goes when it is old."""
    store.write("memo/ingest/ab/x.json", content, "application/json")
    assert swept(store) == []
    store.ahead = 15 * DAY
    assert swept(store) == ["memo/ingest/ab/x.json"]


def test_too_short_a_grace_period_is_refused(store: MemoryStore) -> None:
    """Running flows rely on two days: less is a SettingsError."""
    with pytest.raises(SettingsError, match="at least 2 days"):
        find_rubbish(store, now=store.now, grace=DAY)


def test_a_folder_is_swept_as_a_bucket_is(store_uri: str, tmp_path: Path) -> None:
    """The ages of real files decide: what is forgotten goes, what is published stays."""
    folder = stores.load(store_uri, {})
    workspace = Workspace(folder, tmp_path / "scratch")
    programme = a_programme(workspace)
    orphan = kept(workspace, b"orphan")
    for stored in folder.list(""):
        os.utime(folder.address(stored.key), (time.time() - 86_400 * 20,) * 2)
    now = next(iter(folder.list(""))).modified + 20 * DAY
    rubbish = find_rubbish(folder, now=now)
    assert {stored.key for stored in rubbish.objects if stored.key.startswith("assets/")} == {orphan.key}
    sweep(rubbish, store=folder, now=now, watch=unwatched)
    assert folder.stat(orphan.key) is None
    assert all(folder.stat(f"{programme.folder}/{output.name}") for output in programme.outputs)
    assert all(folder.stat(output.asset.key) for output in programme.outputs)


def test_nothing_found_is_nothing_done(store: MemoryStore) -> None:
    """An empty store has no rubbish."""
    assert find_rubbish(store, now=store.now) == Rubbish(objects=(), num_kept=0)
