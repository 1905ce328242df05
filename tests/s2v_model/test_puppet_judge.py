"""Which picture can talk, and what is said of one that cannot."""

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from s2v_model.contract import RendererMissing, UInt8Array
from s2v_model.puppet.hands import MODEL_FILES as HAND_MODELS
from s2v_model.puppet.hands import HandFinder
from s2v_model.puppet.judge import Box, Verdict
from s2v_model.puppet.judge import judge as judge_with_hands
from s2v_model.puppet.landmarks import Face, FaceFinder
from tests.faces import drawn_face, drawn_portrait, model_paths
from tests.hands import TheseHands

SIZE = 320


def judge(rgb: UInt8Array, faces: Sequence[Face], box: Box | None = None) -> Verdict:
    """The verdict on a picture without hands."""
    return judge_with_hands(rgb, faces, box, hands=TheseHands())


def moved(face: Face, right: float) -> Face:
    return Face(points=face.points + np.array([right, 0, 0]), score=face.score, detection=face.detection)


def turned(face: Face, degrees: float) -> Face:
    """`face` as seen when the head turns about its own axis."""
    angle = np.radians(degrees)
    middle = face.points.mean(0)
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    return Face(points=(face.points - middle) @ turn + middle, score=face.score, detection=face.detection)


def test_a_good_portrait_is_taken_without_a_word() -> None:
    """One sharp frontal face is used, with no warning."""
    verdict = judge(drawn_portrait(SIZE), (drawn_face(SIZE),))

    assert verdict.face is not None
    assert verdict.warnings == ()


@pytest.mark.parametrize(
    ("size", "faces", "reason"),
    [
        (SIZE, (), "shows no face"),
        (SIZE, (Face(points=drawn_face(SIZE).points, score=0.01, detection=0.9),), "not a human one"),
        (96, (drawn_face(96),), r"face of 4\d px from brow to chin; at least 48"),
        (SIZE, (turned(drawn_face(SIZE), 70),), "turned about [5-7][0-9] degrees"),
        (SIZE, (drawn_face(SIZE), moved(drawn_face(SIZE), 150)), r"shows 2 faces \(\["),
    ],
)
def test_what_cannot_talk_is_refused(size: int, faces: tuple[Face, ...], reason: str) -> None:
    """No face, an animal, a small face, a profile and several faces are refused with a reason and a remedy."""
    verdict = judge(drawn_portrait(size), faces)

    assert verdict.face is None
    assert verdict.remedy.endswith(".")

    assert re.search(reason, verdict.reason), verdict.reason


def test_what_the_mesh_doubts_must_be_a_drawing() -> None:
    """A face of 0.66, as a painted monkey gets, is taken in a flat drawing and refused in a picture with shades."""
    drawing = drawn_portrait(SIZE)
    doubtful = Face(points=drawn_face(SIZE).points, score=0.66, detection=0.9)
    shades = np.clip(drawing + np.random.default_rng(3).normal(0, 12, drawing.shape), 0, 255).astype(np.uint8)

    assert judge(drawing, (doubtful,)).face is doubtful
    assert judge(shades, (doubtful,)).reason == "shows a face that is not a human one"


@pytest.mark.parametrize(
    ("rows", "columns", "word"),
    [
        (slice(0, 206), slice(0, SIZE), "mouth"),
        (slice(150, SIZE), slice(0, SIZE), "eyes"),
        (slice(0, SIZE), slice(130, SIZE), "eyes"),
    ],
)
def test_a_face_whose_eyes_or_mouth_lie_outside_is_refused(rows: slice, columns: slice, word: str) -> None:
    """A picture that ends above the lips, below the eyes or between them cannot talk, however sure the mesh is."""
    picture, face = drawn_portrait(SIZE)[rows, columns], drawn_face(SIZE)
    cut = Face(points=face.points - [columns.start, rows.start, 0], score=1.0, detection=0.9)
    verdict = judge(np.ascontiguousarray(picture), (cut,))

    assert verdict.face is None
    assert f"part of the {word}" in verdict.reason


def test_a_face_without_its_chin_is_warned_of() -> None:
    """A picture that ends between mouth and chin is used, and the warning says that there is no room."""
    verdict = judge(drawn_portrait(SIZE)[:236], (drawn_face(SIZE),))

    assert verdict.face is not None
    assert "cut off above the chin" in " ".join(verdict.warnings)


def test_a_box_says_which_of_several_faces() -> None:
    """With a box the face in it is used; a box beside all faces is refused."""
    faces = (drawn_face(SIZE), moved(drawn_face(SIZE), SIZE))
    picture = np.hstack([drawn_portrait(SIZE)] * 2)

    assert judge(picture, faces, box=faces[1].box).face is faces[1]
    assert "no face in the box" in judge(picture, faces, box=(0, 0, 30, 30)).reason


def test_somebody_small_in_the_background_does_not_count() -> None:
    """A second face a third as large is ignored."""
    large = drawn_face(SIZE)
    small = Face(points=drawn_face(SIZE // 4).points, score=1.0, detection=0.9)

    assert judge(drawn_portrait(SIZE), (large, small)).face is large


def darkened(picture: np.ndarray) -> np.ndarray:
    return (picture * 0.12).astype(np.uint8)


def faded(picture: np.ndarray) -> np.ndarray:
    return (230 + picture * 0.09).astype(np.uint8)


def hazy(picture: np.ndarray) -> np.ndarray:
    return (110 + picture * 0.12).astype(np.uint8)


def blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 7)


def with_sunglasses(picture: np.ndarray) -> np.ndarray:
    picture = picture.copy()
    points = drawn_face(SIZE).points[:, :2]
    for inner, outer in ((133, 33), (362, 263)):
        centre = (points[inner] + points[outer]) / 2
        cv2.ellipse(picture, centre.astype(int).tolist(), (24, 17), 0, 0, 360, (16, 16, 18), -1)
    return picture


def with_microphone(picture: np.ndarray) -> np.ndarray:
    picture = picture.copy()
    centre = drawn_face(SIZE).points[[13, 14], :2].mean(0).astype(int) + np.array([0, 10])
    cv2.circle(picture, centre.tolist(), 34, (38, 38, 42), -1)
    return picture


def with_mask(picture: np.ndarray) -> np.ndarray:
    picture = picture.copy()
    outline = drawn_face(SIZE).points[[234, 227, 118, 197, 347, 447, 454, 361, 397, 378, 152, 149, 172, 132], :2]
    cv2.fillPoly(picture, [cv2.convexHull(outline.astype(np.int32))], (150, 190, 215))
    return picture


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (darkened, "dark"),
        (faded, "washed out"),
        (hazy, "faded"),
        (blurred, "blurred"),
        (with_sunglasses, "dark glasses"),
        (with_microphone, "before its mouth"),
        (with_mask, "before its mouth"),
    ],
)
def test_poor_pictures_are_taken_with_a_warning(change, word: str) -> None:
    """Dark, faded and blurred pictures and covered faces are used, and the warning says what is wrong."""
    verdict = judge(change(drawn_portrait(SIZE)), (drawn_face(SIZE),))

    assert verdict.face is not None
    assert any(word in warning for warning in verdict.warnings), verdict.warnings


def test_a_small_or_turned_face_is_warned_of() -> None:
    """Under 120 px from brow to chin, and beyond 35 degrees, a face is used with a warning."""
    small = judge(drawn_portrait(160), (drawn_face(160),))
    aside = judge(drawn_portrait(SIZE), (turned(drawn_face(SIZE), 40),))

    assert small.face is not None
    assert "px from brow to chin" in small.warnings[0]
    assert aside.face is not None
    assert "degrees aside" in " ".join(aside.warnings)


def test_missing_models_are_named() -> None:
    """Without its model files the finder says which one is not there and how to get it."""
    with pytest.raises(RendererMissing, match=r"face_detection.* is not there. Run `troupe doctor`"):
        FaceFinder({})


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(model_paths())


@pytest.fixture(scope="module")
def hands() -> HandFinder:
    return HandFinder(model_paths(HAND_MODELS))


def test_the_finder_finds_the_drawn_face(finder: FaceFinder) -> None:
    """The real models find the drawn face where its mesh is kept."""
    for size in (160, 320, 640):
        (face,) = finder.find(drawn_portrait(size))
        assert face.score > 0.9
        assert np.abs(face.points[:, :2] - drawn_face(size).points[:, :2]).max() < 0.03 * size
        assert abs(face.yaw_degrees) < 8
        assert abs(face.roll_degrees) < 3


def test_the_finder_sees_nothing_in_nothing(finder: FaceFinder) -> None:
    """Flat colour, noise, one pixel and thin strips have no face, and no size fails."""
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    for picture in (np.zeros((64, 64, 3), np.uint8), noise, noise[:1, :1], noise[:2], noise[:, :3]):
        whole = np.ascontiguousarray(picture)
        assert judge(whole, finder.find(whole)).face is None


def of_file(finder: FaceFinder, hands: HandFinder, path: Path) -> Verdict:
    with Image.open(path) as picture:
        rgb = np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    return judge_with_hands(rgb, finder.find(rgb), hands=hands)


@pytest.mark.data
def test_every_usable_portrait_is_accepted(finder: FaceFinder, hands: HandFinder, shared_data: Path) -> None:
    """All portraits of the data are taken, and none is said to be covered, dark or blurred."""
    for path in sorted((shared_data / "portraits").iterdir()):
        if path.suffix == ".json":
            continue
        verdict = of_file(finder, hands, path)
        assert verdict.face is not None, f"{path.name} {verdict.reason}"
        assert all("small face" in warning for warning in verdict.warnings), f"{path.name} {verdict.warnings}"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("no_face_landscape.jpg", "no face"),
        ("back_of_head.jpg", "no face"),
        ("several_faces.jpg", "2 faces"),
        ("not_human.jpg", "human"),
        ("tiny_32px.jpg", "px"),
        ("one_pixel.png", "px"),
        ("strip_3000x60.jpg", "strip"),
        ("face_far_away.jpg", "48 px are needed"),
        ("blurred.jpg", "blurred"),
        ("one_bit.png", "px"),
        ("almost_black.jpg", "dark"),
        ("overexposed.jpg", "washed out"),
        ("photo.webp", ""),
        ("yuv444_progressiveless.jpg", ""),
    ],
)
def test_bad_portraits_are_told_what_is_wrong(
    finder: FaceFinder, hands: HandFinder, shared_data: Path, name: str, word: str
) -> None:
    """Each bad picture of the data is refused, or taken with a warning, in words that fit it."""
    verdict = of_file(finder, hands, shared_data / "portraits_bad" / name)
    said = " ".join([verdict.reason, *verdict.warnings])

    assert word in said, said
    assert (verdict.face is not None) == (
        name in ("almost_black.jpg", "overexposed.jpg", "photo.webp", "yuv444_progressiveless.jpg")
    )
