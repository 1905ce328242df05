"""Publishing: once, whole, under a revision that says everything that was read."""

import json
import multiprocessing
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.domain.casting import Consent
from tasks.domain.editing import Composition, Programme
from tasks.domain.errors import StoreError
from tasks.domain.options import EngineId, MarkingOptions, OutputOptions, SoundOptions
from tasks.engines import stores
from tasks.engines.stores import Store
from tasks.engines.workspace import Workspace
from tasks.formats.manifest import read_manifest
from tasks.publish import add_record, publish, revision_of
from tests.fakes import MemoryStore
from tests.publishing import VOICE, a_cast, a_composition, a_plan, some_clips, some_options
from tests.servers import S3Server


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, store_uri: str) -> Store:
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        return stores.load(server.new_uri(), server.options())
    return stores.load(store_uri, {}) if request.param == "folder" else MemoryStore()


@pytest.fixture
def workspace(store: Store, tmp_path: Path) -> Workspace:
    return Workspace(store, tmp_path / "scratch")


def published(workspace: Workspace, words: str = "WEBVTT\n", **others: object) -> Programme:
    composition = a_composition(workspace, words)
    return publish(a_plan(), some_clips(a_plan()), a_cast(), composition, some_options(**others), workspace=workspace)


def names(store: Store, folder: str) -> list[str]:
    return sorted(stored.key.removeprefix(folder + "/") for stored in store.list(folder + "/"))


def test_a_programme_is_a_folder_with_its_manifest(workspace: Workspace) -> None:
    """Every output lies in the revision's folder, the manifest states their digests, latest.json points there."""
    programme = published(workspace)
    assert programme.folder == f"programmes/onboarding-07/{programme.revision}"
    assert names(workspace.store, programme.folder) == ["16x9.en.mp4", "captions.en.vtt", "manifest.json"]
    manifest = read_manifest(workspace.store.read(f"{programme.folder}/manifest.json") or b"", "m")
    assert [output.sha256 for output in manifest.outputs] == [one.asset.sha256 for one in programme.outputs]
    latest = workspace.store.read("programmes/onboarding-07/latest.json")
    assert json.loads(latest or b"") == {"revision": programme.revision}
    assert programme.uri == workspace.store.address(programme.folder)


def test_further_languages_have_their_own_series(workspace: Workspace) -> None:
    """A language that is not the episode's own lies beside it, with its own latest.json."""
    plan = a_plan(language="it")
    composition = a_composition(workspace)
    programme = publish(plan, some_clips(plan), a_cast(), composition, some_options(), workspace=workspace)
    assert programme.folder == f"programmes/onboarding-07.it/{programme.revision}"
    assert workspace.store.stat("programmes/onboarding-07.it/latest.json") is not None
    assert workspace.store.stat("programmes/onboarding-07/latest.json") is None


def test_a_second_run_changes_nothing(workspace: Workspace) -> None:
    """Publishing again leaves every file as it was, manifest and latest.json included."""
    first = published(workspace)
    before = {stored.key: stored for stored in workspace.store.list("programmes/")}
    assert published(workspace) == first
    assert {stored.key: stored for stored in workspace.store.list("programmes/")} == before


def test_records_of_runs_are_added(workspace: Workspace) -> None:
    """Each run leaves what it did beside the programme; a record is never changed."""
    programme = published(workspace)
    add_record(programme, "run-1", {"rendered": 2, "seconds": {"render": 1.5}}, workspace=workspace)
    add_record(programme, "run-2", {"rendered": 0}, workspace=workspace)
    add_record(programme, "run-1", {"rendered": 99}, workspace=workspace)
    assert names(workspace.store, programme.folder)[-2:] == ["runs/run-1.json", "runs/run-2.json"]
    record = json.loads(workspace.store.read(f"{programme.folder}/runs/run-1.json") or b"")
    assert record == {"rendered": 2, "seconds": {"render": 1.5}}


def test_other_bytes_under_one_revision_stay_out(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    """Where an encoder gave other bytes for equal inputs, the files that were published first stay, and a warning."""
    first = published(workspace)
    second = published(workspace, words="WEBVTT\n\nother\n")
    assert second == first
    assert workspace.store.read(f"{first.folder}/captions.en.vtt") == b"WEBVTT\n"
    assert "they stay" in caplog.text


def test_the_loser_of_a_race_puts_the_winners_files_back(tmp_path: Path) -> None:
    """In a bucket a loser's copies may come after the winner's manifest: they are replaced by the winner's files."""

    class Racing(MemoryStore):
        """Publishes as a bucket does, and loses: somebody's manifest appears between our files and our manifest."""

        def publish(self, prefix: str, files: dict[str, str], manifest: bytes) -> bool:  # type: ignore[override]
            winner = Workspace(self, tmp_path / "winner")
            super().publish(prefix, *theirs(winner))
            for name, key in files.items():
                self.copy(key, f"{prefix}/{name}")
            return False

    def theirs(winner: Workspace) -> tuple[dict[str, str], bytes]:
        store = MemoryStore()
        programme = published(Workspace(store, tmp_path / "other"), words="WEBVTT\n\nwinner\n")
        for key, held in store.objects.items():
            if key.startswith("assets/"):
                winner.store.objects[key] = held  # type: ignore[attr-defined]
        manifest = store.read(f"{programme.folder}/manifest.json") or b""
        return {output.name: output.asset.key for output in programme.outputs}, manifest

    store = Racing()
    programme = published(Workspace(store, tmp_path / "loser"))
    assert store.read(f"{programme.folder}/captions.en.vtt") == b"WEBVTT\n\nwinner\n"
    assert programme.outputs[1].asset.size == len(b"WEBVTT\n\nwinner\n")


def test_a_damaged_manifest_is_told(workspace: Workspace) -> None:
    """A manifest that cannot be read is a StoreError that says what to delete."""
    programme = published(workspace)
    workspace.store.write(f"{programme.folder}/manifest.json", b"{", "application/json")
    with pytest.raises(StoreError, match=r"is damaged\. Delete .* and run again"):
        published(workspace)


def test_a_missing_output_publishes_nothing(workspace: Workspace) -> None:
    """An output whose asset is gone is a StoreError, and no manifest appears."""
    composition = a_composition(workspace)
    workspace.store.delete(composition.outputs[0].asset.key)
    with pytest.raises(StoreError, match="gone"):
        publish(a_plan(), (), a_cast(), composition, some_options(), workspace=workspace)
    assert names(workspace.store, "programmes") == []


def test_a_damaged_output_is_not_published(workspace: Workspace, tmp_path: Path) -> None:
    """An output that was damaged since it was composed is a StoreError, and no manifest appears."""
    composition = a_composition(workspace)
    film = composition.outputs[0].asset
    other = Workspace(workspace.store, tmp_path / "other")
    workspace.store.delete(film.key)
    workspace.store.write(film.key, b"A film", "video/mp4")
    with pytest.raises(StoreError, match="damaged"):
        publish(a_plan(), (), a_cast(), composition, some_options(), workspace=other)
    assert names(workspace.store, "programmes") == []


def test_any_failing_call_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    """With the n-th call of the store failing, n = 1, 2, ..., the next run ends with the same programme."""
    expected = {k: v[0] for k, v in finished(tmp_path / "whole").objects.items()}
    for n in range(1, 40):
        store = MemoryStore()
        store.fail_at = n
        workspace = Workspace(store, tmp_path / str(n))
        try:
            published(workspace)
        except StoreError:
            manifests = [key for key in store.objects if key.endswith("manifest.json")]
            assert all(key.replace("manifest.json", "16x9.en.mp4") in store.objects for key in manifests)
            published(workspace)
            assert {k: v[0] for k, v in store.objects.items()} == expected
        else:
            assert n > 6
            return
    pytest.fail("never ran through")


def test_a_run_killed_at_any_moment_is_finished_by_the_next(tmp_path: Path) -> None:
    """SIGKILL of ten runs at random moments; the next run ends with the files of an undisturbed one, whole."""
    whole = stores.load(f"file:{tmp_path / 'whole'}", {})
    run_once(whole, tmp_path / "scratch-whole")
    store = stores.load(f"file:{tmp_path / 'store'}", {})
    chance = random.Random(5)
    num_killed = 0
    for number in range(10):
        child = multiprocessing.get_context("fork").Process(target=run_once, args=(store, tmp_path / f"s{number}"))
        child.start()
        child.join(chance.uniform(0.0, 0.08))
        child.kill()
        child.join()
        num_killed += child.exitcode != 0
        for manifest in (tmp_path / "store").glob("programmes/*/*/manifest.json"):
            assert sorted(path.name for path in manifest.parent.iterdir())[:2] == ["16x9.en.mp4", "captions.en.vtt"]
    assert num_killed > 0
    run_once(store, tmp_path / "last")
    assert contents(store) == contents(whole)


def contents(store: Store) -> dict[str, bytes | None]:
    """All but chunks: a run killed just after it named a clip leaves them to the sweep."""
    return {stored.key: store.read(stored.key) for stored in store.list("") if not stored.key.startswith("partial/")}


def run_once(store: Store, scratch: Path) -> None:
    workspace = Workspace(store, scratch)
    for shot in a_plan().shots:
        if workspace.clip(shot.fingerprint) is None:
            workspace.chunks(shot.fingerprint).save(0, {"latents": np.arange(1000)})
            path = workspace.new(".mp4")
            path.write_bytes(shot.id.encode() * 50_000)
            clip = replace(some_clips(a_plan())[0], fingerprint=shot.fingerprint, video=workspace.keep(path))
            workspace.name_clip(clip)
    composition = workspace.recall("composite", "ab" * 32, Composition)
    if composition is None:
        composition = a_composition(workspace)
        workspace.remember("composite", "ab" * 32, composition)
    publish(a_plan(), some_clips(a_plan()), a_cast(), composition, some_options(), workspace=workspace)


def finished(folder: Path) -> MemoryStore:
    store = MemoryStore()
    published(Workspace(store, folder))
    return store


class TestRevision:
    @pytest.mark.parametrize(
        "change",
        [
            lambda plan: replace(plan, title="Welcome ashore"),
            lambda plan: replace(plan, language="it"),
            lambda plan: replace(plan, cues=()),
            lambda plan: replace(plan, names=()),
            lambda plan: replace(plan, master=replace(plan.master, sha256="f" * 64)),
            lambda plan: replace(plan, cuts=(replace(plan.cuts[0], layout="card", shots=()), plan.cuts[1])),
            lambda plan: replace(plan, shots=(replace(plan.shots[0], fingerprint="9" * 64), plan.shots[1])),
        ],
    )
    def test_what_is_seen_or_heard_is_part_of_it(self, change: object) -> None:
        """Any change of the plan that could change a file gives another revision."""
        plan = a_plan()
        changed = change(plan)  # type: ignore[operator]
        assert revision_of(changed, a_cast(), some_options()) != revision_of(plan, a_cast(), some_options())

    @pytest.mark.parametrize(
        "others",
        [
            {"outputs": (OutputOptions(aspect="9:16"),)},
            {"sound": SoundOptions(loudness_lufs=-23.0)},
            {"marking": MarkingOptions(label="")},
            {"engines": (VOICE,)},
            {"composite_revision": 2},
        ],
    )
    def test_what_was_chosen_is_part_of_it(self, others: dict[str, object]) -> None:
        """Outputs, sound, marking, engines and the compositor's REVISION each give another revision."""
        before = revision_of(a_plan(), a_cast(), some_options())
        assert revision_of(a_plan(), a_cast(), some_options(**others)) != before

    def test_consent_is_part_of_it(self) -> None:
        """A consent that is recorded later gives a new revision, whose manifest says so."""
        cast = a_cast()
        anna = replace(cast.speakers[0], consent=Consent(state="recorded", who="Anna Ruiz"))
        changed = replace(cast, speakers=(anna, cast.speakers[1]))
        assert revision_of(a_plan(), changed, some_options()) != revision_of(a_plan(), cast, some_options())

    def test_what_changes_no_file_is_no_part_of_it(self) -> None:
        """Notes, expected cost, warnings and the order in which engines worked leave the revision as it is."""
        plan, cast = a_plan(), a_cast()
        costly = tuple(replace(shot, cost_seconds=9.0) for shot in plan.shots)
        retold = replace(plan, notes=("saved 3 s",), shots=costly)
        twice = some_options(engines=(VOICE, *some_options().engines))
        warned = replace(cast, warnings=("unused",))
        assert revision_of(retold, warned, twice) == revision_of(plan, cast, some_options())

    def test_it_is_the_same_everywhere(self) -> None:
        """Sixteen hexadecimal digits, equal on every machine: a change here makes every programme anew."""
        engines = (EngineId(role="renderer", name="puppet", version="4"),)
        assert revision_of(a_plan(), a_cast(), some_options(engines=engines)) == "1691ec9276fd6dac"
