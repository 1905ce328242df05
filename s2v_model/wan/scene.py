"""Shots without a speaker, on diffusers' own Wan2.2 pipelines: T2V and I2V-A14B with their two experts, TI2V-5B.

In: a take with a prompt, perhaps with the picture `scene` to start from. Out: its frames. Knows nothing of speech.
A scene is one piece of work: there is nothing to go on from but its end.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, WanImageToVideoPipeline, WanPipeline
from PIL import Image

from s2v_model.contract import (
    Chunks,
    DeviceOutOfMemory,
    RendererMissing,
    RenderError,
    Take,
    Traits,
    UInt8Array,
    Watch,
)
from s2v_model.wan.config import NEGATIVE_PROMPT
from s2v_model.wan.hub import Hubs, local_folder
from s2v_model.wan.precision import working_dtype
from s2v_model.wan.scene_traits import FAMILIES, Family, SceneOptions, digest_of, kind_of, read_options, traits_of


def load(options: Mapping[str, Any], hubs: Hubs | None = None) -> "SceneRenderer":
    """The renderer of scenes. Raises RendererMissing for an unknown option or weights that are not there."""
    return SceneRenderer(read_options(options), hubs)


class SceneRenderer:
    """The `Renderer` of scenes."""

    def __init__(self, options: SceneOptions, hubs: Hubs | None = None) -> None:
        if not options.checkpoint:
            raise RendererMissing("wan-scene has no checkpoint. Name a folder or hub id in its option `checkpoint`.")
        self.options, self.working = options, working_dtype(options.precision)
        cache = Path(options.cache).expanduser() / "weights"
        self.words = local_folder(options.checkpoint, options.revision, cache, hubs)
        self.picture = self.words
        if options.image_checkpoint:
            self.picture = local_folder(options.image_checkpoint, options.image_revision, cache, hubs)
        self.families = {
            "words": FAMILIES[kind_of(self.words, False)],
            "picture": FAMILIES[kind_of(self.picture, True)],
        }

    def traits(self) -> Traits:
        """As the contract has it. The first call hashes the weights, where their digest is not remembered."""
        return self._traits

    @cached_property
    def _traits(self) -> Traits:
        return traits_of(self.options, digest_of(self.options, self.words, self.picture))

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        """As the contract has it."""
        saved = chunks.load()
        if saved and saved[0].get("frames", np.empty(0)).shape == (take.num_frames, take.height, take.width, 3):
            yield from saved[0]["frames"]
            return
        made = self._made(take, watch)
        chunks.save(0, {"frames": made})
        yield from made

    def _made(self, take: Take, watch: Watch) -> UInt8Array:
        kind = "words" if take.scene is None else "picture"
        family = self.families[kind]
        _check(take, family)
        steps = self.options.steps or family.steps
        watch(0, steps)

        def stepped(pipeline: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
            watch(step + 1, steps)
            return given

        try:
            video = self._pipeline(kind)(
                **_picture(take),
                prompt=take.prompt,
                negative_prompt=take.negative_prompt or NEGATIVE_PROMPT,
                width=take.width,
                height=take.height,
                num_frames=whole_frames(take.num_frames),
                num_inference_steps=steps,
                guidance_scale=family.guidance,
                guidance_scale_2=family.guidance_low,
                generator=torch.Generator("cpu").manual_seed(take.seed),
                callback_on_step_end=stepped,
                output_type="np",
            ).frames[0]
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(
                f"The device ran out of memory for a scene of {take.num_frames} frames at {take.width}x{take.height}. "
                "Set offload = true, or choose a smaller size."
            ) from error
        if not np.isfinite(video).all():
            raise RenderError("The scene's pixels are not finite. The weights may be damaged: verify their digest.")
        return (video[: take.num_frames] * 255).round().astype(np.uint8)

    def _pipeline(self, kind: str) -> Any:
        return self._words_pipeline if kind == "words" else self._picture_pipeline

    @cached_property
    def _words_pipeline(self) -> Any:
        return self._loaded(WanPipeline, self.words)

    @cached_property
    def _picture_pipeline(self) -> Any:
        return self._loaded(WanImageToVideoPipeline, self.picture)

    def _loaded(self, kind: type[DiffusionPipeline], folder: Path) -> Any:
        """The pipeline, its VAE in float32, on its device or visiting it."""
        vae = AutoencoderKLWan.from_pretrained(folder, subfolder="vae", dtype=torch.float32, local_files_only=True)
        pipeline = kind.from_pretrained(folder, vae=vae, dtype=self.working, local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        if self.options.offload:
            pipeline.enable_model_cpu_offload(device=self.options.device)
            return pipeline
        try:
            return pipeline.to(self.options.device)
        except (RuntimeError, AssertionError) as error:
            raise RendererMissing(
                f"wan-scene cannot use the device {self.options.device!r}: {str(error).splitlines()[0]}."
            ) from error


def whole_frames(num_frames: int) -> int:
    """The least number that the VAE makes (4 n + 1) and that is not below `num_frames`."""
    return -(-(num_frames - 1) // 4) * 4 + 1


def _picture(take: Take) -> dict[str, Any]:
    if take.scene is None:
        return {}
    return {"image": Image.fromarray(take.scene).resize((take.width, take.height), Image.Resampling.BILINEAR)}


def _check(take: Take, family: Family) -> None:
    if take.scene is not None and family is FAMILIES["t2v"]:
        raise RenderError("The scene starts from a picture, and no weights for that are named: set image_checkpoint.")
    if take.rate != family.rate:
        raise RenderError(f"This scene model makes {family.rate} frames per second, not {take.rate}. Plan at its rate.")
    if take.width % family.multiple_px or take.height % family.multiple_px:
        raise RenderError(
            f"This scene model makes sides that are multiples of {family.multiple_px} px, "
            f"not {take.width}x{take.height}."
        )
    if take.num_frames > family.max_frames:
        raise RenderError(f"A scene has at most {family.max_frames} frames, not {take.num_frames}. Make it shorter.")
