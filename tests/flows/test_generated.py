"""What a renderer is given beyond a face and a voice: scenes, songs with their vocal stem, pose videos."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.checking import check_file
from flows.choices import choices_for
from flows.direct import Direct
from flows.episodes import open_episode
from flows.pipeline import plans
from flows.progress import Silent
from flows.record import Record
from flows.render_shots import render_all
from flows.settings import Engines, Settings
from s2v_model.puppet.pose import CHANNEL
from s2v_model.puppet.renderer import pose_track
from tasks.domain.errors import InputError, RecordingError, ScriptError
from tasks.media.audio import decode_recording
from tasks.media.probe import unwatched
from tasks.media.video import write_video
from tasks.media.wav import read_speech
from tests.productions import Made, TinyWiring, produce, write_episode
from tests.synthetic import moving_frames, portrait_like, speech_like, tone, write_picture, write_wav

RATE = 16_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A store of the test's own, and a renderer of scenes."""
    engines = Engines(final="flat", scene="flat-scene")
    return Settings(store=f"file:{tmp_path / 'store'}", scratch=str(tmp_path / "scratch"), engines=engines)


def final(settings: Settings) -> TinyWiring:
    """The tiny composition root at final quality."""
    return TinyWiring(settings, quality="final")


def manifest_of(made: Made) -> dict[str, Any]:
    """Of the first programme."""
    return dict(json.loads((Path(made.programmes[0].uri) / "manifest.json").read_text()))


# --- scenes -----------------------------------------------------------------------------------------------------------

SCENES = """ANNA: Good morning.
[scene 2 s: a harbour at dawn]
BEN: Good day.
[scene 3 s quay.png: boats leave]
ANNA: There they go."""


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    """An episode with two scenes, one of them from a picture."""
    write_picture(tmp_path / "quay.png", portrait_like(3, 128))
    return write_episode(tmp_path, script=SCENES, render={"quality": "final", "prompt": "warm light"})


def test_a_scene_is_a_shot_without_a_speaker(harbour: Path, settings: Settings) -> None:
    """At final quality its renderer is asked for it, with words, picture and span, and the manifest says so."""
    wiring = final(settings)
    manifest = manifest_of(produce(harbour, wiring))
    scenes = [shot for shot in manifest["shots"] if shot["speaker"] is None]

    assert [shot["renderer"] for shot in manifest["shots"]] == ["flat", "flat-scene", "flat", "flat-scene", "flat"]
    assert [shot["end_frame"] - shot["start_frame"] for shot in scenes] == [50, 75]
    assert {shot["renderer_revision"] for shot in scenes} == {"2"}
    assert {engine["name"]: engine["weights"] for engine in manifest["engines"]}["flat-scene"] == "ab" * 32
    first, second = wiring.scenes.taken
    assert (first.prompt, first.num_frames, first.rate) == ("a harbour at dawn. warm light", 32, Fraction(16))
    assert (first.width % 16, first.height % 16, abs(first.speech).max()) == (0, 0, 0)
    assert first.scene is None
    assert second.scene is not None
    assert second.scene.shape == (second.height, second.width, 3)


def test_a_worker_of_a_pool_gives_each_shot_its_own_renderer(harbour: Path, settings: Settings) -> None:
    """Away from the producing run, scenes and speakers are rendered by the renderers that their shots name."""
    wiring = final(settings)
    episode = open_episode(str(harbour), settings)
    with Direct(settings.model_copy(update={"workers": 1}), wiring, Silent(), Record(run="test")) as direct:
        ((plan, _),) = plans(episode, choices_for(episode, wiring), direct)
    outcome = render_all(plan.shots, wiring)

    assert (outcome.rendered, outcome.failures) == (5, [])
    assert (len(wiring.flat.taken), len(wiring.scenes.taken)) == (3, 2)


def test_a_scene_is_made_once_and_anew_for_other_words_or_another_picture(harbour: Path, settings: Settings) -> None:
    """A second run asks for nothing; an edit of a scene's words or picture asks for that scene alone."""
    produce(harbour, final(settings))
    again, edited, repainted = final(settings), final(settings), final(settings)

    produce(harbour, again)
    produce(
        write_episode(
            harbour.parent, script=SCENES.replace("dawn", "noon"), render={"quality": "final", "prompt": "warm light"}
        ),
        edited,
    )
    write_picture(harbour.parent / "quay.png", portrait_like(4, 128))
    produce(harbour, repainted)

    assert [len(wiring.scenes.taken) for wiring in (again, edited, repainted)] == [0, 1, 1]
    assert [len(wiring.flat.taken) for wiring in (again, edited, repainted)] == [0, 0, 0]


def test_a_scene_is_a_card_in_a_draft(harbour: Path, settings: Settings) -> None:
    """A draft shows its words; no renderer is asked."""
    wiring = TinyWiring(settings)
    manifest = manifest_of(produce(harbour, wiring))

    assert wiring.scenes.taken == []
    assert len(manifest["shots"]) == 3
    assert "flat-scene" not in {engine["name"] for engine in manifest["engines"]}


def test_a_scene_that_is_too_long_is_refused_before_rendering(tmp_path: Path, settings: Settings) -> None:
    """A sentence names the scene, its length and the most; nothing has been rendered."""
    wiring = final(settings)
    path = write_episode(
        tmp_path, script="ANNA: Look.\n[scene 8 s: the long sea]\nBEN: Yes.", render={"quality": "final"}
    )
    with pytest.raises(ScriptError, match=r"'the long sea': it fills 8\.0 s.*at most 4\.5 s.*two scenes"):
        produce(path, wiring)
    assert wiring.flat.taken == []


# --- songs ------------------------------------------------------------------------------------------------------------

SONG = """ANNA: And now a song.
\u266a BEN [song.wav]: Row your boat gently down the stream.
ANNA: Thank you, Ben."""
OPENING_SECONDS = 2


def write_song(folder: Path, vocals_seconds: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Mix and stem of a song that begins with instruments alone; in the stem they are still faintly heard."""
    instruments = tone(5.0, 330.0, amplitude=0.3)
    voice = np.zeros_like(instruments)
    sung = speech_like(3.0, seed=5)
    voice[OPENING_SECONDS * RATE :][: sung.size] = sung
    stem = voice + instruments * np.float32(10 ** (-50 / 20))
    write_wav(folder / "song.wav", voice + instruments)
    write_wav(folder / "song.vocals.wav", stem[: int(vocals_seconds * RATE)])
    return voice + instruments, stem


def song_episode(folder: Path, **source: Any) -> Path:
    """A script with a song in it."""
    (folder / "show.txt").write_text(SONG, "utf-8")
    return write_episode(folder, source={"script": "show.txt", **source})


def test_a_song_plays_its_mix_and_is_driven_by_its_stem(tmp_path: Path, settings: Settings) -> None:
    """The line lasts as long as its recording; the take has the mix as speech, the stem as vocals, no sounds."""
    _, stem = write_song(tmp_path)
    wiring = TinyWiring(settings)
    made = produce(song_episode(tmp_path, vocals={"song.wav": "song.vocals.wav"}), wiring)
    (take,) = (take for take in wiring.flat.taken if take.vocals is not None)
    others = [take for take in wiring.flat.taken if take.vocals is None]

    assert 5.0 <= take.num_frames / take.rate < 6.0
    assert take.phones is None
    assert "song.wav" not in take.prompt
    lead = int(np.argmax(np.abs(take.speech) > 0.01))
    assert np.abs(take.speech[lead : lead + RATE]).mean() > 0.1
    assert take.vocals is not None
    assert np.abs(take.vocals[lead : lead + RATE]).mean() < 0.002
    assert np.abs(take.vocals).sum() == pytest.approx(np.abs(stem).sum(), rel=0.02)
    assert all(take.phones is not None for take in others)
    shots = {shot["speaker"]: shot for shot in manifest_of(made)["shots"]}
    begin = shots["ben"]["start_frame"] / 25 + lead / RATE
    assert np.abs(heard(made, tmp_path)[int(begin * RATE) :][:RATE]).mean() > 0.03, "the programme plays the mix"


def heard(made: Made, folder: Path) -> np.ndarray:
    """The sound of the first programme, mono, 16 kHz."""
    speech = folder / "heard.wav"
    film = Path(made.programmes[0].uri) / "16x9.en.mp4"
    decode_recording(film, speech_out=speech, master_out=folder / "heard.flac", watch=unwatched)
    return np.asarray(read_speech(speech))


def test_another_stem_is_another_clip(tmp_path: Path, settings: Settings) -> None:
    """The stem is part of the fingerprint: without it, and with another one, the song alone is rendered again."""
    write_song(tmp_path)
    with_stem, without, other = (TinyWiring(settings) for _ in range(3))
    produce(song_episode(tmp_path, vocals={"song.wav": "song.vocals.wav"}), with_stem)
    produce(song_episode(tmp_path), without)
    write_wav(tmp_path / "song.vocals.wav", speech_like(5.0, seed=9))
    produce(song_episode(tmp_path, vocals={"song.wav": "song.vocals.wav"}), other)

    assert [len(wiring.flat.taken) for wiring in (with_stem, without, other)] == [3, 1, 1]


def test_a_stem_of_another_length_is_refused(tmp_path: Path, settings: Settings) -> None:
    """A stem that cannot lie beside its recording is said with both lengths."""
    write_song(tmp_path, vocals_seconds=3.0)
    path = song_episode(tmp_path, vocals={"song.wav": "song.vocals.wav"})
    with pytest.raises(RecordingError, match=r"song\.vocals\.wav: the vocal stem lasts 3\.00 s, its recording 5\.00 s"):
        produce(path, TinyWiring(settings))


def test_an_instrumental_opening_does_not_start_the_puppet_s_mouth(tmp_path: Path, settings: Settings) -> None:
    """Over instruments alone the lips rest; over the voice they open; the mix would have opened them at once."""
    write_song(tmp_path)
    wiring = TinyWiring(settings)
    produce(song_episode(tmp_path, vocals={"song.wav": "song.vocals.wav"}), wiring)
    (take,) = (take for take in wiring.flat.taken if take.vocals is not None)
    lead = int(np.argmax(np.abs(take.speech) > 0.01)) / RATE
    opening = slice(int(lead * 25) + 5, int((lead + OPENING_SECONDS) * 25) - 10)
    singing = slice(int((lead + OPENING_SECONDS) * 25) + 5, int((lead + 4.5) * 25))
    jaw = pose_track(take)[:, CHANNEL["jaw"]]

    assert jaw[opening].max() < 0.15 * jaw[singing].max()


# --- poses ------------------------------------------------------------------------------------------------------------


def write_poses(path: Path, seed: int = 0, num_frames: int = 60) -> None:
    """A film of something that moves, at 30 frames a second."""
    write_video(moving_frames(num_frames, 96, 64, seed), Fraction(30), path)


def test_a_pose_video_goes_to_its_speaker_s_shots(tmp_path: Path, settings: Settings) -> None:
    """A cast entry's own video, else the episode's; each shot has it from its start, at its own rate."""
    write_poses(tmp_path / "own.mp4", seed=1)
    write_poses(tmp_path / "all.mp4", seed=2)
    path = write_episode(
        tmp_path,
        cast={"anna": {"portrait": "anna.png", "pose": "own.mp4"}, "ben": {"portrait": "ben.png"}},
        render={"pose": "all.mp4"},
    )
    wiring = TinyWiring(settings)
    made = produce(path, wiring)
    again = produce(path, TinyWiring(settings))
    anna, ben, last = (take.pose_video for take in sorted(wiring.flat.taken, key=lambda take: len(take.speech)))
    write_poses(tmp_path / "own.mp4", seed=3)
    edited = produce(path, TinyWiring(settings))

    assert all(take.pose_rate == 30 for take in wiring.flat.taken)
    assert all(poses is not None and poses.shape[1:] == (64, 96, 3) for poses in (anna, ben, last))
    assert (made.rendered, again.rendered, edited.rendered) == (3, 0, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"<html>", "is a web page"), (b"", "is empty"), (b"\x00" * 4096, "no audio or video format")],
)
def test_a_useless_pose_video_is_named(content: bytes, message: str, tmp_path: Path, settings: Settings) -> None:
    """What is no video is told before anything is rendered; a path out of the folder, too."""
    (tmp_path / "pose.mp4").write_bytes(content)
    with pytest.raises(InputError, match=message):
        produce(write_episode(tmp_path, render={"pose": "pose.mp4"}), TinyWiring(settings))
    with pytest.raises(InputError, match="leads out of the episode's folder"):
        produce(write_episode(tmp_path, render={"pose": "../pose.mp4"}), TinyWiring(settings))


def test_check_judges_songs_stems_and_poses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an episode names beyond faces and voices is judged before work starts, each in a sentence."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pose.mp4").write_bytes(b"<html>")
    source = {"script": "show.txt", "vocals": {"other.wav": "voice.wav"}}
    (tmp_path / "show.txt").write_text(SONG, "utf-8")
    report = check_file(str(write_episode(tmp_path, source=source, render={"pose": "pose.mp4"})), None)
    said = " ".join(error.text for error in report.errors)

    assert "the vocal stem of 'other.wav' has no song" in said
    assert "pose video 'pose.mp4': it is a web page" in said
