"""Small checkpoints of Wan2.2's scene models in diffusers' layout, with random weights: no file from elsewhere."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

from s2v_model.wan.scene_traits import FAMILIES
from tests.wan_checkpoint import write_tokenizer


def write_pipeline(folder: Path, kind: str) -> Path:
    """A checkpoint of a tiny random pipeline: t2v and i2v with two experts, ti2v with one."""
    torch.manual_seed(0)
    write_tokenizer(folder / "words")
    wide = kind == "i2v"

    def expert() -> WanTransformer3DModel:
        return WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=36 if wide else 16,
            out_channels=16, text_dim=16, freq_dim=32, ffn_dim=32, num_layers=1, rope_max_seq_len=32,
        )  # fmt: skip

    text = UMT5Config(vocab_size=9, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)
    parts = {
        "tokenizer": AutoTokenizer.from_pretrained(folder / "words"),
        "text_encoder": UMT5EncoderModel(text),
        "vae": AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1),
        "scheduler": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        "transformer": expert(),
        "transformer_2": None if kind == "ti2v" else expert(),
        "boundary_ratio": FAMILIES[kind].boundary,
        "expand_timesteps": kind == "ti2v",
    }
    (WanPipeline if kind == "t2v" else WanImageToVideoPipeline)(**parts).save_pretrained(folder / kind)
    return folder / kind
