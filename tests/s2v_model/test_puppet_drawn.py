"""Flat drawings have eyes of their own kind."""

import cv2
import numpy as np

from s2v_model.puppet import topology as mesh
from s2v_model.puppet.drawn import find_drawn_eyes, is_flat_drawing
from s2v_model.puppet.drawn_mouth import find_drawn_mouth
from s2v_model.puppet.shape import measure
from tests.faces import drawn_face, drawn_portrait

SIZE = 640
LIPS = sorted(mesh.UPPER_LIP | mesh.LOWER_LIP)


def test_the_eyes_of_a_drawing_are_found_by_their_white() -> None:
    """Both eyes of the drawn face are outlined where they were drawn, to a fiftieth of their distance."""
    portrait = drawn_portrait(SIZE)
    shape = measure(portrait, drawn_face(SIZE).points)
    eyes = find_drawn_eyes(portrait, shape)

    assert eyes is not None
    assert len(eyes) == 2
    for eye, x in zip(eyes, (130, 190), strict=True):
        outline = shape.to_frame(np.concatenate([eye.upper, eye.lower]))
        middle = (outline.min(0) + outline.max(0)) / 2
        np.testing.assert_allclose(middle, [x * SIZE / 320, 148 * SIZE / 320], atol=0.03 * shape.unit)
        assert np.allclose(eye.lid.skin, (224, 178, 150), atol=6)


def test_a_photograph_is_no_flat_drawing() -> None:
    """With the grain of a photograph the same face is not taken for a drawing."""
    grain = np.random.default_rng(3).normal(0, 5, (SIZE, SIZE, 3))
    photo = np.clip(drawn_portrait(SIZE) + cv2.GaussianBlur(grain, (0, 0), 0.8) * 3, 0, 255).astype(np.uint8)
    shape = measure(photo, drawn_face(SIZE).points)

    assert not is_flat_drawing(photo, shape.points)
    assert find_drawn_eyes(photo, shape) is None


def test_a_large_smooth_photograph_is_no_flat_drawing() -> None:
    """Shaded softly and enlarged, so that neighbouring pixels hardly differ, a face is still no drawing."""
    points, side = drawn_face(SIZE).points * [3, 3, 3], 3 * SIZE
    down, across = np.mgrid[:side, :side]
    waves = 190 + 50 * np.sin(across / 55) * np.sin(down / 55)
    smooth = np.repeat(waves.astype(np.uint8)[..., None], 3, axis=2)

    assert not is_flat_drawing(smooth, points)
    assert is_flat_drawing(cv2.resize(drawn_portrait(SIZE), (side, side)), points)


def test_a_dark_faded_or_overexposed_photograph_is_no_flat_drawing() -> None:
    """Light and contrast alone make no drawing of a photograph, nor do they make a photograph of a drawing."""
    points = drawn_face(SIZE).points
    grain = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 15, (SIZE, SIZE, 3)), (0, 0), 0.8)
    down, across = np.mgrid[:SIZE, :SIZE]
    shading = (30 * np.sin(across / 25) * np.sin(down / 25))[..., None]
    drawing = drawn_portrait(SIZE).astype(float)
    photo = drawing + grain + shading
    lights = {"dark": (0.22, 0), "faded": (0.3, 60), "hazy": (0.16, 110), "overexposed": (1.4, 30)}

    for name, (gain, lift) in lights.items():
        lit = [np.clip(gain * one + lift, 0, 255).astype(np.uint8) for one in (photo, drawing)]
        assert [is_flat_drawing(one, points) for one in lit] == [False, True], name


def test_the_lips_of_a_drawing_move_to_where_they_are_drawn() -> None:
    """A mesh whose mouth lies off the drawn one is bent onto it; eyes and outline stay."""
    portrait, points = drawn_portrait(SIZE), drawn_face(SIZE).points
    shape = measure(portrait, points + np.where(np.isin(np.arange(len(points)), LIPS), 14, 0)[:, None] * [0, 1, 0])
    found = find_drawn_mouth(portrait, shape)

    assert found is not None
    lips = found.shape.points[[13, 14], :2].mean(0)
    np.testing.assert_allclose(lips, [160 * SIZE / 320, 211 * SIZE / 320], atol=0.03 * shape.unit)
    np.testing.assert_allclose(found.shape.points[[33, 263, 152]], shape.points[[33, 263, 152]], atol=1e-6)
    assert found.slit[round(lips[1]) - 3 : round(lips[1]) + 4, round(lips[0])].any()


def test_a_drawing_without_a_mouth_keeps_the_mesh() -> None:
    """Where nothing but skin lies about the lips, there is nothing to move them to."""
    portrait, points = drawn_portrait(SIZE), drawn_face(SIZE).points
    cv2.ellipse(portrait, (SIZE // 2, 211 * SIZE // 320), (70, 40), 0, 0, 360, (224, 178, 150), -1)
    assert find_drawn_mouth(portrait, measure(portrait, points)) is None
