"""Names of tensors: from the official checkpoint to our modules, diffusers' and transformers'.

In: a name, official or already ours (the diffusers layout has those). Out: ours. Knows no tensor. SPEC, section 10.
The one place where an upstream spelling is kept (`casual_audio_encoder` is part of the checkpoint).
"""

import re

_ATTENTION = (
    (r"\b([qkv])\.(weight|bias)$", r"to_\1.\2"),
    (r"\bo\.(weight|bias)$", r"to_out.0.\1"),
)
_TRANSFORMER = (
    (r"^blocks\.(\d+)\.self_attn\.", r"blocks.\1.attn1."),
    (r"^blocks\.(\d+)\.cross_attn\.", r"blocks.\1.attn2."),
    (r"^blocks\.(\d+)\.norm3\.", r"blocks.\1.norm2."),
    (r"\.ffn\.0\.", ".ffn.net.0.proj."),
    (r"\.ffn\.2\.", ".ffn.net.2."),
    (r"\.modulation$", ".scale_shift_table"),
    (r"^time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"^time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"^time_projection\.1\.", "condition_embedder.time_proj."),
    (r"^text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"^text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"^head\.head\.", "head.proj_out."),
    (r"^proj_out\.", "head.proj_out."),
    (r"^scale_shift_table$", "head.scale_shift_table"),
    (r"^(condition_embedder\.)?ca(s|u)ual_audio_encoder\.", "audio_encoder."),
    (r"^audio_injector\.injector_adain_layers\.(\d+)\.linear\.", r"audio_injector.adain.\1."),
    (r"^trainable_cond_mask\.", "token_types."),
    *_ATTENTION,
)
_RESIDUAL = (
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
)
_VAE = (
    (r"^conv1\.", "quant_conv."),
    (r"^conv2\.", "post_quant_conv."),
    (r"^(encoder|decoder)\.conv1\.", r"\1.conv_in."),
    (r"^(encoder|decoder)\.head\.0\.", r"\1.norm_out."),
    (r"^(encoder|decoder)\.head\.2\.", r"\1.conv_out."),
    (r"^(encoder|decoder)\.middle\.0\.", r"\1.mid_block.resnets.0."),
    (r"^(encoder|decoder)\.middle\.1\.", r"\1.mid_block.attentions.0."),
    (r"^(encoder|decoder)\.middle\.2\.", r"\1.mid_block.resnets.1."),
    (r"^encoder\.downsamples\.", "encoder.down_blocks."),
    *_RESIDUAL,
)
_TEXT_BLOCK = (
    (r"\bnorm1\.", "layer.0.layer_norm."),
    (r"\bnorm2\.", "layer.1.layer_norm."),
    (r"\battn\.", "layer.0.SelfAttention."),
    (r"\bpos_embedding\.embedding\.", "layer.0.SelfAttention.relative_attention_bias."),
    (r"\bffn\.gate\.0\.", "layer.1.DenseReluDense.wi_0."),
    (r"\bffn\.fc1\.", "layer.1.DenseReluDense.wi_1."),
    (r"\bffn\.fc2\.", "layer.1.DenseReluDense.wo."),
)
_AUDIO = (
    (r"^wav2vec2\.", ""),
    # Files written before torch's parametrizations hold the weight norm under its older names.
    (r"\.pos_conv_embed\.conv\.weight_g$", ".pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"\.pos_conv_embed\.conv\.weight_v$", ".pos_conv_embed.conv.parametrizations.weight.original1"),
)


def transformer_name(name: str) -> str:
    """Of a tensor of the network."""
    return _replaced(name, _TRANSFORMER)


def vae_name(name: str, num_res_blocks: int) -> str:
    """Of a tensor of the VAE. The official decoder numbers all entries of all stages in one row."""
    match = re.match(r"^decoder\.upsamples\.(\d+)\.(.*)$", name)
    if match is None:
        return _replaced(name, _VAE)
    stage, place = divmod(int(match[1]), num_res_blocks + 2)
    if re.match(r"resample|time_conv", match[2]):
        return f"decoder.up_blocks.{stage}.upsamplers.0.{match[2]}"
    return _replaced(f"decoder.up_blocks.{stage}.resnets.{place}.{match[2]}", _RESIDUAL)


def text_name(name: str) -> str:
    """Of a tensor of the text encoder."""
    if name.startswith("blocks."):
        _, index, rest = name.split(".", 2)
        return f"encoder.block.{index}.{_replaced(rest, _TEXT_BLOCK)}"
    return _replaced(name, ((r"^token_embedding\.", "shared."), (r"^norm\.", "encoder.final_layer_norm.")))


def audio_name(name: str) -> str | None:
    """Of a tensor of wav2vec2; None for the speech recogniser's head, which is not used."""
    return None if name.startswith("lm_head.") else _replaced(name, _AUDIO)


def _replaced(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
