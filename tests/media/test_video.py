"""Clips: the frames that go in are those that come out, in BT.709, and equal frames give equal bytes."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from s2v_model.contract import Stopped
from tasks.domain.errors import MediaError, StoreError
from tasks.media.video import ClipEncoding, read_frames, to_i420, to_rgb, video_facts, write_video
from tests.synthetic import moving_frames

SIZE = {"width": 192, "height": 112}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(16), Fraction(30000, 1001)])
@pytest.mark.parametrize("num_frames", [1, 3, 75])
def test_so_many_frames_at_that_rate(tmp_path: Path, rate: Fraction, num_frames: int) -> None:
    """The file holds exactly the frames it was given, at the exact rate."""
    path = tmp_path / "clip.mp4"
    assert write_video(moving_frames(num_frames, **SIZE), rate, path) == num_frames
    facts = video_facts(path)
    assert (facts.num_frames, facts.rate, facts.width, facts.height) == (num_frames, rate, 192, 112)
    assert sum(1 for _ in read_frames(path)) == num_frames


def test_frames_come_back_in_their_order_and_quality(tmp_path: Path) -> None:
    """Each decoded frame is its original to 40 dB, and more like it than like its neighbour."""
    frames = [frame.copy() for frame in moving_frames(30, **SIZE)]
    write_video(iter(frames), Fraction(25), tmp_path / "clip.mp4")
    for index, planes in enumerate(read_frames(tmp_path / "clip.mp4")):
        assert planes.shape == (168, 192)
        assert psnr(planes[:112], to_i420(frames[index])[:112]) > 40
        assert psnr(planes, to_i420(frames[index])) > psnr(planes, to_i420(frames[(index + 1) % 30]))


def test_chosen_frames_are_those_frames(tmp_path: Path) -> None:
    """Any rising order, with repeats: what a change of frame rate asks for."""
    path = tmp_path / "clip.mp4"
    write_video(moving_frames(60, **SIZE), Fraction(25), path)
    every = [planes.copy() for planes in read_frames(path)]
    wanted = [0, 0, 1, 5, 5, 5, 30, 59]
    chosen = [planes.copy() for planes in read_frames(path, wanted)]
    assert all(np.array_equal(planes, every[index]) for planes, index in zip(chosen, wanted, strict=True))


def test_stepping_back_or_beyond_is_an_error(tmp_path: Path) -> None:
    """One decoder reads forwards; a frame that is not there is named."""
    path = tmp_path / "clip.mp4"
    write_video(moving_frames(5, **SIZE), Fraction(25), path)
    with pytest.raises(ValueError, match="forwards"):
        list(read_frames(path, [3, 2]))
    with pytest.raises(MediaError, match="no frame 5"):
        list(read_frames(path, [4, 5]))


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    """No date and no version in the file: its digest depends on its frames alone."""
    for name in ("a.mp4", "b.mp4"):
        write_video(moving_frames(20, **SIZE), Fraction(25), tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_colours_are_bt709_and_tagged(tmp_path: Path) -> None:
    """Pure colours have the luma of BT.709 in limited range, and the file says so."""
    for colour, luma in (((255, 0, 0), 63), ((0, 255, 0), 173), ((0, 0, 255), 32), ((255, 255, 255), 235)):
        planes = to_i420(np.full((16, 16, 3), colour, np.uint8))
        assert abs(int(planes[0, 0]) - luma) <= 1, colour
        assert np.abs(to_rgb(planes)[8, 8].astype(int) - colour).max() <= 3
    write_video(moving_frames(3, **SIZE), Fraction(25), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as file:
        context = file.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)


@pytest.mark.parametrize("size", [(2, 2), (6, 10), (110, 46)])
def test_sides_need_only_be_even(size: tuple[int, int]) -> None:
    """Planes of sizes that no power of two divides still fit."""
    pixels = next(moving_frames(1, size[1], size[0]))
    assert to_i420(pixels).shape == (size[0] * 3 // 2, size[1])


def test_a_failing_renderer_leaves_nothing(tmp_path: Path) -> None:
    """What the frames raise passes through, and no file is left, neither whole nor half."""

    def frames() -> Iterator[np.ndarray]:
        yield from moving_frames(3, **SIZE)
        raise Stopped

    with pytest.raises(Stopped):
        write_video(frames(), Fraction(25), tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "reason"),
    [([], "no frame"), ([np.zeros((16, 16, 3), np.uint8), np.zeros((18, 16, 3), np.uint8)], "frame 1 has")],
)
def test_frames_that_make_no_clip_are_refused(tmp_path: Path, frames: list[np.ndarray], reason: str) -> None:
    """No frame at all, or frames of two sizes."""
    with pytest.raises(MediaError, match=reason):
        write_video(frames, Fraction(25), tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_clip_is_said_so(tmp_path: Path) -> None:
    """A folder that is not there, a missing file and another format each end in one sentence that names the file."""
    with pytest.raises(StoreError, match=r"clip\.mp4 cannot be written"):
        write_video(moving_frames(2, **SIZE), Fraction(25), tmp_path / "none" / "clip.mp4")
    with pytest.raises(MediaError, match=r"clip\.mp4 is no clip"):
        video_facts(tmp_path / "clip.mp4")
    (tmp_path / "sound.wav").write_bytes(b"RIFF" * 20)
    with pytest.raises(MediaError, match="is no clip"):
        list(read_frames(tmp_path / "sound.wav"))


@pytest.mark.parametrize("name", ["-y.mp4", "a:b.mp4", "%03d.mp4", "new\nline.mp4"])
def test_a_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    """Dashes, colons and patterns in a name mean nothing to the encoder."""
    write_video(moving_frames(2, **SIZE), Fraction(25), tmp_path / name)
    assert video_facts(tmp_path / name).num_frames == 2


def test_another_encoding_is_another_clip() -> None:
    """Every number of the encoding enters the fingerprint."""
    assert ClipEncoding().canonical() != ClipEncoding(crf=20).canonical()
    assert ClipEncoding().canonical()["threads"] == 1
