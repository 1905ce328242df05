"""A Whisper model of random weights, small enough for tests, written without torch: what a converter leaves in a
folder.
"""

import json
from pathlib import Path

import numpy as np
from ctranslate2.specs import whisper_spec
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

WIDTH, HEADS, LAYERS, MELS, FRAMES, POSITIONS = 64, 2, 2, 80, 1500, 448
LANGUAGES = ("en", "zh", "de", "es", "fr")


def write_whisper(folder: Path, seed: int = 0) -> Path:
    """Write model.bin, config.json, vocabulary.json, tokenizer.json and preprocessor_config.json; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = _write_tokenizer(folder)
    spec = whisper_spec.WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    _fill(spec, len(tokens), np.random.default_rng(seed))
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [tokens.index("<|endoftext|>")]
    spec.config.lang_ids = [tokens.index(f"<|{language}|>") for language in LANGUAGES]
    spec.config.alignment_heads = [(1, 0), (1, 1)]
    spec.validate()
    spec.save(str(folder))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": MELS, "sampling_rate": 16_000}))
    return folder


def _write_tokenizer(folder: Path) -> list[str]:
    """Bytes and Whisper's special tokens; returns all tokens in order of id."""
    alphabet = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{language}|>" for language in LANGUAGES)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>", *(f"<|{i * 0.02:.2f}|>" for i in range(1501))]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    return [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]


def _fill(spec: whisper_spec.WhisperSpec, num_tokens: int, rng: np.random.Generator) -> None:
    """Random weights of the shapes that the layers ask for."""

    def weight(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)

    def linear(target: object, rows: int, columns: int = WIDTH) -> None:
        target.weight, target.bias = weight(rows, columns), np.zeros(rows, np.float32)

    def norm(target: object) -> None:
        target.gamma, target.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def attention(target: object, rows: tuple[int, ...]) -> None:
        norm(target.layer_norm)
        for part, count in zip(target.linear, rows, strict=True):
            linear(part, count * WIDTH)

    def feed_forward(target: object) -> None:
        norm(target.layer_norm)
        linear(target.linear_0, 2 * WIDTH)
        linear(target.linear_1, WIDTH, 2 * WIDTH)

    encoder, decoder = spec.encoder, spec.decoder
    for convolution, columns in ((encoder.conv1, MELS), (encoder.conv2, WIDTH)):
        convolution.weight, convolution.bias = weight(WIDTH, columns, 3), np.zeros(WIDTH, np.float32)
    encoder.position_encodings.encodings = weight(FRAMES, WIDTH)
    decoder.position_encodings.encodings = weight(POSITIONS, WIDTH)
    decoder.embeddings.weight = weight(num_tokens, WIDTH)
    decoder.projection.weight = decoder.embeddings.weight
    for part in (encoder, decoder):
        norm(part.layer_norm)
        for layer in part.layer:
            attention(layer.self_attention, (3, 1))
            feed_forward(layer.ffn)
    for layer in decoder.layer:
        attention(layer.attention, (1, 2, 1))
