"""Hands before a face: found where they are, and said to be in the way only where they are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from s2v_model.contract import RendererMissing
from s2v_model.puppet.hands import MODEL_FILES, HandFinder
from s2v_model.puppet.judge import judge
from s2v_model.puppet.landmarks import Face, FaceFinder
from tests.faces import drawn_face, drawn_portrait, model_paths
from tests.hands import TheseHands, drawn_hand, open_hand

SIZE = 320
FACE = drawn_face(SIZE)
MOUTH = FACE.points[[13, 14], :2].mean(0)
SKIN = (224, 178, 150)


def square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]], float)


def test_a_hand_hides_what_lies_behind_it() -> None:
    """An outline behind the palm is hidden, one beside the hand is not, one that the palm's edge crosses is in part."""
    hand = open_hand((200, 200), 100)

    assert hand.covers(square(190, 205, 20)) > 0.95
    assert hand.covers(square(300, 200, 20)) == 0
    assert 0.2 < hand.covers(square(200, 205, 60)) < 0.8


def test_the_gap_between_fingers_hides_nothing() -> None:
    """Between thumb and index finger the picture shows."""
    hand = open_hand((200, 200), 100)

    assert hand.covers(square(172, 195, 6)) < 0.2


def test_the_arm_counts_as_hand_for_a_palm_s_length() -> None:
    """Below the wrist an outline is hidden, two palms further down it is not."""
    hand = open_hand((200, 200), 100)

    assert hand.covers(square(195, 270, 10)) > 0.95
    assert hand.covers(square(195, 340, 10)) == 0


def test_sizes_and_flat_outlines_do_not_matter() -> None:
    """The share is the same in a picture ten times as large, and an outline without area has a share, too."""
    small, large = open_hand((200, 200), 100), open_hand((2000, 2000), 1000)

    assert small.covers(square(200, 205, 60)) == pytest.approx(large.covers(square(2000, 2050, 600)), abs=0.02)
    assert 0 <= small.covers(np.full((4, 2), 200.0)) <= 1


def warnings(*at: tuple[float, float], length_px: float = 100) -> tuple[str, ...]:
    hands = TheseHands(*(open_hand(place, length_px) for place in at))
    return judge(drawn_portrait(SIZE), (FACE,), hands=hands).warnings


def test_a_hand_before_the_mouth_is_warned_of() -> None:
    """A hand over the lips gives one warning, which says that it is a hand."""
    (warning,) = warnings((float(MOUTH[0]), float(MOUTH[1])))

    assert "a hand before its mouth" in warning


def test_a_hand_at_the_chin_is_warned_of_as_such() -> None:
    """A hand that leaves the lips free, but not the chin, gives the milder warning."""
    x, y = FACE.points[152, :2]

    (warning,) = warnings((float(x), float(y) + 20), length_px=100)

    assert "a hand at its chin" in warning


def test_a_hand_beside_the_face_is_nothing_to_warn_of() -> None:
    """A waving hand, a hand at the cheek and none at all are taken without a word."""
    assert warnings((float(MOUTH[0]) + 130, float(MOUTH[1]))) == ()
    assert warnings((float(MOUTH[0]), float(MOUTH[1]) - 260)) == ()
    assert warnings() == ()


def test_of_two_hands_the_one_in_the_way_counts() -> None:
    """One hand at the ear and one before the mouth are one warning."""
    (warning,) = warnings((float(MOUTH[0]) + 130, float(MOUTH[1])), (float(MOUTH[0]), float(MOUTH[1])))

    assert "a hand before its mouth" in warning


def test_a_face_that_the_hand_hides_is_refused_because_of_the_hand() -> None:
    """Where the mesh no longer sees a human face, the reason is the hand and not an animal."""
    shades = np.random.default_rng(3).normal(0, 12, (SIZE, SIZE, 3))
    picture = np.clip(drawn_portrait(SIZE) + shades, 0, 255).astype(np.uint8)
    hidden = Face(points=FACE.points, score=0.3, detection=0.9)
    hand = open_hand((float(MOUTH[0]), float(MOUTH[1])), 100)

    assert judge(picture, (hidden,), hands=TheseHands(hand)).reason == "shows a face behind a hand"
    assert judge(picture, (hidden,), hands=TheseHands()).reason == "shows a face that is not a human one"


def test_missing_hand_models_are_named() -> None:
    """Without its model files the finder says which one is not there and how to get it."""
    with pytest.raises(RendererMissing, match=r"palm_detection_full.tflite is not there. Run `troupe doctor`"):
        HandFinder({})


@pytest.fixture(scope="module")
def hands() -> HandFinder:
    return HandFinder(model_paths(MODEL_FILES))


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(model_paths())


@pytest.mark.parametrize("size", [160, 320, 640])
@pytest.mark.parametrize("degrees", [-90, -45, 200])
def test_the_models_find_a_drawn_hand_before_the_mouth(hands: HandFinder, size: int, degrees: float) -> None:
    """A hand over the lips is found and warned of, whichever way its fingers point, in small and large pictures."""
    face = drawn_face(size)
    at = face.points[[13, 14], :2].mean(0)
    picture, _ = drawn_hand(drawn_portrait(size), (at[0], at[1]), 1.4 * face.brow_to_chin_px, degrees, SKIN)

    assert any("a hand before its mouth" in warning for warning in judge(picture, (face,), hands=hands).warnings)


def test_the_models_tell_where_a_drawn_hand_is(hands: HandFinder) -> None:
    """A hand beside the face is found, its points lie on it, and nothing is warned of."""
    at = (float(MOUTH[0]) + 115, float(MOUTH[1]))
    picture, inside = drawn_hand(drawn_portrait(SIZE), at, 1.2 * FACE.brow_to_chin_px, -90, SKIN)

    (hand,) = hands.near(picture, FACE)

    x, y = np.clip(np.round(hand.points).astype(int), 0, SIZE - 1).T
    assert inside[y, x].mean() > 0.8
    assert judge(picture, (FACE,), hands=hands).warnings == ()


def test_the_models_see_no_hand_where_there_is_none(hands: HandFinder) -> None:
    """A bare drawn face, flat colour, noise, one pixel and thin strips have no hand, and no size fails."""
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    assert hands.near(drawn_portrait(SIZE), FACE) == ()
    for picture in (np.zeros((64, 64, 3), np.uint8), noise, noise[:1, :1], noise[:2], noise[:, :3]):
        assert hands.near(np.ascontiguousarray(picture), FACE) == ()


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
        upright.thumbnail((640, 640))
        return np.array(upright)


def skin_of(rgb: np.ndarray, face: Face) -> tuple[int, int, int]:
    x, y = face.points[[50, 280], :2].astype(int).T
    red, green, blue = rgb[y, x].mean(0)
    return int(red), int(green), int(blue)


PEOPLE = [
    *("real_admiral_glasses.jpg", "real_chemist_1915_mortarboard.jpg", "real_physicist_1920_bw.jpg"),
    *("synth_girl_curly.jpg", "synth_man_20_afro.jpg", "synth_woman_red_hair.jpg", "wan_street_woman.webp"),
]


@pytest.mark.data
@pytest.mark.parametrize("name", PEOPLE)
def test_a_hand_before_a_real_face_is_told_from_one_beside_it(
    finder: FaceFinder, hands: HandFinder, shared_data: Path, name: str
) -> None:
    """A drawn hand of the person's own skin is warned of before the mouth, and not beside the head."""
    rgb = read(shared_data / "portraits" / name)
    face = finder.find(rgb)[0]
    mouth, high, skin = face.points[[13, 14], :2].mean(0), face.brow_to_chin_px, skin_of(rgb, face)

    before, _ = drawn_hand(rgb, (mouth[0], mouth[1] + 0.2 * high), 1.3 * high, -60, skin)
    beside, _ = drawn_hand(rgb, (mouth[0] + 1.2 * high, mouth[1]), 1.2 * high, -90, skin)

    said = judge(before, finder.find(before), hands=hands)
    assert any("hand" in words for words in (said.reason, *said.warnings)), said
    assert not any("hand" in words for words in judge(beside, finder.find(beside), hands=hands).warnings)
