"""Pictures and pose videos, fitted to the size of the model.

In: uint8 pictures of any size. Out: the frame size for an area budget; float tensors in [-1, 1].
Knows neither latents nor the network. Rules as the reference has them: SPEC, section 2.
"""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from s2v_model.contract import UInt8Array
from s2v_model.wan.config import NATIVE_RATE_HZ, SIZE_MULTIPLE_PX

NUM_TRIALS = 100


def fit_size(height: int, width: int, max_area: int) -> tuple[int, int]:
    """Frame height and width for a picture of `height` x `width` px: multiples of 64, at most `max_area` px together.

    Shrinks by the largest scale whose sides, each rounded up to 64, fit the budget. A picture too odd for
    every scale gets the aspect-true size rounded down, which is 0 for one below 64 px.
    """
    low, high = _scale_range(height, width, max_area)
    for trial in range(NUM_TRIALS):
        scale = high - (high - low) * trial / NUM_TRIALS
        rows, columns = _up(int(height * scale)), _up(int(width * scale))
        if rows * columns <= max_area:
            return rows, columns
    ratio = width / height
    columns = int((max_area * ratio) ** 0.5 // SIZE_MULTIPLE_PX * SIZE_MULTIPLE_PX)
    rows = int((max_area / ratio) ** 0.5 // SIZE_MULTIPLE_PX * SIZE_MULTIPLE_PX)
    if columns >= width or rows >= height:
        rows, columns = height // SIZE_MULTIPLE_PX * SIZE_MULTIPLE_PX, width // SIZE_MULTIPLE_PX * SIZE_MULTIPLE_PX
    return rows, columns


def fit_image(image: UInt8Array, height: int, width: int) -> UInt8Array:
    """`image` (h, w, 3), its short side resized to min(height, width), centre-cropped to (height, width, 3).

    Where both sides were rounded up to 64 the resized picture can be smaller than the crop: black fills the rest.
    """
    picture = Image.fromarray(image)
    rows, columns = _short_side(image.shape[0], image.shape[1], min(height, width))
    if (rows, columns) != image.shape[:2]:
        picture = picture.resize((columns, rows), Image.Resampling.BILINEAR)
    return _centre_crop(np.asarray(picture), height, width)


def fit_video(frames: UInt8Array, height: int, width: int) -> Tensor:
    """`frames` (n, h, w, 3) -> (1, 3, n, height, width) in [-1, 1]; as `fit_image`, but resized as a tensor.

    What lies outside the frames becomes mid grey (0), as in the reference: it pads after scaling to [-1, 1].
    """
    video = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255.0 * 2.0 - 1.0
    rows, columns = _short_side(frames.shape[1], frames.shape[2], min(height, width))
    if (rows, columns) != frames.shape[1:3]:
        video = functional.interpolate(
            video, size=(rows, columns), mode="bilinear", align_corners=False, antialias=True
        )
    return _centre_crop_tensor(video, height, width).permute(1, 0, 2, 3)[None]


def to_signed(image: UInt8Array) -> Tensor:
    """(h, w, 3) uint8 -> (1, 3, 1, h, w) in [-1, 1]."""
    return (torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255 * 2 - 1)[None, :, None]


def to_pixels(video: Tensor) -> UInt8Array:
    """(3, n, h, w) in [-1, 1] -> (n, h, w, 3) uint8, truncated as the reference writes its frames."""
    return ((video + 1) / 2 * 255).clamp_(0, 255).to(torch.uint8).permute(1, 2, 3, 0).contiguous().cpu().numpy()


def pose_stride(rate: float) -> int:
    """Every how many frames of a pose video at `rate` Hz one is taken. It is not resampled: 30 Hz plays at 15."""
    return max(1, round(rate / NATIVE_RATE_HZ))


def pose_chunks(frames: UInt8Array, height: int, width: int, *, num_chunks: int, infer_frames: int) -> list[Tensor]:
    """Pose `frames` at the native rate -> for each chunk (1, 3, infer_frames, height, width); -1 after their end."""
    wanted = num_chunks * infer_frames
    video = fit_video(frames[:wanted], height, width)
    missing = wanted - video.shape[2]
    video = torch.cat([video, -torch.ones(1, 3, missing, height, width)], dim=2)
    return list(video.split(infer_frames, dim=2))


def _scale_range(height: int, width: int, max_area: int) -> tuple[float, float]:
    """Lowest and highest scale to try.

    The 2 in the denominator of the lower bound is a 4 in the quadratic formula; the reference has a 2.
    """
    if height * width <= max_area:
        return 0.1, 1.0
    slack = SIZE_MULTIPLE_PX - 1
    a, b, c = height * width, slack * (height + width), slack**2 - max_area
    return (-b + math.sqrt(b**2 - 2 * a * c)) / (2 * a), math.sqrt(max_area / (height * width))


def _up(px: int) -> int:
    return -(-px // SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX


def _short_side(height: int, width: int, short: int) -> tuple[int, int]:
    """(height, width) scaled so that the shorter one is `short`."""
    if height <= width:
        return short, int(short * width / height)
    return int(short * height / width), short


def _margins(size: int, crop: int) -> tuple[int, int, int]:
    """Pad before, pad after, and offset of a centred crop of `crop` px out of `size` px."""
    before, after = max(crop - size, 0) // 2, (max(crop - size, 0) + 1) // 2
    return before, after, round((size + before + after - crop) / 2)


def _centre_crop(image: UInt8Array, height: int, width: int) -> UInt8Array:
    (top, bottom, y), (left, right, x) = _margins(image.shape[0], height), _margins(image.shape[1], width)
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)))
    return padded[y : y + height, x : x + width]


def _centre_crop_tensor(video: Tensor, height: int, width: int) -> Tensor:
    (top, bottom, y), (left, right, x) = _margins(video.shape[-2], height), _margins(video.shape[-1], width)
    return functional.pad(video, (left, right, top, bottom))[..., y : y + height, x : x + width]
