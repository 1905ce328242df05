"""Sequence parallelism: two processes against one."""

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch; make test-wan")

import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402

from s2v_model.contract import RenderError  # noqa: E402
from s2v_model.wan.config import TINY  # noqa: E402
from s2v_model.wan.parallel import Shares, shares_of_group  # noqa: E402
from s2v_model.wan.transformer import WanS2V  # noqa: E402
from tests.wan_checkpoint import randomize  # noqa: E402

pytestmark = pytest.mark.wan
WORLD = 2


def velocity(shares: Shares | None) -> torch.Tensor:
    """Of a tiny network on a later chunk, both guidance branches in one batch."""
    torch.set_num_threads(1)
    model = randomize(WanS2V(TINY), 0)
    model.shares = shares
    draw = torch.Generator().manual_seed(1)
    conditioning = model.prepare(
        latent_frames=2,
        reference=torch.randn(1, 16, 1, 8, 16, generator=draw),
        motion=torch.randn(1, 16, 19, 8, 16, generator=draw),
        condition=torch.randn(1, 16, 2, 8, 16, generator=draw),
        audio=torch.randn(2, 25, TINY.audio_dim, 8, generator=draw),
        text=model.encode_text([torch.randn(3, TINY.text_dim, generator=draw) for _ in range(2)]),
    )
    latents = torch.randn(1, 16, 2, 8, 16, generator=draw)
    return model(latents, model.embed_time(torch.tensor([700])), conditioning)


def rank(index: int, folder: str) -> None:
    """One of the two processes."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=index, world_size=WORLD)
    torch.save(velocity(shares_of_group()), Path(folder) / f"{index}.pt")
    dist.destroy_process_group()


def test_two_processes_give_what_one_gives(tmp_path):
    """Two gloo processes, each with half of every frame and half of the heads, compute the velocity of one process."""
    mp.spawn(rank, args=(str(tmp_path),), nprocs=WORLD)
    alone = velocity(None)
    for index in range(WORLD):
        together = torch.load(tmp_path / f"{index}.pt", weights_only=True)
        assert (together - alone).abs().max() < 2e-6


def test_outside_of_a_group_nothing_is_shared():
    """Without a process group the network works alone."""
    assert shares_of_group() is None


def test_what_cannot_be_divided_is_refused():
    """Tokens that do not divide among the devices are an error, not a wrong picture."""
    shares = Shares(rank=0, world=3)
    with pytest.raises(RenderError, match="16 tokens cannot be divided among 3"):
        shares.static(torch.zeros(1, 16, 4))
