"""Wan2.2-S2V as a renderer: a take in, exactly its frames out, a checkpoint behind every chunk.

In: a `Take`. Out: frames at 16 per second. Knows no episode and no store: chunks are kept by whoever calls.

Time. A chunk makes 80 frames from 80 columns of features, at 16 Hz each. A first chunk loses its first 3 frames and
starts blurred, so speech is padded ahead by `preroll_frames`, and as many frames are dropped: frame k of the take is
frame k + preroll of the chunks, and sound and picture meet. The published tool does not pad: its picture leads by 3.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from s2v_model.contract import (
    SPEECH_RATE_HZ,
    Chunks,
    DeviceOutOfMemory,
    Float32Array,
    PortraitRefused,
    RenderError,
    Take,
    Traits,
    UInt8Array,
    Watch,
)
from s2v_model.wan.chunks import Caching, Chunk, ChunkLoop, Inputs, Note, State
from s2v_model.wan.config import NATIVE_RATE_HZ, NUM_LOST_FRAMES, SIZE_MULTIPLE_PX
from s2v_model.wan.fitting import pose_chunks, pose_stride, to_pixels, to_signed
from s2v_model.wan.hub import Hubs
from s2v_model.wan.models import Models
from s2v_model.wan.options import Options, read_options
from s2v_model.wan.placement import GB, Load, plan_memory, refuse_what_cannot_fit, what_fits
from s2v_model.wan.ranks import Ranks
from s2v_model.wan.speech import gate_vocals
from s2v_model.wan.step_cache import step_cache
from s2v_model.wan.traits import NATIVE_RATE, traits_of

SAMPLES_PER_FRAME = SPEECH_RATE_HZ // NATIVE_RATE_HZ
MIN_FACE_PX = 16
"""Two latent pixels: below that a mouth has none."""
STEPS_OF_A_DECODE = 2.0
"""Progress: decoding a chunk and encoding its motion count like so many steps."""
BEAT_SECONDS = 0.5

_log = logging.getLogger(__name__)


def load(options: Mapping[str, Any], hubs: Hubs | None = None) -> "WanRenderer":
    """The renderer with these options; nothing is loaded onto a device yet.

    Raises RendererMissing for an option that does not exist, or weights that are not there.
    """
    return WanRenderer(read_options(options), hubs)


class WanRenderer:
    """The `Renderer` of the final quality."""

    def __init__(self, options: Options, hubs: Hubs | None = None, *, is_rank: bool = False) -> None:
        """is_rank: one of several, which another process has started."""
        self.options = options
        self.models = Models(options, hubs)
        self.ranks = Ranks(options, _as_rank) if options.gpus > 1 and not is_rank else None
        self.cache = step_cache(options.step_cache, options.steps, options.solver, options.shift)

    def traits(self) -> Traits:
        """As the contract has it. The first call hashes the weights, where their digest is not remembered."""
        return traits_of(self.options, self.models.digest)

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        """As the contract has it. What an earlier render of this take has saved is not made again."""
        self._check(take)
        length, lead = self.options.infer_frames, self.options.lead_frames
        for index, frames in enumerate(self._chunk_frames(take, watch, chunks)):
            # A first chunk without motion is short by the frames that it loses at its start.
            first = (index + 1) * length - len(frames)
            yield from frames[max(lead - first, 0) : max(lead + take.num_frames - first, 0)]

    def num_chunks(self, num_frames: int) -> int:
        """Chunks that a take of `num_frames` needs."""
        return -(-(self.options.lead_frames + num_frames) // self.options.infer_frames)

    def _chunk_frames(self, take: Take, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        """Pixels of every chunk: those that were saved, then those made now."""
        total = self.num_chunks(take.num_frames)
        saved = self._usable(chunks.load(), take, total)
        for arrays in saved:
            yield arrays["frames"]
        if len(saved) == total:
            return
        progress = _Progress(watch, total, self.options.steps, first=len(saved))
        for chunk in self._made(take, saved, progress):
            frames = to_pixels(chunk.frames)
            chunks.save(chunk.index, _saved(chunk, frames))
            yield frames

    def _made(self, take: Take, saved: list[dict[str, np.ndarray]], progress: "_Progress") -> Iterator[Chunk]:
        """Chunks behind those that are saved. A device that is too small after all says what fits."""
        load = self._load_of(take)
        if self.models.device.type == "cuda":
            refuse_what_cannot_fit(self.models.config, load, torch.cuda.mem_get_info(self.models.device)[1])
        try:
            # The group first: a network that is loaded within it knows its share.
            with self._with_ranks(take, saved), self.models.beating(progress.beat):
                loop = self.loop(take, self.cache)
                state = _restored(saved[-1], len(saved), loop) if saved else None
                yield from loop.run(state, on_step=progress.stepped)
        except torch.OutOfMemoryError as error:
            self.models.release()
            needed = plan_memory(self.models.config, load).total
            raise DeviceOutOfMemory(
                f"The device ran out of memory at {take.width}x{take.height}, where {needed / GB:.0f} GB were "
                f"estimated. Free it of other work, or ask for less. {what_fits(self.models.config, load, needed)}"
            ) from error

    def _with_ranks(self, take: Take, saved: list[dict[str, np.ndarray]]) -> AbstractContextManager[None]:
        return self.ranks.at(take, saved) if self.ranks else nullcontext()

    def follow(self, take: Take, saved: list[dict[str, np.ndarray]]) -> None:
        """Do a further rank's part of the clip that the first rank renders."""
        progress = _Progress(lambda done, total: None, 1, 1, first=0)
        for _ in self._made(take, saved, progress):
            pass

    def _load_of(self, take: Take) -> Load:
        options = self.options
        return Load(
            width=take.width,
            height=take.height,
            sampling=options.sampling,
            working_bytes=self.models.working.itemsize,
            quantize=options.quantize,
            batch_guidance=options.batch_guidance,
            offload=options.offload,
            text_on_device=not options.text_device,
            pose=take.pose_video is not None,
            ranks=options.gpus,
        )

    def loop(self, take: Take, cache: Caching | None = None, note: Note | None = None) -> ChunkLoop:
        """The loop over this take, its inputs on the device. cache, note: as ChunkLoop has them."""
        num_chunks = self.num_chunks(take.num_frames)
        options, models = self.options, self.models
        negative = None
        if options.guidance > 1:
            negative = models.prompt_rows(take.negative_prompt or options.negative_prompt)
        inputs = Inputs(
            reference=to_signed(_exactly(take.portrait, take.width, take.height)).to(models.device),
            features=models.features(self._driving(take), num_chunks * options.infer_frames),
            text=models.prompt_rows(take.prompt or options.prompt),
            negative=negative,
            seed=take.seed,
            pose=self._pose(take, num_chunks),
        )
        return ChunkLoop(
            models.transformer,
            models.vae,
            inputs,
            options.sampling,
            batch_guidance=options.batch_guidance,
            cache=cache,
            note=note,
        )

    def _driving(self, take: Take) -> Float32Array:
        """Speech, or for a song its vocal stem, behind the pre-roll's silence."""
        sound = take.speech if take.vocals is None else gate_vocals(take.vocals)
        return np.concatenate([np.zeros(self.options.lead_frames * SAMPLES_PER_FRAME, np.float32), sound])

    def _pose(self, take: Take, num_chunks: int) -> tuple[Tensor, ...] | None:
        """The pose video at the native rate, its first frame held through the pre-roll."""
        if take.pose_video is None:
            return None
        poses = take.pose_video[:: pose_stride(float(take.pose_rate or NATIVE_RATE))]
        poses = np.concatenate([np.repeat(poses[:1], self.options.lead_frames, axis=0), poses])
        length = self.options.infer_frames
        pixels = pose_chunks(poses, take.height, take.width, num_chunks=num_chunks, infer_frames=length)
        return tuple(each.to(self.models.device) for each in pixels)

    def _check(self, take: Take) -> None:
        """Raises RenderError where the take is not one that this renderer can make."""
        if take.rate != NATIVE_RATE:
            raise RenderError(
                f"wan-s2v makes {NATIVE_RATE} frames per second, not {take.rate}. Plan the take at its rate."
            )
        if take.width % SIZE_MULTIPLE_PX or take.height % SIZE_MULTIPLE_PX:
            raise RenderError(
                f"wan-s2v makes sides that are multiples of {SIZE_MULTIPLE_PX} px, not {take.width}x{take.height}. "
                "Plan the take at such a size."
            )
        if take.width * take.height > self.options.max_pixels:
            raise RenderError(
                f"{take.width}x{take.height} is more than {self.options.max_pixels} px, the budget of size "
                f"{self.options.size!r}. Choose a larger size."
            )
        _check_sound(take)
        _check_face(take)

    def _usable(self, saved: list[dict[str, np.ndarray]], take: Take, total: int) -> list[dict[str, np.ndarray]]:
        """The saved chunks that this take can go on with; none that was made otherwise."""
        for index, arrays in enumerate(saved[:total]):
            lost = NUM_LOST_FRAMES if index == 0 and self.options.lead_frames else 0
            shape = (self.options.infer_frames - lost, take.height, take.width, 3)
            frames = arrays.get("frames")
            goes_on = index + 1 == total or "motion" in arrays
            if frames is None or frames.shape != shape or frames.dtype != np.uint8 or not goes_on:
                _log.warning("Saved chunk %d is not of this take; it is made anew.", index)
                return saved[:index]
        return saved[:total]


@cache
def _rank(options: Options) -> WanRenderer:
    return WanRenderer(options, is_rank=True)


def _as_rank(options: Options, take: Take, saved: Sequence[dict[str, np.ndarray]]) -> None:
    """What a further rank does; its weights stay loaded from clip to clip."""
    _rank(options).follow(take, list(saved))


class _Progress:
    """Tells `watch` of every step, and a few times a second from within one."""

    def __init__(self, watch: Watch, num_chunks: int, steps: int, first: int) -> None:
        self.watch, self.steps = watch, steps
        self.per_chunk = steps + STEPS_OF_A_DECODE
        self.total, self.done = num_chunks * self.per_chunk, first * self.per_chunk
        self.told = 0.0
        self._tell()

    def stepped(self, chunk: int, step: int) -> None:
        """A step is done."""
        self.done = chunk * self.per_chunk + step + 1
        self._tell()

    def beat(self) -> None:
        """Work is under way."""
        if time.monotonic() - self.told >= BEAT_SECONDS:
            self._tell()

    def _tell(self) -> None:
        self.told = time.monotonic()
        self.watch(self.done, self.total)


def _saved(chunk: Chunk, frames: UInt8Array) -> dict[str, np.ndarray]:
    """What a later process needs to go on behind `chunk`: its pixels, latent motion, what is left of the older past."""
    if chunk.state is None or chunk.state.motion is None:
        return {"frames": frames}
    arrays = {"frames": frames, "motion": chunk.state.motion.cpu().numpy()}
    if chunk.state.outliving.numel():
        arrays["window"] = np.ascontiguousarray(chunk.state.outliving.cpu().numpy())
    return arrays


def _restored(arrays: Mapping[str, np.ndarray], next_chunk: int, loop: ChunkLoop) -> State:
    """The state that `_saved` kept."""
    motion = torch.from_numpy(arrays["motion"]).to(loop.reference.device)
    outliving = arrays.get("window")
    kept = None if outliving is None else torch.from_numpy(outliving).to(loop.reference.device)
    return loop.state_behind(next_chunk, motion, kept)


def _exactly(portrait: UInt8Array, width: int, height: int) -> UInt8Array:
    """The portrait at the frames' size. Its aspect is theirs to within one px, so nothing is cut and no bar appears."""
    if portrait.shape[:2] == (height, width):
        return portrait
    return np.asarray(Image.fromarray(portrait).resize((width, height), Image.Resampling.BILINEAR))


def _check_sound(take: Take) -> None:
    sound = take.speech if take.vocals is None else take.vocals
    needed = (take.num_frames - 1) * SAMPLES_PER_FRAME
    if sound.size < needed:
        raise RenderError(
            f"The speech lasts {sound.size / SPEECH_RATE_HZ:.2f} s, the take {take.num_frames / NATIVE_RATE_HZ:.2f} s. "
            "Pad it from the speaker's own recording."
        )
    if not np.isfinite(sound).all():
        raise RenderError("The speech holds numbers that are not finite. Decode the recording again.")


def _check_face(take: Take) -> None:
    x, y, width, height = take.face_box
    rows, columns = take.portrait.shape[:2]
    inside = max(min(x + width, columns) - max(x, 0), 0) * max(min(y + height, rows) - max(y, 0), 0)
    if min(width, height) < MIN_FACE_PX or inside < width * height / 2:
        raise PortraitRefused(
            f"The face box {width:.0f}x{height:.0f} px at ({x:.0f}, {y:.0f}) is no face of at least {MIN_FACE_PX} px "
            f"within the picture of {columns}x{rows} px. Put a picture with one whole face into the cast."
        )
