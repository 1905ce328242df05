"""Portraits from outside: what is refused before decoding, and pixels that are upright sRGB whatever the file was."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from tasks.domain.errors import PortraitError
from tasks.media.pictures import BACKDROP, PictureLimits, read_picture, without_bars, write_png
from tests.synthetic import portrait_like

REFUSED = {
    "tiny_32px.jpg": "at least 64 px",
    "one_pixel.png": "at least 64 px",
    "strip_3000x60.jpg": "strip of 3000 x 60",
    "photo.heic": "HEIC, is not supported",
    "truncated.jpg": "truncated",
    "truncated.png": "truncated",
    "empty.jpg": "empty",
    "random.jpg": "no picture",
    "html_named.png": "web page",
    "header_only.jpg": "truncated or damaged",
    "bomb_30016px.png": "30016 x 30016",
}
WARNED = {"one_bit.png": "two colours", "animated.gif": "several pictures", "animated.webp": "several pictures"}


def encoded(image: Image.Image, media_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, media_format, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A drawn face, 256 px, with a red corner at the top left to tell the sides by."""
    pixels = portrait_like(2, 256)
    pixels[:64, :64] = (200, 20, 20)
    return pixels


@pytest.mark.data
def test_every_bad_portrait_does_what_its_case_says(shared_data: Path) -> None:
    """At this level: refused with a reason and a remedy, or whole pixels; faces are judged elsewhere."""
    for case in json.loads((shared_data / "portraits_bad" / "cases.json").read_text()):
        path = shared_data / case["file"]
        if path.name in REFUSED:
            with pytest.raises(PortraitError, match=REFUSED[path.name]) as refusal:
                read_picture(path)
            assert path.name in str(refusal.value)
            continue
        picture = read_picture(path)
        assert max(picture.size) <= 4096
        assert bool(picture.warnings) == (path.name in WARNED), picture.warnings
        assert WARNED.get(path.name, "") in " ".join(picture.warnings)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    ["exif_orientation_3.jpg", "exif_orientation_6.jpg", "exif_orientation_8.jpg", "cmyk.jpg", "photo.avif"],
)
def test_the_same_portrait_comes_out_alike(shared_data: Path, name: str) -> None:
    """Turned, in CMYK or in another format: within a few levels of the plain JPEG."""
    folder = shared_data / "portraits_bad"
    plain = read_picture(folder / "exif_gps_and_text.jpg").pixels.astype(int)
    assert np.abs(read_picture(folder / name).pixels.astype(int) - plain).mean() < 4


@pytest.mark.data
def test_every_usable_portrait_is_read_without_a_warning(shared_data: Path) -> None:
    """Photographs, paintings and cartoons alike."""
    for entry in json.loads((shared_data / "portraits" / "portraits.json").read_text()):
        picture = read_picture(shared_data / entry["file"])
        assert picture.size == tuple(entry["size"])
        assert picture.warnings == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_come_out_upright(face: np.ndarray, orientation: int) -> None:
    """EXIF orientation is applied: the red corner lies at the top left again."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    image = Image.fromarray(face[:, :192])
    if orientation != 1:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_picture(encoded(image, "PNG", exif=exif.tobytes()))
    assert np.array_equal(picture.pixels, face[:, :192])
    assert picture.original_size == (192, 256)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb_of_the_same_brightness(face: np.ndarray, mode: str) -> None:
    """Grey, palettes, alpha, CMYK and YCbCr: mean level within 3 of the original's."""
    image = Image.fromarray(face).convert(mode)
    media_format = {"CMYK": "TIFF", "YCbCr": "TIFF"}.get(mode, "PNG")
    pixels = read_picture(encoded(image, media_format)).pixels
    assert pixels.shape == face.shape
    assert pixels.mean() == pytest.approx(np.asarray(image.convert("RGB")).mean(), abs=3)


def test_sixteen_bits_keep_their_white_and_black() -> None:
    """16-bit grey 0, 32896 and 65535 become 0, 128 and 255, not clipped and not wrapped."""
    values = np.zeros((96, 96), np.uint16)
    values[32:64], values[64:] = 32896, 65535
    pixels = read_picture(encoded(Image.fromarray(values), "PNG")).pixels
    assert [pixels[y, 0, 0] for y in (0, 40, 90)] == [0, 128, 255]


def test_transparent_pixels_show_the_backdrop(face: np.ndarray) -> None:
    """Alpha is laid over one stated colour, whatever hides below it; half-transparent pixels mix."""
    rgba = np.dstack([face, np.full(face.shape[:2], 255, np.uint8)])
    rgba[:64, :64, 3] = 0
    rgba[64:128, :64, 3] = 128
    pixels = read_picture(encoded(Image.fromarray(rgba), "PNG")).pixels
    assert tuple(pixels[10, 10]) == BACKDROP
    assert np.abs(pixels[100, 10].astype(int) - (face[100, 10].astype(int) + BACKDROP) / 2).max() <= 2


def test_a_palette_with_a_transparent_colour_shows_the_backdrop(face: np.ndarray) -> None:
    """GIF-like transparency is transparency."""
    image = Image.fromarray(face).quantize(16)
    colour = image.getpixel((10, 10))
    pixels = read_picture(encoded(image, "PNG", transparency=colour)).pixels
    assert tuple(pixels[10, 10]) == BACKDROP


def test_colours_of_a_profile_become_srgb(face: np.ndarray) -> None:
    """A profile is applied, and a damaged one is left out with a warning."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (
        np.abs(read_picture(encoded(Image.fromarray(face), "PNG", icc_profile=lab)).pixels - face.astype(int)).max() < 3
    )
    damaged = read_picture(encoded(Image.fromarray(face), "PNG", icc_profile=b"no profile at all" * 10))
    assert "colour profile is damaged" in damaged.warnings[0]
    assert np.array_equal(damaged.pixels, face)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("is_closed", [False, True])
def test_a_cut_jpeg_never_ends_in_grey(face: np.ndarray, share: float, is_closed: bool) -> None:
    """Cut anywhere, even with an end mark put behind the cut, it is refused."""
    content = encoded(Image.fromarray(face), "JPEG", quality=92)
    cut = content[: int(len(content) * share)] + (b"\xff\xd9" if is_closed else b"")
    with pytest.raises(PortraitError, match="truncated"):
        read_picture(cut, name="cut.jpg")


@pytest.mark.parametrize("media_format", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_cut_picture_of_any_format_is_refused(face: np.ndarray, media_format: str, share: float) -> None:
    """Half a file is no picture."""
    content = encoded(Image.fromarray(face), media_format)
    with pytest.raises(PortraitError):
        read_picture(content[: int(len(content) * share)])


def test_nothing_of_the_metadata_survives(face: np.ndarray) -> None:
    """Comments, GPS positions and text chunks are in neither the warnings nor the PNG that is kept."""
    exif, text = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x010E] = "SECRET"
    text.add_text("prompt", "SECRET")
    picture = read_picture(encoded(Image.fromarray(face), "PNG", exif=exif.tobytes(), pnginfo=text))
    kept = write_png(picture.pixels)
    assert b"SECRET" not in kept
    assert {kept[at - 4 : at] for at in range(len(kept)) if kept[at - 4 : at] in (b"tEXt", b"eXIf", b"iCCP")} == set()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(kept))), face)


def test_damaged_metadata_is_left_out_in_silence(face: np.ndarray) -> None:
    """A cut EXIF block neither warns nor turns the picture."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x" * 40
    picture = read_picture(encoded(Image.fromarray(face), "JPEG", exif=exif.tobytes()[:20]))
    assert picture.warnings == ()


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_ends_in_pixels_or_in_one_sentence(face: np.ndarray, seed: int) -> None:
    """Bytes turned over anywhere in a picture of any format raise nothing but PortraitError."""
    generator = np.random.default_rng(seed)
    media_format = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")[seed % 7]
    content = bytearray(encoded(Image.fromarray(face), media_format))
    for place in generator.integers(0, len(content) if seed % 2 else 400, 20):
        content[place] = generator.integers(256)
    with contextlib.suppress(PortraitError):
        assert read_picture(bytes(content)).pixels.ndim == 3


def test_equal_pixels_give_equal_bytes(face: np.ndarray) -> None:
    """The PNG is named by its digest: two writings agree."""
    assert write_png(face) == write_png(face.copy())


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (PictureLimits(max_bytes=100), "MiB"),
        (PictureLimits(max_pixels=1000), "megapixels"),
        (PictureLimits(max_side_px=100), "100 px a side"),
        (PictureLimits(min_side_px=500), "at least 500 px"),
    ],
)
def test_each_limit_is_named_when_it_is_passed(face: np.ndarray, limits: PictureLimits, reason: str) -> None:
    """Bytes, pixels and sides have limits with names, told before decoding."""
    with pytest.raises(PortraitError, match=reason):
        read_picture(encoded(Image.fromarray(face), "PNG"), limits=limits)


def test_a_large_picture_is_shrunk(face: np.ndarray) -> None:
    """Longer sides than the stated one come down to it, with their aspect."""
    picture = read_picture(encoded(Image.fromarray(face[:, :192]), "PNG"), limits=PictureLimits(keep_side_px=128))
    assert (picture.size, picture.original_size) == ((96, 128), (192, 256))


def test_an_error_names_picture_speaker_and_remedy(tmp_path: Path) -> None:
    """Where, what, and what to do."""
    (tmp_path / "ana.png").write_bytes(b"")
    with pytest.raises(PortraitError, match=r"portrait 'ana.png' \(speaker ANA\): it is empty \(0 bytes\)\. Export"):
        read_picture(tmp_path / "ana.png", speaker="ANA")
    with pytest.raises(PortraitError, match="cannot be opened"):
        read_picture(tmp_path / "missing.png")


@pytest.mark.parametrize("bars", [(40, 40, 0, 0), (0, 0, 60, 50), (30, 40, 50, 60), (0, 25, 0, 0)])
def test_bars_are_told_from_a_plain_wall(face: np.ndarray, bars: tuple[int, int, int, int]) -> None:
    """Bars of one colour, though a JPEG blurs them, are left out to a pixel; a wall behind somebody is none."""
    above, below, before, after = bars
    grain = (
        np.random.default_rng(2).normal(110, 25, (10, 9, 3)).clip(0, 190).astype(np.uint8).repeat(20, 0).repeat(20, 1)
    )
    barred = np.pad(grain, ((above, below), (before, after), (0, 0)), constant_values=255)
    blurred = np.asarray(Image.open(io.BytesIO(encoded(Image.fromarray(barred), "JPEG", quality=85))))
    left, top, right, bottom = without_bars(blurred)
    wall = np.full((200, 180, 3), 240, np.uint8)
    down, across = np.mgrid[:200, :180]
    somebody = np.hypot((across - 90) / 45, (down - 110) / 60) < 1
    wall[somebody] = grain[somebody]

    np.testing.assert_allclose((left, top, right, bottom), (before, above, before + 180, above + 200), atol=1)
    assert without_bars(wall) == (0, 0, 180, 200)
    assert without_bars(face) == (0, 0, 256, 256)
    assert without_bars(np.full((90, 80, 3), 7, np.uint8)) == (0, 0, 80, 90)
