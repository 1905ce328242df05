"""The output picture as planes of 4:2:0: crops, scaling, soft edges, grounds. In: arrays. Out: one buffer.

Everything is BT.709, limited range, as it comes out of a clip: no colour is converted on the way, which is what makes
this cheap. Knows no files and no time.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tasks.media.layout import Placement, Rect

Plane = npt.NDArray[np.uint8]

DARK = (20, 128, 128)
"""Y, Cb, Cr between panels: nearly black."""
GROUND_TOP, GROUND_BOTTOM = (52, 138, 122), (24, 131, 126)
"""A card's gradient: slate blue into near black."""
GROUND_LIGHT, GROUND_COLOUR = 0.42, 0.49
"""How much of a clip's light and colour its blurred ground keeps."""
GROUND_BLUR_SIGMA = 0.045
"""Blur of a ground, as a share of its longer side."""
GROUND_MIN_LUMA, BLACK = 22, 16
FEATHER = 0.03
"""Width of a panel's soft edge, as a share of the shorter side of the panel."""
_SMALL = 160
"""Longer side, in px, at which a ground is blurred: more would only cost time."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame of a clip: luma at full size, chroma at half size in both directions."""

    y: Plane
    u: Plane
    v: Plane

    @property
    def planes(self) -> tuple[Plane, Plane, Plane]:
        """Y, Cb, Cr."""
        return self.y, self.u, self.v


class Canvas:
    """An I420 frame that is painted again and again; `data` is what an encoder reads."""

    def __init__(self, width: int, height: int) -> None:
        """width, height: even, in px."""
        self.width, self.height = width, height
        luma, chroma = width * height, width * height // 4
        self._flat = np.empty(luma + 2 * chroma, np.uint8)
        half = (height // 2, width // 2)
        self.planes: tuple[Plane, Plane, Plane] = (
            self._flat[:luma].reshape(height, width),
            self._flat[luma : luma + chroma].reshape(half),
            self._flat[luma + chroma :].reshape(half),
        )
        self.clear()

    @property
    def data(self) -> memoryview:
        """The whole frame: Y, Cb, Cr, row by row."""
        return self._flat.data

    def clear(self) -> None:
        """Paint everything dark."""
        for plane, level in zip(self.planes, DARK, strict=True):
            plane.fill(level)

    def card(self) -> None:
        """Paint the ground of a card: a gradient from top to bottom, with a fixed grain against banding."""
        for index, plane in enumerate(self.planes):
            ramp = np.linspace(GROUND_TOP[index], GROUND_BOTTOM[index], plane.shape[0], dtype=np.float32)[:, None]
            plane[:] = _grained(np.broadcast_to(ramp, plane.shape), index)


class Window:
    """One clip's place on a canvas, for as long as its cut lasts."""

    def __init__(self, canvas: Canvas, placement: Placement) -> None:
        """placement: on this canvas."""
        self._canvas, self._placement = canvas, placement
        self._edges: list[tuple[int, tuple[slice, slice], npt.NDArray[np.uint16], npt.NDArray[np.uint16]]] = []

    def open(self, ground: Picture) -> None:
        """Paint what stays: the ground around the clip, made of `ground`."""
        if not self._placement.has_ground:
            return
        panel = self._placement.panel
        for index, (plane, source) in enumerate(zip(self._canvas.planes, ground.planes, strict=True)):
            rows, columns = _region(panel, index)
            plane[rows, columns] = _ground(source, index, rows.stop - rows.start, columns.stop - columns.start)
        self._remember_edges()

    def show(self, picture: Picture) -> None:
        """Paint one frame of the clip."""
        target, crop = self._placement.target, self._placement.crop
        for index, (plane, source) in enumerate(zip(self._canvas.planes, picture.planes, strict=True)):
            _scale(source[_region(crop, index)], plane[_region(target, index)])
        for index, where, kept, alpha in self._edges:
            strip = self._canvas.planes[index][where]
            # kept is the ground's share, already multiplied: 8-bit fixed point.
            strip[:] = (strip * alpha + kept) >> 8

    def _remember_edges(self) -> None:
        """Keep the ground under the clip's soft edges, where the clip ends within its panel."""
        panel, target = self._placement.panel, self._placement.target
        width = max(2, round(FEATHER * min(target.width, target.height) / 2) * 2)
        ramp = _ramp(width)
        strips = (
            (target.x > panel.x, Rect(x=target.x, y=target.y, width=width, height=target.height), ramp[None, :]),
            (
                target.right < panel.right,
                Rect(x=target.right - width, y=target.y, width=width, height=target.height),
                ramp[None, ::-1],
            ),
            (target.y > panel.y, Rect(x=target.x, y=target.y, width=target.width, height=width), ramp[:, None]),
            (
                target.bottom < panel.bottom,
                Rect(x=target.x, y=target.bottom - width, width=target.width, height=width),
                ramp[::-1, None],
            ),
        )
        for is_inner, rect, alpha in strips:
            if is_inner:
                self._remember(rect, alpha)

    def _remember(self, rect: Rect, alpha: npt.NDArray[np.uint16]) -> None:
        for index, plane in enumerate(self._canvas.planes):
            where = _region(rect, index)
            share = alpha if index == 0 else alpha[:: min(2, alpha.shape[0]), :: min(2, alpha.shape[1])]
            self._edges.append((index, where, plane[where].astype(np.uint16) * (256 - share), share))


def _region(rect: Rect, index: int) -> tuple[slice, slice]:
    """Rows and columns of `rect` in plane `index`: chroma has half of both."""
    shift = 0 if index == 0 else 1
    return slice(rect.y >> shift, rect.bottom >> shift), slice(rect.x >> shift, rect.right >> shift)


def _scale(source: Plane, target: Plane) -> None:
    """Fill `target` with `source`: area average downwards, cubic upwards."""
    if source.shape == target.shape:
        target[:] = source
        return
    is_smaller = target.shape[0] < source.shape[0]
    method = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
    target[:] = cv2.resize(source, target.shape[::-1], interpolation=method)


def _ground(source: Plane, index: int, height: int, width: int) -> Plane:
    """A blurred, darkened cover of `source`, height x width."""
    small_height, small_width = _fitted(height, width)
    rows, columns = source.shape
    scale = max(small_height / rows, small_width / columns)
    crop_rows, crop_columns = min(rows, round(small_height / scale)), min(columns, round(small_width / scale))
    top, left = (rows - crop_rows) // 2, (columns - crop_columns) // 2
    part = source[top : top + crop_rows, left : left + crop_columns]
    small = cv2.resize(part, (small_width, small_height), interpolation=cv2.INTER_AREA).astype(np.float32)
    small = cv2.GaussianBlur(small, (0, 0), GROUND_BLUR_SIGMA * max(small.shape), borderType=cv2.BORDER_REPLICATE)
    if index == 0:
        small = np.maximum((small - BLACK) * GROUND_LIGHT + BLACK, GROUND_MIN_LUMA)
    else:
        small = (small - 128) * GROUND_COLOUR + 128
    return _grained(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), index)


def _fitted(height: int, width: int) -> tuple[int, int]:
    """The size at which a ground is blurred."""
    scale = min(1.0, _SMALL / max(height, width))
    return max(2, round(height * scale)), max(2, round(width * scale))


def _grained(values: npt.NDArray[np.float32], index: int) -> Plane:
    """8-bit values with less than a level of fixed grain, so that slow gradients do not band."""
    noise = np.random.default_rng(index).random(values.shape, np.float32)
    return np.asarray(np.clip(np.floor(values + noise), 0, 255), np.uint8)


def _ramp(width: int) -> npt.NDArray[np.uint16]:
    """Opacity over a soft edge, 0..256, smooth at both ends."""
    position = (np.arange(width, dtype=np.float64) + 0.5) / width
    return np.round(256 * position * position * (3 - 2 * position)).astype(np.uint16)
