"""Seconds of one guided step on the CPU: the product's path against `plain_step`, and both against float32.

Run: OMP_NUM_THREADS=1 python -m tests.bench.bench_wan_step [--runs 5] [--threads 1]
A random network of dim 512, 8 layers, 3480 tokens, bf16, one thread; runs interleaved, the least of each counts.
"""

import argparse
import copy
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from s2v_model.wan.attention import load_backend
from s2v_model.wan.config import ModelConfig
from s2v_model.wan.options import Options
from s2v_model.wan.precision import cast
from s2v_model.wan.transformer import WanS2V
from tests.bench.plain_step import plain_step

CONFIG = ModelConfig(dim=512, ffn_dim=1408, num_heads=4, num_layers=8, audio_inject_layers=(0, 3, 6))
FRAMES, HEIGHT, WIDTH = 12, 24, 40
TIMESTEP = 640


@dataclass(frozen=True)
class Given:
    """Random inputs of a later chunk."""

    latents: Tensor
    text: tuple[Tensor, Tensor]
    reference: Tensor
    motion: Tensor
    condition: Tensor
    audio: Tensor


def random_network() -> WanS2V:
    """Random weights as large as those of the goldens' networks; representable in bf16 like the published ones."""
    torch.manual_seed(0)
    model = WanS2V(CONFIG)
    for name, parameter in model.named_parameters():
        if "scale_shift_table" in name or "token_types" in name or "padding_tokens" in name:
            parameter.normal_(std=0.4)
        elif name.endswith("bias"):
            parameter.normal_(std=0.1)
        elif "norm" in name:
            parameter.normal_(mean=1.0, std=0.2)
        elif name != "audio_encoder.weights":
            parameter.normal_(std=1.2 * parameter[0].numel() ** -0.5)
        parameter.copy_(parameter.bfloat16())
    return model


def random_inputs() -> Given:
    """One chunk of 48 frames at 192x320 px."""
    torch.manual_seed(1)
    return Given(
        latents=torch.randn(1, 16, FRAMES, HEIGHT, WIDTH),
        text=(torch.randn(60, CONFIG.text_dim), torch.randn(120, CONFIG.text_dim)),
        reference=torch.randn(1, 16, 1, HEIGHT, WIDTH),
        motion=torch.randn(1, 16, 19, HEIGHT, WIDTH),
        condition=torch.zeros(1, 16, FRAMES, HEIGHT, WIDTH),
        audio=torch.randn(1, 25, CONFIG.audio_dim, 48),
    )


def plain(model: WanS2V, given: Given, residual: torch.dtype = torch.bfloat16) -> Tensor:
    """Both branches, everything anew."""
    audios = (given.audio, torch.zeros_like(given.audio))
    return torch.cat([
        plain_step(
            model, given.latents, TIMESTEP, text=text, audio=audio,
            reference=given.reference, motion=given.motion, condition=given.condition,
            residual=residual,
        )
        for text, audio in zip(given.text, audios, strict=True)
    ])  # fmt: skip


def prepared(model: WanS2V, given: Given) -> Callable[[], Tensor]:
    """The product's step, with what it hoists hoisted."""
    conditioning = model.prepare(
        latent_frames=FRAMES, reference=given.reference, motion=given.motion, condition=given.condition,
        audio=torch.cat([given.audio, torch.zeros_like(given.audio)]), text=model.encode_text(list(given.text)),
    )  # fmt: skip
    rows = model.embed_time(torch.tensor([TIMESTEP]))
    return lambda: model(given.latents, rows, conditioning)


def seconds(run: Callable[[], object]) -> float:
    """Process time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def relative_error(x: Tensor, exact: Tensor) -> float:
    """Root mean square, over that of the exact result."""
    return ((x - exact).square().mean().sqrt() / exact.square().mean().sqrt()).item()


def main() -> None:
    """Print one row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--brief", action="store_true", help="only the plain path and the product's own")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    given, exact_model = random_inputs(), random_network()
    exact = prepared(exact_model, given)()
    model = cast(copy.deepcopy(exact_model), torch.bfloat16)
    step = prepared(model, given)

    def product(attention: str) -> Tensor:
        model.attend = load_backend(attention)
        return step()

    chosen = Options(device="cpu").kernel
    paths: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: plain(model, given),
        "plain, float32 residual": lambda: plain(model, given, torch.float32),
        f"product, as set up ({chosen})": lambda: product(chosen),
        "product, sdpa": lambda: product("sdpa"),
    }
    if arguments.brief:
        paths = {name: run for name, run in paths.items() if name == "plain" or "as set up" in name}
    errors = {name: relative_error(run(), exact) for name, run in paths.items()}
    times: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(arguments.runs):
        for name, run in paths.items():
            times[name].append(seconds(run))
    once = min(seconds(lambda: prepared(model, given)) for _ in range(2))
    least = {name: min(values) for name, values in times.items()}
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    print(
        f"{cpu}, torch {torch.__version__}, {arguments.threads} thread(s), least of {arguments.runs} interleaved runs; "
        f"once for a chunk: {once:.3f} s; load average {', '.join(f'{load:.1f}' for load in os.getloadavg())}"
    )
    for name in paths:
        print(
            f"{name:30} {least[name]:7.3f} s  {least['plain'] / least[name]:5.2f} times as fast as plain  "
            f"error against float32 {errors[name]:.2e}, {errors[name] / errors['plain']:.2f} of plain's"
        )


if __name__ == "__main__":
    main()
