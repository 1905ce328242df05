"""A whole production: made once, remembered for ever, edited cheaply, and none the worse for a failing store."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.settings import Settings
from s2v_model.contract import Chunks, RenderError, Stopped, Take, UInt8Array, Watch
from tasks.domain.errors import CastError, EngineError
from tasks.engines.stores import load
from tasks.verify import verify
from tests.productions import SCRIPT, FlatRenderer, TinyWiring, produce, substance, write_episode


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A store of the test's own."""
    return Settings(store=f"file:{tmp_path / 'store'}", scratch=str(tmp_path / "scratch"))


def test_an_episode_becomes_a_programme(tmp_path: Path, settings: Settings) -> None:
    """A script of three lines gives a film, captions, a transcript, a poster and a manifest that holds."""
    wiring = TinyWiring(settings)
    made = produce(write_episode(tmp_path), wiring)
    folder = Path(made.programmes[0].uri)

    assert made.rendered == 3
    assert {p.name for p in folder.iterdir() if p.is_file()} == {
        "16x9.en.mp4", "captions.en.vtt", "transcript.en.json", "poster.jpg", "manifest.json",
    }  # fmt: skip
    assert verify(load(f"file:{folder}", {}), scratch=tmp_path).faults == ()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [shot["speaker"] for shot in manifest["shots"]] == ["anna", "ben", "anna"]
    assert json.loads((folder.parent / "latest.json").read_text()) == {"revision": made.programmes[0].revision}


def test_a_second_run_renders_nothing(tmp_path: Path, settings: Settings) -> None:
    """The same episode again: no clip, no line and no file is made, and the revision stays."""
    path = write_episode(tmp_path)
    first = produce(path, TinyWiring(settings))
    wiring = TinyWiring(settings)
    second = produce(path, wiring)

    assert second.rendered == 0
    assert second.programmes[0].revision == first.programmes[0].revision
    assert [t.done for t in second.record.tallies if t.stage in ("dub", "render", "composite")] == [0, 0, 0]


def test_one_edited_line_renders_one_clip(tmp_path: Path, settings: Settings) -> None:
    """An edit in the middle moves later shots by whole frames and leaves their clips as they are."""
    produce(write_episode(tmp_path), TinyWiring(settings))
    longer = SCRIPT.replace("It is always on.", "It is always on, and it has been since Tuesday.")
    edited = produce(write_episode(tmp_path, script=longer), TinyWiring(settings))

    assert edited.rendered == 1


def test_a_new_seed_renders_all_and_a_new_title_none(tmp_path: Path, settings: Settings) -> None:
    """What decides frames makes new clips; what does not makes a new programme of the old ones."""
    first = produce(write_episode(tmp_path), TinyWiring(settings))
    titled = produce(write_episode(tmp_path, title="Another"), TinyWiring(settings))
    seeded = produce(write_episode(tmp_path, render={"seed": 5}), TinyWiring(settings))

    assert (titled.rendered, seeded.rendered) == (0, 3)
    assert len({made.programmes[0].revision for made in (first, titled, seeded)}) == 3


def test_each_language_is_a_programme(tmp_path: Path, settings: Settings) -> None:
    """Translations in a table give one programme a language, with voices of that language."""
    (tmp_path / "talk.csv").write_text("speaker,text,text_it\nANNA,Good morning.,Buongiorno.\nBEN,Hello.,Ciao.\n")
    path = write_episode(tmp_path, source={"script": "talk.csv"}, languages=["it"])
    wiring = TinyWiring(settings)
    made = produce(path, wiring)

    assert [programme.language for programme in made.programmes] == ["en", "it"]
    assert [Path(programme.uri).parent.name for programme in made.programmes] == ["tiny", "tiny.it"]
    manifest = json.loads((Path(made.programmes[1].uri) / "manifest.json").read_text())
    assert {member["voice"].split("/")[0] for member in manifest["cast"]} == {"espeak:it"}


def test_a_joint_line_has_two_faces(tmp_path: Path, settings: Settings) -> None:
    """A line of both is one stretch with a shot of each."""
    wiring = TinyWiring(settings)
    made = produce(write_episode(tmp_path, script="ANNA: Ready?\nANNA & BEN: Ready!"), wiring)
    manifest = json.loads((Path(made.programmes[0].uri) / "manifest.json").read_text())
    last = manifest["shots"][-2:]

    assert {shot["speaker"] for shot in last} == {"anna", "ben"}
    assert len({(shot["start_frame"], shot["end_frame"]) for shot in last}) == 1
    assert not any(take.listening for take in wiring.flat.taken)


def test_listeners_of_a_split_picture_are_silent(tmp_path: Path, settings: Settings) -> None:
    """Who listens gets silence and looks to the side of who talks."""
    wiring = TinyWiring(settings)
    produce(write_episode(tmp_path, render={"layout": "split"}), wiring)
    listening = [take for take in wiring.flat.taken if take.listening]

    assert len(wiring.flat.taken) == 6
    assert len(listening) == 3
    assert all(abs(take.speech).max() == 0 and take.gaze != 0 for take in listening)


def test_two_workers_make_an_equal_programme(tmp_path: Path) -> None:
    """How many clips are made at once changes nothing in them."""
    path = write_episode(tmp_path)
    whole = []
    for name in ("a", "b"):
        wiring = TinyWiring(Settings(store=f"file:{tmp_path / name}"))
        made = produce(path, wiring)
        whole.append(substance(wiring.store, made.programmes[0]))

    assert whole[0] == whole[1]


def test_a_failing_engine_is_tried_again(tmp_path: Path, settings: Settings) -> None:
    """An engine that fails twice costs two tries, not the run; an input error is not tried again."""
    wiring = TinyWiring(settings)
    frames, failures = wiring.flat.frames, iter([True, True, False, False, False])

    def flaky(take, *, watch, chunks):  # type: ignore[no-untyped-def]
        if next(failures):
            raise EngineError("the device went away.")
        return frames(take, watch=watch, chunks=chunks)

    wiring.flat.frames = flaky  # type: ignore[method-assign]
    made = produce(write_episode(tmp_path), wiring)

    assert sum(tally.retries for tally in made.record.tallies) == 2
    with pytest.raises(CastError, match="'CARL' speaks"):
        produce(write_episode(tmp_path, script="CARL: Hello.\nBEN: Hello."), wiring)


def test_a_stop_leaves_nothing_half_written(tmp_path: Path, settings: Settings) -> None:
    """Stopped in the second clip: no programme, no half clip; the next run makes only what is missing."""
    wiring = TinyWiring(settings)
    path = write_episode(tmp_path)
    frames = wiring.flat.frames

    def stopped(take, *, watch, chunks):  # type: ignore[no-untyped-def]
        if len(wiring.flat.taken) == 1:
            raise Stopped
        yield from frames(take, watch=watch, chunks=chunks)

    wiring.flat.frames = stopped  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        produce(path, wiring)

    assert not (tmp_path / "store" / "programmes").exists()
    assert not list((tmp_path / "store").rglob("*.part"))
    assert produce(path, TinyWiring(settings)).rendered == 2


def test_a_lost_asset_is_made_again(tmp_path: Path, settings: Settings) -> None:
    """Somebody deletes the assets: memory of them is no memory, and the programme is made anew."""
    path = write_episode(tmp_path)
    produce(path, TinyWiring(settings))
    shutil.rmtree(tmp_path / "store" / "assets")
    shutil.rmtree(tmp_path / "store" / "programmes")
    again = produce(path, TinyWiring(settings))

    assert again.rendered == 3
    assert verify(load(f"file:{again.programmes[0].uri}", {}), scratch=tmp_path).faults == ()


class Poisoned(FlatRenderer):
    """Fails at one take every time."""

    def __init__(self, poison: int) -> None:
        super().__init__([])
        self.poison: int | None = poison
        """The place of the take that fails, in the order of first tries."""
        self.seeds: list[int] = []
        self.num_failed = 0

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        """Those of the others."""
        if take.seed not in self.seeds:
            self.seeds.append(take.seed)
        if self.seeds.index(take.seed) == self.poison:
            self.num_failed += 1
            raise RenderError("the renderer cannot make this take.")
        yield from super().frames(take, watch=watch, chunks=chunks)


def poisoned(settings: Settings, place: int) -> TinyWiring:
    """A composition root whose renderer fails at one take."""
    wiring = TinyWiring(settings)
    wiring.flat = wiring.__dict__["renderer"] = Poisoned(place)
    return wiring


def test_a_poison_shot_fails_the_programme_unless_the_episode_says_otherwise(
    tmp_path: Path, settings: Settings
) -> None:
    """Three tries, then the run fails with the shot's sentence; nothing is published."""
    wiring = poisoned(settings, 1)
    with pytest.raises(EngineError, match="the renderer cannot make this take"):
        produce(write_episode(tmp_path), wiring)

    assert (wiring.flat.num_failed, list(wiring.store.list("programmes/"))) == (3, [])


def test_a_poison_shot_becomes_a_marked_still_where_the_episode_says_so(tmp_path: Path, settings: Settings) -> None:
    """The portrait stands in its place and says so; a later run renders the shot, and makes another revision."""
    path = write_episode(tmp_path, render={"on_failure": "still"})
    made = produce(path, poisoned(settings, 1))
    folder = Path(made.programmes[0].uri)
    shots = json.loads((folder / "manifest.json").read_text())["shots"]
    document = made.record.as_document()
    sound = produce(path, TinyWiring(settings))

    assert [shot["renderer"] for shot in shots] == ["flat", "still", "flat"]
    assert "not rendered" in shots[1]["checks"]["still"]
    assert [still["shot"] for still in document["stills"]] == [shots[1]["id"]]
    assert (document["rendered"], document["reused"]) == (2, 0)
    assert (sound.rendered, sound.record.as_document()["reused"]) == (1, 2)
    assert sound.programmes[0].revision != made.programmes[0].revision
    assert verify(load(f"file:{folder}", {}), scratch=tmp_path).faults == ()


def test_a_programme_of_stills_alone_is_none(tmp_path: Path, settings: Settings) -> None:
    """Where nothing can be rendered at all, the run fails whatever the episode says."""
    path = write_episode(tmp_path, script="ANNA: Hello.\n", render={"on_failure": "still"})
    with pytest.raises(EngineError, match="the renderer cannot make this take"):
        produce(path, poisoned(settings, 0))
