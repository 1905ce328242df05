"""Render: one shot in, one clip out. The one translator between the pipeline's nouns and a renderer's arrays.

Knows no programme, no order and no other shot.
"""

from collections.abc import Callable, Iterator

import numpy as np

from s2v_model.contract import (
    DeviceOutOfMemory,
    Float32Array,
    Phone,
    PortraitRefused,
    Renderer,
    RendererMissing,
    RenderError,
    Stopped,
    Take,
    UInt8Array,
    Watch,
)
from tasks.domain.editing import Clip, Shot
from tasks.domain.errors import EngineError, EngineMissing, OutOfMemory, PipelineError, PortraitError
from tasks.domain.timing import SPEECH_RATE_HZ
from tasks.engines.workspace import Workspace
from tasks.media.pictures import cropped, read_picture
from tasks.media.poses import read_poses
from tasks.media.video import write_video
from tasks.media.wav import read_speech

REVISION = 1


def render(shot: Shot, *, renderers: Callable[[str], Renderer], workspace: Workspace, watch: Watch) -> Clip:
    """The clip of a shot, kept and named in the store before it is returned. renderers: gives the one that it names.

    Raises PortraitError, OutOfMemory, EngineMissing, EngineError; and Stopped out of `watch`.
    """
    take, renderer = take_for(shot, workspace), renderers(shot.renderer)
    path = workspace.new(".mp4")
    try:
        frames = _checked(renderer.frames(take, watch=watch, chunks=workspace.chunks(shot.fingerprint)), take)
        num_frames = write_video(frames, take.rate, path)
    except PortraitRefused as error:
        raise PortraitError(str(error), where=f"speaker {shot.speaker}") from error
    except DeviceOutOfMemory as error:
        raise OutOfMemory(str(error)) from error
    except RendererMissing as error:
        raise EngineMissing(str(error)) from error
    except RenderError as error:
        raise EngineError(f"shot {shot.id} ({shot.speaker or 'scene'}): {error}") from error
    clip = Clip(
        fingerprint=shot.fingerprint,
        video=workspace.keep(path),
        num_frames=num_frames,
        rate=shot.rate,
        width=take.width,
        height=take.height,
    )
    return workspace.name_clip(clip)


def take_for(shot: Shot, workspace: Workspace) -> Take:
    """The order to a renderer, from what a shot names."""
    framing, scene = shot.framing, None
    if shot.portrait is not None:
        picture = read_picture(workspace.path(shot.portrait.picture)).pixels
        portrait = cropped(picture, framing.crop, framing.width, framing.height)
    else:
        portrait = np.zeros((framing.height, framing.width, 3), np.uint8)
    if shot.scene_picture is not None:
        picture = read_picture(workspace.path(shot.scene_picture)).pixels
        scene = cropped(picture, _middle(picture, framing.width / framing.height), framing.width, framing.height)
    poses = (
        None if shot.pose_video is None else read_poses(workspace.path(shot.pose_video), shot.num_frames / shot.rate)
    )
    return Take(
        portrait=portrait,
        face_box=framing.face_box,
        speech=_speech(shot, workspace),
        rate=shot.rate,
        num_frames=shot.num_frames,
        width=framing.width,
        height=framing.height,
        seed=shot.seed,
        phones=None
        if shot.phones is None
        else tuple(
            Phone(start_seconds=p.start_ms / 1000, end_seconds=p.end_ms / 1000, symbol=p.symbol) for p in shot.phones
        ),
        stresses=tuple(stress / 1000 for stress in shot.stresses_ms),
        listening=shot.is_listening,
        gaze=shot.gaze,
        prompt=shot.prompt,
        negative_prompt=shot.negative_prompt,
        vocals=None if shot.vocals is None else read_speech(workspace.path(shot.vocals)),
        pose_video=None if poses is None else poses.frames,
        pose_rate=None if poses is None else poses.rate,
        scene=scene,
    )


def _middle(picture: UInt8Array, aspect: float) -> tuple[float, float, float, float]:
    """The largest part of a picture with this aspect, around its middle."""
    height, width = picture.shape[:2]
    wide, tall = min(width, height * aspect), min(height, width / aspect)
    return (width - wide) / 2, (height - tall) / 2, wide, tall


def _speech(shot: Shot, workspace: Workspace) -> Float32Array:
    if shot.speech is not None:
        return read_speech(workspace.path(shot.speech))
    return np.zeros(int(shot.num_frames * SPEECH_RATE_HZ / shot.rate), np.float32)


def _checked(frames: Iterator[UInt8Array], take: Take) -> Iterator[UInt8Array]:
    """Pass frames on, and hold the renderer to its contract."""
    made = 0
    for frame in _mapped(frames):
        if frame.shape != (take.height, take.width, 3) or frame.dtype != np.uint8:
            raise RenderError(
                f"the renderer made a frame of {frame.shape} {frame.dtype} where it owed {take.height}x{take.width}."
            )
        made += 1
        yield frame
    if made != take.num_frames:
        raise RenderError(f"the renderer made {made} frames where it owed {take.num_frames}.")


def _mapped(frames: Iterator[UInt8Array]) -> Iterator[UInt8Array]:
    """Pass frames on; a defect that one shot brings to light must cost that shot, not the shard that it lies in."""
    try:
        yield from frames
    except (RenderError, PipelineError, Stopped):
        raise
    except Exception as error:
        raise RenderError(f"the renderer has a defect: {type(error).__name__}: {error}") from error
