"""How a portrait is framed: which part of it a clip shows, so that every output is served by that one clip. Pure.

Faces are placed as a camera operator would: eyes in the upper third, room above the hair, shoulders in the picture.
"""

from collections.abc import Sequence
from fractions import Fraction

from tasks.domain.casting import Box, Portrait
from tasks.domain.editing import Framing

FACE_OF_HEIGHT = 0.33
"""Face box height as a part of a wide picture's height: head and shoulders."""
FACE_OF_WIDTH = 0.46
"""Face box width as a part of an upright picture's width."""
FACE_CENTRE = 0.46
"""The middle of the face lies so far down the picture."""
LARGEST_ENLARGEMENT = 2.0
"""A clip shows a portrait at most so much larger than its pixels; the rest is the compositor's."""


def frame_portrait(
    portrait: Portrait, sizes: Sequence[tuple[int, int]], *, multiple_px: int, max_pixels: int
) -> Framing:
    """The part of `portrait` that one clip shows, for outputs of `sizes` (width, height in px).

    The crop is the union of what each output would like to see, cut to the picture; an output that wants more than
    the picture has gets the rest from the compositor. Width and height are multiples of `multiple_px`, and their
    product stays below `max_pixels`.
    """
    wishes = [_wish(portrait, width, height) for width, height in sizes]
    left = max(0.0, min(wish[0] for wish in wishes))
    top = max(0.0, min(wish[1] for wish in wishes))
    right = min(float(portrait.width), max(wish[0] + wish[2] for wish in wishes))
    bottom = min(float(portrait.height), max(wish[1] + wish[3] for wish in wishes))
    scale = min(LARGEST_ENLARGEMENT, max(height / wish[3] for (_, height), wish in zip(sizes, wishes, strict=True)))
    # A picture smaller than the wish is enlarged to fill the output's height as far as its pixels bear it.
    scale = max(scale, min(LARGEST_ENLARGEMENT, min(height for _, height in sizes) / (bottom - top)))
    scale = min(scale, (max_pixels / ((right - left) * (bottom - top))) ** 0.5)
    width = _multiple((right - left) * scale, multiple_px)
    height = _multiple((bottom - top) * scale, multiple_px)
    crop = _with_aspect((left, top, right - left, bottom - top), Fraction(width, height))
    return Framing(crop=_rounded(crop), width=width, height=height, face_box=_within(portrait.face_box, crop, width))


def _wish(portrait: Portrait, width: int, height: int) -> Box:
    """The part of the picture, perhaps beyond its edges, that an output of this size would like."""
    x, y, face_width, face_height = portrait.face_box
    tall = face_height / FACE_OF_HEIGHT if width >= height else face_width / FACE_OF_WIDTH * height / width
    wide = tall * width / height
    centre_x, centre_y = x + face_width / 2, y + face_height / 2
    left = _slid(centre_x - wide / 2, wide, portrait.width)
    top = _slid(centre_y - FACE_CENTRE * tall, tall, portrait.height)
    return (left, top, wide, tall)


def _slid(start: float, length: float, limit: float) -> float:
    """A window of `length` moved as little as possible so that it lies within [0, limit], if it fits at all."""
    if length >= limit:
        return min(0.0, max(start, limit - length))
    return min(max(start, 0.0), limit - length)


def _multiple(value: float, step: int) -> int:
    return max(step, round(value / step) * step)


def _with_aspect(box: Box, aspect: Fraction) -> Box:
    """The largest box of this aspect around the same centre, within `box`."""
    left, top, width, height = box
    new_width = min(width, height * float(aspect))
    new_height = new_width / float(aspect)
    return (left + (width - new_width) / 2, top + (height - new_height) / 2, new_width, new_height)


def _within(face: Box, crop: Box, width: int) -> Box:
    scale = width / crop[2]
    return _rounded(((face[0] - crop[0]) * scale, (face[1] - crop[1]) * scale, face[2] * scale, face[3] * scale))


def _rounded(box: Box) -> Box:
    """On a grid of 1/100 px, so that the same face gives the same fingerprint on machines that round differently."""
    left, top, width, height = (round(value, 2) for value in box)
    return (left, top, width, height)
