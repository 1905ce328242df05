"""What every renderer owes (s2v_model/contract.py), on each of them.

A renderer joins by a line in RENDERERS: its name, and a function that makes it small.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from s2v_model.contract import Phone, PortraitRefused, Renderer, Stopped, Take
from tests.faces import drawn_face, drawn_portrait, drawn_puppet
from tests.synthetic import speech_like

RENDERERS: dict[str, Callable[[], Renderer]] = {"puppet": drawn_puppet}


class NoChunks:
    """Nothing was finished before, nothing is kept."""

    def load(self) -> list[dict[str, np.ndarray]]:
        """Nothing."""
        return []

    def save(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Forget it."""


class Watcher:
    """Remembers what was reported; stops after `limit` reports."""

    def __init__(self, limit: int | None = None) -> None:
        self.reports: list[tuple[float, float]] = []
        self.limit = limit

    def __call__(self, done: float, total: float) -> None:
        """Note it; stop when it is time."""
        self.reports.append((done, total))
        if self.limit is not None and len(self.reports) > self.limit:
            raise Stopped


@pytest.fixture(params=RENDERERS)
def renderer(request: pytest.FixtureRequest) -> Renderer:
    return RENDERERS[request.param]()


@pytest.fixture
def take() -> Take:
    """Nine frames of speech by a drawn face."""
    phones = (
        Phone(start_seconds=0.05, end_seconds=0.15, symbol="m"),
        Phone(start_seconds=0.15, end_seconds=0.3, symbol="aː"),
    )
    return Take(
        portrait=drawn_portrait(160),
        face_box=drawn_face(160).box,
        speech=speech_like(0.36, seed=1),
        rate=Fraction(25),
        num_frames=9,
        width=128,
        height=128,
        seed=3,
        phones=phones,
    )


def rendered(renderer: Renderer, take: Take, watch: Watcher | None = None) -> list[np.ndarray]:
    frames: Iterator[np.ndarray] = renderer.frames(take, watch=watch or Watcher(), chunks=NoChunks())
    return [frame.copy() for frame in frames]


class TestEveryRenderer:
    def test_gives_exactly_the_frames_asked_for(self, renderer: Renderer, take: Take) -> None:
        """A take of n frames at a size gives n frames of that size in uint8 RGB."""
        frames = rendered(renderer, take)

        assert len(frames) == 9
        assert {frame.shape for frame in frames} == {(128, 128, 3)}
        assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}

    def test_equal_takes_give_equal_frames(self, renderer: Renderer, take: Take) -> None:
        """The same take rendered again, by another instance too, is the same to the bit."""
        first = rendered(renderer, take)
        other = RENDERERS[next(name for name, make in RENDERERS.items() if type(make()) is type(renderer))]()

        assert all(np.array_equal(a, b) for a, b in zip(first, rendered(renderer, take), strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(first, rendered(other, take), strict=True))

    def test_one_frame_is_a_take(self, renderer: Renderer, take: Take) -> None:
        """The shortest take, one frame, is rendered."""
        assert len(rendered(renderer, replace(take, num_frames=1, speech=take.speech[:640]))) == 1

    def test_speech_may_be_a_little_short_or_long(self, renderer: Renderer, take: Take) -> None:
        """Speech that ends up to a frame before or after the frames changes no count."""
        for length in (len(take.speech) - 600, len(take.speech) + 600):
            speech = np.resize(take.speech, length)
            assert len(rendered(renderer, replace(take, speech=speech))) == 9

    def test_reports_progress_to_the_end(self, renderer: Renderer, take: Take) -> None:
        """`watch` hears a growing count that ends at its total."""
        watch = Watcher()
        rendered(renderer, take, watch)
        done = [report[0] for report in watch.reports]

        assert done == sorted(done)
        assert watch.reports[-1][0] == watch.reports[-1][1]

    def test_stops_when_told(self, renderer: Renderer, take: Take) -> None:
        """Stopped out of `watch` ends the frames and comes through."""
        with pytest.raises(Stopped):
            rendered(renderer, take, Watcher(limit=3))

    def test_traits_stay_the_same(self, renderer: Renderer) -> None:
        """Traits are equal at every call and name a renderer with a cost."""
        traits = renderer.traits()

        assert traits == renderer.traits()
        assert traits.name
        assert traits.revision >= 1
        assert traits.cost.seconds_per_frame_megapixel > 0

    def test_refuses_a_portrait_without_a_face(self, renderer: Renderer, take: Take) -> None:
        """A box with no face in it is refused in words, before the first frame."""
        with pytest.raises(PortraitRefused, match="face"):
            rendered(renderer, replace(take, face_box=(0.0, 0.0, 20.0, 20.0)))
