"""Rotary positions in three axes: which token stands where, and the table of rotations.

In: sizes of the latents. Out: integer positions (L, 3) as (t, y, x), and unit complex numbers (L, head_dim / 2).
Knows no token's content. SPEC, section 6.3. Sequence order everywhere: video | reference | motion (newest, 2x, 4x).
"""

import numpy as np
import torch
from torch import Tensor

from s2v_model.wan.config import PATCH

REFERENCE_TIME = 30
"""The reference picture stands at this time, whatever the length of the chunk."""
BUCKETS = (1, 2, 16)
"""Latent frames of past motion that are packed at full, half and quarter scale, newest first."""
THETA = 10_000.0


def positions(
    latent_frames: int, height: int, width: int, *, motion: bool, drop_mode: str = "padd", add_last_motion: int = 2
) -> Tensor:
    """Positions of a whole sequence, int64 (L, 3). height, width: of the latents. motion: whether there is any."""
    rows, columns = height // PATCH, width // PATCH
    groups = [
        _grid(range(latent_frames), range(rows), range(columns)),
        _grid([REFERENCE_TIME], range(rows), range(columns)),
    ]
    if motion:
        groups.append(motion_positions(height, width, drop_mode=drop_mode, add_last_motion=add_last_motion))
    return torch.cat(groups)


def motion_positions(
    height: int,
    width: int,
    *,
    drop_mode: str = "padd",
    add_last_motion: int = 2,
    buckets: tuple[int, ...] = BUCKETS,
) -> Tensor:
    """Positions of the packed motion, int64 (N, 3). Time runs backwards from -1: the farther, the older."""
    rows, columns = height // PATCH, width // PATCH
    dropped = 2 - add_last_motion if drop_mode == "drop" else 0
    groups = []
    for level, bucket in enumerate(buckets):
        scale = 2**level
        start = sum(buckets[: level + 1])
        times = -_spread(start, start - bucket + 1, bucket // scale)
        if level >= dropped:
            groups.append(
                _grid(
                    times,
                    _spread(0, rows - 1, height // (PATCH * scale)),
                    _spread(0, columns - 1, width // (PATCH * scale)),
                )
            )
    return torch.cat(groups)


def rotations(position: Tensor, head_dim: int) -> Tensor:
    """exp(i angle) of every position, complex128 (L, head_dim / 2); a negative time gives the conjugate by itself.

    The pairs of a head are split among time, height and width; time takes what is left by the division by three.
    """
    pairs = head_dim // 2
    third = pairs // 3
    angles = [
        position[:, axis, None].double() * THETA ** (-torch.arange(size, dtype=torch.float64) / size)
        for axis, size in enumerate((pairs - 2 * third, third, third))
    ]
    angle = torch.cat(angles, dim=1)
    return torch.polar(torch.ones_like(angle), angle)


def _grid(times: object, rows: object, columns: object) -> Tensor:
    """All (t, y, x), x fastest."""
    axes = [torch.as_tensor(np.array(list(axis), dtype=np.int64)) for axis in (times, rows, columns)]  # type: ignore[call-overload]
    return torch.cartesian_prod(*axes).reshape(-1, 3)


def _spread(first: int, last: int, num: int) -> np.ndarray:
    """`num` positions from first to last, truncated. In float64: float32 differs from span 160 on."""
    return np.linspace(first, last, num).astype(np.int64)
