"""The models of a checkpoint on their devices, each loaded when it is first asked for.

In: options. Out: the network, the VAE, the rows of a prompt, the features of speech. Knows no take and no chunk.
"""

import gc
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from s2v_model.contract import Float32Array, RendererMissing
from s2v_model.wan import weights
from s2v_model.wan.attention import load_backend
from s2v_model.wan.config import ModelConfig
from s2v_model.wan.hub import Hubs, local_folder
from s2v_model.wan.layout import open_checkpoint
from s2v_model.wan.lora import merged
from s2v_model.wan.offload import offload_blocks
from s2v_model.wan.options import Options, parse_loras
from s2v_model.wan.parallel import shares_of_group
from s2v_model.wan.precision import working_dtype
from s2v_model.wan.quantize import FORMATS, pack_linears
from s2v_model.wan.speech import driving_features
from s2v_model.wan.text import encode_prompt
from s2v_model.wan.traits import digest_of
from s2v_model.wan.transformer import WanS2V

NUM_REMEMBERED_PROMPTS = 64

Beat = Callable[[], None]
"""Called while work is under way, so that progress is told and a stop is heard."""

_log = logging.getLogger(__name__)


class Models:
    """Loaded lazily and kept: one of these for a process."""

    def __init__(self, options: Options, hubs: Hubs | None = None) -> None:
        if not options.checkpoint:
            raise RendererMissing(
                "wan-s2v has no checkpoint. Name a folder or hub id in the setting `wan_checkpoint`, "
                "such as Wan-AI/Wan2.2-S2V-14B with a `revision`."
            )
        self.options = options
        self.loras = parse_loras(options.lora)
        self.working = working_dtype(options.precision)
        self.attend = load_backend(options.kernel)
        if options.quantize and options.quantize not in FORMATS:
            raise RendererMissing(f"There is no weight format {options.quantize!r}. Known are: {', '.join(FORMATS)}.")
        self.folder = local_folder(options.checkpoint, options.revision, options.cache_folder / "weights", hubs)
        self.checkpoint = open_checkpoint(self.folder)
        self.config: ModelConfig = weights.transformer_config(self.checkpoint)
        self._rows: OrderedDict[str, Tensor] = OrderedDict()

    @cached_property
    def digest(self) -> str:
        """Of the checkpoint and the LoRA files with their strengths."""
        return digest_of(self.options, self.checkpoint)

    @cached_property
    def device(self) -> torch.device:
        """Raises RendererMissing where there is none of this kind."""
        try:
            device = torch.device(self.options.device)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            raise RendererMissing(
                f"wan-s2v cannot use the device {self.options.device!r}: {str(error).splitlines()[0]}. "
                "Run it where there is one, or set device = cpu (slow)."
            ) from error
        return device

    @cached_property
    def transformer(self) -> WanS2V:
        """The network, with its options applied."""
        patch = merged(self.loras)
        prepare = None
        if self.options.quantize:
            prepare = lambda model: pack_linears(model, self.options.quantize, self.working)  # noqa: E731
        _log.info("Loading the network from %s.", self.folder)
        at_first = torch.device("cpu") if self.options.offload else self.device
        model = weights.load_transformer(
            self.checkpoint, working=self.working, device=at_first, patch=patch, prepare=prepare
        )
        if patch:
            patch.finish()
        if self.options.offload:
            offload_blocks(model, self.device)
        model.attend = self.attend
        model.shares = shares_of_group() if self.options.gpus > 1 else None
        if self.options.compile:
            for block in model.blocks:
                block.compile(dynamic=False)
        return model

    @cached_property
    def vae(self) -> Any:
        """Float32."""
        return weights.load_vae(self.checkpoint, device=self.device)

    @cached_property
    def audio_encoder(self) -> Any:
        """Float32."""
        return weights.load_audio_encoder(self.checkpoint, device=self.device)

    @cached_property
    def _text_encoder(self) -> Any:
        device = torch.device(self.options.text_device) if self.options.text_device else self.device
        return weights.load_text_encoder(self.checkpoint, working=self.working, device=device)

    @cached_property
    def _tokenizer(self) -> Any:
        return weights.load_tokenizer(self.checkpoint)

    def prompt_rows(self, prompt: str) -> Tensor:
        """(L, text_dim), on the device. The negative prompt, at least, is the same for every take: remembered."""
        if prompt not in self._rows:
            rows = encode_prompt(prompt, self._tokenizer, self._text_encoder, self.config.text_len)
            self._rows[prompt] = rows.to(self.device)
            if len(self._rows) > NUM_REMEMBERED_PROMPTS:
                self._rows.popitem(last=False)
        self._rows.move_to_end(prompt)
        return self._rows[prompt]

    def features(self, speech: Float32Array, num_frames: int) -> Tensor:
        """(1, 25, channels, num_frames), on the device."""
        return driving_features(speech, self.audio_encoder, num_frames).to(self.device)

    @contextmanager
    def beating(self, beat: Beat) -> Iterator[None]:
        """Within, `beat` is called from the middle of every long piece of work, a few times a second."""

        def told(*ignored: object) -> None:
            if self.device.type == "cuda":
                # Kernels are queued far ahead; without this a stop would be heard only behind the step.
                torch.cuda.synchronize(self.device)
            beat()

        hooks = [module.register_forward_hook(told) for module in self._long_parts()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _long_parts(self) -> Sequence[nn.Module]:
        return (
            *self.transformer.blocks, self.vae.encoder, self.vae.decoder,
            *self.audio_encoder.encoder.layers, *self._text_encoder.encoder.block,
        )  # fmt: skip

    def release(self) -> None:
        """Let go of what a failed piece of work left on the device."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
