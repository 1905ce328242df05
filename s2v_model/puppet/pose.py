"""One frame's worth of movement: the channels that sound and idle life fill and the painter reads."""

import numpy as np

from s2v_model.contract import Float32Array
from s2v_model.puppet.head import HEAD_PARAMETERS
from s2v_model.puppet.sheets import PARAMETERS

CHANNELS = (*PARAMETERS, "tongue", "own", "blink", "gaze_x", "gaze_y", *HEAD_PARAMETERS)
"""PARAMETERS of the mouth and brows; tongue 0 .. 1 towards the teeth; own: 1 leaves an open-mouthed portrait as it
is, 0 closes it; blink 0 open .. 1 shut; gaze -1 .. 1 to the right and down; then the head's, in radians and units."""

CHANNEL = {name: index for index, name in enumerate(CHANNELS)}
JAW_OPENING = 0.30
"""Relative opening at jaw = 1."""


def rest(num_frames: int) -> Float32Array:
    """(num_frames, channels): the portrait as it is."""
    track = np.zeros((num_frames, len(CHANNELS)), np.float32)
    track[:, CHANNEL["own"]] = 1
    return track
