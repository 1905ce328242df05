"""Weights: a checkpoint folder to models, every tensor accounted for before anything is allocated.

In: the files of a checkpoint. Out: models on their device, in their dtypes. Each is built on the
meta device and filled once, tensor by tensor: host memory holds the weights and one tensor more.
Knows no prompt, no picture and no schedule.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel, Wav2Vec2Config, Wav2Vec2Model

from s2v_model.contract import RendererMissing
from s2v_model.wan.config import ModelConfig
from s2v_model.wan.layout import Checkpoint
from s2v_model.wan.names import audio_name, text_name, transformer_name, vae_name
from s2v_model.wan.precision import parameter_dtype
from s2v_model.wan.tensor_files import Stored, read_tensors, stored_tensors
from s2v_model.wan.transformer import WanS2V
from s2v_model.wan.vae import build_vae

NUM_LISTED = 5
"""Names that an error lists of each kind."""

Patch = Callable[[str, Tensor], Tensor]
"""(our name, tensor as stored) -> tensor to keep: LoRA merged, for one."""


def load_transformer(
    checkpoint: Checkpoint,
    *,
    working: torch.dtype,
    device: torch.device,
    patch: Patch | None = None,
    prepare: Callable[[WanS2V], None] | None = None,
) -> WanS2V:
    """The network. prepare: what is to be done to it while it is on the meta device, such as packing its linears."""
    stored = _renamed(checkpoint.transformer, transformer_name)
    config = transformer_config(checkpoint)
    with torch.device("meta"):
        model = WanS2V(config)
    account(model, stored, folder=checkpoint.transformer[0].parent, part="the transformer")
    if prepare:
        prepare(model)
    fill(model, stored, device=device, dtype=lambda name: parameter_dtype(name, working), patch=patch)
    return model.eval()


def load_vae(checkpoint: Checkpoint, *, device: torch.device) -> Any:
    """The VAE, float32; its sizes are read off its tensors."""
    found = stored_tensors(list(checkpoint.vae))
    config = _vae_config(found)
    stored = _rename(found, lambda name: vae_name(name, config["num_res_blocks"]))
    with torch.device("meta"):
        model = build_vae(config)
    account(model, stored, folder=checkpoint.vae[0].parent, part="the VAE")
    fill(model, stored, device=device, dtype=lambda name: torch.float32)
    return model


def load_text_encoder(checkpoint: Checkpoint, *, working: torch.dtype, device: torch.device) -> UMT5EncoderModel:
    """The umT5 encoder; its sizes are read off its tensors."""
    stored = _renamed(checkpoint.text_encoder, text_name)
    stored.pop("encoder.embed_tokens.weight", None)  # the same tensor as shared.weight
    with torch.device("meta"):
        model = UMT5EncoderModel(_text_config(stored))
    model.encoder.embed_tokens = model.shared
    account(model, stored, folder=checkpoint.text_encoder[0].parent, part="the text encoder")
    fill(model, stored, device=device, dtype=lambda name: working)
    return model.eval().requires_grad_(False)


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The umT5 tokenizer, from its folder alone."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(checkpoint.tokenizer, local_files_only=True)


def load_audio_encoder(checkpoint: Checkpoint, *, device: torch.device) -> Wav2Vec2Model:
    """The wav2vec2 network, float32."""
    stored = _renamed(checkpoint.audio_encoder, audio_name)
    config = Wav2Vec2Config(**_json(checkpoint.audio_config))
    with torch.device("meta"):
        model = Wav2Vec2Model(config)
    if "masked_spec_embed" not in stored and hasattr(model, "masked_spec_embed"):
        del model.masked_spec_embed  # only training masks
    account(model, stored, folder=checkpoint.audio_encoder[0].parent, part="the audio encoder")
    fill(model, stored, device=device, dtype=lambda name: torch.float32)
    return model.eval().requires_grad_(False)


def transformer_config(checkpoint: Checkpoint) -> ModelConfig:
    """The architecture, of its config.json. Raises RendererMissing where that is another network's."""
    try:
        return ModelConfig.from_published(_json(checkpoint.transformer_config))
    except (ValueError, TypeError) as error:
        raise RendererMissing(f"{checkpoint.transformer_config} is not that of Wan2.2-S2V: {error}.") from error


def account(model: nn.Module, stored: Mapping[str, Stored], *, folder: Path, part: str) -> None:
    """Every tensor of `model` is stored, with its shape, in a dtype of numbers, and nothing else is.

    Raises RendererMissing that names the first missing tensor, and lists what is missing, extra and wrong.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    missing = [name for name in wanted if name not in stored]
    extra = [name for name in stored if name not in wanted]
    wrong = [
        f"{name} {stored[name].shape} {stored[name].dtype} instead of {shape}"
        for name, shape in wanted.items()
        if name in stored and (stored[name].shape != shape or not stored[name].dtype.is_floating_point)
    ]
    if not (missing or extra or wrong):
        return
    first = f" The first missing tensor is {missing[0]}." if missing else ""
    lists = [
        f"{kind}: {', '.join(names[:NUM_LISTED])}{f' and {len(names) - NUM_LISTED} more' * (len(names) > NUM_LISTED)}"
        for kind, names in (("missing", missing), ("extra", extra), ("of another shape or type", wrong))
        if names
    ]
    raise RendererMissing(
        f"{folder} does not hold {part} of Wan2.2-S2V.{first} {len(wanted)} tensors are expected, {len(stored)} are "
        f"there; {'; '.join(lists)}. Name the folder of Wan-AI/Wan2.2-S2V-14B."
    )


def fill(
    model: nn.Module,
    stored: Mapping[str, Stored],
    *,
    device: torch.device,
    dtype: Callable[[str], torch.dtype],
    patch: Patch | None = None,
) -> None:
    """Replace the parameters of `model`, on the meta device, by what is stored, each once."""
    for name, tensor in read_tensors(stored):
        module, _, leaf = name.rpartition(".")
        owner = model.get_submodule(module)
        tensor = patch(name, tensor) if patch else tensor  # noqa: PLW2901  - the stored one is done with
        if hasattr(owner, "pack") and leaf == "weight":
            owner.pack(tensor, device)
            continue
        kept = tensor.to(device=device, dtype=dtype(name))
        if kept.is_cpu and kept.data_ptr() == tensor.data_ptr():
            kept = kept.clone() if _is_mapped(tensor) else kept
        owner.register_parameter(leaf, nn.Parameter(kept, requires_grad=False))


def _is_mapped(tensor: Tensor) -> bool:
    """Whether its bytes lie in a mapped file, which a running render must not depend on."""
    return bool(tensor.untyped_storage().filename)


def _renamed(files: tuple[Path, ...], rename: Callable[[str], str | None]) -> dict[str, Stored]:
    return _rename(stored_tensors(list(files)), rename)


def _rename(found: Mapping[str, Stored], rename: Callable[[str], str | None]) -> dict[str, Stored]:
    named = {rename(name): entry for name, entry in found.items()}
    return {name: entry for name, entry in named.items() if name is not None}


def _vae_config(found: Mapping[str, Stored]) -> dict[str, Any]:
    """Width and depth of the VAE, of its tensors' shapes; its multipliers are the same in all published ones."""
    stem = "encoder.conv1.weight" if "encoder.conv1.weight" in found else "encoder.conv_in.weight"
    latent = "conv2.weight" if "conv2.weight" in found else "post_quant_conv.weight"
    if stem not in found or latent not in found:
        raise RendererMissing(f"The VAE lacks {stem}: it is not Wan2.1_VAE.pth, nor diffusers' AutoencoderKLWan.")
    middle = {name.split(".")[2] for name in found if name.startswith(("encoder.downsamples.", "encoder.down_blocks."))}
    # Four stages of blocks, and a downsampler behind each but the last.
    blocks, rest = divmod(len(middle) - 3, 4)
    if rest or blocks < 1:
        raise RendererMissing(f"The VAE has {len(middle)} entries in its encoder; Wan's has 4 n + 3.")
    return {"base_dim": found[stem].shape[0], "z_dim": found[latent].shape[0], "num_res_blocks": blocks}


def _text_config(stored: Mapping[str, Stored]) -> UMT5Config:
    """Sizes of the text encoder, of its tensors' shapes."""
    block = "encoder.block.0.layer.0.SelfAttention."
    needed = ("shared.weight", block + "q.weight", block + "relative_attention_bias.weight")
    feed = "encoder.block.0.layer.1.DenseReluDense.wi_0.weight"
    missing = [name for name in (*needed, feed) if name not in stored]
    if missing:
        raise RendererMissing(f"The text encoder lacks {missing[0]}: it is not umT5's encoder.")
    (vocabulary, width), (inner, _), (buckets, heads) = (stored[name].shape for name in needed)
    layers = {name.split(".")[2] for name in stored if name.startswith("encoder.block.")}
    return UMT5Config(
        vocab_size=vocabulary, d_model=width, d_kv=inner // heads, d_ff=stored[feed].shape[0], num_layers=len(layers),
        num_heads=heads, relative_attention_num_buckets=buckets, feed_forward_proj="gated-gelu",
    )  # fmt: skip


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RendererMissing(f"{path} cannot be read as JSON. Fetch the checkpoint again.") from error
