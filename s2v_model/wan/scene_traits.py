"""What a planner must know of Wan2.2's scene models, read without torch; and their options and published numbers.

In: options, and the index of a checkpoint in the diffusers layout. Out: `Traits`, the renderer's own.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from s2v_model.contract import Cost, RendererMissing, Traits
from s2v_model.wan.digests import weights_digest
from s2v_model.wan.layout import folder_here
from s2v_model.wan.traits import DIGESTS, refuse_other_weights, unknown_weights

NAME = "wan-scene"
REVISION = 1
"""Bumped when an equal take would give other frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Published numbers of one model."""

    boundary: float | None
    """Share of the timesteps from which the high-noise expert works; None for one expert."""
    steps: int
    guidance: float
    guidance_low: float | None
    """Of the low-noise expert."""
    rate: int
    max_frames: int
    multiple_px: int


FAMILIES = {
    "t2v": Family(
        boundary=0.875, steps=40, guidance=4.0, guidance_low=3.0, rate=16, max_frames=81, multiple_px=16
    ),
    "i2v": Family(
        boundary=0.9, steps=40, guidance=3.5, guidance_low=3.5, rate=16, max_frames=81, multiple_px=16
    ),
    "ti2v": Family(
        boundary=None, steps=50, guidance=5.0, guidance_low=None, rate=24, max_frames=121, multiple_px=32
    ),
}  # fmt: skip
"""Source: the configs of Wan2.2's T2V-A14B, I2V-A14B and TI2V-5B. The schedules' shifts are part of the checkpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions:
    """What may be chosen."""

    checkpoint: str = ""
    """In the diffusers layout, for scenes from words: a folder or a hub id."""
    revision: str = ""
    image_checkpoint: str = ""
    """For scenes from a picture; "" where `checkpoint` does both (TI2V-5B)."""
    image_revision: str = ""
    weights_digest: str = ""
    """What the weights must be, as `troupe doctor --wan` says it; a machine without them plans by it."""
    cache: str = "~/.cache/troupe"
    device: str = "cuda"
    precision: str = "bf16"
    steps: int = 0
    """0 is the published number."""
    max_pixels: int = 832 * 480
    offload: bool = False
    """Models visit the card one after the other."""


def read_options(given: Mapping[str, Any]) -> SceneOptions:
    """`given` as options. Raises RendererMissing for one that does not exist."""
    known = {field.name for field in fields(SceneOptions)}
    unknown = sorted(given.keys() - known)
    if unknown:
        raise RendererMissing(f"wan-scene has no option {unknown[0]!r}. Known are: {', '.join(sorted(known))}.")
    return SceneOptions(**given)


def load(given: Mapping[str, Any]) -> Traits:
    """The traits of the renderer with these options, whose packages need not be here.

    Raises RendererMissing for an option that does not exist, or where nothing here tells the weights' digest.
    """
    options = read_options(given)
    if options.weights_digest:
        return traits_of(options, options.weights_digest)
    cache = Path(options.cache).expanduser() / "weights"
    words = picture = folder_here(options.checkpoint, options.revision, cache)
    if options.image_checkpoint:
        picture = folder_here(options.image_checkpoint, options.image_revision, cache)
    if words is None or picture is None:
        raise unknown_weights(NAME)
    return traits_of(options, digest_of(options, words, picture))


def traits_of(options: SceneOptions, weights: str) -> Traits:
    """As the contract has them, for weights as `digest_of` writes them."""
    kinds = [part.partition(":")[0] for part in weights.split("+")]
    if not set(kinds) <= FAMILIES.keys():
        raise RendererMissing(f"wan-scene: weights_digest {weights!r} must be what `troupe doctor --wan` says.")
    words, picture = FAMILIES[kinds[0]], FAMILIES[kinds[-1]]
    return Traits(
        name=NAME,
        revision=REVISION,
        weights=weights,
        options={"precision": options.precision, "steps": options.steps},
        rate=Fraction(words.rate),
        multiple_px=max(words.multiple_px, picture.multiple_px),
        max_pixels=options.max_pixels,
        max_frames=min(words.max_frames, picture.max_frames),
        follows=() if picture is FAMILIES["t2v"] else ("scene",),
        cost=Cost(device="gpu", fixed_seconds=10.0, seconds_per_frame_megapixel=11.6),
    )


def digest_of(options: SceneOptions, words: Path, picture: Path) -> str:
    """KIND:SHA-256 of the model for words, and with a + that for pictures where it is another one."""
    memory = Path(options.cache).expanduser() / DIGESTS
    found = []
    for folder, from_picture in ((words, False), (picture, True)):
        kind = kind_of(folder, from_picture)
        files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".safetensors", ".model")]
        found.append(f"{kind}:{weights_digest(files, folder, memory)}")
    digest = "+".join(dict.fromkeys(found))
    refuse_other_weights(NAME, digest, options.weights_digest)
    return digest


def kind_of(folder: Path, from_picture: bool) -> str:
    """Which model lies in `folder`. Raises RendererMissing where it is none of Wan2.2's, or has another boundary."""
    try:
        index = json.loads((folder / "model_index.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RendererMissing(
            f"{folder} is no checkpoint in the diffusers layout: it has no model_index.json. "
            "Name Wan-AI/Wan2.2-T2V-A14B-Diffusers, -I2V-A14B-Diffusers or -TI2V-5B-Diffusers."
        ) from error
    kind = "ti2v" if index.get("expand_timesteps") else "i2v" if from_picture else "t2v"
    if index.get("boundary_ratio") == FAMILIES[kind].boundary:
        return kind
    if from_picture and index.get("boundary_ratio") == FAMILIES["t2v"].boundary:
        return "t2v"  # no weights for pictures are named; a take with one is refused when it comes
    raise RendererMissing(
        f"{folder} switches its experts at {index.get('boundary_ratio')}; published is {FAMILIES[kind].boundary}. "
        "It is not the checkpoint that was expected."
    )
