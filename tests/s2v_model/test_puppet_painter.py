"""Poses become pictures."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from s2v_model.puppet import topology as mesh
from s2v_model.puppet.eyes import measure_eyes, outline
from s2v_model.puppet.keep import pack, unpack
from s2v_model.puppet.matte import build_backdrop
from s2v_model.puppet.painter import Painter
from s2v_model.puppet.pose import CHANNEL, rest
from s2v_model.puppet.rig import Rig, build_rig
from s2v_model.puppet.shape import measure
from s2v_model.puppet.sheets import PARAMETERS, displacements
from tests.faces import DrawnMatte, drawn_face, drawn_portrait

SIZE = 320


@pytest.fixture(scope="module")
def rig() -> Rig:
    return build_rig(drawn_portrait(SIZE), drawn_face(SIZE).points, DrawnMatte())


def posed(rig: Rig, **channels: float) -> np.ndarray:
    pose = rest(1)[0]
    for name, value in channels.items():
        pose[CHANNEL[name]] = value
    return Painter(rig).paint(pose).copy().astype(int)


def around(rig: Rig, *ids: int, reach: int = 12) -> tuple[slice, slice]:
    x, y = rig.shape.points[list(ids), :2].mean(0).astype(int)
    return slice(y - reach, y + reach), slice(x - reach, x + reach)


class NoMatte:
    """Sees nobody."""

    def matte(self, rgb: np.ndarray, shape: object) -> None:
        """None: all of the picture moves."""


def test_at_rest_the_portrait_comes_back(rig: Rig) -> None:
    """Without any movement the frame is the portrait: a level or two off, a little more at hard lines."""
    error = np.abs(posed(rig) - drawn_portrait(SIZE))

    assert error.mean() < 0.3
    assert np.percentile(error, 99.5) <= 6


def test_the_background_stands_still(rig: Rig) -> None:
    """Whatever the head does, no pixel outside the matte's reach changes."""
    still, moved = posed(rig), posed(rig, yaw=0.05, pitch=0.04, roll=-0.05, shift_x=0.03, jaw=0.8, breath=0.01)
    touched = np.zeros((SIZE, SIZE), bool)
    for run in rig.backdrop.runs:
        touched[run.top : run.bottom, run.left : run.right] = True

    assert (~touched).mean() > 0.15
    np.testing.assert_array_equal(still[~touched], moved[~touched])
    far = np.s_[:40, :60]
    np.testing.assert_array_equal(still[far], moved[far])


def test_an_open_jaw_shows_the_inside_of_the_mouth(rig: Rig) -> None:
    """At "ah" the middle of the mouth is dark where skin and lips were."""
    lips = around(rig, 13, 14, reach=6)
    opened = posed(rig, own=0, jaw=0.7)
    below = (slice(lips[0].start + 8, lips[0].stop + 8), lips[1])

    assert opened[below].min() < 70
    assert posed(rig)[below].min() > 70


def test_pressed_lips_stay_closed_whatever_the_jaw_did(rig: Rig) -> None:
    """At "m" nothing of the mouth's inside is seen."""
    lips = around(rig, 13, 14, reach=8)
    assert posed(rig, own=0, press=1.0, jaw=0.02)[lips].min() > 50


def test_the_broadest_smile_shuts_from_corner_to_corner() -> None:
    """Lips that gape as far aside as in the middle meet everywhere at "m"."""
    points = drawn_face(SIZE).points.copy()
    points[list(mesh.LOWER_INNER[2:-2]), 1] += 16
    shape = measure(drawn_portrait(SIZE), points)
    upper, lower = (sheet[PARAMETERS.index("press"), :, 1] for sheet in displacements(shape))
    apart = shape.local[list(mesh.LOWER_INNER), 1] - shape.local[list(mesh.UPPER_INNER), 1]
    left = apart + lower[list(mesh.LOWER_INNER)] - upper[list(mesh.UPPER_INNER)]

    assert apart.max() > 0.08
    assert left.max() < 0.006


def test_a_blink_covers_the_eyes(rig: Rig) -> None:
    """The dark pupils are gone while the lids are down."""
    for eye in ((159, 145), (386, 374)):
        place = around(rig, *eye, reach=4)
        assert posed(rig)[place].mean() < posed(rig, blink=1.0)[place].mean() - 25


def test_a_drawing_s_lid_is_an_area_and_a_line(rig: Rig) -> None:
    """While it shuts and when it is shut, what lies above its line has the skin's own colour: nothing is smudged."""
    for eye in rig.eyes:
        assert eye.drawn is not None
        upper, lower = (rig.shape.to_frame(edge) for edge in outline(eye))
        middle = len(upper) // 2
        for closed, share in ((0.5, 0.25), (1.0, 0.5)):
            x, y = np.round(upper[middle] + share * (lower[middle] - upper[middle])).astype(int)
            np.testing.assert_allclose(posed(rig, blink=closed)[y, x], eye.drawn.skin, atol=2)
        x, y = np.round(lower[middle]).astype(int)
        assert np.abs(posed(rig, blink=1.0)[y - 2 : y + 3, x] - eye.drawn.line).max(1).min() < 40


@pytest.mark.parametrize(("moved", "least", "most"), [(-0.2, 1.2, 1.3), (0.6, 1.0, 1.1)])
def test_a_lid_goes_below_a_mesh_that_missed_the_eye(moved: float, least: float, most: float) -> None:
    """Where the eye of a photograph goes on below the mesh's lower lid, its lid shuts further down; else hardly."""
    grain = np.random.default_rng(3).normal(0, 9, (SIZE, SIZE, 1))
    photo = np.clip(drawn_portrait(SIZE) + grain, 0, 255).astype(np.uint8)
    points = drawn_face(SIZE).points.copy()
    for ids in mesh.EYES:
        upper, lower = list(ids["upper"][1:-1]), list(ids["lower"][1:-1])
        points[lower, 1] += moved * (points[lower, 1] - points[upper, 1])
    shape = measure(photo, points)

    for eye, ids in zip(measure_eyes(photo, shape), mesh.EYES, strict=True):
        opening = (shape.local[list(ids["lower"]), 1] - shape.local[list(ids["upper"]), 1]).max()
        assert least < eye.opening / opening < most


def test_a_glance_moves_the_pupils(rig: Rig) -> None:
    """The dark of the eyes goes to the side looked at."""
    place = around(rig, 159, 145, reach=14)
    columns = np.arange(28)

    def middle(picture: np.ndarray) -> float:
        dark = np.clip(120 - picture[place].mean(2), 0, None).sum(0)
        return float((dark * columns).sum() / dark.sum())

    assert middle(posed(rig, gaze_x=-1.0)) < middle(posed(rig)) - 0.4
    assert middle(posed(rig, gaze_x=1.0)) > middle(posed(rig)) + 0.4


@pytest.mark.parametrize(("channel", "low", "high"), [("jaw", 0.0, 0.7), ("yaw", -0.05, 0.05), ("brow", 0.0, 1.0)])
def test_movement_is_gradual(rig: Rig, channel: str, low: float, high: float) -> None:
    """Twenty small steps change the picture by small steps: nothing pops."""
    frames = [posed(rig, own=0, **{channel: value}) for value in np.linspace(low, high, 21)]
    steps = [np.abs(b - a).mean() for a, b in pairwise(frames)]

    assert max(steps) < 4 * np.median(steps) + 0.05


def test_without_a_matte_the_whole_picture_is_warped() -> None:
    """A drawing that the segmentation does not know still talks, and rests as the portrait."""
    rig = build_rig(drawn_portrait(SIZE), drawn_face(SIZE).points, NoMatte())

    assert np.abs(posed(rig) - drawn_portrait(SIZE)).mean() < 0.3
    assert np.abs(posed(rig, own=0, jaw=0.7) - posed(rig)).max() > 60


def grained(portrait: np.ndarray) -> np.ndarray:
    grain = cv2.GaussianBlur(np.random.default_rng(5).normal(0, 40, portrait.shape), (0, 0), 1.5)
    return np.clip(portrait * 0.7 + 38 + grain, 0, 255).astype(np.uint8)


def test_what_the_matte_doubts_does_not_fade() -> None:
    """A hat that the matte is half sure of, before a background of two colours, comes back over the plate."""
    portrait, matte = grained(drawn_portrait(SIZE)), np.zeros((SIZE, SIZE), np.float32)
    portrait[:, 160:] //= 3
    portrait[60:100, 80:240] = (20, 24, 40)
    matte[50:110, 70:250], matte[110:, 100:220] = 0.4, 1.0
    backdrop = build_backdrop(portrait, matte, np.zeros((SIZE, SIZE), np.float32))
    alpha = backdrop.person[..., 3:].astype(float) / 255
    over = backdrop.person[..., :3] + (1 - alpha) * backdrop.plate

    assert np.abs(over - portrait).max() <= 2


def with_glasses(portrait: np.ndarray) -> np.ndarray:
    portrait, points = portrait.copy(), drawn_face(SIZE).points[:, :2]
    middles = [((points[a] + points[b]) / 2).round().astype(int).tolist() for a, b in ((33, 133), (362, 263))]
    for middle in middles:
        cv2.circle(portrait, middle, 25, (30, 26, 24), 3, cv2.LINE_AA)
    cv2.line(portrait, (middles[0][0] + 25, middles[0][1]), (middles[1][0] - 25, middles[1][1]), (30, 26, 24), 3)
    return portrait


def test_rims_of_glasses_do_not_bend_with_the_brows() -> None:
    """Behind glasses the brows rise by a fifth of the way that they go in the same face without."""
    points = drawn_face(SIZE).points
    ways = [
        np.abs(build_rig(portrait, points, DrawnMatte()).upper_fields[PARAMETERS.index("brow")]).max()
        for portrait in (drawn_portrait(SIZE), with_glasses(drawn_portrait(SIZE)))
    ]

    np.testing.assert_allclose(ways[1], 0.2 * ways[0], rtol=0.02)


def test_no_seam_runs_around_the_face_nor_along_the_edges() -> None:
    """At rest every pixel of a picture full of detail comes back, those at the rims of both grids as well."""
    portrait = grained(drawn_portrait(SIZE))
    error = np.abs(posed(build_rig(portrait, drawn_face(SIZE).points, NoMatte())) - portrait)

    assert error.max() <= 4


def test_what_the_edge_cuts_through_is_not_pulled_away_from_it() -> None:
    """However the head turns, the outermost pixels left, right and above stay, where the person fills the frame."""
    portrait = grained(drawn_portrait(SIZE))[40:, 40:280].copy()
    filled = build_rig(portrait, drawn_face(SIZE).points - [40, 40, 0], NoMatte())
    still = posed(filled)
    aside = np.abs(posed(filled, yaw=0.05, shift_x=0.05) - still)
    nodded = np.abs(posed(filled, pitch=0.05, shift_y=0.05) - still)

    assert min(aside[20:-20].mean(), nodded[20:-20].mean()) > 5
    assert max(aside[:, 0].mean(), aside[:, -1].mean(), nodded[0].mean()) < 1.5


def test_a_face_at_the_edge_of_the_frame_is_painted() -> None:
    """A face cut by the frame neither fails nor leaves the frame's size."""
    portrait, points = drawn_portrait(SIZE), drawn_face(SIZE).points.copy()
    left, top = 96, 100
    points[:, :2] -= [left, top]
    cut = np.ascontiguousarray(portrait[top : top + 128, left : left + 128])
    frame = posed(build_rig(cut, points, DrawnMatte()), own=0, jaw=0.7, yaw=0.05, blink=1.0)

    assert frame.shape == (128, 128, 3)


def test_a_kept_rig_paints_the_same(rig: Rig) -> None:
    """Packed and unpacked, a rig gives equal frames; damaged bytes give none."""
    kept = pack(rig)
    again = unpack(kept)

    assert again is not None
    np.testing.assert_array_equal(posed(rig, own=0, jaw=0.5, yaw=0.03), posed(again, own=0, jaw=0.5, yaw=0.03))
    assert unpack(kept[:-40]) is None
    assert unpack(b"") is None
    assert unpack(b"PK\x03\x04 nothing") is None


def test_lines_of_a_drawing_keep_their_shape_while_it_talks() -> None:
    """The rings of eyes that reach down to the mouth stand still while it opens and while it is rounded."""
    portrait = drawn_portrait(SIZE)
    rings = np.zeros((SIZE, SIZE), np.uint8)
    for x in (130, 190):
        cv2.circle(rings, (x, 164), 28, 1, -1)
        cv2.circle(portrait, (x, 164), 26, (250, 250, 250), -1, cv2.LINE_AA)
        cv2.circle(portrait, (x, 164), 26, (30, 20, 20), 3, cv2.LINE_AA)
        cv2.circle(portrait, (x, 160), 8, (40, 30, 30), -1, cv2.LINE_AA)
    rig = build_rig(portrait, drawn_face(SIZE).points, DrawnMatte())
    quiet = posed(rig, own=0)
    assert len(rig.eyes) == 2
    for moved in (posed(rig, own=0, jaw=0.9), posed(rig, own=0, round=1.0, jaw=0.2)):
        assert np.abs(moved - quiet)[rings > 0].mean() < 0.1
        assert np.abs(moved - quiet)[around(rig, 13, 14)].mean() > 5
