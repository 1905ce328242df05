"""Painting 4:2:0: what was painted is there, and nothing beside it."""

import numpy as np
import pytest

from tasks.media.canvas import Canvas, Picture, Window
from tasks.media.layout import Placement, Rect

FULL = Rect(x=0, y=0, width=64, height=64)


def flat(luma: int, cb: int, cr: int, width: int = 32, height: int = 32) -> Picture:
    half = (height // 2, width // 2)
    return Picture(np.full((height, width), luma, np.uint8), np.full(half, cb, np.uint8), np.full(half, cr, np.uint8))


def test_a_clip_that_fills_its_panel_is_all_that_is_seen():
    """Scaling a flat picture gives the same flat picture: no level moves."""
    canvas = Canvas(64, 64)
    window = Window(canvas, Placement(panel=FULL, target=FULL, crop=Rect(x=0, y=0, width=32, height=32)))

    window.open(flat(200, 90, 160))
    window.show(flat(200, 90, 160))

    assert [set(np.unique(plane)) for plane in canvas.planes] == [{200}, {90}, {160}]


def test_data_is_planar_420():
    """An encoder reads Y, then Cb, then Cr."""
    canvas = Canvas(64, 32)
    for plane, level in zip(canvas.planes, (1, 2, 3), strict=True):
        plane.fill(level)

    assert bytes(canvas.data) == b"\1" * 2048 + b"\2" * 512 + b"\3" * 512


def test_nothing_is_painted_outside_a_panel():
    """A clip and its ground stay in their own panel."""
    canvas = Canvas(64, 64)
    before = [plane.copy() for plane in canvas.planes]
    panel = Rect(x=32, y=0, width=32, height=64)
    target = Rect(x=32, y=16, width=32, height=32)
    window = Window(canvas, Placement(panel=panel, target=target, crop=Rect(x=0, y=0, width=32, height=32)))

    window.open(flat(200, 90, 160))
    window.show(flat(200, 90, 160))

    for plane, old, split in zip(canvas.planes, before, (32, 16, 16), strict=True):
        np.testing.assert_array_equal(plane[:, :split], old[:, :split])
    assert canvas.planes[0][32, 48] == 200


def test_a_ground_is_darker_than_its_clip_and_edges_are_soft():
    """Around a clip lies a dark ground, and luma falls towards it without a step."""
    canvas = Canvas(640, 360)
    panel, target = Rect(x=0, y=0, width=640, height=360), Rect(x=140, y=0, width=360, height=360)
    window = Window(canvas, Placement(panel=panel, target=target, crop=Rect(x=0, y=0, width=32, height=32)))

    window.open(flat(180, 128, 128))
    window.show(flat(180, 128, 128))

    row = canvas.planes[0][180].astype(int)
    assert row[60] < 100
    assert row[320] == 180
    assert np.abs(np.diff(row)).max() < 60


def test_painting_again_does_not_darken_edges():
    """Soft edges are mixed with the ground, never with what was painted before."""
    canvas = Canvas(640, 360)
    panel, target = Rect(x=0, y=0, width=640, height=360), Rect(x=140, y=0, width=360, height=360)
    window = Window(canvas, Placement(panel=panel, target=target, crop=Rect(x=0, y=0, width=32, height=32)))
    window.open(flat(180, 100, 150))
    window.show(flat(180, 100, 150))
    first = bytes(canvas.data)

    for _ in range(5):
        window.show(flat(180, 100, 150))

    assert bytes(canvas.data) == first


@pytest.mark.parametrize("size", [(64, 36), (1280, 720)])
def test_a_card_is_dark_and_always_the_same(size):
    """Equal cards are equal pictures, grain included."""
    one, two = Canvas(*size), Canvas(*size)
    one.card()
    two.card()

    assert bytes(one.data) == bytes(two.data)
    assert one.planes[0].max() < 80
