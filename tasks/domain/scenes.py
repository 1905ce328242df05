"""Generated shots without a speaker: a scene of a script in, the shot that its renderer is asked for out. Pure."""

import hashlib
from collections.abc import Sequence

from s2v_model.contract import Traits
from tasks.domain.cutting import Stretch
from tasks.domain.editing import Framing, Shot
from tasks.domain.errors import ScriptError
from tasks.domain.options import RenderOptions
from tasks.domain.speech import Scene
from tasks.domain.timing import PROGRAMME_RATE, instant_of, native_frames


def scene_shot(
    shot_id: str,
    scene: Scene,
    stretch: Stretch,
    options: RenderOptions,
    sizes: Sequence[tuple[int, int]],
    traits: Traits,
) -> Shot:
    """The shot of `scene` over `stretch`, for outputs of `sizes` (width, height in px); its fingerprint is still "".

    Raises ScriptError for a scene that this renderer cannot make: too long, or from a picture.
    """
    native = traits.rate or PROGRAMME_RATE
    num_frames = native_frames(stretch.num_frames, native, PROGRAMME_RATE)
    where = f"scene {scene.text[:40]!r}"
    if traits.max_frames is not None and num_frames > traits.max_frames:
        length, most = (
            float(value) for value in (instant_of(stretch.num_frames, PROGRAMME_RATE), traits.max_frames / native)
        )
        raise ScriptError(
            f"it fills {length:.1f} s of the picture; {traits.name} makes at most {most:.1f} s.",
            where=where,
            remedy="Write two scenes, or a shorter one: [scene 4 s: words].",
        )
    if scene.picture is not None and "scene" not in traits.follows:
        raise ScriptError(
            f"it starts from a picture, and {traits.name} has no weights for that.",
            where=where,
            remedy="Set image_checkpoint in engines.wan_scene, or leave the picture away.",
        )
    framing = _framing(sizes[0], traits)
    return Shot(
        id=shot_id,
        speaker=None,
        utterances=(),
        start_frame=stretch.start_frame,
        end_frame=stretch.end_frame,
        framing=framing,
        portrait=None,
        speech=None,
        speech_digest="",
        phones=None,
        prompt=". ".join(part.rstrip(". ") for part in (scene.text, options.prompt) if part),
        negative_prompt=options.negative_prompt,
        seed=_seed(options.seed, scene),
        rate=native,
        num_frames=num_frames,
        renderer=traits.name,
        scene_text=scene.text,
        scene_picture=scene.picture,
        cost_seconds=traits.cost.seconds(num_frames, framing.width, framing.height),
    )


def _framing(size: tuple[int, int], traits: Traits) -> Framing:
    """The first output's aspect, at most its size; the others see the middle of it."""
    step = traits.multiple_px
    scale = min(1.0, (traits.max_pixels / (size[0] * size[1])) ** 0.5)
    width, height = (max(step, int(side * scale) // step * step) for side in size)
    nowhere = (0.0, 0.0, 0.0, 0.0)
    return Framing(crop=nowhere, width=width, height=height, face_box=nowhere)


def _seed(seed: int, scene: Scene) -> int:
    picture = scene.picture.sha256 if scene.picture is not None else ""
    drawn = hashlib.sha256(f"{seed} {scene.text} {picture}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") >> 1
