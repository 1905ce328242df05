"""manifest/1: what is written, and what is refused."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tasks.domain.delivery import Manifest, ManifestConsent
from tasks.domain.errors import InputError
from tasks.engines.workspace import Workspace
from tasks.formats.manifest import manifest_text, read_manifest
from tasks.publish import manifest_of
from tests.fakes import MemoryStore
from tests.publishing import a_cast, a_composition, a_plan, some_clips, some_options


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    composition = a_composition(Workspace(MemoryStore(), tmp_path))
    return manifest_of(a_plan(), some_clips(a_plan()), a_cast(), composition, some_options())


def test_the_fields_are_those_of_the_design(manifest: Manifest) -> None:
    """A program that knows DESIGN.md's schema alone finds every field of it, in the form that it states."""
    fields = json.loads(manifest_text(manifest))
    assert list(fields) == [
        *("schema", "episode", "title", "language", "revision", "outputs", "shots", "engines", "cast", "consent"),
        "marking",
    ]
    assert fields["schema"] == "manifest/1"
    film, words = fields["outputs"]
    assert set(film) == {
        *("name", "sha256", "stream_sha256", "bytes", "media_type", "duration_frames", "rate", "width", "height"),
    }
    assert (film["name"], film["bytes"], film["rate"], film["duration_frames"]) == ("16x9.en.mp4", 6, "25/1", 50)
    assert (words["name"], words["stream_sha256"]) == ("captions.en.vtt", "")
    assert fields["shots"][1] == {
        "id": "s2",
        "utterances": ["u2"],
        "speaker": "ben",
        "start_frame": 20,
        "end_frame": 50,
        "fingerprint": f"{2:064x}",
        "renderer": "puppet",
        "renderer_revision": "4",
        "checks": {"mouth": "0.91"},
    }
    assert fields["engines"][0] == {"role": "renderer", "name": "puppet", "version": "4", "weights": ""}
    assert fields["cast"][0] == {"key": "anna", "name": "Anna Ruiz", "portrait": "a" * 64, "voice": "espeak:en-us/f2"}
    assert [consent["state"] for consent in fields["consent"]] == ["not recorded", "recorded"]
    assert fields["marking"] == {"label": "AI-generated"}


def test_what_is_written_is_read(manifest: Manifest) -> None:
    """A manifest comes back exactly: dates, fractions and every script of title."""
    consent = ManifestConsent(speaker="anna", state="recorded", who="Anna", scope="all", until=date(2027, 1, 31))
    whole = replace(manifest, title="نشرة 午後 🎬", consent=(consent,))
    assert read_manifest(manifest_text(whole), "m") == whole


def test_later_fields_are_passed_over(manifest: Manifest) -> None:
    """A manifest to which a later release added fields is still read."""
    fields = {**json.loads(manifest_text(manifest)), "signature": {"by": "somebody"}}
    fields["outputs"][0]["watermark"] = "yes"
    assert read_manifest(json.dumps(fields).encode(), "m") == manifest


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[]", b"null", b"\xff\xfe\0", b"{", b'{"schema": "manifest/2"}', b'{"schema": "manifest/1"}'),
        *(b"[" * 100_000, b'{"schema": "manifest/1", "shots": [[]]}', b'{"schema": "manifest/1", "shots": 5}'),
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    """What is no manifest/1 is an InputError of one sentence that names the file."""
    with pytest.raises(InputError, match=r"^folder/manifest\.json: ") as caught:
        read_manifest(content, "folder/manifest.json")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("outputs", 0, "name"), "../../etc/passwd"),
        (("outputs", 0, "name"), "/etc/passwd"),
        (("outputs", 0, "name"), "manifest.json"),
        (("outputs", 0, "name"), "runs/a.json"),
        (("outputs", 0, "name"), "captions.en.vtt"),
        (("outputs", 0, "name"), ".hidden"),
        (("outputs", 0, "sha256"), "zz"),
        (("outputs", 0, "bytes"), -1),
        (("outputs", 0, "rate"), "1/0"),
        (("outputs", 0, "rate"), "1e999999999"),
        (("outputs", 0, "rate"), 1e400),
        (("outputs", 0, "rate"), 10**400),
        (("outputs", 0), 5),
        (("outputs",), {"a": 1}),
        (("outputs", 0, "rate"), "fast"),
        (("shots", 0, "start_frame"), "soon"),
        (("revision",), "../up"),
        (("marking",), None),
    ],
)
def test_hostile_values_are_refused(manifest: Manifest, path: tuple[str | int, ...], value: object) -> None:
    """Names that lead elsewhere and values that cannot be are InputErrors, before any file is opened."""
    fields = json.loads(manifest_text(manifest))
    place = fields
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InputError, match=r"^m: "):
        read_manifest(json.dumps(fields).encode(), "m")


def test_programmes_are_equal_by_fingerprints_spans_and_streams(manifest: Manifest) -> None:
    """Containers, notes and texts may differ; spans, fingerprints and elementary streams may not."""
    film, words = manifest.outputs
    retold = replace(manifest, outputs=(replace(film, sha256="f" * 64), replace(words, sha256="d" * 64)))
    assert retold.substance == manifest.substance
    assert replace(manifest, shots=manifest.shots[:1]).substance != manifest.substance
    other = replace(manifest, outputs=(replace(film, stream_sha256="9" * 64), words))
    assert other.substance != manifest.substance
