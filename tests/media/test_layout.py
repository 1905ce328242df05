"""Where pictures go: panels tile, heads stay whole, crops stay inside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.media.layout import LIP_IN_FACE, MAX_UPSCALE, Rect, head_box, panels, place

SIZES = st.tuples(st.integers(16, 1000), st.integers(16, 1000)).map(lambda size: (size[0] * 2, size[1] * 2))


@given(st.integers(1, 9), SIZES)
def test_panels_lie_inside_and_do_not_overlap(count, size):
    """Any number of panels on any output are even, inside it, and apart from one another."""
    width, height = size
    found = panels(count, width, height)

    assert len(found) == count
    for panel in found:
        assert all(value % 2 == 0 for value in (panel.x, panel.y, panel.width, panel.height))
        assert 0 <= panel.x < panel.right <= width
        assert 0 <= panel.y < panel.bottom <= height
    for one in found:
        for other in found:
            apart = one.right <= other.x or other.right <= one.x or one.bottom <= other.y or other.bottom <= one.y
            assert one == other or apart


def test_two_share_the_longer_side():
    """Two stand side by side on a wide output and one above the other on a tall one."""
    wide, tall = panels(2, 1280, 720), panels(2, 720, 1280)

    assert [(panel.x, panel.y) for panel in wide] == [(0, 0), (642, 0)]
    assert [(panel.x, panel.y) for panel in tall] == [(0, 0), (0, 642)]


def test_one_has_it_all():
    """A single picture has no gap around it."""
    assert panels(1, 1280, 720) == (Rect(x=0, y=0, width=1280, height=720),)


FACES = st.tuples(st.floats(0.02, 0.6), st.floats(0.02, 0.6), st.floats(0.05, 0.9), st.floats(0.05, 0.9))


@given(st.tuples(st.integers(50, 900), st.integers(50, 900)).map(lambda size: (size[0] * 2, size[1] * 2)), FACES, SIZES)
def test_a_placement_stays_inside_clip_and_panel(clip, face, output):
    """Whatever the sizes and the face: crop in the clip, target in the panel, all even, the aspect kept."""
    width, height = clip
    box = (face[0] * width, face[1] * height, face[2] * width * (1 - face[0]), face[3] * height * (1 - face[1]))
    panel = panels(1, *output)[0]

    found = place(width, height, box, panel)

    assert 0 <= found.crop.x <= found.crop.right <= width
    assert 0 <= found.crop.y <= found.crop.bottom <= height
    assert panel.x <= found.target.x <= found.target.right <= panel.right
    assert panel.y <= found.target.y <= found.target.bottom <= panel.bottom
    for rect in (found.crop, found.target):
        assert all(value % 2 == 0 for value in (rect.x, rect.y, rect.width, rect.height))
    shortest = min(found.crop.width, found.crop.height, found.target.width, found.target.height)
    if shortest >= 32:
        across, down = found.target.width / found.crop.width, found.target.height / found.crop.height
        # Even numbers round by a px on either side.
        assert across == pytest.approx(down, rel=4 / shortest)


@pytest.mark.parametrize(
    ("clip", "face", "output", "fills"),
    [
        ((1280, 720), (520, 200, 200, 260), (1280, 720), True),
        ((1280, 720), (560, 240, 150, 200), (720, 1280), True),
        ((1280, 720), (420, 120, 400, 480), (720, 1280), False),
        ((720, 720), (230, 200, 260, 320), (1280, 720), False),
        ((960, 1280), (380, 300, 180, 220), (1280, 720), True),
        ((720, 1280), (60, 300, 600, 700), (720, 1280), True),
    ],
    ids=["same", "wide on tall", "close-up on tall", "square on wide", "tall on wide", "nothing to crop"],
)
def test_a_clip_fills_its_panel_when_the_head_stays_whole(clip, face, output, fills):
    """The head with its hair is never cut to fill a panel; then the clip stands on a ground."""
    panel = panels(1, *output)[0]

    found = place(*clip, face, panel)

    assert (not found.has_ground) == fills
    head = head_box(face, *clip)
    if fills and clip != output:
        assert found.crop.x <= head[0] + 2
        assert found.crop.right >= head[0] + head[2] - 2
        assert found.crop.y <= head[1] + 2
        assert found.crop.bottom >= head[1] + head[3] - 2


def test_eyes_are_in_the_upper_half():
    """A tall clip on a wide output is cropped around its eyes."""
    face = (380, 300, 180, 220)
    found = place(960, 1280, face, panels(1, 1280, 720)[0])

    eyes = (face[1] + 0.4 * face[3] - found.crop.y) / found.crop.height
    assert 0.3 < eyes < 0.45


def test_small_clips_are_not_blown_up_to_crop_them():
    """Beyond the largest upscale a clip is shown whole rather than cropped further."""
    found = place(320, 320, (120, 90, 70, 90), panels(1, 1280, 720)[0])

    assert found.has_ground
    assert found.target.height / found.crop.height <= max(MAX_UPSCALE, 720 / 320) + 0.01


def test_without_a_face_the_panel_is_filled():
    """A scene has nobody whose head could be cut."""
    assert not place(720, 720, None, panels(1, 1280, 720)[0]).has_ground


@given(st.tuples(st.integers(100, 900), st.integers(100, 900)).map(lambda size: (size[0] * 2, size[1] * 2)), FACES)
def test_texts_hide_no_mouth(clip, face):
    """Where captions may stand no lip is shown: a clip whose mouth would lie there is whole, above them."""
    width, height = clip
    box = (face[0] * width, face[1] * height, face[2] * width * (1 - face[0]), face[3] * height * (1 - face[1]))
    panel, texts = panels(1, 1280, 720)[0], 576

    plain, found = place(width, height, box, panel), place(width, height, box, panel, texts)

    lip = box[1] + LIP_IN_FACE * box[3]
    assert found.to_output_y(lip) <= texts
    if plain.to_output_y(lip) <= texts:
        assert found == plain
    else:
        assert found.has_ground
        assert found.panel == panel
        assert panel.y < found.target.y < found.target.bottom <= texts
        # All of the clip, but for what rounding to even px leaves out.
        scale = found.target.width / found.crop.width
        assert width - found.crop.width <= 4 / scale
        assert height - found.crop.height <= 4 / scale
