"""One shot becomes one clip: the order is exact, a renderer is held to its contract, and half a clip is never seen."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from s2v_model.contract import (
    DeviceOutOfMemory,
    PortraitRefused,
    RendererMissing,
    RenderError,
    Stopped,
    Traits,
)
from tasks.domain.editing import Framing, Shot, ShotPhone
from tasks.domain.errors import EngineError, EngineMissing, MediaError, OutOfMemory, PortraitError, StoreError
from tasks.media.pictures import write_png
from tasks.media.video import video_facts
from tasks.render import render
from tests.staging import Bench, loud

SIZE = (64, 36)


class Renders:
    """Yields what a function of the take says; keeps its takes."""

    def __init__(self, frames) -> None:
        self.given, self.takes = frames, []

    def traits(self) -> Traits:
        """Of any rate and size."""
        return Traits(name="fake", revision=1, weights="")

    def frames(self, take, *, watch, chunks):
        """What it was told."""
        self.takes.append(take)
        yield from self.given(take)


def flat(take, number=None, shape=None, kind=np.uint8, level=90):
    for _ in range(take.num_frames if number is None else number):
        yield np.full(shape or (take.height, take.width, 3), level).astype(kind)


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def a_shot(bench: Bench, **fields) -> Shot:
    """Ten frames of somebody who talks."""
    shot = Shot(
        id="s0003",
        speaker="anna",
        utterances=("u1",),
        start_frame=100,
        end_frame=110,
        framing=Framing(crop=(0.0, 70.0, 320.0, 180.0), width=64, height=36, face_box=(20.0, 5.0, 20.0, 25.0)),
        portrait=bench.portrait(),
        speech=bench.sound(loud(0.4, (0.1, 0.3))),
        speech_digest="",
        phones=(ShotPhone(symbol="a", start_ms=100, end_ms=250),),
        stresses_ms=(120,),
        prompt="in a studio",
        negative_prompt="blur",
        seed=9,
        gaze=0.25,
        num_frames=10,
        renderer="fake",
        fingerprint="a1" * 32,
    )
    return replace(shot, **fields)


def rendered(bench: Bench, shot: Shot, frames=flat, watch=None):
    renderer = Renders(frames)
    bench.engines |= {"renderer": renderer, "renderers": lambda name: renderer}
    if watch is not None:
        bench.engines["watch"] = watch
    return bench.run(render, shot), renderer


def visible(bench: Bench) -> list[str]:
    """What a store holds under clips/ and assets/ of a video."""
    return [key for key in bench.store.objects if key.startswith("clips/") or key.endswith(".mp4")]


def test_a_clip_has_exactly_the_frames_of_its_shot(bench):
    """Kept, named by the fingerprint, and readable at its own rate and size."""
    clip, _ = rendered(bench, a_shot(bench, rate=Fraction(16)))
    facts = video_facts(bench.workspace.path(clip.video))

    assert (clip.fingerprint, clip.num_frames, clip.rate, clip.width, clip.height) == ("a1" * 32, 10, 16, *SIZE)
    assert (facts.num_frames, facts.rate, facts.width, facts.height) == (10, 16, *SIZE)
    assert bench.workspace.clip("a1" * 32) == clip


def test_the_order_is_what_the_shot_says(bench):
    """Arrays and numbers: the crop at the clip's size, the sound, the sounds' times in seconds, the words."""
    _, renderer = rendered(bench, a_shot(bench))
    (take,) = renderer.takes

    assert (take.portrait.shape, take.face_box) == ((36, 64, 3), (20.0, 5.0, 20.0, 25.0))
    assert (take.num_frames, take.rate, take.width, take.height, take.seed) == (10, 25, *SIZE, 9)
    assert take.speech == pytest.approx(loud(0.4, (0.1, 0.3)), abs=1e-4)
    assert [(p.symbol, p.start_seconds, p.end_seconds) for p in take.phones] == [("a", 0.1, 0.25)]
    assert (take.stresses, take.gaze, take.listening) == ((0.12,), 0.25, False)
    assert (take.prompt, take.negative_prompt) == ("in a studio", "blur")


def test_a_listener_hears_silence_as_long_as_its_frames(bench):
    """No file of sound is kept for it, and none is needed."""
    _, renderer = rendered(bench, a_shot(bench, speech=None, is_listening=True, phones=None, rate=Fraction(16)))
    (take,) = renderer.takes

    assert (take.listening, take.phones, len(take.speech)) == (True, None, 10_000)
    assert not take.speech.any()


@pytest.mark.parametrize(
    ("crop", "corner"),
    [
        ((0.0, 0.0, 64.0, 36.0), (0, 0)),
        ((100.0, 60.0, 64.0, 36.0), (100, 60)),
        ((100.5, 60.0, 64.0, 36.0), (100.5, 60)),
    ],
    ids=["whole pixels", "elsewhere", "half a pixel"],
)
def test_the_crop_is_exact(bench, crop, corner):
    """At its own size a crop is the portrait's pixels; a fraction of a pixel is resampled, not rounded."""
    ramp = np.broadcast_to(np.arange(320, dtype=np.uint8)[None, :, None] // 2, (320, 320, 3))
    portrait = bench.portrait()
    path = bench.workspace.new(".png")
    path.write_bytes(write_png(np.ascontiguousarray(ramp)))
    shot = a_shot(bench, portrait=replace(portrait, picture=bench.workspace.keep(path)))
    _, renderer = rendered(bench, replace(shot, framing=replace(shot.framing, crop=crop)))
    columns = renderer.takes[0].portrait[18, :, 0].astype(float)

    assert columns[8:56] == pytest.approx((corner[0] + np.arange(8, 56)) / 2 - 0.25, abs=0.8)
    assert columns.mean() == pytest.approx((corner[0] + 31.5) / 2 - 0.25, abs=0.15)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (lambda take: flat(take, shape=(36, 62, 3)), r"a frame of \(36, 62, 3\) uint8 where it owed 36x64"),
        (lambda take: flat(take, shape=(36, 64)), r"a frame of \(36, 64\) uint8"),
        (lambda take: flat(take, shape=(36, 64, 4)), r"a frame of \(36, 64, 4\) uint8"),
        (lambda take: flat(take, kind=np.float32), r"a frame of \(36, 64, 3\) float32"),
        (lambda take: flat(take, kind=np.float32, level=np.nan), r"a frame of \(36, 64, 3\) float32"),
        (lambda take: flat(take, number=9), "made 9 frames where it owed 10"),
        (lambda take: flat(take, number=11), "made 11 frames where it owed 10"),
        (lambda take: iter(()), "made 0 frames where it owed 10|no frame"),
    ],
    ids=["narrow", "grey", "alpha", "floats", "not a number", "too few", "too many", "none"],
)
def test_a_renderer_is_held_to_its_contract(bench, frames, message):
    """Another shape, type or number is an engine's error that names the shot; no clip is named, and no video kept."""
    shot = a_shot(bench)
    with pytest.raises((EngineError, MediaError), match=message):
        rendered(bench, shot, frames)

    assert visible(bench) == []
    assert bench.workspace.clip(shot.fingerprint) is None
    assert rendered(bench, shot)[0].num_frames == 10


def test_what_a_broken_promise_says_names_the_shot(bench):
    """Which shot and whose, for who looks into a run of hundreds."""
    with pytest.raises(EngineError, match=r"^shot s0003 \(anna\): the renderer made 9 frames"):
        rendered(bench, a_shot(bench), lambda take: flat(take, number=9))


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (PortraitRefused("it shows no mouth."), PortraitError, r"speaker anna: it shows no mouth\."),
        (DeviceOutOfMemory("1280x720 needs 31 GB."), OutOfMemory, r"^1280x720 needs 31 GB\.$"),
        (RendererMissing("install troupe[wan]."), EngineMissing, r"^install troupe\[wan\]\.$"),
        (RenderError("the device went away."), EngineError, r"^shot s0003 \(anna\): the device went away\.$"),
        (Stopped(), Stopped, "^$"),
        (ValueError("no x"), EngineError, r"^shot s0003 \(anna\): the renderer has a defect: ValueError: no x$"),
        (StoreError("away."), StoreError, r"^away\.$"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("after", [0, 5])
def test_what_a_renderer_raises_is_mapped(bench, raised, expected, message, after):
    """Into the tree of errors, before the first frame or in the middle; nothing of it is seen, the next is whole."""

    def broken(take):
        yield from flat(take, number=after)
        raise raised

    shot = a_shot(bench)
    with pytest.raises(expected, match=message) as caught:
        rendered(bench, shot, broken)

    assert type(caught.value) is expected
    assert visible(bench) == []
    assert not [path for path in bench.workspace.new(".x").parent.iterdir() if path.suffix in (".mp4", ".part")]
    rendered(bench, shot)
    assert len(visible(bench)) == 2


def test_a_frame_may_be_reused_by_its_maker(bench):
    """The contract lets a renderer yield one array again and again: each state of it is its own frame."""

    def reusing(take):
        frame = np.zeros((take.height, take.width, 3), np.uint8)
        for index in range(take.num_frames):
            frame[:] = 20 * index
            yield frame

    clip, _ = rendered(bench, a_shot(bench), reusing)
    with av.open(str(bench.workspace.path(clip.video))) as file:
        levels = [float(frame.to_ndarray(format="rgb24").mean()) for frame in file.decode(video=0)]

    assert levels == pytest.approx([20 * index for index in range(10)], abs=3)


def test_who_comes_second_takes_the_first_ones_clip(bench):
    """Two workers render one shot: one clip is named, and both get that one."""
    shot = a_shot(bench)
    first, _ = rendered(bench, shot)
    second, _ = rendered(bench, shot, lambda take: flat(take, level=200))

    assert second == first
    assert len([key for key in bench.store.objects if key.startswith("clips/")]) == 1
