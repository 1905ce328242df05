"""Measure step caching: `python -m s2v_model.wan.calibrate OUT.json PORTRAIT SPEECH --set KEY=VALUE ...`.

In: options of the renderer, a picture, speech (WAV, mono, 16 kHz). Out: a calibration file, and on standard output what
skipping a share of the steps costs: evaluations left, and the error of the first chunk's latents.
"""

import argparse
import wave
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from s2v_model.contract import SPEECH_RATE_HZ, Take
from s2v_model.wan.chunks import Caching, Evaluate
from s2v_model.wan.config import NATIVE_RATE_HZ
from s2v_model.wan.fitting import fit_image, fit_size
from s2v_model.wan.options import Options, read_options
from s2v_model.wan.renderer import WanRenderer
from s2v_model.wan.step_cache import Calibration, StepCache, choose_steps

SHARES = (0.25, 0.5, 0.6)
_DEFAULTS: Mapping[str, object] = {name: field.default for name, field in Options.__dataclass_fields__.items()}


class Recorder:
    """Follows the velocities of the conditional branch through one chunk."""

    def __init__(self) -> None:
        self.ratios: list[float] = []
        self.distances: list[float] = []
        self._last: Tensor | None = None

    def __call__(self, ask: Evaluate) -> Evaluate:
        """In front of the network."""

        def asked(latents: Tensor, step: int, branch: int) -> Tensor:
            velocity = ask(latents, step, branch)
            if branch == 0:
                self._record(velocity[:1])
            return velocity

        return asked

    def _record(self, velocity: Tensor) -> None:
        last, self._last = self._last, velocity
        if last is None:
            self.ratios.append(1.0)
            self.distances.append(0.0)
            return
        ratio = (velocity.abs().mean() / last.abs().mean()).item()
        self.ratios.append(ratio)
        self.distances.append(_relative(last * ratio, velocity))


def calibrate(renderer: WanRenderer, take: Take) -> tuple[Calibration, Tensor]:
    """The calibration of this renderer's schedule on the first chunk of `take`, and that chunk's latents."""
    recorder = Recorder()
    latents = _first_latents(renderer, take, recorder)
    options = renderer.options
    found = Calibration(
        steps=options.steps,
        solver=options.solver,
        shift=options.shift,
        ratios=tuple(recorder.ratios),
        distances=tuple(recorder.distances),
    )
    return found, latents


def error_of(renderer: WanRenderer, take: Take, skipped: float, found: Calibration, exact: Tensor) -> float:
    """Relative error of the first chunk's latents when a share `skipped` of the steps is left out."""
    asked = choose_steps(found.steps, skipped, found.distances)
    return _relative(_first_latents(renderer, take, lambda ask: StepCache(ask, asked, found.ratios)), exact)


def _first_latents(renderer: WanRenderer, take: Take, cache: Caching) -> Tensor:
    noted: dict[str, Tensor] = {}
    loop = renderer.loop(take, cache, lambda name, tensor: noted.update({name: tensor}))
    next(loop.run())
    return noted["clip0.latents_final"]


def _relative(x: Tensor, exact: Tensor) -> float:
    return ((x - exact).square().mean().sqrt() / exact.square().mean().sqrt()).item()


def take_of(portrait: Path, speech: Path, options: Options) -> Take:
    """A take of the first chunk's length, framed by the renderer's own rules."""
    picture = np.asarray(Image.open(portrait).convert("RGB"))
    height, width = fit_size(*picture.shape[:2], options.max_pixels)
    with wave.open(str(speech)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SPEECH_RATE_HZ, 1, 2):
            raise SystemExit(f"{speech} must be 16-bit mono at {SPEECH_RATE_HZ} Hz.")
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    return Take(
        portrait=fit_image(picture, height, width),
        face_box=(0.0, 0.0, float(width), float(height)),
        speech=samples,
        rate=Fraction(NATIVE_RATE_HZ),
        num_frames=options.infer_frames - options.lead_frames,
        width=width,
        height=height,
        seed=0,
    )


def main() -> None:
    """Calibrate, write, report."""
    parser = argparse.ArgumentParser(description="Measure step caching on a checkpoint.")
    parser.add_argument("out", type=Path)
    parser.add_argument("portrait", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of wan-s2v")
    arguments = parser.parse_args()
    renderer = WanRenderer(read_options(dict(_option(text) for text in arguments.set)))
    take = take_of(arguments.portrait, arguments.speech, renderer.options)
    found, exact = calibrate(renderer, take)
    found.write(arguments.out)
    for share in SHARES:
        left = len(choose_steps(found.steps, share, found.distances)) / found.steps
        error = error_of(renderer, take, share, found, exact)
        print(f"step_cache={share}:{arguments.out}  evaluations {left:.0%}  relative error of the latents {error:.4f}")  # noqa: T201


def _option(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    kind = type(_DEFAULTS.get(name, ""))
    return name, value == "true" if kind is bool else kind(value)


if __name__ == "__main__":
    main()
