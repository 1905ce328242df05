"""A take, chunk after chunk: each one sampled, decoded, and handed on as the motion that the next one continues.

In: pixels of the reference, feature columns, text rows. Out: for each chunk its frames and the state that follows it.
Knows no file, no prompt and no frame count: it makes whole chunks. SPEC, sections 5.1, 5.4, 5.5.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from s2v_model.contract import RenderError
from s2v_model.wan import vae as latents_of
from s2v_model.wan.blocks import KeyValue
from s2v_model.wan.config import NUM_LOST_FRAMES, Sampling
from s2v_model.wan.sampler import Denoise, Schedule, guide, make_schedule, sample
from s2v_model.wan.transformer import Conditioning, TimeRows, WanS2V

NUM_REFERENCE_FRAMES = 6
"""When a take starts from the reference, so many frames of the past show it."""

Note = Callable[[str, Tensor], None]
"""Told what a chunk is made of, by its name in the goldens."""


class Evaluate(Protocol):
    """Asks the network; a step cache stands in for it."""

    def __call__(self, latents: Tensor, step: int, branch: int) -> Tensor:
        """Velocity of the conditional (0) or unconditional (1) branch; of both, stacked, where they run as one (0)."""
        ...


Caching = Callable[[Evaluate], Evaluate]
"""Puts something in front of the network, afresh for every chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a take is made from, on the device."""

    reference: Tensor
    """(1, 3, 1, H, W) in [-1, 1]."""
    features: Tensor
    """(1, 25, A, num_chunks * infer_frames)."""
    text: Tensor
    """(L, text_dim)."""
    negative: Tensor | None
    """The same of the negative prompt; None where guidance is off."""
    seed: int
    pose: tuple[Tensor, ...] | None = None
    """For each chunk (1, 3, infer_frames, H, W), or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the next chunk must know of those before it."""

    next_chunk: int
    window: Tensor
    """(1, 3, motion_frames, H, W): the last pixel frames; grey before the take."""
    motion: Tensor | None
    """(1, 16, motion latents, h, w): `window` encoded; None ahead of a first chunk without motion."""
    outliving: Tensor
    """(1, 3, n, H, W): what of `window` is still in the past behind the next chunk; n is 0 where that one is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One finished chunk."""

    index: int
    frames: Tensor
    """(3, n, H, W) in [-1, 1]; n is infer_frames, less 3 for a first chunk without motion."""
    state: State | None
    """None behind the last chunk: nothing follows it."""


class ChunkLoop:
    """The loop over one take. Build it once for a take; `run` it from the start or from a saved state."""

    def __init__(
        self,
        model: WanS2V,
        vae: AutoencoderKLWan,
        inputs: Inputs,
        sampling: Sampling,
        *,
        batch_guidance: bool = True,
        cache: Caching | None = None,
        note: Note | None = None,
    ) -> None:
        """batch_guidance: both branches in one batch. cache: wraps the network afresh for every chunk."""
        self.model, self.vae, self.inputs, self.sampling = model, vae, inputs, sampling
        self.cache, self.tell = cache, note
        self.schedule: Schedule = make_schedule(sampling.steps, sampling.shift, sampling.solver)
        self.time: TimeRows = model.embed_time(self.schedule.timesteps)
        self.reference = latents_of.encode(vae, inputs.reference)
        self.note("ref_latents", self.reference)
        texts = [inputs.text] if self.unguided else [inputs.text, self._negative()]
        self.batched = batch_guidance and not self.unguided
        groups = [texts] if self.batched else [[text] for text in texts]
        self.text: list[tuple[KeyValue, ...]] = [model.encode_text(group) for group in groups]

    def note(self, name: str, tensor: Tensor) -> None:
        """Tell whoever follows the numbers."""
        if self.tell:
            self.tell(name, tensor)

    @property
    def unguided(self) -> bool:
        """Guidance 1 needs no unconditional branch."""
        return self.sampling.guidance <= 1.0

    @property
    def num_chunks(self) -> int:
        """Chunks of this take."""
        return self.inputs.features.shape[-1] // self.sampling.infer_frames

    def first_state(self) -> State:
        """Grey, or where the take starts from the reference, grey that ends in it."""
        window = self._grey()
        if not self.sampling.start_from_reference:
            return self._state(0, window, None)
        window[:, :, -NUM_REFERENCE_FRAMES:] = self.inputs.reference
        return self._state(0, window, latents_of.encode(self.vae, window))

    def state_behind(self, next_chunk: int, motion: Tensor, outliving: Tensor | None) -> State:
        """A state that was kept: all of it that matters. The rest of the window is never read again."""
        window = self._grey()
        if outliving is not None:
            window[:, :, window.shape[2] - outliving.shape[2] :] = outliving
        return self._state(next_chunk, window, motion)

    def _grey(self) -> Tensor:
        _, channels, _, height, width = self.inputs.reference.shape
        return self.inputs.reference.new_zeros(1, channels, self.sampling.motion_frames, height, width)

    def _state(self, next_chunk: int, window: Tensor, motion: Tensor | None) -> State:
        outliving = window[:, :, min(self.sampling.infer_frames, window.shape[2]) :]
        return State(next_chunk=next_chunk, window=window, motion=motion, outliving=outliving)

    def run(self, state: State | None = None, on_step: Callable[[int, int], None] | None = None) -> Iterator[Chunk]:
        """Chunks from `state` on. on_step(chunk, step) is called behind every step.

        Raises RenderError where the latents are no longer finite.
        """
        state = state or self.first_state()
        while state is not None and state.next_chunk < self.num_chunks:
            chunk = self._chunk(state, on_step or (lambda chunk, step: None))
            yield chunk
            state = chunk.state

    def _chunk(self, state: State, on_step: Callable[[int, int], None]) -> Chunk:
        index = state.next_chunk
        frames = self._decode(self._sample(state, lambda step: on_step(index, step)), state)
        if index + 1 == self.num_chunks:
            return Chunk(index=index, frames=frames[0], state=None)
        kept = min(self.sampling.motion_frames, frames.shape[2])
        window = torch.cat([state.window[:, :, kept:], frames[:, :, frames.shape[2] - kept :]], dim=2)
        following = self._state(index + 1, window, latents_of.encode(self.vae, window))
        return Chunk(index=index, frames=frames[0], state=following)

    def _sample(self, state: State, on_step: Callable[[int], None]) -> Tensor:
        """(1, 16, T, h, w): the chunk's latents."""
        index, sampling = state.next_chunk, self.sampling
        noise = self._noise(index)
        columns = slice(index * sampling.infer_frames, (index + 1) * sampling.infer_frames)
        audio = self.inputs.features[..., columns]
        prefix = f"clip{index}."
        self.note(prefix + "noise", noise)
        self.note(prefix + "audio_input", audio)
        self.note(prefix + "timesteps", self.schedule.timesteps)
        denoise = self._denoise(self._conditionings(state, audio), prefix)
        steps: list[Tensor] = []

        def finished(step: int, latents: Tensor) -> None:
            if self.tell:
                steps.append(latents)
            on_step(step)

        latents = sample(denoise, noise.to(self.reference.device), self.schedule, finished)
        if not torch.isfinite(latents).all():
            raise RenderError(
                f"The latents of chunk {index + 1} are not finite. "
                "The weights may be damaged: verify their digest, or use precision = float32."
            )
        if self.tell:
            self.note(prefix + "latents_steps", torch.cat(steps))
            self.note(prefix + "latents_final", latents)
        return latents

    def _noise(self, index: int) -> Tensor:
        """Drawn on the CPU, so that a seed means the same on any device."""
        channels, height, width = self.reference.shape[1], *self.reference.shape[-2:]
        generator = torch.Generator("cpu").manual_seed(self.inputs.seed + index)
        return torch.randn(channels, self.sampling.latent_frames, height, width, generator=generator)[None]

    def _conditionings(self, state: State, audio: Tensor) -> list[Conditioning]:
        """One for each pass through the network: of both branches together, or of each."""
        silence = torch.zeros_like(audio)
        audios = [audio] if self.unguided else [audio, silence]
        groups = [torch.cat(audios)] if self.batched else audios
        pose = self._pose(state.next_chunk)
        return [
            self.model.prepare(
                latent_frames=self.sampling.latent_frames, reference=self.reference, motion=state.motion,
                condition=pose, audio=group, text=text,
                motion_window=(self.sampling.motion_frames, self.sampling.motion_latents),
            )
            for group, text in zip(groups, self.text, strict=True)
        ]  # fmt: skip

    def _pose(self, index: int) -> Tensor | None:
        """Latents of the chunk's pose video: its first frame is given twice, and its first latent dropped."""
        if self.inputs.pose is None:
            return None
        pixels = self.inputs.pose[index]
        condition = latents_of.encode(self.vae, torch.cat([pixels[:, :, :1], pixels], dim=2))[:, :, 1:]
        self.note(f"clip{index}.cond_latents", condition)
        return condition

    def _denoise(self, conditionings: list[Conditioning], prefix: str) -> Denoise:
        """Velocity under guidance."""

        def ask(latents: Tensor, step: int, branch: int) -> Tensor:
            return self.model(latents, self.time.at(step), conditionings[branch])

        evaluate: Evaluate = self.cache(ask) if self.cache else ask

        def denoise(latents: Tensor, step: int) -> Tensor:
            velocities = torch.cat([evaluate(latents, step, branch) for branch in range(len(conditionings))])
            if step == 0:
                self.note(prefix + "velocity_cond_step0", velocities[:1])
            if self.unguided:
                return velocities
            if step == 0:
                self.note(prefix + "velocity_uncond_step0", velocities[1:])
            return guide(velocities[:1], velocities[1:], self.sampling.guidance)

        return denoise

    def _decode(self, latents: Tensor, state: State) -> Tensor:
        """(1, 3, n, H, W). What precedes the chunk warms the decoder up: its motion, or the reference picture."""
        before = self.reference if state.motion is None else state.motion
        frames = latents_of.decode(self.vae, torch.cat([before, latents], dim=2))
        frames = frames[:, :, -self.sampling.infer_frames :]
        return frames[:, :, NUM_LOST_FRAMES:] if state.motion is None else frames

    def _negative(self) -> Tensor:
        if self.inputs.negative is None:
            raise ValueError("guidance above 1 needs the rows of a negative prompt")
        return self.inputs.negative
