"""Burned texts: escaped, on their frames, in the safe area, apart from one another."""

import re
from dataclasses import replace
from fractions import Fraction

import pytest

from tasks.domain.assets import Asset
from tasks.domain.editing import Cue, Cut, Framing, NameTag, Plan, Shot
from tasks.domain.options import EngineId
from tasks.formats.ass import Event, Style, document, escaped, tallness
from tasks.formats.overlay import Card, Stage, font_for, overlay_text
from tasks.media.layout import panels

WIDE, TALL = (1280, 720), (720, 1280)


def plan_of(cues=(), names=(), language="en", num_frames=1000) -> Plan:
    return Plan(
        episode="e", title="t", language=language, rate=Fraction(25), num_frames=num_frames,
        master=Asset(sha256="0" * 64, size=0, extension=".flac"), shots=(),
        cuts=(Cut(start_frame=0, end_frame=num_frames, layout="card", shots=()),), cues=cues, names=names, chapters=(),
        renderer=EngineId(role="renderer", name="fake", version="1"),
    )  # fmt: skip


def measure(line: str, size: float) -> float:
    return 0.4 * size * len(line)


def burned(plan: Plan, size=WIDE, stages=(Stage(start_frame=0, floor=720),), **options) -> str:
    wanted = {"is_captioned": True, "label": "", "cards": (), **options}
    return overlay_text(plan, size, stages=stages, measure=measure, **wanted)


def events(text: str, style: str) -> list[dict[str, str]]:
    """Start, end, x, y and body of each event of a style."""
    found = re.findall(
        rf"Dialogue: \d+,([\d:.]+),([\d:.]+),{style},,\d+,\d+,0,,\{{\\pos\((-?\d+),(-?\d+)\)([^}}]*)\}}(.*)", text
    )
    return [dict(zip(("start", "end", "x", "y", "tags", "body"), row, strict=True)) for row in found]


CUE = Cue(start_frame=25, end_frame=75, lines=("One line,", "and another"), speaker="A")


def test_a_cue_starts_a_hundredth_ahead_of_its_frame():
    """The clock lies between the frame before and the frame itself, so that rounding cannot move it."""
    event = events(burned(plan_of((CUE,))), "Caption")[0]

    assert (event["start"], event["end"]) == ("0:00:00.99", "0:00:02.99")
    assert event["body"] == r"One line,\Nand another"


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_clocks_name_their_frame_at_any_rate(rate):
    """For an hour of frames, each clock lies after the frame before and not after its own."""
    style = Style(name="S", font="F", size=10)
    frames = [0, 1, 2, 3, 29, 1234, 89_999, 107_892]
    made = [Event(start_frame=frame, end_frame=frame + 1, style="S", x=0, y=0) for frame in frames]

    text = document(100, 100, rate, [style], made)

    clocks = re.findall(r"Dialogue: 0,(\d+):(\d+):(\d+)\.(\d+)", text)
    for frame, (hours, minutes, seconds, hundredths) in zip(frames, clocks, strict=True):
        instant = Fraction(int(hours) * 360_000 + int(minutes) * 6000 + int(seconds) * 100 + int(hundredths), 100)
        assert (frame - 1) / rate < instant <= frame / rate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{\\an8}up", "\\{\\\u2060an8\\}up"),
        ("a\\Nb", "a\\\u2060Nb"),
        ("two\nlines\r\nand\ttabs", "two lines and tabs"),
        ("nul\x00 bell\x07", "nul bell"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_text_is_never_a_command(text, expected):
    """Braces, backslashes, breaks and control characters are shown or dropped, never obeyed."""
    assert escaped(text) == expected


def test_tall_scripts_are_enlarged():
    """Arabic letters are set larger, since their font's lines are taller; Latin beside them is not."""
    cue = replace(CUE, lines=("مرحبا بكم Troupe",))

    body = events(burned(plan_of((cue,))), "Caption")[0]["body"]

    assert body == r"{\fs57}مرحبا بكم{\fs44} Troupe"
    assert (tallness("مرحبا"), tallness("hello")) == (1.3, 1.0)


@pytest.mark.parametrize(
    ("language", "font"),
    [
        ("en", "Noto Sans"),
        ("ar", "Noto Sans"),
        ("ja", "Noto Sans CJK JP"),
        ("ko-KR", "Noto Sans CJK KR"),
        ("zh", "Noto Sans CJK SC"),
        ("zh-Hans-CN", "Noto Sans CJK SC"),
        ("zh-Hant", "Noto Sans CJK TC"),
        ("zh-HK", "Noto Sans CJK HK"),
    ],
)
def test_han_is_set_as_its_readers_expect(language, font):
    """The language chooses among the national forms of Han characters."""
    assert font_for(language) == font


@pytest.mark.parametrize("size", [WIDE, TALL, (1920, 1080), (480, 480)])
def test_captions_and_names_are_in_the_safe_area(size):
    """Nothing is placed nearer to the foot or the left than the safe area allows, at any size."""
    names = (NameTag(start_frame=0, end_frame=90, name="Anna Ruiz"),)
    text = burned(plan_of((CUE,), names), size, (Stage(start_frame=0, floor=size[1]),))

    caption, name = events(text, "Caption")[0], events(text, "Name")[0]
    assert int(caption["y"]) <= size[1] * 0.95
    assert int(caption["x"]) == size[0] // 2
    assert int(name["x"]) >= size[0] * 0.05
    assert int(name["y"]) < int(caption["y"]) - 2 * 40 * min(size) / 720


def test_without_burned_captions_the_name_stands_lower():
    """A lower third keeps room for captions only where there are any."""
    plan = plan_of((CUE,), (NameTag(start_frame=0, end_frame=90, name="Anna Ruiz"),))

    above, at_foot = (events(burned(plan, is_captioned=flag), "Name")[0] for flag in (True, False))

    assert int(above["y"]) < int(at_foot["y"]) <= 720 * 0.95


def test_on_a_tall_picture_captions_follow_the_panel():
    """Right below a panel, the eye needs no way; over a picture that fills all, captions stand at the foot."""
    stages = (Stage(start_frame=0, floor=900), Stage(start_frame=50, floor=1280))
    later = replace(CUE, start_frame=50)

    below, at_foot = events(burned(plan_of((CUE, later)), TALL, stages), "Caption")

    assert 900 < int(below["y"]) - 2 * 44 < 950
    assert int(at_foot["y"]) > int(below["y"])


def test_captions_between_rows_touch_no_face():
    """Where pictures stand in rows, a caption is centred on the seam between the last two."""
    event = events(burned(plan_of((CUE,)), TALL, (Stage(start_frame=0, floor=1280, seam=640),)), "Caption")[0]

    assert int(event["y"]) == 640 + 44


def test_a_long_name_keeps_off_the_face():
    """A name that would reach the face takes two lines, and shrinks if that is not enough."""
    name = NameTag(start_frame=0, end_frame=90, name="Professor Bartholomew Wellington-Smythe")
    stages = (Stage(start_frame=0, floor=720, clear=420),)

    event = events(burned(plan_of((), (name,)), WIDE, stages), "Name")[0]

    assert event["body"] == r"Professor Bartholomew\NWellington-Smythe"
    size = int(re.search(r"\\fs(\d+)", event["tags"])[1])
    assert int(event["x"]) + measure("Professor Bartholomew", size) <= 420


@pytest.mark.parametrize("is_captioned", [True, False])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("size", [WIDE, TALL, (720, 720)])
def test_a_name_stands_in_the_picture_of_its_speaker(size, count, is_captioned):
    """Halves, strips or a grid: a name lies within its own panel, and captions lie on none."""
    rooms = panels(count, *size)
    tops = sorted({room.y for room in rooms})
    stage = Stage(
        start_frame=0,
        floor=size[1],
        seam=tops[-1] if len(tops) > 1 else None,
        panels=tuple((room.x, room.y, room.right, room.bottom) for room in rooms),
    )
    tags = tuple(NameTag(start_frame=0, end_frame=90, name="Ann", place=place) for place in range(count))
    text = burned(plan_of((CUE,), tags), size, (stage,), is_captioned=is_captioned)

    caption = [int(event["y"]) for event in events(text, "Caption")]
    for room, event in zip(rooms, events(text, "Name"), strict=True):
        assert room.x <= int(event["x"]) < room.right - 3 * 15
        assert room.y + 40 < int(event["y"]) <= room.bottom
        for foot in caption:
            assert int(event["y"]) <= foot - 2 * 44 or int(event["y"]) - 40 >= foot


def test_wide_lines_shrink_all_captions_alike():
    """The widest line sets one size for the programme: letters do not change size from cue to cue."""
    wide = replace(CUE, start_frame=80, end_frame=120, lines=("x" * 75,))

    text = burned(plan_of((CUE, wide)))

    size = int(re.search(r"Style: Caption,[^,]+,(\d+)", text)[1])
    assert size < 44
    assert measure("x" * 75, size) <= 1280 * 0.9
    assert all(r"\fs" not in event["tags"] for event in events(text, "Caption"))


def test_cards_have_words_and_a_rule():
    """A card's words are set in the middle for exactly its frames."""
    card = Card(start_frame=100, end_frame=200, text="A quiet harbour")

    text = burned(plan_of(), cards=(card,))

    assert [(event["start"], event["body"]) for event in events(text, "Card")] == [("0:00:03.99", "A quiet harbour")]
    assert len(events(text, "Rule")) == 1


def test_nothing_to_write_is_no_text():
    """Without captions, names, label and cards there is no overlay at all."""
    assert burned(plan_of()) == ""


def test_the_label_lasts_from_the_first_frame_to_the_last():
    """The label spans the whole programme."""
    event = events(burned(plan_of(), label="AI-generated"), "Label")[0]

    assert (event["start"], event["end"], event["body"]) == ("0:00:00.00", "0:00:39.99", "AI-generated")


def test_a_still_is_said_where_it_stands():
    """The words stand in the safe area opposite the label, on the frames of the shot that failed and no others."""
    box = (0.0, 0.0, 320.0, 180.0)
    shot = Shot(
        id="s0", speaker="anna", utterances=(), start_frame=100, end_frame=150, portrait=None, speech=None,
        framing=Framing(crop=box, width=320, height=180, face_box=box), speech_digest="", phones=None, renderer="still",
    )  # fmt: skip
    plan = replace(plan_of(), shots=(shot, replace(shot, id="s1", renderer="fake", start_frame=150, end_frame=200)))
    (event,) = events(burned(plan), "Still")

    assert (event["start"], event["end"], event["body"]) == ("0:00:03.99", "0:00:05.99", "Still picture: not rendered")
    assert (int(event["x"]), int(event["y"])) == (45, 25)
