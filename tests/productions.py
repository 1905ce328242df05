"""Small whole productions for tests: an episode of drawn faces, engines that cost nothing, and the run itself."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from flows.choices import choices_for
from flows.direct import Direct
from flows.episodes import open_episode
from flows.pipeline import production
from flows.progress import Silent
from flows.record import Record
from flows.settings import Settings
from flows.wiring import Wiring
from s2v_model.contract import Chunks, Cost, Take, Traits, UInt8Array, Watch
from s2v_model.puppet.judge import Verdict
from tasks.domain.editing import Programme
from tasks.engines.stores import Store
from tasks.formats.manifest import read_manifest
from tasks.media.pictures import write_png
from tests.faces import drawn_face, drawn_portrait

SCRIPT = """ANNA: Good morning, Ben. Is the kettle on?
BEN: It is always on.
ANNA: Then we can begin."""


@dataclass
class FlatRenderer:
    """Frames of one grey that follows the loudness: a renderer that costs nothing."""

    taken: list[Take]

    def traits(self) -> Traits:
        """Any rate, any size."""
        cost = Cost(device="cpu", fixed_seconds=0.1, seconds_per_frame_megapixel=0.01)
        return Traits(name="flat", revision=1, weights="", cost=cost, follows=("vocals", "pose_video"))

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        """As many as asked for."""
        self.taken.append(take)
        frame = cv2.resize(take.portrait, (take.width, take.height))
        step = max(1, len(take.speech) // take.num_frames)
        for index in range(take.num_frames):
            watch(index, take.num_frames)
            level = float(np.abs(take.speech[index * step : (index + 1) * step]).mean()) if len(take.speech) else 0.0
            yield cv2.convertScaleAbs(frame, alpha=1.0, beta=min(60.0, 300 * level))


class FlatScenes(FlatRenderer):
    """The same for scenes: four seconds and a half at most, 16 frames a second."""

    def traits(self) -> Traits:
        """As a scene model's."""
        cost = Cost(device="cpu", fixed_seconds=0.1, seconds_per_frame_megapixel=0.01)
        return Traits(
            name="flat-scene",
            revision=2,
            weights="ab" * 32,
            rate=Fraction(16),
            multiple_px=16,
            max_pixels=320 * 180,
            max_frames=72,
            follows=("scene",),
            cost=cost,
        )


class DrawnFaces:
    """Judges `drawn_portrait` by knowing where its face is."""

    def judge(self, rgb: UInt8Array, box: tuple[float, float, float, float] | None) -> Verdict:
        """Always usable."""
        return Verdict(face=drawn_face(len(rgb)))


class TinyWiring(Wiring):
    """A composition root without model files."""

    def __init__(self, settings: Settings, store: Store | None = None, quality: str = "draft") -> None:
        super().__init__(settings, quality=quality)
        self.flat, self.scenes = FlatRenderer([]), FlatScenes([])
        self.__dict__["renderer"], self.__dict__["scene_renderer"] = self.flat, self.scenes
        self.__dict__["faces"] = DrawnFaces()
        if store is not None:
            self.__dict__["store"] = store


def write_episode(folder: Path, *, script: str = SCRIPT, **fields: Any) -> Path:
    """An episode of two drawn people in `folder`; `fields` replace its own."""
    for number, name in enumerate(("anna", "ben")):
        picture = drawn_portrait(320)
        tinted = np.clip(picture.astype(int) + np.array([0, 6 * number, 0]), 0, 255).astype(np.uint8)
        (folder / f"{name}.png").write_bytes(write_png(tinted))
    document = {
        "schema": "episode/1",
        "id": "tiny",
        "title": "Tiny",
        "language": "en",
        "source": {"script": script},
        "cast": {"anna": {"portrait": "anna.png", "sex": "female"}, "ben": {"portrait": "ben.png", "sex": "male"}},
        "outputs": [{"aspect": "16:9", "height": 180, "captions": ["vtt", "burned"]}],
        **fields,
    }
    path = folder / "episode.yaml"
    path.write_text(json.dumps(document), "utf-8")
    return path


@dataclass(frozen=True)
class Made:
    """What a production gave."""

    programmes: tuple[Programme, ...]
    record: Record
    rendered: int
    """Clips that were really made."""


def produce(
    path: Path,
    wiring: TinyWiring,
    *,
    workers: int = 1,
    make_run: Callable[[Direct], Any] = lambda direct: direct,
) -> Made:
    """One production in this process. make_run: wraps the direct run, for the other way of running."""
    settings = wiring.settings.model_copy(update={"workers": workers})
    record = Record(run="test")
    episode = open_episode(str(path), settings)
    before = len(wiring.flat.taken)
    with Direct(settings, wiring, Silent(), record, sleep=lambda seconds: None) as direct:
        programmes = production(episode, choices_for(episode, wiring), make_run(direct))
    return Made(programmes, record, len(wiring.flat.taken) - before)


def substance(store: Store, programme: Programme) -> tuple[object, ...]:
    """What makes two programmes equal (DESIGN, section 4)."""
    key = f"{programme.folder}/manifest.json"
    return read_manifest(store.read(key) or b"", key).substance


if __name__ == "__main__":
    # python -m tests.productions EPISODE STORE: one production in a process that a test may kill.
    produce(Path(sys.argv[1]), TinyWiring(Settings(store=sys.argv[2])))
