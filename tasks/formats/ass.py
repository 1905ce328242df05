"""Writes Advanced SubStation Alpha, the text format that libass burns into a picture. In: events. Out: one text.

Knows no cues and no design: `tasks.formats.overlay` decides what stands where.
Source: the ASS specification as libass implements it; "Encoding -1" (direction found from the text) and border style 4
(one box behind an event) are libass's own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

_HEAD = """[Script Info]
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 0
ScaledBorderAndShadow: yes
YCbCr Matrix: TV.709

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
"""
_EVENTS = """
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
_TALL_SCRIPTS = (
    ("\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff", 1.30),
    ("\u1000-\u109f", 1.40),
    ("\u0e80-\u0eff", 1.15),
)
"""Arabic, Burmese, Lao: their fonts reach far up and down, so that equal sizes look too small; and by how much."""
_TALL = re.compile("|".join(f"([{span}]+(?:[ \u200c\u200d]+[{span}]+)*)" for span, _ in _TALL_SCRIPTS))
_WORD_JOINER = "\u2060"
_JOINERS_AND_MARKS = "\u200c\u200d\u200e\u200f"
"""Not printable to Python, but part of how Persian, Hindi or mixed directions are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How an event looks. Colours are "AABBGGRR" in hexadecimal; AA = 00 is opaque."""

    name: str
    font: str
    size: int
    weight: int = 400
    colour: str = "00FFFFFF"
    edge_colour: str = "00000000"
    edge: float = 0.0
    """Outline in px."""
    box_colour: str = "00000000"
    box: float | None = None
    """Padding of a box behind the event, in px; None for no box."""
    shadow: float = 0.0
    """Offset of a shadow, where there is no box."""
    blur: float = 0.0
    align: int = 2
    """As on a numeric keypad: 2 is bottom middle, 7 top left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A text, or a drawing, from one frame up to another: [start_frame, end_frame)."""

    start_frame: int
    end_frame: int
    style: str
    x: int
    y: int
    lines: tuple[str, ...] = ()
    drawing: str = ""
    """In ASS's drawing language; takes the place of `lines`."""
    layer: int = 0
    size: int | None = None
    """In place of the style's."""
    fade_ms: int = 0
    margin_x: int = 0
    """Room kept free at both sides when a line has to be broken after all."""


def document(width: int, height: int, rate: Fraction, styles: Iterable[Style], events: Iterable[Event]) -> str:
    """A whole file for a picture of width x height px at `rate`."""
    by_name = {style.name: style for style in styles}
    head = _HEAD.format(width=width, height=height) + "\n".join(_style(style) for style in by_name.values())
    return head + "\n" + _EVENTS + "".join(_event(event, by_name[event.style], rate) for event in events)


def _style(style: Style) -> str:
    border = 1 if style.box is None else 4
    shadow = style.shadow if style.box is None else style.box
    return (
        f"Style: {style.name},{style.font},{style.size},&H{style.colour},&H{style.colour},&H{style.edge_colour},"
        f"&H{style.box_colour},0,0,0,0,100,100,0,0,{border},{style.edge:g},{shadow:g},{style.align},0,0,0,-1"
    )


def _event(event: Event, style: Style, rate: Fraction) -> str:
    size = event.size or style.size
    tags = [rf"\pos({event.x},{event.y})", rf"\b{style.weight}"]
    if event.size:
        tags.append(rf"\fs{event.size}")
    if style.blur:
        tags.append(rf"\blur{style.blur:g}")
    if event.fade_ms:
        tags.append(rf"\fad({event.fade_ms},{event.fade_ms})")
    body = rf"{{\p1}}{event.drawing}" if event.drawing else r"\N".join(_line(line, size) for line in event.lines)
    return (
        f"Dialogue: {event.layer},{_clock(event.start_frame, rate)},{_clock(event.end_frame, rate)},{style.name},,"
        f"{event.margin_x},{event.margin_x},0,,{{{''.join(tags)}}}{body}\n"
    )


def _line(text: str, size: int) -> str:
    """One line: escaped, and scripts whose fonts are tall enlarged."""

    def enlarged(found: re.Match[str]) -> str:
        factor = _TALL_SCRIPTS[(found.lastindex or 1) - 1][1]
        return rf"{{\fs{round(size * factor)}}}{found[0]}{{\fs{size}}}"

    return _TALL.sub(enlarged, escaped(text))


def tallness(text: str) -> float:
    """How much taller than its size a line of this text gets."""
    return max((_TALL_SCRIPTS[(found.lastindex or 1) - 1][1] for found in _TALL.finditer(text)), default=1.0)


def escaped(text: str) -> str:
    """Any text as words of one line: nothing in it is a tag, a break or a drawing to libass."""
    visible = (char if char.isprintable() or char in _JOINERS_AND_MARKS else " " for char in text)
    one_line = " ".join("".join(visible).split())
    # libass has no escape for a backslash: a word joiner, which has no width, keeps it from starting one.
    shielded = one_line.replace("\\", "\\" + _WORD_JOINER)
    return shielded.replace("{", r"\{").replace("}", r"\}")


def _clock(frame: int, rate: Fraction) -> str:
    """H:MM:SS.CC that lies after the frame before `frame` and not after `frame` itself.

    A hundredth early: libass is asked at a millisecond cut from a float, which may fall below the frame's instant.
    """
    hundredths = max(0, ceil(frame / rate * 100) - 1)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"
