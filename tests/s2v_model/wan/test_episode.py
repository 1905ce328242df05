"""`quality: final` end to end: a one-minute episode on a tiny checkpoint, with the whole pipeline around it."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch; make test-wan")
pytest.importorskip("espeakng_loader", reason="needs the pipeline's packages; make test-wan")

from flows.settings import Engines, Settings  # noqa: E402
from s2v_model import load, traits  # noqa: E402
from tests.productions import TinyWiring, produce, substance, write_episode  # noqa: E402
from tests.synthetic import portrait_like, write_picture  # noqa: E402
from tests.wan_checkpoint import write_official  # noqa: E402

pytestmark = pytest.mark.wan
SENTENCE = (
    "The kettle is on, the cups are ready, and nobody has to hurry this morning, so sit down and tell me everything."
)
SCRIPT = "\n".join(f"{name}: {SENTENCE}" for name in ("ANNA", "BEN") * 5)
"""Ten lines of six seconds, of which only the first two are rendered: the same words of the same face are one clip."""
MIN_SECONDS = 55


class WanWiring(TinyWiring):
    """The tiny composition root with the final renderer in it."""

    def __init__(self, settings: Settings, checkpoint: Path) -> None:
        super().__init__(settings, quality="final")
        self.__dict__["renderer"] = load("wan-s2v", wan_options(settings, checkpoint))
        del self.__dict__["scene_renderer"]


def wan_options(settings: Settings, checkpoint: Path) -> dict[str, str | int | float]:
    """Tiny, quick, on the CPU."""
    return {
        "checkpoint": str(checkpoint), "cache": settings.cache, "device": "cpu", "precision": "float32",
        "steps": 1, "guidance": 1.0, "infer_frames": 128,
    }  # fmt: skip


@pytest.mark.timeout(600)
def test_a_minute_of_final_quality_and_nothing_is_rendered_twice(tmp_path, monkeypatch):
    """A one-minute episode names renderer and weights in its manifest; a second run renders nothing and is equal."""
    checkpoint = write_official(tmp_path / "checkpoint")
    settings = Settings(store=f"file:{tmp_path / 'store'}", cache=str(tmp_path / "cache"))
    wiring = WanWiring(settings, checkpoint)
    outputs = [{"aspect": "1:1", "height": 180, "captions": ["vtt"]}]
    path = write_episode(tmp_path, script=SCRIPT, render={"quality": "final", "seed": 7}, outputs=outputs)
    first = produce(path, wiring).programmes[0]
    manifest = json.loads(wiring.store.read(f"{first.folder}/manifest.json"))
    assert manifest["outputs"][0]["duration_frames"] >= MIN_SECONDS * 25
    assert {shot["renderer"] for shot in manifest["shots"]} == {"wan-s2v"}
    weights = {engine["name"]: engine["weights"] for engine in manifest["engines"] if engine["role"] == "renderer"}
    assert weights == {"wan-s2v": wiring.renderer.traits().weights}
    assert wiring.renderer.traits() == traits("wan-s2v", wan_options(settings, checkpoint)), "as a planner has them"
    again = WanWiring(settings, checkpoint)
    monkeypatch.setattr(
        type(again.renderer), "frames", lambda *given, **named: pytest.fail("a clip was rendered again")
    )
    second = produce(path, again).programmes[0]
    assert substance(again.store, second) == substance(wiring.store, first)
    assert "transformer" not in vars(again.renderer.models)


SCENES = """ANNA: Look.
[scene 1 s: boats talk]
BEN: Yes.
[scene 1 s quay.png: a person talks calmly]
ANNA: Goodbye."""


@pytest.mark.timeout(600)
def test_scenes_of_an_episode_are_generated(tmp_path):
    """Words ask the model for words, a picture the one for pictures; the manifest names the weights of both."""
    from tests.scene_checkpoint import write_pipeline

    words, picture = (write_pipeline(tmp_path / kind, kind) for kind in ("t2v", "i2v"))
    scenes = {
        "checkpoint": str(words), "image_checkpoint": str(picture), "device": "cpu", "precision": "float32",
        "steps": 2, "max_pixels": 64 * 64,
    }  # fmt: skip
    engines = Engines(scene="wan-scene", wan_scene=scenes)
    settings = Settings(store=f"file:{tmp_path / 'store'}", cache=str(tmp_path / "cache"), engines=engines)
    checkpoint = write_official(tmp_path / "checkpoint")
    write_picture(tmp_path / "quay.png", portrait_like(3, 128))
    outputs = [{"aspect": "1:1", "height": 180, "captions": ["vtt"]}]
    path = write_episode(tmp_path, script=SCENES, render={"quality": "final", "seed": 7}, outputs=outputs)
    wiring = WanWiring(settings, checkpoint)
    manifest = json.loads(wiring.store.read(f"{produce(path, wiring).programmes[0].folder}/manifest.json"))
    assert [(shot["speaker"], shot["renderer"]) for shot in manifest["shots"]] == [
        ("anna", "wan-s2v"), (None, "wan-scene"), ("ben", "wan-s2v"), (None, "wan-scene"), ("anna", "wan-s2v"),
    ]  # fmt: skip
    weights = {engine["name"]: engine["weights"] for engine in manifest["engines"] if engine["role"] == "renderer"}
    assert weights["wan-scene"] == traits("wan-scene", {**scenes, "cache": settings.cache}).weights
    assert {"_words_pipeline", "_picture_pipeline"} <= vars(wiring.scene_renderer).keys()
