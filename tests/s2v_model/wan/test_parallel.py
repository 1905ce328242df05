"""Sequence parallelism: two processes against one."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch; make test-wan")

import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402

from s2v_model import load  # noqa: E402
from s2v_model.contract import RenderError, Stopped, Take  # noqa: E402
from s2v_model.wan.config import TINY  # noqa: E402
from s2v_model.wan.options import read_options  # noqa: E402
from s2v_model.wan.parallel import Shares, shares_of_group  # noqa: E402
from s2v_model.wan.ranks import Ranks  # noqa: E402
from s2v_model.wan.transformer import WanS2V  # noqa: E402
from tests.wan_checkpoint import randomize, write_official  # noqa: E402

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


def test_a_renderer_starts_its_ranks_itself(tmp_path, monkeypatch):
    """`gpus = 2` makes the clip of one process, but for rounding: guided, over two chunks, and resumed behind one."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    options = {
        "checkpoint": str(write_official(tmp_path / "checkpoint")), "cache": str(tmp_path / "cache"), "device": "cpu",
        "precision": "float32", "steps": 2, "infer_frames": 12, "preroll_frames": 4,
    }  # fmt: skip
    numbers = np.random.default_rng(3)
    take = Take(
        portrait=numbers.integers(0, 255, (64, 64, 3), np.uint8), face_box=(4.0, 4.0, 50.0, 50.0),
        speech=numbers.normal(0, 0.1, 20_000).astype(np.float32), rate=Fraction(16), num_frames=20, width=64, height=64,
        seed=1, prompt="a person talks",
    )  # fmt: skip
    alone = load("wan-s2v", options)
    together = load("wan-s2v", {**options, "gpus": 2})
    kept = Kept()
    try:
        shared = frames(together, take, kept)
        assert np.abs(shared - frames(alone, take, Kept())).max() <= 1
        del kept.saved[1:]
        assert np.array_equal(frames(together, take, kept), shared)
        with pytest.raises(Stopped):
            frames(together, take, Kept(), stop)
        assert together.ranks._others == [], "a clip that breaks off leaves no rank behind"
    finally:
        together.ranks.stop()
    assert together.traits().options["gpus"] == 2


def test_a_lost_rank_is_an_error(tmp_path, monkeypatch):
    """Where another process of the group dies, the clip fails with a sentence, and nothing waits for ever."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    ranks = Ranks(read_options({"checkpoint": "x", "device": "cpu", "gpus": 2}), fail)
    with pytest.raises(RenderError, match="Rank 1 of 2 was lost"), ranks.at(None, []):
        dist.barrier()


def fail(options, take, saved) -> None:
    """A rank that dies at once."""
    os._exit(3)


def stop(done: float, total: float) -> None:
    """Somebody asks for the end, behind the first step."""
    if done >= 1:
        raise Stopped


class Kept:
    """Chunks in memory."""

    def __init__(self) -> None:
        self.saved: list[dict[str, np.ndarray]] = []

    def load(self) -> list[dict[str, np.ndarray]]:
        """All so far."""
        return list(self.saved)

    def save(self, index: int, arrays) -> None:
        """Keep one."""
        self.saved.append({name: array.copy() for name, array in arrays.items()})


def frames(renderer, take: Take, kept: Kept, watch=lambda done, total: None) -> np.ndarray:
    """Rendered, as numbers."""
    return np.stack([frame.astype(int) for frame in renderer.frames(take, watch=watch, chunks=kept)])
