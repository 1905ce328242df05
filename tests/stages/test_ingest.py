"""The source of an episode becomes material: scripts with translations, recordings and tracks with their sound."""

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2v_model.contract import Stopped
from tasks.domain.episode import CastEntry, Episode, Source
from tasks.domain.errors import EpisodeError, InputError, PortraitError, RecordingError, ScriptError
from tasks.domain.options import InputOptions
from tasks.engines.workspace import Workspace
from tasks.ingest import ingest, key
from tasks.media.pictures import read_picture
from tasks.media.probe import unwatched
from tasks.media.wav import num_speech_samples, read_speech
from tests.fakes import MemoryStore
from tests.synthetic import portrait_like, speech_like, tone, write_movie, write_picture, write_wav


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An episode's folder."""
    (tmp_path / "episode").mkdir()
    return tmp_path / "episode"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Over a store in memory."""
    return Workspace(MemoryStore(), tmp_path / "scratch")


def episode(folder: Path, **source: Any) -> Episode:
    return Episode(
        id="pilot",
        title="Pilot",
        language="en",
        source=Source(**source),
        cast=(CastEntry(key="anna", name="Anna Ruiz"), CastEntry(key="ben")),
        folder=str(folder),
        path=str(folder / "pilot.yaml"),
    )


def take_in(order: Episode, workspace: Workspace, **options: Any):
    return ingest(order, workspace=workspace, watch=options.pop("watch", unwatched), **options)


def scratch_files(workspace: Workspace) -> list[str]:
    return [path.name for path in (workspace.new(".x").parent).iterdir()]


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_a_script_in_the_episode_itself_is_read(folder: Path, workspace: Workspace) -> None:
    """Text with a line break is the script, not its name."""
    material = take_in(episode(folder, script="ANNA: Hello.\nBEN: Good day.\n"), workspace)
    assert material.script is not None
    assert [(line.speaker, line.text) for line in material.script.spoken] == [("ANNA", "Hello."), ("BEN", "Good day.")]
    assert material.recording is None
    assert material.tracks == ()


def test_a_script_file_is_read_below_the_folder(folder: Path, workspace: Workspace) -> None:
    """Its name leads below the episode's folder, and nowhere else."""
    (folder / "pilot.txt").write_text("ANNA: Hello.\nBEN: Good day.\n")
    assert take_in(episode(folder, script="pilot.txt"), workspace).script
    (folder.parent / "secret.txt").write_text("ANNA: Hello.\nBEN: Good day.\n")
    with pytest.raises(ScriptError, match=r"pilot\.yaml, source\.script: '\.\./secret\.txt' leads out"):
        take_in(episode(folder, script="../secret.txt"), workspace)


def test_translations_stand_beside_their_lines(folder: Path, workspace: Workspace) -> None:
    """One script per language: each spoken line gains its words in the other language."""
    (folder / "pilot.it.txt").write_text("ANNA: Ciao.\nBEN: Buongiorno.\n")
    order = replace(
        episode(folder, script="ANNA: Hello.\nBEN: Good day.\n"),
        languages=("it",),
        translations=(("it", "pilot.it.txt"),),
    )
    script = take_in(order, workspace).script
    assert script is not None
    assert [line.translations for line in script.spoken] == [(("it", "Ciao."),), (("it", "Buongiorno."),)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ANNA: Ciao.\n\nANNA: Ancora.\n", "spoken by ANNA, but line 2 of the script by BEN"),
        ("ANNA: Ciao.\n", "has 1 spoken lines, the script has 2"),
    ],
)
def test_a_translation_of_other_lines_is_refused(folder: Path, workspace: Workspace, text: str, reason: str) -> None:
    """Other speakers or another number of lines: said with file and line."""
    (folder / "pilot.it.txt").write_text(text)
    order = replace(episode(folder, script="ANNA: Hello.\nBEN: Good day.\n"), translations=(("it", "pilot.it.txt"),))
    with pytest.raises(ScriptError, match=reason) as refusal:
        take_in(order, workspace)
    assert "pilot.it.txt" in str(refusal.value)


def test_a_scene_s_picture_is_taken_in(folder: Path, workspace: Workspace) -> None:
    """It becomes a plain PNG; a picture that is none is refused by its name."""
    write_picture(folder / "harbour.jpg", portrait_like(1, 128))
    text = "ANNA: Hello.\n\n[scene 4 s harbour.jpg: boats at dawn]\n\nBEN: Good day.\n"
    ((name, asset),) = take_in(episode(folder, script=text), workspace).pictures
    assert name == "harbour.jpg"
    assert read_picture(workspace.path(asset)).size == (128, 128)
    (folder / "harbour.jpg").write_bytes(b"<html>")
    with pytest.raises(PortraitError, match=r"harbour\.jpg.*web page"):
        take_in(episode(folder, script=text), workspace)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ({"podcast": "mix.wav", "vocals": (("", "voice.wav"),)}, lambda material: material.recording),
        (
            {"tracks": (("anna", "mix.wav"),), "vocals": (("anna", "voice.wav"),)},
            lambda material: material.tracks[0][1],
        ),
        ({"script": "\u266a ANNA [mix.wav]: La.\n", "vocals": (("mix.wav", "voice.wav"),)}, lambda m: m.songs[0][1]),
    ],
)
def test_a_vocal_stem_is_taken_in_beside_its_recording(
    source: dict[str, Any], found: Any, folder: Path, workspace: Workspace
) -> None:
    """Of a podcast, a track, or a script's song: the master is the mix, the voice is the stem, part of the key."""
    write_wav(folder / "mix.wav", tone(2.0, 330.0))
    write_wav(folder / "voice.wav", speech_like(2.0, seed=1))
    order = episode(folder, **source)
    recording = found(take_in(order, workspace))
    assert recording.voice == recording.vocals != recording.speech
    assert np.abs(read_speech(workspace.path(recording.speech)) - tone(2.0, 330.0)).mean() < 0.05
    before = key(order)
    write_wav(folder / "voice.wav", speech_like(2.0, seed=2))
    assert order.kind == "script" or key(order) != before


@pytest.mark.data
def test_every_translation_of_the_lesson_fits(shared_data: Path, workspace: Workspace) -> None:
    """Four languages of one script, from text files and from a table."""
    folder = shared_data / "scripts"
    order = replace(
        episode(folder, script="lesson_phishing.en.txt"),
        translations=(
            ("it", "lesson_phishing.it.txt"),
            ("es", "lesson_phishing.es.vtt"),
            ("zh", "lesson_phishing.all.csv"),
        ),
    )
    script = take_in(order, workspace).script
    assert script is not None
    assert len(script.spoken) == 22
    for line in script.spoken:
        assert [language for language, _ in line.translations] == ["it", "es", "zh"]


# --- recordings -------------------------------------------------------------------------------------------------------


def test_a_podcast_is_decoded_once_into_two_assets(folder: Path, workspace: Workspace) -> None:
    """Driving speech and master, with the length of the samples; the scratch files are gone."""
    write_wav(folder / "talk.wav", speech_like(3, 1, 44_100), 44_100)
    recording = take_in(episode(folder, podcast="talk.wav"), workspace).recording
    assert recording is not None
    assert recording.duration == 3
    assert num_speech_samples(workspace.path(recording.speech)) == 48_000
    assert recording.master.extension == ".flac"
    assert scratch_files(workspace) == []


def test_a_film_gives_its_sound(folder: Path, workspace: Workspace) -> None:
    """Video is a podcast as well."""
    write_movie(folder / "talk.mp4", num_frames=50, speech=speech_like(2, 1))
    recording = take_in(episode(folder, podcast="talk.mp4"), workspace).recording
    assert recording is not None
    assert float(recording.duration) == pytest.approx(2, abs=0.13)


def test_the_same_recording_gives_the_same_assets(folder: Path, workspace: Workspace, tmp_path: Path) -> None:
    """On another machine, under another name: equal bytes in, equal digests out."""
    write_wav(folder / "a.wav", speech_like(2, 1))
    write_wav(folder / "b.wav", speech_like(2, 1))
    other = Workspace(MemoryStore(), tmp_path / "elsewhere")
    first = take_in(episode(folder, podcast="a.wav"), workspace).recording
    assert first == take_in(episode(folder, podcast="b.wav"), other).recording


def test_warnings_name_the_recording_as_the_episode_does(folder: Path, workspace: Workspace) -> None:
    """A quiet recording comes with a warning that says which file."""
    (folder / "sound").mkdir()
    write_wav(folder / "sound" / "low.wav", speech_like(2, 1) * 0.002)
    recording = take_in(episode(folder, podcast="sound/low.wav"), workspace).recording
    assert recording is not None
    assert "recording 'sound/low.wav': it is very quiet" in recording.warnings[0]


def test_tracks_are_decoded_each_for_itself(folder: Path, workspace: Workspace) -> None:
    """One recording a speaker, in the episode's order; progress goes over all of them and never back."""
    write_wav(folder / "anna.wav", speech_like(3, 1))
    write_wav(folder / "ben.wav", speech_like(2, 2))
    reports: list[float] = []
    material = take_in(
        episode(folder, tracks=(("anna", "anna.wav"), ("ben", "ben.wav"))),
        workspace,
        watch=lambda done, total: reports.append(done / total),
    )
    assert [(speaker, recording.duration) for speaker, recording in material.tracks] == [("anna", 3), ("ben", 2)]
    assert reports == sorted(reports)
    assert reports[-1] == 1.0


def test_a_missing_track_is_told_before_anything_is_decoded(folder: Path, workspace: Workspace) -> None:
    """The name, its field, and a suggestion."""
    write_wav(folder / "anna.wav", speech_like(1, 1))
    order = episode(folder, tracks=(("anna", "anna.wav"), ("ben", "bem.wav")))
    with pytest.raises(RecordingError, match=r"source\.tracks\.ben: there is no file 'bem\.wav'"):
        take_in(order, workspace, watch=lambda done, total: pytest.fail("something was decoded"))


def test_limits_come_from_settings(folder: Path, workspace: Workspace) -> None:
    """Hours and bytes of a recording."""
    write_wav(folder / "talk.wav", tone(2, 440))
    order = episode(folder, podcast="talk.wav")
    with pytest.raises(RecordingError, match="at most 0"):
        take_in(order, workspace, inputs=InputOptions(max_recording_hours=0))
    with pytest.raises(RecordingError, match="GiB"):
        take_in(order, workspace, inputs=InputOptions(max_recording_bytes=100))


def test_stopping_leaves_no_scratch_file(folder: Path, workspace: Workspace) -> None:
    """Ctrl-C in the middle of a recording."""
    write_wav(folder / "talk.wav", tone(5, 440))

    def stop(done: float, total: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        take_in(episode(folder, podcast="talk.wav"), workspace, watch=stop)
    assert scratch_files(workspace) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.mp3", "http://[::1]/a.mp3", "file:///etc/hostname"])
def test_an_address_of_this_machine_is_refused(folder: Path, workspace: Workspace, address: str) -> None:
    """Unless the settings allow it."""
    with pytest.raises(RecordingError, match=r"not a public address|are not read"):
        take_in(episode(folder, podcast=address), workspace)


def test_chapters_are_read(folder: Path, workspace: Workspace) -> None:
    """In order of time, without those hidden from the table of contents."""
    write_wav(folder / "talk.wav", tone(1, 440))
    entries = [
        {"startTime": 95.5, "title": "Middle"},
        {"startTime": 0, "title": "Start"},
        {"startTime": 9, "toc": False},
    ]
    (folder / "chapters.json").write_text(json.dumps({"version": "1.2.0", "chapters": entries}))
    order = replace(episode(folder, podcast="talk.wav"), chapters="chapters.json")
    chapters = take_in(order, workspace).chapters
    assert [(chapter.start, chapter.title) for chapter in chapters] == [(0, "Start"), (Fraction(191, 2), "Middle")]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"chapters": [1]}', '{"chapters": [{"startTime": -1}]}', '{"chapters": [{"startTime": 1e400}]}'],
)
def test_what_holds_no_chapters_is_refused(folder: Path, workspace: Workspace, content: str) -> None:
    """Each with a sentence that shows the form."""
    (folder / "chapters.json").write_text(content)
    order = replace(episode(folder, script="ANNA: Hello.\nBEN: Hi.\n"), chapters="chapters.json")
    with pytest.raises(EpisodeError, match=r"chapters\.json"):
        take_in(order, workspace)


# --- memory -----------------------------------------------------------------------------------------------------------


def test_the_memory_of_a_recording_is_its_bytes(folder: Path) -> None:
    """Another name or time changes nothing, another byte everything."""
    write_wav(folder / "a.wav", tone(1, 440))
    write_wav(folder / "b.wav", tone(1, 440))
    os.utime(folder / "b.wav", (1, 1))
    first = key(episode(folder, podcast="a.wav"))
    assert first is not None
    assert first == key(episode(folder, podcast="b.wav"))
    write_wav(folder / "b.wav", np.append(tone(1, 440), np.float32(0)))
    assert first != key(episode(folder, podcast="b.wav"))


def test_scripts_and_addresses_are_not_remembered(folder: Path) -> None:
    """A script is read at once, and what an address leads to is not known before it is here."""
    assert key(episode(folder, script="ANNA: Hello.\nBEN: Hi.\n")) is None
    assert key(episode(folder, podcast="https://example.org/a.mp3")) is None


def test_a_file_that_is_not_there_has_no_key(folder: Path) -> None:
    """It is an input error already."""
    with pytest.raises(InputError, match="there is no file"):
        key(episode(folder, podcast="a.wav"))


@pytest.mark.data
def test_a_real_conversation_keeps_its_length_and_its_voices(shared_data: Path, workspace: Workspace) -> None:
    """Driving speech of a 16 kHz recording is that recording."""
    order = episode(shared_data / "conversations", podcast="katie_steve.flac")
    recording = take_in(order, workspace).recording
    assert recording is not None
    assert recording.warnings == ()
    speech = read_speech(workspace.path(recording.speech))
    assert len(speech) == -(-recording.duration * 16_000 // 1)
    assert 0.01 < np.std(speech) < 0.3


@pytest.mark.data
@pytest.mark.parametrize("name", ["simulated/dev_sim_2spk.vtt", "feed/dev_sim_2spk.transcript.json"])
def test_a_transcript_comes_with_its_recording(shared_data: Path, workspace: Workspace, name: str) -> None:
    """Words with times and names, beside the sound."""
    order = episode(shared_data, podcast="speech/it_sentence.flac", transcript=name)
    material = take_in(order, workspace)
    assert material.recording is not None
    assert material.transcript is not None
    assert {cue.speaker for cue in material.transcript.cues} == {"Peggy Marsh", "Walter Inman"}
