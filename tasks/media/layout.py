"""Where pictures go on an output: panels of a layout, and the part of a clip that each panel shows. Pure geometry.

In: sizes in px and a face box. Out: even rectangles. Knows no pixels, no shots and no time.
"""

from dataclasses import dataclass, replace
from math import ceil, sqrt

from tasks.domain.casting import Box

HEAD_UP, HEAD_SIDE, HEAD_DOWN = 0.60, 0.42, 0.45
"""How far a head with hair and neck reaches beyond its face box, in face heights and (each side) face widths."""
MAX_UPSCALE = 2.2
"""Beyond this a clip looks soft, whatever the filter."""
EYES_IN_FACE = 0.40
"""Height of the eyes within a face box."""
EYES_IN_FRAME = 0.40
"""Where the eyes should lie in a picture: a little above the upper third's line, so that hair has air."""
WIDEST_PANEL = 0.80
"""A clip on a ground takes at most this share of the side that it does not fill."""
FACE_OF_HEIGHT, FACE_OF_WIDTH = 0.46, 0.66
"""A clip on a ground is enlarged until a face takes so much of its panel: closer would be too close."""
LIP_IN_FACE = 0.92
"""The lower lip of a wide open mouth lies so far down a face box."""
CARD_MARGIN = 0.035
"""Above a clip that makes room for texts below it, as a share of the panel's height."""
PANEL_ABOVE_MIDDLE = 0.38
"""Share of the free height above a panel that does not fill its frame: captions want the room below."""
LONG_ASPECT = 1.4
"""An output at least this much longer than it is wide can show three in a line; a squarer one has two rows then."""
GAP = 0.006
"""Between the panels of a shared picture, as a share of the shorter side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """A rectangle in px; all four numbers are even, so that it is whole in 4:2:0 chroma too."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column behind it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below it."""
        return self.y + self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One clip on an output: `crop` of the clip fills `target`; a ground fills the rest of `panel`."""

    panel: Rect
    target: Rect
    crop: Rect

    @property
    def has_ground(self) -> bool:
        """True where the clip does not fill its panel."""
        return self.panel != self.target

    def to_output_x(self, x: float) -> int:
        """Column `x` of the clip as a column of the output."""
        return round(self.target.x + (x - self.crop.x) * self.target.width / self.crop.width)

    def to_output_y(self, y: float) -> int:
        """Row `y` of the clip as a row of the output."""
        return round(self.target.y + (y - self.crop.y) * self.target.height / self.crop.height)


def even(value: float, at_least: int = 2) -> int:
    """The nearest even number, not under `at_least`."""
    return max(at_least, round(value / 2) * 2)


def panels(count: int, width: int, height: int) -> tuple[Rect, ...]:
    """Panels for `count` pictures that share an output, in reading order; thin gaps lie between them.

    One fills it; two are halves along the longer side; three are strips where it is long enough for them; more form a
    grid whose last row is centred.
    """
    if count < 1:
        raise ValueError(f"a picture needs at least one panel, got {count}")
    is_wide = width >= height
    most_in_line = 3 if max(width, height) >= LONG_ASPECT * min(width, height) else 2
    if count <= most_in_line:
        columns, rows = (count, 1) if is_wide else (1, count)
    else:
        longer = ceil(sqrt(count))
        shorter = ceil(count / longer)
        columns, rows = (longer, shorter) if is_wide else (shorter, longer)
    gap = even(GAP * min(width, height)) if count > 1 else 0
    rights = [_steps(index, columns, width, gap) for index in range(columns)]
    downs = [_steps(index, rows, height, gap) for index in range(rows)]
    cells = []
    for index in range(count):
        row, column = divmod(index, columns)
        missing = columns - min(columns, count - row * columns)
        indent = even(missing * (width + gap) / columns / 2, 0)
        (left, right), (top, bottom) = rights[column], downs[row]
        cells.append(Rect(x=left + indent, y=top, width=right - left, height=bottom - top))
    return tuple(cells)


def _steps(index: int, count: int, length: int, gap: int) -> tuple[int, int]:
    """Start and end of the part `index` of `count` that share `length` px with gaps between them; both even."""
    step = (length + gap) / count
    start = even(index * step, 0)
    return start, length if index == count - 1 else even(start + step - gap)


def place(clip_width: int, clip_height: int, face: Box | None, panel: Rect, texts: int | None = None) -> Placement:
    """How a clip is shown in `panel`: filling it when the whole head stays in sight, as a panel on a ground otherwise.

    face: in px of the clip; None where nobody is seen (the middle then counts). texts: from this row of the output on
    texts may lie over the panel; a clip whose mouth they would hide is shown whole above them.
    """
    placement = _placed(clip_width, clip_height, face, panel)
    if face is None or texts is None or placement.to_output_y(face[1] + LIP_IN_FACE * face[3]) <= texts:
        return placement
    top = panel.y + even(CARD_MARGIN * panel.height)
    room = Rect(x=panel.x, y=top, width=panel.width, height=max(2, (min(texts, panel.bottom) - top) // 2 * 2))
    scale = min(room.width / clip_width, room.height / clip_height)
    return replace(_at_scale(clip_width, clip_height, face, room, scale), panel=panel)


def _placed(clip_width: int, clip_height: int, face: Box | None, panel: Rect) -> Placement:
    contain = min(panel.width / clip_width, panel.height / clip_height)
    cover = max(panel.width / clip_width, panel.height / clip_height)
    scale = cover
    if face is not None:
        head = head_box(face, clip_width, clip_height)
        fits = min(panel.width / head[2], panel.height / head[3], MAX_UPSCALE)
        # Nearly full is full: a narrow strip of ground looks like a mistake, a few lost px of hair do not.
        if cover > fits and contain < WIDEST_PANEL * cover:
            scale = _scale_of_panel(face, panel, contain, min(fits, WIDEST_PANEL * cover))
    return _at_scale(clip_width, clip_height, face, panel, scale)


def head_box(face: Box, clip_width: int, clip_height: int) -> Box:
    """The face box grown to the whole head, as far as the clip shows it."""
    x, y, width, height = face
    left, top = max(0.0, x - HEAD_SIDE * width), max(0.0, y - HEAD_UP * height)
    right = min(float(clip_width), x + (1 + HEAD_SIDE) * width)
    bottom = min(float(clip_height), y + (1 + HEAD_DOWN) * height)
    return left, top, max(2.0, right - left), max(2.0, bottom - top)


def _scale_of_panel(face: Box, panel: Rect, contain: float, most: float) -> float:
    """Of a clip that does not fill its panel: no larger than a face is comfortable, never less than the whole clip."""
    comfortable = min(FACE_OF_HEIGHT * panel.height / face[3], FACE_OF_WIDTH * panel.width / face[2])
    return max(contain, min(most, comfortable))


def _at_scale(clip_width: int, clip_height: int, face: Box | None, panel: Rect, scale: float) -> Placement:
    shown_width = min(panel.width, even(clip_width * scale))
    shown_height = min(panel.height, even(clip_height * scale))
    crop_width = min(clip_width // 2 * 2, even(shown_width / scale))
    crop_height = min(clip_height // 2 * 2, even(shown_height / scale))
    left, top = (clip_width - crop_width) / 2, (clip_height - crop_height) * EYES_IN_FRAME
    if face is not None:
        head = head_box(face, clip_width, clip_height)
        left = _around(face[0] + face[2] / 2 - crop_width / 2, crop_width, head[0], head[2])
        top = _around(face[1] + face[3] * EYES_IN_FACE - crop_height * EYES_IN_FRAME, crop_height, head[1], head[3])
    crop = Rect(
        x=_within(left, clip_width - crop_width),
        y=_within(top, clip_height - crop_height),
        width=crop_width,
        height=crop_height,
    )
    target = Rect(
        x=panel.x + even((panel.width - shown_width) / 2, 0),
        y=panel.y + even((panel.height - shown_height) * PANEL_ABOVE_MIDDLE, 0),
        width=shown_width,
        height=shown_height,
    )
    return Placement(panel=panel, target=target, crop=crop)


def _around(start: float, length: float, head_start: float, head_length: float) -> float:
    """`start` of a crop, moved so that the head lies within it where it fits."""
    if head_length > length:
        return start
    return min(head_start, max(start, head_start + head_length - length))


def _within(start: float, room: int) -> int:
    """`start` as an even number from 0 to `room`."""
    return max(0, min(room // 2 * 2, round(start / 2) * 2))
