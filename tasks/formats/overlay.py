"""What is written over the picture, and where: captions, names, the label and the words of cards. Out: an ASS text.

In: a plan's cues, names and cards, the output's size. All measures grow with the output. Knows no pixels: how wide a
text is comes from outside as `measure`, and what the picture of a cut leaves to texts as `stages`.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tasks.domain.editing import STILL, Cue, NameTag, Plan, Shot
from tasks.formats.ass import Event, Style, document, tallness

Measure = Callable[[str, float], float]
"""(one line, size) -> px."""

SAFE = 0.05
"""Nothing is written nearer to an edge: EBU R 95's graphics safe area, as a share of each side."""
TALL_SAFE_BOTTOM = 0.14
"""A phone's own buttons lie over the foot of a 9:16 picture."""
CAPTION_SIZE, TALL_CAPTION_SIZE, SMALLEST_CAPTION = 44, 44, 34
NAME_SIZE, LABEL_SIZE, CARD_SIZE = 40, 23, 60
"""Sizes at 720 px of the shorter side."""
SMALLEST_NAME = 0.6
SHORTEST_NAME_ROOM = 330
"""A name may take so many px even where a face begins sooner."""
BOX = 10
"""Between a text and the edge of its box, likewise."""
ACCENT = "0047B4FF"
"""Amber: the bar before a name."""
FADE_MS = 240
STILL_TEXT = "Still picture: not rendered"
_CJK_FONTS = {"ja": "JP", "ko": "KR", "zh-hant": "TC", "zh-tw": "TC", "zh-mo": "TC", "zh-hk": "HK", "zh": "SC"}
_LATIN_FONT = "Noto Sans"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Words on a plain ground, [start_frame, end_frame)."""

    start_frame: int
    end_frame: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the picture leaves to texts from `start_frame` on, in px of the output."""

    start_frame: int
    floor: int
    """What is shown ends here: texts right below it touch nobody."""
    seam: int | None = None
    """The middle of the lowest gap between rows of pictures: under the chins above it, over the hair below it."""
    clear: int | None = None
    """Left of this column there is no face."""
    panels: tuple[tuple[int, int, int, int], ...] = ()
    """Of each picture that shares the output: left, top, right, bottom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scheme:
    """Measures of one output, in px."""

    width: int
    height: int
    unit: float
    foot: int
    """The lowest row of a caption."""
    side: int
    """The first column of a name."""
    caption: int
    """Size of captions."""
    line: int
    """Height of their lines, at their tallest."""
    is_captioned: bool

    @property
    def is_tall(self) -> bool:
        return self.height > self.width

    @property
    def caption_room(self) -> int:
        """What two lines of caption take from the foot, and the air above them; nothing where none are burned."""
        return 2 * self.line + 4 * self.px(BOX) if self.is_captioned else 0

    def px(self, at_720: float) -> int:
        return max(1, round(at_720 * self.unit))


def overlay_text(
    plan: Plan, size: tuple[int, int], *, is_captioned: bool, label: str, cards: Sequence[Card],
    stages: Sequence[Stage], measure: Measure,
) -> str:  # fmt: skip
    """The ASS text of one output; "" where nothing is written at all."""
    scheme = _scheme(plan, size, measure, is_captioned)
    events = [_label(label, plan.num_frames, scheme)] if label else []
    events += [_still(shot, scheme) for shot in plan.shots if shot.renderer == STILL]
    events += [event for card in cards for event in _card(card, scheme, measure)]
    events += [event for name in plan.names for event in _name(name, stages, scheme, measure)]
    if is_captioned:
        events += [_caption(cue, stages, scheme, measure) for cue in plan.cues]
    if not events:
        return ""
    return document(*size, plan.rate, _styles(plan.language, scheme), events)


def caption_top(plan: Plan, size: tuple[int, int], measure: Measure) -> int:
    """The first row of a caption of two lines that stands at the foot."""
    scheme = _scheme(plan, size, measure, is_captioned=True)
    return scheme.foot - scheme.caption_room


def label_text(plan: Plan, size: tuple[int, int], label: str, measure: Measure) -> str:
    """Only the label, for a still picture; "" without one."""
    scheme = _scheme(plan, size, measure, is_captioned=False)
    return document(*size, plan.rate, _styles(plan.language, scheme), [_label(label, 1, scheme)]) if label else ""


def font_for(language: str) -> str:
    """The family that sets a language as its readers expect: the same Han character differs from country to country."""
    tag = language.lower()
    for prefix in ("-".join(tag.split("-")[:2]), tag.split("-")[0]):
        if prefix in _CJK_FONTS:
            return f"Noto Sans CJK {_CJK_FONTS[prefix]}"
    return _LATIN_FONT


def _scheme(plan: Plan, size: tuple[int, int], measure: Measure, is_captioned: bool) -> _Scheme:
    width, height = size
    unit = min(size) / 720
    is_tall = height > width
    foot = round(height * (1 - (TALL_SAFE_BOTTOM if is_tall else SAFE)))
    wanted = (TALL_CAPTION_SIZE if is_tall else CAPTION_SIZE) * unit
    widest = max((measure(line, wanted) for cue in plan.cues for line in cue.lines), default=1.0)
    # One size for all captions of a programme: letters that change size from cue to cue look restless.
    fitting = min(wanted, wanted * _caption_room(width) / max(widest, 1.0))
    caption = max(fitting, SMALLEST_CAPTION * unit)
    tallest = max((tallness(line) for cue in plan.cues for line in cue.lines), default=1.0)
    return _Scheme(
        width=width, height=height, unit=unit, foot=foot, side=round(width * SAFE), caption=round(caption),
        line=round(caption * tallest), is_captioned=is_captioned,
    )  # fmt: skip


def _caption_room(width: int) -> float:
    return width * (1 - 2 * SAFE) * 0.97


def _styles(language: str, scheme: _Scheme) -> tuple[Style, ...]:
    font, px = font_for(language), scheme.px
    return (
        Style(name="Caption", font=font, size=scheme.caption, weight=600, box=px(BOX), box_colour="5A101010",
              edge=0.6 * scheme.unit, edge_colour="40000000", align=2),
        Style(name="Name", font=font, size=px(NAME_SIZE), weight=600, box=px(BOX), box_colour="38140F0C", align=1),
        Style(name="Bar", font=font, size=px(NAME_SIZE), colour=ACCENT, align=7),
        Style(name="Label", font=font, size=px(LABEL_SIZE), weight=500, colour="18FFFFFF", box=px(5),
              box_colour="80000000", align=9),
        Style(name="Still", font=font, size=px(LABEL_SIZE), weight=600, colour=ACCENT, box=px(5),
              box_colour="38000000", align=7),
        Style(name="Card", font=font, size=px(CARD_SIZE), weight=500, align=5),
        Style(name="Rule", font=font, size=px(CARD_SIZE), colour=ACCENT, align=7),
    )  # fmt: skip


def _label(label: str, num_frames: int, scheme: _Scheme) -> Event:
    x, y = scheme.width - round(scheme.width * SAFE * 0.7), round(scheme.height * SAFE * 0.7)
    return Event(start_frame=0, end_frame=num_frames, style="Label", x=x, y=y, lines=(label,), layer=9)


def _still(shot: Shot, scheme: _Scheme) -> Event:
    """Opposite the label: that this picture is none of a renderer's."""
    x, y = round(scheme.width * SAFE * 0.7), round(scheme.height * SAFE * 0.7)
    return Event(
        start_frame=shot.start_frame, end_frame=shot.end_frame, style="Still", x=x, y=y, lines=(STILL_TEXT,), layer=9
    )


def _caption(cue: Cue, stages: Sequence[Stage], scheme: _Scheme, measure: Measure) -> Event:
    widest = max((measure(line, scheme.caption) for line in cue.lines), default=1.0)
    size = min(1.0, max(_caption_room(scheme.width) / max(widest, 1.0), 0.6)) * scheme.caption
    return Event(
        start_frame=cue.start_frame,
        end_frame=cue.end_frame,
        style="Caption",
        x=scheme.width // 2,
        y=_caption_foot(cue, stages, scheme),
        lines=cue.lines,
        size=None if round(size) == scheme.caption else round(size),
        margin_x=scheme.side,
        layer=5,
    )


def _caption_foot(cue: Cue, stages: Sequence[Stage], scheme: _Scheme) -> int:
    """The lowest row of a caption: between rows of pictures, else below a panel, else at the foot."""
    stage, padding = _stage_at(cue.start_frame, stages), scheme.px(BOX)
    high = len(cue.lines) * scheme.line
    lowest = scheme.foot - padding
    if stage.seam is not None:
        return stage.seam + high // 2
    # On a tall picture the eye should not have to travel from a panel to the foot; on a wide one the foot is the place.
    return min(lowest, stage.floor + 2 * scheme.px(14) + high) if scheme.is_tall else lowest


def _stage_at(frame: int, stages: Sequence[Stage]) -> Stage:
    index = bisect_right(stages, frame, key=lambda stage: stage.start_frame) - 1
    return stages[max(0, index)]


def _name(name: NameTag, stages: Sequence[Stage], scheme: _Scheme, measure: Measure) -> list[Event]:
    """A bar and a name in a box: the lower third. A long name takes two lines, then gets smaller."""
    stage = _stage_at(name.start_frame, stages)
    x, room = _name_column(name, stage, scheme)
    padding, bar, wanted = scheme.px(BOX), scheme.px(6), scheme.px(NAME_SIZE)
    lines = (name.name,) if measure(name.name, wanted) <= room else _halves(name.name)
    widest = max(measure(line, wanted) for line in lines)
    size = max(round(wanted * SMALLEST_NAME), min(wanted, round(wanted * room / max(1.0, widest))))
    high = round(sum(size * tallness(line) for line in lines)) + 2 * padding
    foot = _name_foot(name, stage, scheme, high)
    bar_event = Event(
        start_frame=name.start_frame, end_frame=name.end_frame, style="Bar", x=x, y=foot - high, layer=6,
        drawing=_rectangle(bar, high), fade_ms=FADE_MS,
    )  # fmt: skip
    at = (x + bar + padding, foot - padding)
    return [bar_event, replace(bar_event, style="Name", x=at[0], y=at[1], drawing="", lines=lines, size=size)]


def _halves(text: str) -> tuple[str, ...]:
    """`text` in two lines that are as even as its words allow; one line for a single word."""
    words = text.split()
    if len(words) < 2:
        return (text,)
    cuts = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    return min(cuts, key=lambda pair: max(len(pair[0]), len(pair[1])))


def _rectangle(width: int, height: int) -> str:
    """In ASS's drawing language."""
    return f"m 0 0 l {width} 0 l {width} {height} l 0 {height}"


def _name_column(name: NameTag, stage: Stage, scheme: _Scheme) -> tuple[int, float]:
    """Left column, and room for the text: in its own picture, off the face of a picture that is not shared."""
    extra = scheme.px(BOX) * 2 + scheme.px(6)
    if name.place < len(stage.panels) > 1:
        left, _, right, _ = stage.panels[name.place]
        start = scheme.side if left == 0 else left + scheme.side // 2
        return start, min(right - scheme.side // 2, scheme.width - scheme.side) - start - extra
    if scheme.is_tall:
        return scheme.side, scheme.width - 2 * scheme.side - extra
    clear = stage.clear if stage.clear is not None else scheme.width // 2
    return scheme.side, max(float(scheme.px(SHORTEST_NAME_ROOM)), clear - scheme.side - extra - scheme.px(16))


def _name_foot(name: NameTag, stage: Stage, scheme: _Scheme, high: int) -> int:
    """The lowest row of a name `high` px high: in its own picture, out of the way of captions."""
    air, at_foot = scheme.px(18), scheme.foot - scheme.caption_room
    if not name.place < len(stage.panels) > 1:
        return min(at_foot, stage.floor - air) if scheme.is_tall else at_foot
    left, top, right, bottom = stage.panels[name.place]
    if stage.seam is None:
        return min(at_foot, bottom - air)
    if right - left < scheme.width // 2 + scheme.side:
        # A face fills its cell of a grid: at its foot a name would hide the mouth.
        below_captions = stage.seam + scheme.caption_room // 2 if top >= stage.seam else 0
        return max(top, round(scheme.height * SAFE), below_captions) + air + high
    is_last_above = 0 <= stage.seam - bottom < scheme.line
    lowest = stage.seam - scheme.caption_room // 2 if is_last_above else scheme.foot
    return min(lowest, bottom - air)


def _card(card: Card, scheme: _Scheme, measure: Measure) -> list[Event]:
    """Words in the middle under a short rule; long ones get smaller, and libass breaks their lines."""
    room_x, room_y = scheme.width * 0.76, scheme.height * 0.56
    size = float(scheme.px(CARD_SIZE))
    while size > 0.4 * scheme.px(CARD_SIZE) and _card_height(card.text, size, room_x, measure) > room_y:
        size *= 0.92
    middle = scheme.height // 2
    rule_y = middle - round(_card_height(card.text, size, room_x, measure) / 2) - scheme.px(34)
    wide, high = scheme.px(72), scheme.px(5)
    rule = Event(
        start_frame=card.start_frame, end_frame=card.end_frame, style="Rule", x=(scheme.width - wide) // 2, y=rule_y,
        drawing=_rectangle(wide, high), fade_ms=FADE_MS,
    )  # fmt: skip
    text = replace(
        rule, style="Card", x=scheme.width // 2, y=middle, drawing="", lines=(card.text,), size=round(size),
        margin_x=round((scheme.width - room_x) / 2),
    )  # fmt: skip
    return [rule, text]


def _card_height(text: str, size: float, room: float, measure: Measure) -> float:
    return size * max(1, round(measure(text, size) * 1.1 / room + 0.5))
