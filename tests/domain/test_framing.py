"""How a portrait is framed."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.assets import Asset
from tasks.domain.casting import Portrait
from tasks.domain.framing import LARGEST_ENLARGEMENT, frame_portrait

WIDE, TALL = (1280, 720), (720, 1280)


def portrait(width: int, height: int, face: tuple[float, float, float, float]) -> Portrait:
    """A picture with a face somewhere."""
    picture = Asset(sha256="0" * 64, size=1, extension=".png")
    return Portrait(picture=picture, width=width, height=height, face_box=face, brow_to_chin_px=face[3])


@settings(max_examples=80, deadline=None)
@given(
    st.integers(64, 4096),
    st.integers(64, 4096),
    st.floats(0.05, 0.6),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([[WIDE], [TALL], [WIDE, TALL], [(640, 360), (1080, 1920)]]),
    st.sampled_from([2, 16, 64]),
)
def test_any_face_in_any_picture_is_framed(
    width: int, height: int, size: float, across: float, down: float, sizes: list[tuple[int, int]], multiple: int
) -> None:
    """The crop lies in the picture and holds the face, sides are multiples, the aspect is the clip's to a pixel."""
    face_size = size * min(width, height)
    box = (across * (width - face_size), down * (height - face_size), face_size, face_size)
    framing = frame_portrait(portrait(width, height, box), sizes, multiple_px=multiple, max_pixels=1920 * 1080)
    left, top, crop_width, crop_height = framing.crop

    assert left >= -0.02
    assert top >= -0.02
    assert left + crop_width <= width + 0.02
    assert top + crop_height <= height + 0.02
    assert framing.width % multiple == 0 == framing.height % multiple
    assert framing.width * framing.height <= 1920 * 1080 * 1.15
    assert abs(crop_width * framing.height / crop_height - framing.width) <= 1


def test_a_large_picture_fills_a_wide_output() -> None:
    """Where the picture has room, a clip for one wide output is that output's size or larger, never blurred up."""
    framing = frame_portrait(portrait(3000, 2000, (1300, 700, 400, 400)), [WIDE], multiple_px=2, max_pixels=2_100_000)

    assert Fraction(framing.width, framing.height) == pytest.approx(Fraction(16, 9), abs=0.01)
    assert 700 <= framing.height <= 1080


def test_one_clip_serves_both_aspects() -> None:
    """For a wide and a tall output the clip holds what each would like to see."""
    face = (700.0, 450.0, 300.0, 300.0)
    both = frame_portrait(portrait(1600, 1200, face), [WIDE, TALL], multiple_px=2, max_pixels=2_100_000)
    wide = frame_portrait(portrait(1600, 1200, face), [WIDE], multiple_px=2, max_pixels=2_100_000)

    assert both.crop[3] >= wide.crop[3]
    assert both.crop[2] >= wide.crop[2] - 1


def test_a_small_picture_is_enlarged_only_so_far() -> None:
    """A clip holds at most LARGEST_ENLARGEMENT times the portrait's own pixels."""
    framing = frame_portrait(portrait(200, 200, (60, 50, 80, 80)), [WIDE], multiple_px=2, max_pixels=2_100_000)

    assert framing.width <= framing.crop[2] * LARGEST_ENLARGEMENT + 2
