"""Where the parts of a checkpoint lie: the official folder, or diffusers'.

In: a folder. Out: its files. Imports no torch: a machine that only plans hashes them, too. Knows no tensor.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from s2v_model.contract import RendererMissing


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where the parts of a checkpoint lie."""

    folder: Path
    transformer: tuple[Path, ...]
    transformer_config: Path
    vae: tuple[Path, ...]
    text_encoder: tuple[Path, ...]
    tokenizer: Path
    audio_encoder: tuple[Path, ...]
    audio_config: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that alters a pixel."""
        tokenizer = tuple(sorted(path for path in self.tokenizer.iterdir() if path.is_file()))
        models = self.transformer + self.vae + self.text_encoder + self.audio_encoder
        return (*models, self.transformer_config, self.audio_config, *tokenizer)


def folder_here(source: str, revision: str, weights: Path) -> Path | None:
    """The folder that `source` names, or into which this hub id was downloaded; None where nothing is here.

    weights: the folder of downloads, as `hub.local_folder` fills it.
    """
    if not source:
        return None
    folder, (kind, _, name) = Path(source).expanduser(), source.rpartition(":")
    if folder.is_dir():
        return folder
    if kind == "ms":
        downloaded = weights / "ms" / name.replace("/", "--") / quote(revision, safe="")
    else:
        own = weights / "hf" / f"models--{name.replace('/', '--')}"
        tag = own / "refs" / revision
        downloaded = own / "snapshots" / (tag.read_text("utf-8").strip() if tag.is_file() else revision)
    return downloaded if revision and downloaded.is_dir() else None


def open_checkpoint(folder: Path) -> Checkpoint:
    """The parts of `folder`. Raises RendererMissing where one is not there; the text names the expected layout."""
    if (folder / "model_index.json").is_file():
        return _diffusers_layout(folder)
    if (folder / "config.json").is_file():
        return _official_layout(folder)
    raise RendererMissing(
        f"{folder} is no checkpoint of Wan2.2-S2V: it has neither config.json (the official layout: "
        "diffusion_pytorch_model-*.safetensors, Wan2.1_VAE.pth, models_t5_umt5-xxl-enc-bf16.pth, google/umt5-xxl, "
        "wav2vec2-large-xlsr-53-english) nor model_index.json (the diffusers layout)."
    )


def _official_layout(folder: Path) -> Checkpoint:
    audio = _one(folder, "wav2vec2-*")
    return Checkpoint(
        folder=folder,
        transformer=tuple(shard_files(folder, "diffusion_pytorch_model")),
        transformer_config=folder / "config.json",
        vae=(_one(folder, "Wan2.1_VAE.pth"),),
        text_encoder=(_one(folder, "models_t5_*.pth"),),
        tokenizer=_one(folder, "google/umt5-xxl"),
        audio_encoder=tuple(shard_files(audio, "model")),
        audio_config=_one(audio, "config.json"),
    )


def _diffusers_layout(folder: Path) -> Checkpoint:
    transformer, audio = _one(folder, "transformer"), _one(folder, "audio_encoder")
    return Checkpoint(
        folder=folder,
        transformer=tuple(shard_files(transformer, "diffusion_pytorch_model")),
        transformer_config=_one(transformer, "config.json"),
        vae=tuple(shard_files(_one(folder, "vae"), "diffusion_pytorch_model")),
        text_encoder=tuple(shard_files(_one(folder, "text_encoder"), "model")),
        tokenizer=_one(folder, "tokenizer"),
        audio_encoder=tuple(shard_files(audio, "model")),
        audio_config=_one(audio, "config.json"),
    )


def shard_files(folder: Path, stem: str) -> list[Path]:
    """The safetensors of one model: `stem`.safetensors, or the shards that its index names.

    Raises RendererMissing where a shard is missing, or there is nothing.
    """
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    else:
        names = sorted(path.name for path in folder.glob(f"{stem}*.safetensors"))
        numbered = [re.fullmatch(r".*-(\d+)-of-(\d+)\.safetensors", name) for name in names]
        if names and numbered[0] and len(names) != int(numbered[0][2]):
            raise RendererMissing(f"{folder} holds {len(names)} of {int(numbered[0][2])} shards of {stem}.")
    missing = [name for name in names if "/" in name or not (folder / name).is_file()]
    if missing or not names:
        raise RendererMissing(f"{folder} lacks {missing[0] if missing else f'{stem}*.safetensors'}. Fetch it again.")
    return [folder / name for name in names]


def _one(folder: Path, pattern: str) -> Path:
    """The one entry of `folder` that matches."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise RendererMissing(
            f"{folder} holds {len(found)} entries like {pattern!r} where one is expected. Fetch the checkpoint again."
        )
    return found[0]
