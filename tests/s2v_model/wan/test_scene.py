"""Scenes without a speaker, on diffusers' pipelines with tiny random models."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch; make test-wan")

from s2v_model import load  # noqa: E402
from s2v_model.contract import RendererMissing, RenderError, Stopped, Take  # noqa: E402
from s2v_model.wan.scene import whole_frames  # noqa: E402
from s2v_model.wan.scene_traits import FAMILIES  # noqa: E402
from tests.scene_checkpoint import write_pipeline  # noqa: E402

pytestmark = pytest.mark.wan


class Kept:
    """Chunks in memory."""

    def __init__(self) -> None:
        self.saved: list = []

    def load(self) -> list:
        """All so far."""
        return self.saved

    def save(self, index: int, arrays) -> None:
        """Keep one."""
        self.saved.append(dict(arrays))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three checkpoints."""
    return {kind: write_pipeline(tmp_path_factory.mktemp(kind), kind) for kind in FAMILIES}


@pytest.fixture
def options(folders, tmp_path) -> dict:
    """Both A14B checkpoints on the CPU."""
    return {
        "checkpoint": str(folders["t2v"]), "image_checkpoint": str(folders["i2v"]), "device": "cpu",
        "precision": "float32", "steps": 8, "cache": str(tmp_path),
    }  # fmt: skip


def scene(**changes) -> Take:
    """Six frames of nothing in particular."""
    blank = np.zeros((32, 32, 3), np.uint8)
    settings = {
        "portrait": blank, "face_box": (0.0, 0.0, 1.0, 1.0), "speech": np.zeros(0, np.float32), "rate": Fraction(16),
        "num_frames": 6, "width": 32, "height": 32, "seed": 5, "prompt": "a person",
    }  # fmt: skip
    return Take(**{**settings, **changes})


def frames(renderer, order: Take, kept: Kept | None = None, watch=lambda done, total: None) -> np.ndarray:
    """Rendered, as one array."""
    return np.stack(list(renderer.frames(order, watch=watch, chunks=kept or Kept())))


def follow(pipeline) -> dict[str, list[float]]:
    """The timesteps at which each expert works, from now on."""
    seen: dict[str, list[float]] = {"high": [], "low": []}
    for name, expert in (("high", pipeline.transformer), ("low", pipeline.transformer_2)):
        expert.register_forward_pre_hook(
            lambda module, args, given, name=name: seen[name].append(float(given["timestep"].flatten()[0])),
            with_kwargs=True,
        )
    return seen


@pytest.mark.parametrize(("kind", "picture"), [("t2v", False), ("i2v", True)])
def test_the_experts_switch_at_the_published_boundary(kind, picture, options):
    """At and above 875 (words) and 900 (picture) of 1000 the high-noise expert works, below it the other one."""
    renderer = load("wan-scene", options)
    seen = follow(renderer._pipeline("picture" if picture else "words"))
    given = {"scene": np.full((40, 40, 3), 90, np.uint8)} if picture else {}
    made = frames(renderer, scene(**given))
    assert made.shape == (6, 32, 32, 3)
    boundary = {"t2v": 875, "i2v": 900}[kind]
    assert min(seen["high"]) >= boundary > max(seen["low"])
    assert len(seen["high"]) + len(seen["low"]) == 2 * 8, "both branches of every step"


def test_a_picture_chooses_the_model_for_pictures(options):
    """With a picture the scene starts from it; without one it comes from the words alone."""
    renderer = load("wan-scene", options)
    bright, dark = (frames(renderer, scene(scene=np.full((32, 32, 3), value, np.uint8))) for value in (250, 5))
    assert not np.array_equal(bright, dark)
    assert "_words_pipeline" not in vars(renderer)


def test_equal_takes_are_equal_and_a_finished_scene_is_kept(options):
    """The same take gives the same bytes; a scene that was kept is not made again."""
    kept = Kept()
    first = frames(load("wan-scene", options), scene(), kept)
    assert np.array_equal(first, frames(load("wan-scene", options), scene()))
    again = load("wan-scene", options)
    assert np.array_equal(first, frames(again, scene(), kept))
    assert "_words_pipeline" not in vars(again)


def test_one_model_does_both_for_ti2v(folders, options):
    """TI2V-5B has one expert, 24 frames per second, and needs no second checkpoint."""
    chosen = {**options, "checkpoint": str(folders["ti2v"]), "image_checkpoint": ""}
    traits = load("wan-scene", chosen).traits()
    assert (traits.rate, traits.max_frames, traits.multiple_px) == (Fraction(24), 121, 32)


def test_progress_is_told_and_a_stop_is_heard(options):
    """Every step is told, and a stop ends the scene."""

    def stop(done: float, total: float) -> None:
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        frames(load("wan-scene", options), scene(), watch=stop)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": Fraction(25)}, "16 frames per second"),
        ({"width": 40}, "multiples of 16"),
        ({"num_frames": 82}, "at most 81 frames"),
    ],
)
def test_a_scene_that_cannot_be_made_is_refused(change, message, options):
    """Wrong rate, size or length: one sentence, before any model is loaded."""
    with pytest.raises(RenderError, match=message):
        frames(load("wan-scene", options), scene(**change))


def test_a_picture_without_weights_for_it_is_refused(options):
    """A scene from a picture is never made by the model for words."""
    with pytest.raises(RenderError, match="set image_checkpoint"):
        frames(load("wan-scene", {**options, "image_checkpoint": ""}), scene(scene=np.zeros((32, 32, 3), np.uint8)))


def test_another_checkpoint_is_refused(folders, options, tmp_path):
    """A folder that is none of the family, an unknown option, and another boundary are each refused."""
    with pytest.raises(RendererMissing, match="no model_index"):
        load("wan-scene", {**options, "checkpoint": str(tmp_path)})
    with pytest.raises(RendererMissing, match="no option 'shift'"):
        load("wan-scene", {**options, "shift": 3.0})
    with pytest.raises(RendererMissing, match=r"switches its experts at 0\.9"):
        load("wan-scene", {**options, "checkpoint": str(folders["i2v"])})


@pytest.mark.parametrize(("asked", "made"), [(1, 1), (2, 5), (5, 5), (6, 9), (81, 81)])
def test_whole_frames(asked, made):
    """The VAE makes 4 n + 1 frames; the surplus is cut off."""
    assert whole_frames(asked) == made
