"""Verifying: a delivery holds or it does not, wherever it lies."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from tasks.domain.delivery import Verdict
from tasks.domain.editing import Programme
from tasks.domain.errors import InputError
from tasks.domain.options import MarkingOptions
from tasks.engines import stores
from tasks.engines.workspace import Workspace
from tasks.publish import publish
from tasks.verify import store_uri, verify
from tests.fakes import MemoryStore
from tests.publishing import a_cast, a_composition, a_film, a_plan, some_clips, some_options
from tests.servers import S3Server


@pytest.fixture
def programme(store_uri: str, tmp_path: Path) -> Programme:
    return made(store_uri, tmp_path)


def made(uri: str, tmp_path: Path, **others: object) -> Programme:
    workspace = Workspace(stores.load(uri, {}), tmp_path / "scratch")
    composition = a_composition(workspace, film=a_film(tmp_path / "film.mp4"))
    return publish(a_plan(), some_clips(a_plan()), a_cast(), composition, some_options(**others), workspace=workspace)


def verdict(place: str, tmp_path: Path) -> Verdict:
    return verify(stores.load(store_uri(place), {}), scratch=tmp_path / "scratch")


def test_a_delivery_as_it_was_published_holds(programme: Programme, tmp_path: Path) -> None:
    """Every digest is recomputed and agrees; the label and missing consent are told."""
    found = verdict(programme.uri, tmp_path)
    assert found.holds
    assert (found.episode, found.revision, found.num_checked) == ("onboarding-07", programme.revision, 2)
    assert found.notes == ("It is labelled 'AI-generated'.", "Consent is not recorded for anna.")


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/manifest.json", "file:{}", "file:{}/manifest.json", "{}/.."])
def test_a_delivery_may_be_named_in_many_ways(programme: Programme, tmp_path: Path, form: str) -> None:
    """A folder, its manifest, their URIs, and the episode's folder, whose latest revision is taken."""
    assert verdict(form.format(programme.uri), tmp_path).holds


def test_a_relative_name_is_enough(programme: Programme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its folder a delivery is "." or "manifest.json"."""
    monkeypatch.chdir(programme.uri)
    assert verdict(".", tmp_path).holds
    assert verdict("manifest.json", tmp_path).holds


def test_a_delivery_may_be_copied_anywhere(programme: Programme, tmp_path: Path) -> None:
    """A copy outside any store, in a folder with any name, verifies by its manifest alone."""
    copy = tmp_path / "Meine Lieferung (1) ö"
    shutil.copytree(programme.uri, copy)
    assert verdict(str(copy), tmp_path).holds


def test_other_stores_fetch_one_file_at_a_time(tmp_path: Path) -> None:
    """Over a store without files of its own the outputs are fetched, checked and removed."""
    store = MemoryStore()
    workspace = Workspace(store, tmp_path / "scratch")
    composition = a_composition(workspace, film=a_film(tmp_path / "film.mp4"))
    done = publish(a_plan(), some_clips(a_plan()), a_cast(), composition, some_options(), workspace=workspace)
    rooted = MemoryStore()
    rooted.objects = {
        key.removeprefix(done.folder + "/"): held for key, held in store.objects.items() if key.startswith(done.folder)
    }
    assert verify(rooted, scratch=tmp_path / "fetched").holds
    assert list((tmp_path / "fetched").iterdir()) == []


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


def _state(path: Path, **changes: object) -> None:
    fields = json.loads((path.parent / "manifest.json").read_text())
    fields["outputs"][0].update(changes)
    (path.parent / "manifest.json").write_text(json.dumps(fields))


def _grow(path: Path) -> None:
    content = path.read_bytes() + b"\0"
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (Path.unlink, "16x9.en.mp4 is missing."),
        (_flip, "16x9.en.mp4 was altered: its SHA-256 is not the manifest's."),
        (_grow, "16x9.en.mp4 has "),
        (lambda path: _state(path, sha256="0" * 64), "16x9.en.mp4 was altered"),
        (lambda path: _state(path, stream_sha256="0" * 64), "16x9.en.mp4 holds other streams"),
    ],
)
def test_a_harmed_delivery_does_not_hold(programme: Programme, tmp_path: Path, harm: object, expected: str) -> None:
    """Whatever was altered, removed or misstated is one sentence that names the file."""
    harm(Path(programme.uri) / "16x9.en.mp4")  # type: ignore[operator]
    found = verdict(programme.uri, tmp_path)
    assert not found.holds
    assert len(found.faults) == 1
    assert found.faults[0].startswith(expected)


def test_every_fault_is_told(programme: Programme, tmp_path: Path) -> None:
    """One fault does not hide the next."""
    for name in ("16x9.en.mp4", "captions.en.vtt"):
        _flip(Path(programme.uri) / name)
    assert len(verdict(programme.uri, tmp_path).faults) == 2


def test_a_film_that_is_no_film_is_told(programme: Programme, tmp_path: Path) -> None:
    """A text, or a playlist that names other files, in a film's place is a fault: nothing that it names is opened."""
    secret = tmp_path / "secret.ts"
    os.mkfifo(secret)  # opening it would wait for ever
    path = Path(programme.uri) / "16x9.en.mp4"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    path.unlink()
    path.write_bytes(playlist)
    _state(path, sha256=hashlib.sha256(playlist).hexdigest(), bytes=len(playlist))
    found = verdict(programme.uri, tmp_path)
    assert "the streams of 16x9.en.mp4 cannot be read" in found.faults[0]


def test_an_unlabelled_programme_says_so(store_uri: str, tmp_path: Path) -> None:
    """A programme that was published without a label holds, and the setting is told."""
    done = made(store_uri, tmp_path, marking=MarkingOptions(label=""))
    found = verdict(done.uri, tmp_path)
    assert found.holds
    assert found.notes[0] == "It was published without a visible label, by setting."


@pytest.mark.parametrize("what", ["nothing", "empty", "file", "other", "latest", "deep"])
def test_what_is_no_programme_is_an_input_error(tmp_path: Path, what: str) -> None:
    """A folder that is not there, is empty, is a file, or holds something else is no broken delivery."""
    place = tmp_path / "place"
    if what == "file":
        place.write_bytes(b"x")
    elif what != "nothing":
        place.mkdir()
    if what == "other":
        (place / "manifest.json").write_text('{"name": "a web app"}')
    if what == "latest":
        (place / "latest.json").write_text('{"revision": "../../etc"}')
    if what == "deep":
        (place / "latest.json").write_text("[" * 4000)
    with pytest.raises(InputError, match=r"no programme|no manifest of schema|no revision"):
        verdict(str(place), tmp_path)


@pytest.mark.server
def test_a_delivery_in_a_bucket_is_verified_there(s3_server: S3Server, tmp_path: Path) -> None:
    """Published to S3 and verified from there, by its address; a file that was replaced there is told."""
    uri = s3_server.new_uri()
    store = stores.load(uri, s3_server.options())
    workspace = Workspace(store, tmp_path / "scratch")
    composition = a_composition(workspace, film=a_film(tmp_path / "film.mp4"))
    done = publish(a_plan(), some_clips(a_plan()), a_cast(), composition, some_options(), workspace=workspace)
    for place in (done.uri, f"{done.uri}/manifest.json", done.uri.rpartition("/")[0]):
        rooted = stores.load(store_uri(place), s3_server.options())
        assert verify(rooted, scratch=tmp_path / "fetched").holds
    store.write(f"{done.folder}/captions.en.vtt", b"WEBVTX\n", "text/vtt")
    assert verify(rooted, scratch=tmp_path / "fetched").faults == (
        "captions.en.vtt was altered: its SHA-256 is not the manifest's.",
    )
