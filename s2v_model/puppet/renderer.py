"""The puppet behind the renderer's contract: takes in, frames out.

In: `Take`s and the face models named in the options. Out: frames. Portrait set-up is kept in memory and, where the
options bring one, in a cache by content. Knows no files but the models, no episodes and no stores.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from s2v_model.contract import Chunks, Cost, Float32Array, PortraitRefused, Take, Traits, UInt8Array, Watch
from s2v_model.puppet.keep import pack, unpack
from s2v_model.puppet.landmarks import MODEL_FILES as FACE_MODELS
from s2v_model.puppet.landmarks import FaceFinder, require
from s2v_model.puppet.matte import MODEL as MATTE_MODEL
from s2v_model.puppet.matte import Segmenter
from s2v_model.puppet.motion import Speaking, animate
from s2v_model.puppet.painter import Painter
from s2v_model.puppet.prosody import questions
from s2v_model.puppet.rig import Rig, build_rig
from s2v_model.puppet.sounds import WEIGHTS, louder_is_wider, loudness, mouth_from_sound
from s2v_model.puppet.visemes import mouth_track

FloatArray = npt.NDArray[np.float64]

MODEL_FILES = (*FACE_MODELS, MATTE_MODEL)
"""Names of the model files that `load` wants."""
REVISION = 6
"""Bumped when an equal take would give other frames."""
_COST = Cost(device="cpu", fixed_seconds=0.5, seconds_per_frame_megapixel=0.025)
_KEPT_RIGS = 4


class SetupCache(Protocol):
    """Where portrait set-up is kept between runs."""

    def get(self, key: str) -> bytes | None:
        """What was put under `key`, or None."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`; an equal key always brings an equal value."""
        ...


class Puppet:
    """Renders takes by warping their portraits."""

    def __init__(self, finder: FaceFinder, segmenter: Segmenter, weights: str, cache: SetupCache | None) -> None:
        self._finder, self._segmenter, self._weights, self._cache = finder, segmenter, weights, cache
        self._rigs: dict[str, Rig] = {}

    def traits(self) -> Traits:
        """Constant for the life of the renderer."""
        return Traits(name="puppet", revision=REVISION, weights=self._weights, follows=("vocals",), cost=_COST)

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        """Exactly `take.num_frames` frames; `chunks` is not used: a clip is made in seconds.

        Raises PortraitRefused where no face is found in the take's box.
        """
        watch(0, take.num_frames)
        painter = Painter(self.rig(take))
        track = pose_track(take)
        for index in range(take.num_frames):
            yield painter.paint(track[index])
            watch(index + 1, take.num_frames)

    def rig(self, take: Take) -> Rig:
        """The portrait of `take` set up; from memory or the cache where it was before."""
        key = _setup_key(take, self._weights)
        if key not in self._rigs:
            while len(self._rigs) >= _KEPT_RIGS:
                del self._rigs[next(iter(self._rigs))]
            self._rigs[key] = self._kept_rig(take, key)
        return self._rigs[key]

    def _kept_rig(self, take: Take, key: str) -> Rig:
        kept = None if self._cache is None else self._cache.get(key)
        rig = None if kept is None else unpack(kept)
        if rig is None:
            rig = build_rig(_at_frame_size(take), self._points(take), self._segmenter)
            if self._cache is not None:
                self._cache.put(key, pack(rig))
        return rig

    def _points(self, take: Take) -> FloatArray:
        """(468, 3): the mesh in px of the frame."""
        face = self._finder.find_in(take.portrait, take.face_box)
        if face is None:
            raise PortraitRefused(
                "No face was found where the portrait's face should be. "
                "Put a picture that faces the camera into the cast."
            )
        height, width = take.portrait.shape[:2]
        scale = np.array([take.width / width, take.height / height])
        points = face.points.copy()
        points[:, :2] = (points[:, :2] + 0.5) * scale - 0.5
        points[:, 2] *= scale.mean()
        return points


def load(options: Mapping[str, Any]) -> Puppet:
    """The puppet with `options`: models (file name -> path) and, if wished, setup_cache (get, put).

    Raises RendererMissing where a model file is not there.
    """
    cv2.setNumThreads(1)
    models = {name: Path(path) for name, path in options["models"].items()}
    require(models, MODEL_FILES)
    digest = hashlib.sha256()
    for name in sorted(MODEL_FILES):
        digest.update(models[name].read_bytes())
    digest.update(WEIGHTS.read_bytes())
    return Puppet(FaceFinder(models), Segmenter(models[MATTE_MODEL]), digest.hexdigest(), options.get("setup_cache"))


def pose_track(take: Take) -> Float32Array:
    """(num_frames, pose channels): how the face moves through `take`."""
    seconds = float(take.num_frames / take.rate)
    speech = take.vocals if take.vocals is not None else take.speech
    level = loudness(speech, seconds)
    mouth = None
    if not take.listening:
        mouth = mouth_track(take.phones, seconds) if take.phones is not None else mouth_from_sound(speech, seconds)
        louder_is_wider(mouth, level)
    speaking = Speaking(
        loudness=level,
        stresses=take.stresses,
        listening=take.listening,
        gaze=take.gaze,
        questions=() if take.listening else questions(speech, level),
    )
    return animate(mouth, speaking, take.num_frames, take.rate, take.seed)


def _at_frame_size(take: Take) -> UInt8Array:
    height, width = take.portrait.shape[:2]
    if (width, height) == (take.width, take.height):
        return take.portrait
    way = cv2.INTER_AREA if take.width < width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(take.portrait, (take.width, take.height), interpolation=way), np.uint8)


def _setup_key(take: Take, weights: str) -> str:
    digest = hashlib.sha256(f"{REVISION} {weights} {take.width}x{take.height} {take.face_box}".encode())
    digest.update(f"{take.portrait.shape}".encode())
    digest.update(np.ascontiguousarray(take.portrait).data)
    return digest.hexdigest()
