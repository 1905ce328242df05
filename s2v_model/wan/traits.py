"""What a planner must know of Wan2.2-S2V, read without torch: on a machine that only hands its shots to a work pool.

In: options. Out: `Traits`, the renderer's own: both sides compute them here, so a clip has one fingerprint.
Reads the checkpoint's files for their digest, or takes the digest that the options state. Knows no tensor.
"""

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from s2v_model.contract import Cost, RendererMissing, Traits
from s2v_model.wan.config import NATIVE_RATE_HZ, SIZE_MULTIPLE_PX
from s2v_model.wan.digests import file_sha256, weights_digest
from s2v_model.wan.layout import Checkpoint, folder_here, open_checkpoint
from s2v_model.wan.options import Options, parse_loras, read_options

NAME = "wan-s2v"
REVISION = 1
"""Bumped when an equal take would give other frames."""
NATIVE_RATE = Fraction(NATIVE_RATE_HZ)
SECONDS_PER_FRAME_MEGAPIXEL = 11.6
"""GPU seconds, planned: 334 s for a chunk of 80 frames at 832x448 on an H100, an estimate for the published code."""
FIXED_SECONDS = 10.0
DIGESTS = "weights-digests.json"
"""Where digests of files are remembered, in the cache."""


def load(given: Mapping[str, Any]) -> Traits:
    """The traits of the renderer with these options, whose packages need not be here.

    Raises RendererMissing for an option that does not exist, or where nothing here tells the weights' digest.
    """
    options = read_options(given)
    if options.weights_digest:
        return traits_of(options, options.weights_digest)
    folder = folder_here(options.checkpoint, options.revision, options.cache_folder / "weights")
    if folder is None:
        raise unknown_weights(NAME)
    return traits_of(options, digest_of(options, open_checkpoint(folder)))


def unknown_weights(name: str) -> RendererMissing:
    """The error of a machine that plans for weights which it does not know."""
    return RendererMissing(
        f"{name} renders elsewhere, and nothing here tells its weights. Name the folder of its checkpoint, or set its "
        "option weights_digest to what `troupe doctor --wan` says where the weights are."
    )


def traits_of(options: Options, digest: str) -> Traits:
    """As the contract has them, for these weights."""
    return Traits(
        name=NAME,
        revision=REVISION,
        weights=digest,
        options={**options.altering_pixels(), "step_cache": _by_content(options.step_cache)},
        rate=NATIVE_RATE,
        multiple_px=SIZE_MULTIPLE_PX,
        max_pixels=options.max_pixels,
        quantum_frames=options.infer_frames,
        lead_frames=options.lead_frames,
        follows=("vocals", "pose_video"),
        cost=Cost(device="gpu", fixed_seconds=FIXED_SECONDS, seconds_per_frame_megapixel=SECONDS_PER_FRAME_MEGAPIXEL),
    )


def digest_of(options: Options, checkpoint: Checkpoint) -> str:
    """Of the checkpoint and the LoRA files with their strengths. Raises RendererMissing where another one is stated."""
    memory = options.cache_folder / DIGESTS
    digest = weights_digest(checkpoint.files, checkpoint.folder, memory)
    for path, strength in parse_loras(options.lora):
        told = f"{digest} {weights_digest([path], path.parent, memory)} {strength:g}"
        digest = hashlib.sha256(told.encode()).hexdigest()
    refuse_other_weights(NAME, digest, options.weights_digest)
    return digest


def refuse_other_weights(name: str, found: str, stated: str) -> None:
    """Raises RendererMissing where the option weights_digest states other weights than are here."""
    if stated and stated != found:
        raise RendererMissing(
            f"{name}: its option weights_digest is {stated}, and the weights here have {found}. Correct one of them."
        )


def _by_content(step_cache: str) -> str:
    """A calibration by its digest: a path means other numbers on another machine."""
    share, _, file = step_cache.partition(":")
    if not file:
        return step_cache
    try:
        return f"{share}:{file_sha256(Path(file).expanduser())}"
    except OSError as error:
        raise RendererMissing(
            f"step_cache: the calibration {file} cannot be read. Make it: python -m s2v_model.wan.calibrate."
        ) from error
