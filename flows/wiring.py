"""The composition root: settings in; engines and the workspace out, built once a process and only when asked for.

A stage names what it needs by its keywords; `Wiring.supply` finds them. The only place that knows which class plays
which role on this machine. Knows no Prefect.
"""

import inspect
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import s2v_model
import tasks.engines.aligners
import tasks.engines.diarizers
import tasks.engines.stores
import tasks.engines.transcribers
import tasks.engines.voiceprints
import tasks.engines.voices
from flows.settings import Settings
from s2v_model.contract import Renderer, RendererMissing, Traits, UInt8Array
from s2v_model.puppet.hands import MODEL_FILES as HAND_MODELS
from s2v_model.puppet.hands import HandFinder
from s2v_model.puppet.judge import Verdict, judge
from s2v_model.puppet.landmarks import MODEL_FILES as FACE_MODELS
from s2v_model.puppet.landmarks import FaceFinder
from tasks.domain.errors import EngineMissing, SettingsError
from tasks.domain.options import EngineId, InputOptions
from tasks.engines import model_files
from tasks.engines.aligners import Aligner
from tasks.engines.diarizers import Diarizer
from tasks.engines.diarizers.activity import VoiceActivity
from tasks.engines.stores import Store
from tasks.engines.transcribers import Transcriber
from tasks.engines.voiceprints import Voiceprints
from tasks.engines.voices import Voice
from tasks.engines.workspace import Workspace

MODEL_NAMES = tuple(file.name for file in model_files.MODEL_FILES)
SCRATCH_PREFIX = "troupe-work-"
SCRATCH_SECONDS = 24 * 3600
Fetched = Callable[[int, int, str], None]


def model_folder(settings: Settings) -> Path:
    """Where model files are kept."""
    return Path(settings.cache).expanduser() / "models"


class Wiring:
    """Engines of one process, for one quality of rendering."""

    def __init__(self, settings: Settings, *, quality: str = "draft", fetched: Fetched | None = None) -> None:
        """fetched: told of model files that come in, (done bytes, total bytes, name)."""
        self.settings = settings
        self.quality = quality
        self._fetched = fetched

    def prepare(self) -> None:
        """Before work starts: see that the store answers and may be written, and clear what dead runs left.

        Raises SettingsError for wrong credentials, bucket, clock or address; StoreError for a store away or full.
        """
        self.store.check(write=True)
        self.tidy()

    def tidy(self) -> None:
        """Clear what dead runs left, here and in the store, and what of this machine's copies is too much."""
        self.workspace.tidy()
        remove_stale_scratch(self.scratch.parent)

    def supply(self, stage: Callable[..., Any]) -> dict[str, Any]:
        """What a stage's keywords ask for, but for `watch`, which belongs to one call."""
        wanted = (p.name for p in inspect.signature(stage).parameters.values() if p.kind is p.KEYWORD_ONLY)
        return {name: getattr(self, name) for name in wanted if name != "watch"}

    @property
    def wiring(self) -> "Wiring":
        """Itself, for what runs a whole pipeline in one worker."""
        return self

    @cached_property
    def store(self) -> Store:
        """Where everything is kept."""
        return tasks.engines.stores.load(self.settings.store, self._store_options)

    def over(self, store: str) -> "Wiring":
        """The same engines over another store: a renderer that keeps nothing of its own there stays loaded."""
        other = Wiring(self.settings.model_copy(update={"store": store}), quality=self.quality, fetched=self._fetched)
        if self._renderer_name != "puppet":  # the puppet keeps its portrait set-up in the store
            other.__dict__["renderers"] = self.renderers
        return other

    @property
    def _store_options(self) -> dict[str, Any]:
        s3 = self.settings.s3
        if not self.settings.store.startswith("s3:"):
            return {}
        return {
            "endpoint": s3.endpoint,
            "access_key": s3.access_key.get_secret_value(),
            "secret_key": s3.secret_key.get_secret_value(),
            "region": s3.region,
            "public_endpoint": s3.public_endpoint,
        }

    @cached_property
    def workspace(self) -> Workspace:
        """The store, with a folder on this machine for work in progress."""
        return Workspace(self.store, self.scratch)

    @cached_property
    def inputs(self) -> InputOptions:
        """How much is taken in, and from where."""
        inputs, network = self.settings.inputs, self.settings.network
        return InputOptions(
            max_recording_hours=inputs.max_hours, max_download_bytes=network.max_bytes, allow=network.allow
        )

    def renderers(self, name: str) -> Renderer:
        """The renderer that a shot names: of scenes, or of speakers. Raises EngineMissing."""
        scene = self._scene_name
        if scene and (name == scene or (":" in scene and name == self.scene_renderer.traits().name)):
            return self.scene_renderer
        return self.renderer

    @cached_property
    def renderer(self) -> Renderer:
        """What makes clips of this quality. Raises EngineMissing."""
        return self._loaded(self._renderer_name)

    @cached_property
    def scene_renderer(self) -> Renderer:
        """What makes scenes without a speaker. Raises EngineMissing."""
        return self._loaded(self._scene_name)

    @cached_property
    def traits(self) -> Traits:
        """What planning knows of the renderer. Raises EngineMissing."""
        return self._traits(self._renderer_name, lambda: self.renderer)

    @cached_property
    def scene_traits(self) -> Traits | None:
        """What planning knows of the renderer of scenes; None shows their words. Raises EngineMissing."""
        name = self._scene_name
        return self._traits(name, lambda: self.scene_renderer) if name else None

    def traits_of(self, name: str) -> Traits:
        """What planning knows of the renderer that a shot names."""
        scenes = self.scene_traits
        return scenes if scenes is not None and scenes.name == name else self.traits

    @property
    def _renderer_name(self) -> str:
        return self.settings.engines.draft if self.quality == "draft" else self.settings.engines.final

    @property
    def _scene_name(self) -> str:
        """Empty for cards."""
        name = self.settings.engines.scene
        return "" if self.quality == "draft" or name == "card" else name

    def _loaded(self, name: str) -> Renderer:
        try:
            return s2v_model.load(name, self.options_of(name))
        except RendererMissing as error:
            raise EngineMissing(str(error)) from error

    def _traits(self, name: str, renderer: Callable[[], Renderer]) -> Traits:
        """Of a renderer with a work pool its packages and weights need not be here: this machine plans for it."""
        try:
            if name in self.settings.pools:
                return s2v_model.traits(name, self.options_of(name))
            return renderer().traits()
        except RendererMissing as error:
            raise EngineMissing(str(error)) from error

    def options_of(self, name: str) -> dict[str, Any]:
        """What settings say for the renderer called `name`."""
        if name == "puppet":
            return {"models": {file: str(path) for file, path in self._models.items()}, "setup_cache": self.setups}
        if ":" in name:
            return {}
        if name == "wan-scene":
            return {"cache": self.settings.cache, **self.settings.engines.wan_scene}
        engines = self.settings.engines
        return {"cache": self.settings.cache, **engines.wan, "checkpoint": engines.wan_checkpoint}

    @cached_property
    def setups(self) -> "Setups":
        """Portrait set-up, kept in the store by content."""
        return Setups(self.workspace)

    @cached_property
    def faces(self) -> "Faces":
        """Finds and judges faces."""
        models = self._models
        return Faces(
            FaceFinder({name: models[name] for name in FACE_MODELS}),
            HandFinder({name: models[name] for name in HAND_MODELS}),
        )

    @cached_property
    def diarizer(self) -> Diarizer:
        """Tells speakers apart."""
        engines = self.settings.engines
        options = {"model": engines.pyannote_model} if engines.diarizer == "pyannote" else {}
        return tasks.engines.diarizers.load(engines.diarizer, cache=self._cache, options=options)

    @cached_property
    def diarizer_id(self) -> EngineId:
        """The diarizer with the digest of its weights."""
        return self.diarizer.identity()

    @cached_property
    def activity(self) -> VoiceActivity:
        """Finds speech."""
        return VoiceActivity(self._cache)

    @cached_property
    def voiceprints(self) -> Voiceprints:
        """Tells voices by their sound."""
        return tasks.engines.voiceprints.load("ge2e", cache=self._cache)

    @cached_property
    def transcriber(self) -> Transcriber | None:
        """Finds words; None where settings name no engine."""
        engines = self.settings.engines
        if engines.transcriber == "none":
            return None
        return tasks.engines.transcribers.load(engines.transcriber, options={"model": engines.whisper_model})

    @cached_property
    def transcriber_id(self) -> EngineId:
        """The transcriber with the digest of its weights."""
        if self.transcriber is None:
            return EngineId(role="transcriber", name="none", version="0")
        return self.transcriber.identity()

    @cached_property
    def aligner(self) -> Aligner:
        """Gives words and sounds their times."""
        return tasks.engines.aligners.load("pocketsphinx")

    @cached_property
    def voices(self) -> Voice:
        """Speaks."""
        return tasks.engines.voices.load(self.settings.engines.voice)

    @cached_property
    def voice_id(self) -> EngineId:
        """The engine that speaks."""
        return self.voices.identity()

    @cached_property
    def _cache(self) -> Path:
        """The folder of model files, filled."""
        cache = model_folder(self.settings)
        model_files.fetch(MODEL_NAMES, cache, self._fetched)
        return cache

    @cached_property
    def _models(self) -> dict[str, Path]:
        return {name: self._cache / name for name in MODEL_NAMES}

    @cached_property
    def scratch(self) -> Path:
        """A folder of this process for work in progress. Raises SettingsError where none can be made."""
        parent = Path(self.settings.scratch).expanduser() if self.settings.scratch else None
        try:
            if parent is not None:
                parent.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=parent))
        except OSError as error:
            message = f"no folder for work in progress can be made ({error.strerror or error})."
            where = str(parent) if parent else "the system's folder for temporary files"
            raise SettingsError(
                message, where=where, remedy="Make room there, or correct the setting scratch."
            ) from error

    def close(self) -> None:
        """Remove the work in progress of this process."""
        if "scratch" in self.__dict__:
            shutil.rmtree(self.scratch, ignore_errors=True)


def remove_stale_scratch(parent: Path) -> None:
    """Remove folders of work in progress whose processes were killed: nobody works on one for a day."""
    for folder in parent.glob(f"{SCRATCH_PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > SCRATCH_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


class Faces:
    """Finds the faces of a picture and judges them: `tasks.cast.FaceJudge`."""

    def __init__(self, finder: FaceFinder, hands: HandFinder) -> None:
        self._finder, self._hands = finder, hands

    def judge(self, rgb: UInt8Array, box: tuple[float, float, float, float] | None) -> Verdict:
        """The one usable face, or why there is none."""
        return judge(rgb, self._finder.find(rgb), box, hands=self._hands)


class Setups:
    """A renderer's portrait set-up over the workspace's memory: `s2v_model.puppet.renderer.SetupCache`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def get(self, key: str) -> bytes | None:
        """What was put under `key`, or None."""
        found = self._workspace.recall("setup", key, str)
        return None if found is None else bytes.fromhex(found)

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`."""
        self._workspace.remember("setup", key, value.hex())
