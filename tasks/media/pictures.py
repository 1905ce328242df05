"""Pictures from outside as plain pixels: sRGB, 8 bit, upright, without a word of what the file said about itself.

In: a file or its bytes; the content decides, never the name. Out: `Picture`, and PNG bytes of it.
Knows no faces: whether somebody is in the picture is judged elsewhere.
"""

import io
import logging
import re
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from tasks.domain.errors import PortraitError
from tasks.media.paths import shown

log = logging.getLogger(__name__)

UInt8Array = npt.NDArray[np.uint8]

REVISION = 1
"""Bump when equal bytes would give other pixels."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
BACKDROP = (214, 216, 220)
"""What shows through transparent pixels: a light neutral grey, as of a studio wall."""

# Pillow's own limit only warns up to twice its value, and a warning cannot be aimed at one picture. Ours is below.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """How much of a picture is too much, or too little. In px of the file."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000
    max_side_px: int = 30_000
    min_side_px: int = 64
    max_aspect: float = 5.0
    """Of the longer side to the shorter."""
    keep_side_px: int = 4096
    """A longer side is shrunk to this."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A decoded picture."""

    pixels: UInt8Array = field(repr=False)
    """(height, width, 3), sRGB, upright."""
    format: str
    original_size: tuple[int, int]
    """Width and height in the file, upright, in px."""
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.pixels.shape[1], self.pixels.shape[0]


def read_picture(
    source: Path | bytes, *, name: str = "", speaker: str | None = None, limits: PictureLimits = PictureLimits()
) -> Picture:
    """Decode a picture; the first frame of a moving one.

    source: the file or its bytes. name: how messages call it; the file's name by default. speaker: whose it is.
    Raises PortraitError for what is no whole picture of a known format, or passes a limit.
    """
    label = name or (source.name if isinstance(source, Path) else "picture")
    where = f"portrait {shown(label)}" + (f" (speaker {speaker})" if speaker else "")
    content = _bytes(source, where, limits)
    with warnings.catch_warnings():
        # Pillow warns of damaged metadata, which we leave out anyway.
        warnings.simplefilter("ignore")
        return _Reading(where, limits).picture(content)


def _bytes(source: Path | bytes, where: str, limits: PictureLimits) -> bytes:
    try:
        if isinstance(source, Path):
            with source.open("rb") as file:
                content = file.read(limits.max_bytes + 1)
        else:
            content = source
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise PortraitError(f"it cannot be opened ({reason}).", where=where, remedy="Check name and rights.") from error
    if not content:
        raise PortraitError("it is empty (0 bytes).", where=where, remedy="Export or download it again.")
    if len(content) > limits.max_bytes:
        raise PortraitError(
            f"it has more than {limits.max_bytes // 2**20} MiB.", where=where, remedy="Save it smaller, as JPEG or PNG."
        )
    return content


class _Reading:
    """One picture on its way from bytes to pixels."""

    def __init__(self, where: str, limits: PictureLimits) -> None:
        self._where, self._limits = where, limits
        self._warnings: list[str] = []

    def picture(self, content: bytes) -> Picture:
        image = self._opened(content)
        media_format, size = str(image.format), image.size
        self._check_size(*size)
        # Not n_frames: a hostile file makes counting them slow.
        if getattr(image, "is_animated", False) and media_format != "MPO":
            self._warn("it holds several pictures; the first one is used.")
        pixels = self._decoded(image, media_format)
        if media_format in ("JPEG", "MPO"):
            self._check_whole_jpeg(content, pixels)
        if _num_colours(pixels) <= 2:
            self._warn("it has two colours only; a photograph or a shaded drawing talks better.")
        turned = (pixels.shape[1] > pixels.shape[0]) != (size[0] > size[1])
        return Picture(
            pixels=pixels,
            format=media_format,
            original_size=(size[1], size[0]) if turned else size,
            warnings=tuple(self._warnings),
        )

    def _warn(self, sentence: str) -> None:
        self._warnings.append(f"{self._where}: {sentence}")

    def _refusal(self, message: str, remedy: str) -> PortraitError:
        return PortraitError(message, where=self._where, remedy=remedy)

    def _opened(self, content: bytes) -> Any:
        try:
            return Image.open(io.BytesIO(content), formats=FORMATS)
        except UnidentifiedImageError as error:
            raise self._refusal(*_what_it_is(content[:64])) from error
        except _DECODING_ERRORS as error:
            raise self._refusal("it is damaged.", _AGAIN) from error

    def _check_size(self, width: int, height: int) -> None:
        limits, text = self._limits, f"{width} x {height} px"
        if max(width, height) > limits.max_side_px or width * height > limits.max_pixels:
            most = f"{limits.max_pixels // 1_000_000} megapixels and {limits.max_side_px} px a side"
            raise self._refusal(f"it has {text}; at most {most} are read.", "Save it smaller.")
        if min(width, height) < 1 or max(width, height) > limits.max_aspect * min(width, height):
            raise self._refusal(
                f"it is a strip of {text}; the longer side may be {limits.max_aspect:g} times the shorter.",
                "Crop it around the head and shoulders.",
            )
        if min(width, height) < limits.min_side_px:
            raise self._refusal(
                f"it has {text}; at least {limits.min_side_px} px a side are needed.", "Use a larger picture."
            )

    def _decoded(self, image: Any, media_format: str) -> UInt8Array:
        """Turned upright, in sRGB, over the backdrop, shrunk."""
        keep = self._limits.keep_side_px
        try:
            if media_format in ("JPEG", "MPO"):
                # The decoder itself skips what shrinking would throw away: memory of a quarter or less.
                image.draft(None, (keep, keep))
            image.load()
            image = _upright(image)
            image = self._in_srgb(_eight_bit(image))
            if max(image.size) > keep:
                image.thumbnail((keep, keep), Image.Resampling.LANCZOS)
            image = _over_backdrop(image)
            return np.array(image, np.uint8)
        except _FormatError as error:
            raise self._refusal(str(error), "Save it as JPEG or PNG.") from error
        except _DECODING_ERRORS as error:
            raise self._refusal(_failure(error), _AGAIN) from error

    def _in_srgb(self, image: Any) -> Any:
        """Colours of an embedded profile as sRGB; without a profile they are taken for sRGB already."""
        profile = image.info.get("icc_profile")
        if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "L"):
            return image
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            opaque = image.convert("RGB") if alpha is not None else image
            converted: Any = ImageCms.profileToProfile(opaque, source, _SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            self._warn("its colour profile is damaged and left out.")
            return image
        if alpha is not None:
            converted.putalpha(alpha)
        return converted

    def _check_whole_jpeg(self, content: bytes, pixels: UInt8Array) -> None:
        """A JPEG cut in the middle but closed by an end mark decodes without an error, and ends in flat grey."""
        if _is_sound_jpeg(content):
            return
        below = pixels[-max(4, pixels.shape[0] // 64) :].astype(np.int16)
        if int((below.max(axis=(0, 1)) - below.min(axis=(0, 1))).max()) <= 2:
            raise self._refusal("it is truncated: its lower part is missing.", _AGAIN)
        self._warn("it is damaged in places.")


class _FormatError(Exception):
    """A known container with a coding of pixels that is not read."""


_AGAIN = "Export or download it again."
_DECODING_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, ArithmeticError, AttributeError),
    *(RuntimeError, AssertionError, struct.error, zlib.error),
)
"""What Pillow's readers raise on damaged content, with what hostile content was seen to cause."""
_SRGB = ImageCms.createProfile("sRGB")
_ORIENTATION = 0x0112


def _upright(image: Any) -> Any:
    """Turned as its EXIF says; a damaged EXIF block says nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except _DECODING_ERRORS:
        log.info("left out a damaged EXIF block")
        return image


def _eight_bit(image: Any) -> Any:
    """Any mode as one of L, RGB, RGBA, CMYK with 8 bits a channel; white stays white."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)
        return _like(image, ((values + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image).astype(np.float64))
        top = 65535.0 if image.mode == "I" else 1.0
        if values.min() < 0 or values.max() > top:
            raise _FormatError("its pixel values lie outside of what a picture has.")
        return _like(image, np.rint(values * (255 / top)).astype(np.uint8))
    if image.mode in ("P", "PA", "LA", "La", "RGBa") or "transparency" in image.info:
        return _keeping_info(image, image.convert("RGBA"))
    if image.mode in ("L", "RGB", "RGBA", "CMYK"):
        return image
    return _keeping_info(image, image.convert("RGB"))


def _like(image: Any, values: UInt8Array) -> Any:
    return _keeping_info(image, Image.fromarray(values))


def _keeping_info(image: Any, converted: Any) -> Any:
    # A profile of grey does not fit pixels that became RGB.
    profile = image.info.get("icc_profile")
    converted.info = {"icc_profile": profile} if profile and image.mode not in ("L", "LA", "1", "I;16") else {}
    return converted


def _num_colours(pixels: UInt8Array) -> int:
    """In a sample of about 100 000 pixels."""
    sample = pixels.reshape(-1, 3)[:: max(1, pixels.size // 300_000)].astype(np.uint32)
    return len(np.unique(sample @ np.array([65536, 256, 1], np.uint32)))


def _over_backdrop(image: Any) -> Any:
    """RGB; what is transparent becomes the backdrop."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, (*BACKDROP, 255))
    return Image.alpha_composite(ground, image).convert("RGB")


def _is_sound_jpeg(content: bytes) -> bool:
    """Whether a strict decoder reads it to its end."""
    decoder: Any = av.CodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode+buffer+bitstream"}
    decoder.thread_count = 1
    try:
        return bool([*decoder.decode(av.Packet(content)), *decoder.decode(None)])
    except av.error.InvalidDataError:
        return False
    except (av.error.FFmpegError, ValueError, MemoryError):
        # A kind of JPEG that it does not know proves nothing.
        return True


def _failure(error: Exception) -> str:
    text = str(error).lower()
    return "it is truncated." if "truncated" in text or isinstance(error, EOFError) else "it is damaged."


_LOOKS = (
    (rb"....ftyp(heic|heix|hevc|hevx|mif1|msf1)", "its format, HEIC, is not supported.", "Save it as JPEG or PNG."),
    (rb"\s*<(svg|\?xml)", "its format, SVG, is not supported.", "Save it as PNG."),
    (rb"\s*<", "it is a web page, not a picture.", "The download may have failed."),
    (rb"%PDF", "it is a PDF document, not a picture.", "Save the page as PNG."),
    (rb"(\xff\xd8|\x89PNG|GIF8|II\*\0|MM\0\*|RIFF....WEBP)", "it is truncated or damaged.", _AGAIN),
)


def _what_it_is(head: bytes) -> tuple[str, str]:
    """(message, remedy) for content that is no picture we read."""
    for pattern, message, remedy in _LOOKS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            return message, remedy
    known = "JPEG, PNG, WebP, AVIF, GIF, TIFF and BMP"
    return "it is no picture that can be read.", f"{known} are."


def write_png(pixels: UInt8Array) -> bytes:
    """PNG of uint8 (height, width, 3) or (height, width): equal bytes for equal pixels, no metadata."""
    file = io.BytesIO()
    # Run lengths only: this strategy of zlib does not depend on hash functions, which differ between processors.
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=6, compress_type=3)
    return file.getvalue()


_BAR_LEVELS, _BESIDE_BAR = 12, 24
"""A bar varies by no more; what is beside it differs from it by more."""
_BARE, _BESIDE_SHARE, _BESIDE_SPAN = 0.995, 0.75, 0.5
"""Share of a bar's own pixels; of what begins beside it; and how far that reaches along the bar."""
_BLURRED_PX = 10


def without_bars(picture: UInt8Array) -> tuple[int, int, int, int]:
    """left, top, right, bottom in px: what bars of one colour along the edges leave of a picture.

    A bar ends where all of a picture begins at once; a plain wall ends at somebody's hair, and stays.
    """
    height, width = picture.shape[:2]
    left, top, right, bottom = 0, 0, width, height
    # Bars on four sides: each pair is cut by the other.
    for _ in range(2):
        top += _bar(picture[top:bottom, left:right])
        bottom -= _bar(picture[top:bottom, left:right][::-1])
        left += _bar(picture[top:bottom, left:right].swapaxes(0, 1))
        right -= _bar(picture[top:bottom, left:right].swapaxes(0, 1)[::-1])
    return left, top, right, bottom


def _bar(picture: UInt8Array) -> int:
    """How many rows of `picture` (rows, columns, 3) from its first on are a bar."""
    rows = picture[: len(picture) // 2].astype(np.int16)
    colour = np.median(picture[0], axis=0)
    if len(rows) < 4 or (np.abs(rows[:2] - colour) <= _BAR_LEVELS).mean() < _BARE:
        return 0
    away = np.abs(rows - colour.astype(np.int16)).max(2)
    is_bare = (away <= _BAR_LEVELS).mean(1) >= _BARE
    thick = len(rows) if is_bare.all() else int(is_bare.argmin())
    if thick < 2:
        return 0
    # JPEG's blocks of 8 px carry what is beside a bar into it.
    for row in range(thick, min(thick + min(max(len(picture) // 40, 2), _BLURRED_PX) + 1, len(rows))):
        beside = np.flatnonzero(away[row] > _BESIDE_BAR)
        span = int(np.ptp(beside)) + 1 if len(beside) else 0
        if span >= _BESIDE_SPAN * away.shape[1] and len(beside) >= _BESIDE_SHARE * span:
            return row + 1
    return 0


def cropped(picture: UInt8Array, crop: tuple[float, float, float, float], width: int, height: int) -> UInt8Array:
    """The framed part of a portrait at the clip's size; a crop of fractions of a pixel is resampled, not rounded."""
    left, top, crop_width, crop_height = crop
    scale_x, scale_y = crop_width / width, crop_height / height
    shrink = max(scale_x, scale_y)
    source = cv2.GaussianBlur(picture, (0, 0), 0.4 * shrink) if shrink > 1.2 else picture
    matrix = np.array([[scale_x, 0, left + scale_x / 2 - 0.5], [0, scale_y, top + scale_y / 2 - 0.5]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    framed = cv2.warpAffine(source, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(framed, dtype=np.uint8)
