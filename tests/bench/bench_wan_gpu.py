"""Seconds, memory and rate of Wan2.2-S2V-14B on a card, with random weights: they take the time of real ones.

Run: python -m tests.bench.bench_wan_gpu [--size 832x448] [--ways eager,cached,four,compiled] [--attention sdpa]
One row for each way: seconds per step and per chunk of 5 seconds (denoising), peak memory, achieved TFLOP/s and their
share of the card's own measured bf16 matrix rate; the VAE has its own row. `--tiny --device cpu` shows that it runs.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from s2v_model.wan import vae as latents_of
from s2v_model.wan.attention import load_backend
from s2v_model.wan.config import TINY, ModelConfig, Sampling
from s2v_model.wan.placement import Load, num_tokens
from s2v_model.wan.precision import parameter_dtype
from s2v_model.wan.step_cache import choose_steps
from s2v_model.wan.transformer import Conditioning, WanS2V

SKIPPED = 0.6
"""Share of the evaluations that the fixed schedule of `cached` leaves out: time only, its error needs real weights."""
NUM_TIMED = 3


@dataclass(frozen=True)
class Way:
    """One way of running."""

    steps: int
    branches: int
    evaluations: int
    compiled: bool


WAYS = {
    "eager": Way(steps=40, branches=2, evaluations=40, compiled=False),
    "cached": Way(steps=40, branches=2, evaluations=len(choose_steps(40, SKIPPED)), compiled=False),
    "four": Way(steps=4, branches=1, evaluations=4, compiled=False),
    "compiled": Way(steps=40, branches=2, evaluations=40, compiled=True),  # the last: blocks stay compiled
}


def random_network(config: ModelConfig, device: torch.device) -> WanS2V:
    """Filled on the device, parameter by parameter."""
    with torch.device("meta"):
        model = WanS2V(config)
    torch.manual_seed(0)
    for name, parameter in list(model.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        filled = torch.empty(parameter.shape, dtype=parameter_dtype(name, torch.bfloat16), device=device).normal_(
            std=0.02
        )
        model.get_submodule(owner).register_parameter(leaf, torch.nn.Parameter(filled, requires_grad=False))
    return model


def conditioning(model: WanS2V, height: int, width: int, branches: int, device: torch.device) -> Conditioning:
    """Of a later chunk, the longer sequence."""
    h, w, config = height // 8, width // 8, model.config

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device)

    return model.prepare(
        latent_frames=20,
        reference=draw(1, 16, 1, h, w),
        motion=draw(1, 16, 19, h, w),
        condition=None,
        audio=draw(branches, 25, config.audio_dim, 80),
        text=model.encode_text([draw(config.text_len // 4, config.text_dim) for _ in range(branches)]),
    )


def flops(config: ModelConfig, tokens: int, video: int, branches: int) -> float:
    """Of one step: linears, self-attention, text attention, audio injectors; a multiply-add is two."""
    c, f, layers = config.dim, config.ffn_dim, config.num_layers
    linears = layers * tokens * (12 * c * c + 4 * c * f)
    attention = layers * 4 * tokens * (tokens + config.text_len) * c
    injectors = len(config.audio_inject_layers) * 4 * video * c * c
    return branches * float(linears + attention + injectors)


def seconds(run: Callable[[], object], device: torch.device, times: int = NUM_TIMED) -> float:
    """Least of several, behind one that warms up."""
    found = []
    for _ in range(times + 1):
        _wait(device)
        start = time.perf_counter()
        run()
        _wait(device)
        found.append(time.perf_counter() - start)
    return min(found[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(device: torch.device, size: int) -> float:
    """The card's own bf16 products, TFLOP/s."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / seconds(lambda: a @ b, device, 10) / 1e12


def vae_seconds(height: int, width: int, device: torch.device, tiny: bool) -> tuple[float, float]:
    """Decode of 39 latents, encode of 73 frames."""
    with device:
        vae = latents_of.build_vae({"base_dim": 3, "z_dim": 16, "num_res_blocks": 1} if tiny else {})
    latents = torch.randn(1, 16, 39, height // 8, width // 8, device=device)
    pixels = torch.rand(1, 3, 73, height, width, device=device)
    return (
        seconds(lambda: latents_of.decode(vae, latents), device, 1),
        seconds(lambda: latents_of.encode(vae, pixels), device, 1),
    )


def measure(model: WanS2V, way: Way, height: int, width: int, device: torch.device) -> tuple[float, float, float]:
    """Seconds per step, seconds per chunk, TFLOP/s."""
    given = conditioning(model, height, width, way.branches, device)
    latents = torch.randn(1, 16, 20, height // 8, width // 8, device=device)
    rows = model.embed_time(torch.tensor([500]))
    step = seconds(lambda: model(latents, rows, given), device)
    video, static = num_tokens(Load(width=width, height=height, sampling=Sampling()))
    return step, step * way.evaluations, flops(model.config, video + static, video, way.branches) / step / 1e12


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="832x448")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    width, height = (int(part) for part in arguments.size.split("x"))
    rate = matrix_rate(device, 512 if arguments.tiny else 8192)
    model = random_network(TINY if arguments.tiny else ModelConfig(), device)
    model.attend = load_backend(arguments.attention)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(
        f"{name}, torch {torch.__version__}, {width}x{height}, {arguments.attention}, bf16 products {rate:.2f} TFLOP/s"
    )
    print("| way | s per step | s per chunk | s per second of video | peak GB | TFLOP/s | of the card's rate |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with torch.inference_mode():
        for label in arguments.ways.split(","):
            way = WAYS[label]
            if way.compiled:
                for block in model.blocks:
                    block.compile(dynamic=False)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            step, chunk, achieved = measure(model, way, height, width, device)
            peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
            row = f"{step:.3f} | {chunk:.1f} | {chunk / 5:.1f} | {peak:.1f} | {achieved:.1f} | {achieved / rate:.0%}"
            print(f"| {label} | {row} |", flush=True)
        decode, encode = vae_seconds(height, width, device, arguments.tiny)
    print(f"| VAE, float32 | decode {decode:.1f}, encode {encode:.1f} | {decode + encode:.1f} | | | | |")


if __name__ == "__main__":
    main()
