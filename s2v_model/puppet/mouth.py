"""The inside of a mouth in the portrait's own light: teeth, tongue, dark; or the teeth that the portrait shows.

In: a portrait at frame size and its `Shape`. Out: `Mouth`, and from it the colours behind the parted lips. Works in
the face's local coordinates, so the head may turn. Knows no time.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Float32Array, UInt8Array
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.shape import Shape
from s2v_model.puppet.sheets import smoothstep
from s2v_model.puppet.strokes import Scratch, ramp
from s2v_model.puppet.teeth import Texture, canvas, flipped, sample, teeth, tongue

FloatArray = npt.NDArray[np.float64]

_TEXELS_PER_PX = 2.0
_OWN_TEETH_GAP = 0.055
"""A portrait whose lips are this far apart, relative, shows teeth of its own."""
_LUMA = np.array([0.299, 0.587, 0.114])
_TOOTH_TINT = np.array([1.00, 0.975, 0.915])
"""Teeth are a little yellower than the white of an eye."""
_TONGUE_TINT = np.array([0.80, 0.40, 0.43])
_DEEPER = np.array([0.95, 0.78, 0.82])
"""Of a lip's colour, a tongue's."""
_CAVITY_RGB = np.array([50.0, 19.0, 20.0])
_WIDE_JAW = 0.20
"""From this opening, relative, the tongue's back is seen."""
_CHEEK_LIGHT = 0.52
"""Of a tongue's light, what the inside of a cheek has of it beside the teeth."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mouth:
    """What lies behind the lips of one portrait."""

    upper_teeth: Texture
    lower_teeth: Texture
    tongue: Texture
    cavity: Float32Array
    """(3,) RGB."""
    cheek: Float32Array
    """(3,) RGB, of the inside of a cheek, seen in the corners."""
    own: Texture | None
    """The portrait's own open mouth, the lips painted out."""
    own_split: float
    """Local y below which the portrait's own teeth go with the jaw."""
    own_upper_only: bool
    width: float
    """Of the slit, relative."""
    gap: float
    line: float
    """Thickness of the line around a flat drawing's mouth, relative; 0 for any other picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The state of the lips in one frame, relative."""

    jaw: float
    """How far the middle of the lower lip has come down."""
    width_scale: float
    """Width of the slit against the portrait's."""
    tongue: float = 0.0
    """0 lies low .. 1 touches the upper teeth."""
    pucker: float = 0.0
    """1 hides the teeth behind rounded lips."""


def build_mouth(rgb: UInt8Array, shape: Shape, *, line_px: float = 0.0) -> Mouth:
    """The mouth of the portrait `rgb`, lit as its skin is; `line_px`: of a flat drawing, how thick its lines are."""
    if line_px:
        return _drawn_mouth(shape, line_px)
    white, skin = _light(rgb, shape)
    luma = float(white @ _LUMA)
    colour = float(smoothstep(np.ptp(skin) / (skin.max() + 1), 0.03, 0.18))
    white = _toned(white, colour)
    cavity = _toned(_CAVITY_RGB * np.clip(luma / 190, 0.35, 1.0), colour).astype(np.float32)
    scale = _TEXELS_PER_PX * shape.unit
    width = shape.slit_width
    pink = _toned(_tongue_colour(rgb, shape, luma * _TONGUE_TINT), colour)
    own, split, upper_only = None, 0.0, False
    if shape.gap > _OWN_TEETH_GAP and _shows_teeth(rgb, shape, skin):
        own, split, upper_only = _own_teeth(rgb, shape, cavity)
    return Mouth(
        upper_teeth=teeth(
            scale,
            width,
            white,
            widths=(0.105, 0.082, 0.088, 0.080, 0.08, 0.08),
            heights=(0.150, 0.138, 0.146, 0.128, 0.12, 0.11),
            bend=0.17,
        ),
        lower_teeth=flipped(
            teeth(
                scale,
                width,
                0.78 * white,
                widths=(0.064, 0.068, 0.078, 0.080, 0.08, 0.08),
                heights=(0.115, 0.115, 0.118, 0.11, 0.10, 0.10),
                bend=0.30,
            )
        ),
        tongue=tongue(scale, width, pink),
        cavity=cavity,
        cheek=np.maximum(cavity, _CHEEK_LIGHT * pink).astype(np.float32),
        own=own,
        own_split=split,
        own_upper_only=upper_only,
        width=width,
        gap=shape.gap,
        line=0.0,
    )


def _drawn_mouth(shape: Shape, line_px: float) -> Mouth:
    """Of a flat drawing: a white bar, a red tongue, a dark ground, each of one colour."""
    scale, width = _TEXELS_PER_PX * shape.unit, shape.slit_width
    x, y, column0 = canvas(scale, width)
    bar = 1 / (1 + np.exp(np.clip((y - 0.17 + 0.18 * x**2) / 0.007, -60, 60)))
    round_tongue = 1 / (1 + np.exp(np.clip(((x / 0.36) ** 2 + ((y - 0.42) / 0.34) ** 2 - 1) / 0.03, -60, 60)))

    def area(colour: tuple[float, float, float], alpha: FloatArray) -> Texture:
        rgba = np.dstack([np.broadcast_to(colour, (*alpha.shape, 3)), alpha]).astype(np.float32)
        return Texture(rgba=rgba, column0=column0, row0=0.0, scale=scale)

    return Mouth(
        upper_teeth=area((250.0, 248.0, 240.0), bar),
        lower_teeth=area((0.0, 0.0, 0.0), np.zeros_like(bar)),
        tongue=area((222.0, 84.0, 80.0), round_tongue),
        cavity=np.array([62.0, 16.0, 20.0], np.float32),
        cheek=np.array([62.0, 16.0, 20.0], np.float32),
        own=None,
        own_split=0.0,
        own_upper_only=False,
        width=width,
        gap=shape.gap,
        line=line_px / shape.unit,
    )


def _toned(rgb: FloatArray, colour: float) -> FloatArray:
    """`rgb` as it looks in a picture with this share of colour: 0 black and white .. 1 full."""
    return np.asarray(rgb * colour + float(rgb @ _LUMA) * (1 - colour))


def _shows_teeth(rgb: UInt8Array, shape: Shape, skin: FloatArray) -> bool:
    """Whether something bright and hardly red fills a good part of the portrait's parted lips."""
    outline = np.concatenate([shape.points[list(mesh.UPPER_INNER), :2], shape.points[list(mesh.LOWER_INNER[::-1]), :2]])
    colours = _inside(rgb, outline)
    if not len(colours):
        return False
    bright = colours @ _LUMA > 0.55 * float(skin @ _LUMA)
    pale = np.ptp(colours, axis=1) < 0.55 * (colours.max(1) + 1)
    return float((bright & pale).mean()) > 0.09


def paint(mouth: Mouth, local: Float32Array, opening: Opening, room: Scratch) -> Float32Array:
    """The inside of the mouth at the points `local` (h, w, 2), relative: float RGB (h, w, 3), 0 .. 255, in `room`."""
    inside = _ground(mouth, local, opening, room)
    if mouth.own is not None:
        return _paint_own(mouth, mouth.own, local, opening, inside, room)
    lower_lip = mouth.gap / 2 + opening.jaw
    _lay_below(inside, mouth, local, opening, room, lower_lip + 0.062)
    top = -mouth.gap / 2 - (0.042 - 0.4 * min(mouth.gap, 0.05))
    # Behind a tongue between the teeth the upper lip hides a little more of them.
    top -= 0.05 * opening.pucker + 0.012 * opening.tongue
    _lay(inside, mouth.upper_teeth, local, opening, room, top=top, tall=1.0, keep_width=0.55)
    return inside


def _ground(mouth: Mouth, local: Float32Array, opening: Opening, room: Scratch) -> Float32Array:
    """The dark behind everything, and towards the corners the cheeks, which light reaches."""
    height, width = local.shape[:2]
    aside, inside = room.floats("aside", height, width, 1), room.floats("inside", height, width, 3)
    np.abs(local[..., :1], out=aside)
    aside *= np.float32(1 / (0.5 * mouth.width * opening.width_scale))
    aside -= np.float32(0.45)
    aside *= np.float32(1 / 0.5)
    np.clip(aside, 0, 1, out=aside)
    np.multiply(mouth.cheek - mouth.cavity, aside, out=inside)
    inside += mouth.cavity
    return inside


def _lay_below(
    onto: Float32Array, mouth: Mouth, local: Float32Array, opening: Opening, room: Scratch, gum: float
) -> None:
    """What goes with the jaw: the tongue behind the lower teeth, whose gum lies at `gum`."""
    wide = min(1.0, max(0.0, opening.jaw) / _WIDE_JAW)
    lift = (0.30 + 0.13 * wide) * mouth.width + 0.05 * opening.tongue
    # Raised to the teeth it spreads until it touches them on either side.
    _lay(
        onto,
        mouth.tongue,
        local,
        opening,
        room,
        top=gum - lift,
        tall=0.8 + 0.2 * wide,
        light=1 + 0.25 * opening.tongue,
        narrow=1 + 0.4 * opening.tongue,
    )
    _lay(onto, mouth.lower_teeth, local, opening, room, top=gum, tall=0.9, narrow=0.92)


def _lay(
    onto: Float32Array,
    texture: Texture,
    local: Float32Array,
    opening: Opening,
    room: Scratch,
    *,
    top: float,
    tall: float,
    light: float = 1.0,
    narrow: float = 1.0,
    keep_width: float = 0.0,
) -> None:
    height, width = local.shape[:2]
    x, y, seen = (room.floats(name, height, width) for name in ("x", "y", "seen"))
    np.divide(local[..., 0], np.float32(narrow * (keep_width + (1 - keep_width) * opening.width_scale)), out=x)
    np.subtract(local[..., 1], np.float32(top), out=y)
    y /= np.float32(tall)
    layer = sample(texture, x, y, room.floats("layer", height, width, 4))
    colours, alpha = layer[..., :3], layer[..., 3]
    if light != 1.0:
        colours *= np.float32(light)
    np.subtract(1, alpha, out=seen)
    onto *= seen[..., None]
    colours *= alpha[..., None]
    onto += colours


def _light(rgb: UInt8Array, shape: Shape) -> tuple[FloatArray, FloatArray]:
    """What white looks like in the portrait's light, and its skin: (3,) each.

    The white of the eyes lies in the same light as teeth and is the best witness; the skin bounds it.
    """
    at = np.clip(shape.points[list(mesh.CHEEKS), :2].astype(int), 0, [rgb.shape[1] - 1, rgb.shape[0] - 1])
    skin = np.median(rgb[at[:, 1], at[:, 0]].astype(float), axis=0)
    luma = float(skin @ _LUMA)
    eyes = np.concatenate(
        [_inside(rgb, shape.points[list(ids["upper"] + ids["lower"][::-1]), :2]) for ids in mesh.EYES]
    )
    chroma = np.ptp(eyes, axis=1) / (eyes.max(1) + 1)
    whites = eyes[(chroma < 0.45) & (eyes @ _LUMA > 0.6 * luma)]
    white_luma = float(np.percentile(whites @ _LUMA, 80)) if len(whites) > 12 else 1.1 * luma
    white_luma = float(np.clip(1.1 * white_luma, max(0.95 * luma, 45.0), max(1.7 * luma, 90.0)))
    tint = ((skin + 8) / (luma + 8)) ** 0.35
    return np.minimum(white_luma, 228.0) * tint * _TOOTH_TINT, skin


def _inside(rgb: UInt8Array, outline: FloatArray) -> FloatArray:
    """The colours within a closed outline: (n, 3)."""
    x, y, width, height = cv2.boundingRect(np.round(outline).astype(np.int32))
    left, top = max(0, x), max(0, y)
    part = rgb[top : y + height, left : x + width]
    if not part.size:
        return np.zeros((0, 3))
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline - [left, top]).astype(np.int32)], 255)
    return part[mask > 0].astype(float)


def _tongue_colour(rgb: UInt8Array, shape: Shape, usual: FloatArray) -> FloatArray:
    """Between the usual colour and the lower lip's, which lies in the same light."""
    outline = np.concatenate([shape.points[list(mesh.LOWER_INNER), :2], shape.points[list(mesh.LOWER_OUTER[::-1]), :2]])
    lip = _inside(rgb, outline)
    return usual if len(lip) < 12 else np.asarray(0.5 * usual + 0.5 * np.median(lip, axis=0) * _DEEPER)


def _own_teeth(rgb: UInt8Array, shape: Shape, cavity: Float32Array) -> tuple[Texture, float, bool]:
    """The portrait's open mouth with the lips painted out; where its teeth part; whether it shows upper teeth only."""
    inner = shape.local[list(mesh.UPPER_INNER + mesh.LOWER_INNER)]
    reach = 0.28 * shape.slit_width
    low = inner.min(0) - np.array([reach, reach * 1.1])
    high = inner.max(0) + np.array([reach, reach * 2.6])
    scale = 1.0 * shape.unit
    size = np.ceil((high - low) * scale).astype(int)
    to_frame = np.c_[shape.axes.T * (shape.unit / scale), shape.to_frame(low)]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(rgb, to_frame, tuple(int(v) for v in size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    outline = np.concatenate([shape.local[list(mesh.UPPER_INNER)], shape.local[list(mesh.LOWER_INNER[-2:0:-1])]])
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.int32((outline - low) * scale * 16)], 255, cv2.LINE_AA, 4)
    erosion = max(3, int(0.02 * scale) | 1)
    mask = cv2.erode(mask, np.ones((erosion, erosion), np.uint8))
    filled = _painted_out(patch, mask, cavity, 0.10 * shape.slit_width * scale)
    alpha = cv2.GaussianBlur(mask, (0, 0), max(0.8, 0.008 * scale)).astype(np.float32)[..., None] / 255
    whole = patch * alpha + filled * (1 - alpha)
    split, upper_only = _parting(patch, shape, low, scale)
    rgba = np.dstack([whole, np.ones(mask.shape, np.float32)]).astype(np.float32)
    texture = Texture(rgba=rgba, column0=float(-low[0] * scale), row0=float(-low[1] * scale), scale=scale)
    return texture, split, upper_only


def _painted_out(patch: UInt8Array, mask: UInt8Array, cavity: Float32Array, reach_px: float) -> Float32Array:
    """`patch` continued from inside `mask` outwards, fading into the dark of the mouth."""
    scale = min(1.0, 160 / max(patch.shape[:2]))
    small = cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    hole = (cv2.resize(255 - mask, small.shape[1::-1]) > 10).astype(np.uint8) * 255
    filled = cv2.inpaint(small, hole, 3, cv2.INPAINT_TELEA)
    far = cv2.distanceTransform(hole, cv2.DIST_L2, 3)
    fall = np.clip(1 - far / max(reach_px * scale, 1e-3), 0.12, 1)[..., None]
    mixed = (filled * fall + cavity * (1 - fall)).astype(np.float32)
    return np.asarray(cv2.resize(mixed, patch.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _parting(patch: UInt8Array, shape: Shape, low: FloatArray, scale: float) -> tuple[float, bool]:
    """Local y at which the upper teeth end, and whether nothing but upper teeth shows."""
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB).astype(np.float32)
    white = lab[..., 0] - 1.2 * np.abs(lab[..., 1] - 128) - 0.6 * np.abs(lab[..., 2] - 128)
    half = 0.18 * shape.slit_width
    columns = slice(int((-half - low[0]) * scale), int((half - low[0]) * scale) + 1)
    upper, lower = shape.local[mesh.LIP_CENTRE_UPPER, 1], shape.local[mesh.LIP_CENTRE_LOWER, 1]
    first = int((upper + 0.12 * shape.gap - low[1]) * scale)
    last = max(first + 3, int((lower - 0.04 * shape.gap - low[1]) * scale))
    profile = cv2.GaussianBlur(white[first:last, columns].mean(1)[:, None], (0, 0), 1.2).ravel()
    begin = int(0.30 * len(profile))
    darkest = begin + int(np.argmin(profile[begin : max(begin + 1, int(0.92 * len(profile)))]))
    faint = profile[darkest] > 0.70 * profile[: darkest + 1].max()
    upper_only = bool(faint or profile[darkest:].max() < profile[darkest] + 12)
    row = last if upper_only else first + darkest
    return float(low[1] + row / scale), upper_only


def _paint_own(
    mouth: Mouth, own: Texture, local: Float32Array, opening: Opening, dark: Float32Array, room: Scratch
) -> Float32Array:
    """The photographed mouth: upper teeth stay with the skull, what lies below the parting goes with the jaw."""
    (height, width), y = local.shape[:2], local[..., 1]
    split, down = mouth.own_split, max(opening.jaw, 0.0)
    x, source, band, within = (room.floats(name, height, width) for name in ("x", "source", "band", "within"))
    np.divide(local[..., 0], np.float32(opening.width_scale), out=x)
    np.subtract(y, np.float32(opening.jaw), out=source)
    np.copyto(source, np.float32(split), where=y <= np.float32(split + down))
    np.copyto(source, y, where=y < np.float32(split))
    shown = sample(own, x, source, room.floats("own", height, width, 4), cv2.BORDER_REPLICATE)[..., :3]
    if mouth.own_upper_only:
        _lay_below(dark, mouth, local, opening, room, mouth.gap / 2 + opening.jaw + 0.062)
        ramp(y, split - 0.012, split + 0.012, band, within)
        band *= np.float32(min(1.0, down / 0.02))
    else:
        lift = 0.16 * mouth.width * min(1.0, down / _WIDE_JAW)
        _lay(dark, mouth.tongue, local, opening, room, top=split + down - lift, tall=1.0, light=0.8)
        np.subtract(y, np.float32(split - 0.02), out=band)
        np.subtract(np.float32(split + down + 0.02), y, out=within)
        np.minimum(band, within, out=band)
        band *= np.float32(1 / 0.03)
        np.clip(band, 0, 1, out=band)
        band *= np.float32(0.88 * min(1.0, down / 0.12))
    dark -= shown
    dark *= band[..., None]
    shown += dark
    return shown
