"""Weights: layouts, accounting, damage, digests, host memory."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch; make test-wan")

from safetensors.torch import load_file, save_file  # noqa: E402

from s2v_model.contract import RendererMissing  # noqa: E402
from s2v_model.wan import layout, weights  # noqa: E402
from s2v_model.wan.config import TINY, ModelConfig  # noqa: E402
from s2v_model.wan.digests import weights_digest  # noqa: E402
from s2v_model.wan.names import transformer_name  # noqa: E402
from tests.wan_checkpoint import tiny_models, transformer_official, write_diffusers, write_official  # noqa: E402

pytestmark = pytest.mark.wan
CPU = torch.device("cpu")
SHARD = "diffusion_pytorch_model-00001-of-00002.safetensors"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in the official layout."""
    return write_official(tmp_path_factory.mktemp("official") / "checkpoint")


def load_all(folder: Path) -> dict[str, torch.nn.Module]:
    """Every model of a checkpoint, in float32."""
    checkpoint = layout.open_checkpoint(folder)
    return {
        "transformer": weights.load_transformer(checkpoint, working=torch.float32, device=CPU),
        "vae": weights.load_vae(checkpoint, device=CPU),
        "text_encoder": weights.load_text_encoder(checkpoint, working=torch.float32, device=CPU),
        "audio_encoder": weights.load_audio_encoder(checkpoint, device=CPU),
    }


@pytest.mark.parametrize("write", [write_official, write_diffusers])
def test_both_layouts_give_the_weights_that_were_written(write, tmp_path):
    """A checkpoint in either layout is read back, rounded where it is stored in bf16."""
    loaded = load_all(write(tmp_path / "checkpoint"))
    for part, model in tiny_models(TINY).items():
        own = dict(loaded[part].named_parameters())
        for name, tensor in model.named_parameters():
            if "embed_tokens" in name:
                continue
            stored = tensor.bfloat16().float() if part in ("transformer", "text_encoder") else tensor
            assert torch.equal(own[name], stored), f"{part} {name}"
        assert not any(parameter.is_meta for parameter in own.values())


def test_the_tokenizer_reads_from_its_folder(official):
    """Words become tokens with the end mark behind them, without any hub."""
    tokenizer = weights.load_tokenizer(layout.open_checkpoint(official))
    assert tokenizer("a person talks").input_ids == [3, 4, 5, 1]


def test_names_and_shapes_are_those_of_the_published_checkpoint():
    """The 14B network has the 1260 tensors and 16,295,755,609 parameters that are published."""
    with torch.device("meta"):
        parameters = dict(weights.WanS2V(ModelConfig()).named_parameters())
    assert len(parameters) == 1260
    assert sum(tensor.numel() for tensor in parameters.values()) == 16_295_755_609
    assert all(transformer_name(transformer_official(name)) == name for name in parameters)


def edit_shard(folder: Path, edit) -> None:
    """Rewrite the first shard."""
    tensors = load_file(folder / SHARD)
    edit(tensors)
    save_file(tensors, folder / SHARD)


def rename(tensors, old, new):
    """Move a tensor."""
    tensors[new] = tensors.pop(old)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda tensors: tensors.pop("blocks.0.cross_attn.k.bias"),
            r"first missing tensor is blocks\.0\.attn2\.to_k\.bias",
        ),
        (
            lambda tensors: tensors.update({"blocks.9.modulation": torch.zeros(1)}),
            r"extra: blocks\.9\.scale_shift_table",
        ),
        (
            lambda tensors: tensors.update({"blocks.0.cross_attn.k.bias": torch.zeros(3)}),
            r"another shape or type: blocks\.0\.attn2\.to_k\.bias \(3,\)",
        ),
        (
            lambda tensors: tensors.update({"blocks.0.cross_attn.k.bias": torch.zeros(32, dtype=torch.int64)}),
            r"another shape or type: blocks\.0\.attn2\.to_k\.bias",
        ),
    ],
)
def test_every_tensor_is_accounted_for(edit, message, tmp_path):
    """A missing, an extra, a misshapen and a non-numeric tensor are each named, with the folder that was expected."""
    folder = write_official(tmp_path / "checkpoint")
    edit_shard(folder, edit)
    with pytest.raises(RendererMissing, match=message) as raised:
        load_all(folder)
    assert "Wan-AI/Wan2.2-S2V-14B" in str(raised.value)


def test_nothing_is_read_before_all_is_accounted_for(tmp_path, monkeypatch):
    """A checkpoint that lacks a tensor is refused before the first one is read."""
    folder = write_official(tmp_path / "checkpoint")
    edit_shard(folder, lambda tensors: tensors.pop("blocks.0.cross_attn.k.bias"))
    monkeypatch.setattr(weights, "read_tensors", lambda stored: pytest.fail("a tensor was read"))
    with pytest.raises(RendererMissing):
        load_all(folder)


@pytest.mark.parametrize("part", ["Wan2.1_VAE.pth", SHARD, "config.json", "google", "wav2vec2-large-xlsr-53-english"])
def test_a_missing_part_is_named(part, official, tmp_path):
    """Each part that is not there is named in one sentence."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for path in official.iterdir():
        if path.name != part:
            (folder / path.name).symlink_to(path)
    with pytest.raises(RendererMissing, match=r"Fetch|neither config\.json"):
        load_all(folder)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    """A .pth file with anything but tensors in it is not opened."""
    folder = write_official(tmp_path / "checkpoint")
    torch.save({"weight": Path("x")}, folder / "Wan2.1_VAE.pth")
    with pytest.raises(RendererMissing, match="no file of tensors"):
        load_all(folder)


@pytest.mark.parametrize("damage", ["cut", "header", "offsets"])
def test_a_damaged_shard_is_refused(damage, tmp_path):
    """A shard that was cut off, has no header, or lies about its offsets is named; nothing is read beyond its end."""
    folder = write_official(tmp_path / "checkpoint")
    shard = folder / SHARD
    content = shard.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    if damage == "cut":
        shard.write_bytes(content[:-10])
    elif damage == "header":
        shard.write_bytes(struct.pack("<Q", 1 << 62) + content[8:])
    else:
        header = json.loads(content[8 : 8 + length])
        name = next(name for name in header if name != "__metadata__")
        header[name]["data_offsets"] = [0, 1 << 40]
        packed = json.dumps(header).encode()
        shard.write_bytes(struct.pack("<Q", len(packed)) + packed + content[8 + length :])
    with pytest.raises(RendererMissing, match="Fetch it again"):
        load_all(folder)


def test_another_networks_config_is_refused(tmp_path):
    """A T2V checkpoint is told from an S2V one by its config."""
    folder = write_official(tmp_path / "checkpoint")
    (folder / "config.json").write_text(json.dumps({**TINY.published(), "model_type": "t2v"}))
    with pytest.raises(RendererMissing, match="model_type = 't2v'"):
        load_all(folder)


def test_the_digest_is_of_contents_and_names(official, tmp_path):
    """The same files elsewhere give the same digest; one changed byte gives another; a remembered digest is used."""
    copy = write_official(tmp_path / "copy")
    files = layout.open_checkpoint(official).files
    first = weights_digest(files, official, tmp_path / "memory.json")
    assert weights_digest(files, official, tmp_path / "memory.json") == first
    copied = layout.open_checkpoint(copy)
    for path in copied.files:  # pickles carry a time of their own
        path.write_bytes((official / path.relative_to(copy)).read_bytes())
    assert weights_digest(copied.files, copy, None) == first
    edit_shard(copy, lambda tensors: tensors["blocks.0.cross_attn.k.bias"].add_(1))
    assert weights_digest(copied.files, copy, None) != first


MEASURE = """
import resource, sys, torch
from pathlib import Path
from s2v_model.wan import layout, weights
from s2v_model.wan.tensor_files import Stored
checkpoint = layout.Checkpoint(
    folder=Path(sys.argv[1]), transformer=(Path(sys.argv[1]) / "diffusion_pytorch_model.safetensors",),
    transformer_config=Path(sys.argv[1]) / "config.json", vae=(), text_encoder=(), tokenizer=Path(), audio_encoder=(),
    audio_config=Path())
model = weights.load_transformer(checkpoint, working=torch.bfloat16, device=torch.device("cpu"))
assert sum(p.numel() for p in model.parameters()) > 1.4e9
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_host_memory_holds_the_weights_once(tmp_path):
    """Loading a checkpoint of 3 GB takes at most 1.15 times the weights and 0.6 GB of host memory, imports included."""
    config = ModelConfig(
        dim=2048, ffn_dim=8192, num_heads=16, num_layers=20, text_dim=64, audio_dim=64, audio_inject_layers=(0, 9)
    )
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in weights.WanS2V(config).named_parameters()}
    header, end = {}, 0
    for name, shape in shapes.items():
        offsets = [end, end + 2 * shape.numel()]
        header[transformer_official(name)] = {"dtype": "BF16", "shape": list(shape), "data_offsets": offsets}
        end = offsets[1]
    packed = json.dumps(header).encode()
    with (tmp_path / "diffusion_pytorch_model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(packed)) + packed)
        file.truncate(8 + len(packed) + end)  # zeros that take no disk, and the same memory once read
    (tmp_path / "config.json").write_text(json.dumps(config.published()))
    assert 2.8e9 < end < 3.3e9
    run = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True)
    peak = int(run.stdout.split()[-1])
    print(
        f"weights {end / 1e9:.2f} GB, peak host memory {peak / 1e9:.2f} GB, allowed {(1.15 * end + 0.6e9) / 1e9:.2f} GB"
    )
    assert peak <= 1.15 * end + 0.6e9
