"""Small checkpoints of Wan2.2-S2V in the layouts of the published one, with random weights: no file from elsewhere.

In: a folder and a config. Out: the folder, filled. `python -m tests.wan_checkpoint FOLDER` writes one by hand.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel, Wav2Vec2Config, Wav2Vec2Model

from s2v_model.wan import names
from s2v_model.wan.config import TINY, ModelConfig
from s2v_model.wan.transformer import WanS2V
from s2v_model.wan.vae import build_vae

VAE_CONFIG = {"base_dim": 3, "z_dim": 16, "num_res_blocks": 1}
WORDS = ("a", "person", "talks", "calmly", "blurred", "worst")
NUM_SHARDS = 2


def wav2vec_config(dim: int) -> Wav2Vec2Config:
    """24 layers as in wav2vec2-large, each tiny."""
    return Wav2Vec2Config(
        hidden_size=dim, num_hidden_layers=24, num_attention_heads=2, intermediate_size=16, conv_dim=[8] * 7,
        feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4, vocab_size=8, hidden_dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
    )  # fmt: skip


def randomize(module: nn.Module, seed: int) -> nn.Module:
    """Weights that keep activations near 1, the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2 or "norm" in name or "gamma" in name:
            parameter.data.normal_(1.0 if "norm" in name or "gamma" in name else 0.0, 0.1, generator=generator)
        elif name.endswith("original0"):
            parameter.data.fill_(1.0)
        else:
            spread = 0.3 if "table" in name or "types" in name else parameter[0].numel() ** -0.5
            parameter.data.normal_(0.0, spread, generator=generator)
    return module


def tiny_models(config: ModelConfig, seed: int = 0) -> dict[str, nn.Module]:
    """The four models of a checkpoint."""
    text = UMT5Config(
        vocab_size=len(WORDS) + 3, d_model=config.text_dim, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    built = {
        "transformer": WanS2V(config),
        "vae": build_vae(VAE_CONFIG),
        "text_encoder": UMT5EncoderModel(text),
        "audio_encoder": Wav2Vec2Model(wav2vec_config(config.audio_dim)),
    }
    return {name: randomize(model, seed + index) for index, (name, model) in enumerate(built.items())}


def write_official(folder: Path, config: ModelConfig = TINY, seed: int = 0) -> Path:
    """As Wan-AI/Wan2.2-S2V-14B lies on its hubs."""
    built = tiny_models(config, seed)
    audio = folder / "wav2vec2-large-xlsr-53-english"
    audio.mkdir(parents=True)
    _write_json(folder / "config.json", config.published())
    _write_shards(folder, official(built["transformer"], transformer_official), torch.bfloat16)
    torch.save(official(built["vae"], vae_official), folder / "Wan2.1_VAE.pth")
    text = official(built["text_encoder"], text_official)
    torch.save({name: tensor.bfloat16() for name, tensor in text.items()}, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    write_tokenizer(folder / "google" / "umt5-xxl")
    _write_audio(audio, built["audio_encoder"])
    return folder


def write_diffusers(folder: Path, config: ModelConfig = TINY, seed: int = 0) -> Path:
    """As diffusers saves a pipeline."""
    built = tiny_models(config, seed)
    for part in ("transformer", "vae", "text_encoder", "audio_encoder"):
        (folder / part).mkdir(parents=True)
    _write_json(folder / "model_index.json", {"_class_name": "WanSpeechToVideoPipeline"})
    _write_json(folder / "transformer" / "config.json", config.published())
    _write_shards(folder / "transformer", _own(built["transformer"]), torch.bfloat16)
    save_file(_own(built["vae"]), folder / "vae" / "diffusion_pytorch_model.safetensors")
    text = {
        name: tensor.bfloat16() for name, tensor in _own(built["text_encoder"]).items() if "embed_tokens" not in name
    }
    save_file(text, folder / "text_encoder" / "model.safetensors")
    write_tokenizer(folder / "tokenizer")
    _write_audio(folder / "audio_encoder", built["audio_encoder"])
    return folder


def write_tokenizer(folder: Path) -> None:
    """Words apart at spaces; </s> behind them, as umT5 has it."""
    vocabulary = {word: index for index, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def official(model: nn.Module, rename: Any) -> dict[str, Tensor]:
    """Parameters under the names of the published files."""
    return {rename(name): tensor for name, tensor in _own(model).items() if "embed_tokens" not in name}


def transformer_official(name: str) -> str:
    """The inverse of names.transformer_name, checked against it."""
    rules = (
        (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."), (".norm2.", ".norm3."),
        (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."), (".norm2.", ".norm3."),
        (".ffn.net.0.proj.", ".ffn.0."), (".ffn.net.2.", ".ffn.2."), ("head.proj_out.", "head.head."),
        ("scale_shift_table", "modulation"),
        ("condition_embedder.time_embedder.linear_1.", "time_embedding.0."),
        ("condition_embedder.time_embedder.linear_2.", "time_embedding.2."),
        ("condition_embedder.time_proj.", "time_projection.1."),
        ("condition_embedder.text_embedder.linear_1.", "text_embedding.0."),
        ("condition_embedder.text_embedder.linear_2.", "text_embedding.2."),
        ("token_types.", "trainable_cond_mask."), ("to_out.0.", "o."), ("to_q.", "q."), ("to_k.", "k."),
        ("to_v.", "v."),
    )  # fmt: skip
    found = name.replace("audio_encoder.", "casual_audio_encoder.", 1) if name.startswith("audio_encoder.") else name
    for ours, theirs in rules:
        found = found.replace(ours, theirs)
    if found.startswith("audio_injector.adain."):
        index, leaf = found.split(".")[2:]
        found = f"audio_injector.injector_adain_layers.{index}.linear.{leaf}"
    assert names.transformer_name(found) == name, (name, found)
    return found


def vae_official(name: str) -> str:
    """By search: the official name of each of diffusers' names, for the tiny VAE."""
    residual = {"norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6"}
    candidates = [name]
    for ours, theirs in residual.items():
        candidates = [candidate.replace(f".{ours}.", f".{theirs}.") for candidate in candidates]
    found = candidates[0].replace("conv_shortcut", "shortcut").replace("encoder.down_blocks.", "encoder.downsamples.")
    if found.startswith("decoder.up_blocks."):
        _, _, stage, kind, place, rest = found.split(".", 5)
        per_stage = VAE_CONFIG["num_res_blocks"] + 2
        position = per_stage - 1 if kind == "upsamplers" else int(place)
        found = f"decoder.upsamples.{int(stage) * per_stage + position}.{rest}"
    for ours, theirs in (
        ("post_quant_conv.", "conv2."), ("quant_conv.", "conv1."), (".conv_in.", ".conv1."),
        (".norm_out.", ".head.0."),
        (".conv_out.", ".head.2."), (".mid_block.resnets.0.", ".middle.0."), (".mid_block.attentions.0.", ".middle.1."),
        (".mid_block.resnets.1.", ".middle.2."),
    ):  # fmt: skip
        found = found.replace(ours, theirs)
    assert names.vae_name(found, VAE_CONFIG["num_res_blocks"]) == name, (name, found)
    return found


def text_official(name: str) -> str:
    """The inverse of names.text_name, checked against it."""
    found = name.replace("shared.", "token_embedding.").replace("encoder.final_layer_norm.", "norm.")
    for ours, theirs in (
        ("encoder.block.", "blocks."), ("layer.0.layer_norm.", "norm1."), ("layer.1.layer_norm.", "norm2."),
        ("layer.0.SelfAttention.relative_attention_bias.", "pos_embedding.embedding."),
        ("layer.0.SelfAttention.", "attn."),
        ("layer.1.DenseReluDense.wi_0.", "ffn.gate.0."), ("layer.1.DenseReluDense.wi_1.", "ffn.fc1."),
        ("layer.1.DenseReluDense.wo.", "ffn.fc2."),
    ):  # fmt: skip
        found = found.replace(ours, theirs)
    assert names.text_name(found) == name, (name, found)
    return found


def _own(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone().contiguous() for name, tensor in model.named_parameters()}


def _write_shards(folder: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    placed: dict[str, str] = {}
    for shard in range(NUM_SHARDS):
        file = f"diffusion_pytorch_model-{shard + 1:05}-of-{NUM_SHARDS:05}.safetensors"
        mine = {name: tensors[name].to(dtype) for name in sorted(tensors)[shard::NUM_SHARDS]}
        save_file(mine, folder / file)
        placed.update(dict.fromkeys(mine, file))
    _write_json(folder / "diffusion_pytorch_model.safetensors.index.json", {"weight_map": placed})


def _write_audio(folder: Path, model: nn.Module) -> None:
    """As a recogniser is published: the encoder's names prefixed, a head beside it."""
    tensors = {f"wav2vec2.{name}": tensor for name, tensor in _own(model).items()}
    save_file({**tensors, "lm_head.weight": torch.zeros(8, 2)}, folder / "model.safetensors")
    (folder / "config.json").write_text(model.config.to_json_string(), "utf-8")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), "utf-8")


if __name__ == "__main__":
    write_official(Path(sys.argv[1]))
