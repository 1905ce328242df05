"""Still: what stands in for a shot that no renderer could make: its portrait, drained of colour, for as long.

In: a shot. Out: a shot of the same place with a name of its own, and its clip. That clip is never kept under the name
of the shot that failed: a later run renders that one. The compositor writes over it what it is.
"""

from dataclasses import replace

import cv2
import numpy as np

from s2v_model.contract import UInt8Array, Watch
from tasks.domain.editing import STILL, Clip, Shot
from tasks.domain.options import EngineId
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest
from tasks.media.pictures import cropped, read_picture
from tasks.media.video import CLIP_ENCODING, write_video

REVISION = 1
ENGINE = EngineId(role="renderer", name=STILL, version=str(REVISION))
LIGHT = 0.7
"""Of the portrait's own: nobody takes it for a picture that has got stuck."""
DARK = 24
"""Level of a scene that could not be made."""


def stand_in(shot: Shot) -> Shot:
    """The shot that takes the place of one that failed."""
    name = digest({"renderer": STILL, "revision": REVISION, "of": shot.fingerprint, "encoding": CLIP_ENCODING})
    return replace(shot, renderer=STILL, fingerprint=name)


def still(shot: Shot, *, workspace: Workspace, watch: Watch) -> Clip:
    """The clip of a shot that `stand_in` gave; of a scene, which shows nobody, a dark picture."""
    watch(0, shot.num_frames)
    framing, path = shot.framing, workspace.new(".mp4")
    frame: UInt8Array = np.full((framing.height, framing.width, 3), DARK, np.uint8)
    if shot.portrait is not None:
        picture = read_picture(workspace.path(shot.portrait.picture)).pixels
        frame = _drained(cropped(picture, framing.crop, framing.width, framing.height))
    return Clip(
        fingerprint=shot.fingerprint,
        num_frames=write_video((frame for _ in range(shot.num_frames)), shot.rate, path),
        video=workspace.keep(path),
        rate=shot.rate,
        width=framing.width,
        height=framing.height,
        checks=((STILL, "not rendered: the portrait stands in its place"),),
    )


def _drained(rgb: UInt8Array) -> UInt8Array:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.repeat((LIGHT * grey).astype(np.uint8)[:, :, None], 3, axis=2)
