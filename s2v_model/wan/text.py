"""Prompts to the rows that the network's text attention reads, on transformers' umT5 encoder.

In: a prompt. Out: (L, text_dim), a row for each token and the end mark. Knows no network. SPEC, section 4.
"""

import html
import re
from typing import Any

import torch
from torch import Tensor
from transformers import UMT5EncoderModel

from s2v_model.contract import RendererMissing


def clean_prompt(prompt: str) -> str:
    """Mended encoding, no HTML entities, single spaces: as the prompts of the training were cleaned."""
    try:
        import ftfy
    except ImportError as error:
        raise RendererMissing(
            "Prompts need the package 'ftfy', which is not installed. Install troupe[wan]."
        ) from error
    text = html.unescape(html.unescape(ftfy.fix_text(prompt))).strip()
    return re.sub(r"\s+", " ", text).strip()


def encode_prompt(prompt: str, tokenizer: Any, encoder: UMT5EncoderModel, text_len: int) -> Tensor:
    """`prompt` cleaned, cut to `text_len` tokens, encoded."""
    batch = tokenizer(
        clean_prompt(prompt), padding="max_length", truncation=True, max_length=text_len,
        add_special_tokens=True, return_attention_mask=True, return_tensors="pt",
    )  # fmt: skip
    return encode_tokens(batch.input_ids, batch.attention_mask, encoder)


def encode_tokens(ids: Tensor, mask: Tensor, encoder: UMT5EncoderModel) -> Tensor:
    """ids, mask: (1, padded). Rows of the real tokens alone, (L, text_dim)."""
    device = encoder.shared.weight.device
    with torch.no_grad():
        rows = encoder(ids.to(device), attention_mask=mask.to(device)).last_hidden_state[0]
    return rows[: int(mask.sum())]
