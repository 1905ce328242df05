"""Planning for Wan without torch: traits and the digest of weights, on a machine that renders nothing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import s2v_model
from flows.commands import examine
from flows.settings import Engines, Settings
from flows.wiring import Wiring
from s2v_model.contract import RendererMissing
from s2v_model.wan.options import Options
from tasks.domain.errors import EngineMissing

ROOT = Path(__file__).parents[2]
REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("torch", "diffusers", "transformers", "safetensors", "huggingface_hub"):
            raise ImportError(name + " on a machine that only plans")
sys.meta_path.insert(0, Refuse())
import json, s2v_model
print(s2v_model.traits(sys.argv[1], json.loads(sys.argv[2])).weights)
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Files where a checkpoint has them. What is in them is the digest's business alone."""
    folder = tmp_path / "checkpoint"
    names = (
        "config.json", "diffusion_pytorch_model.safetensors", "Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth",
        "google/umt5-xxl/tokenizer.json", "wav2vec2-large/model.safetensors", "wav2vec2-large/config.json",
    )  # fmt: skip
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """The same of a scene model."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"expand_timesteps": True, "boundary_ratio": None}))
    (folder / "weights.safetensors").write_text("weights")
    return folder


@pytest.mark.parametrize("name", ["wan-s2v", "wan-scene"])
def test_traits_are_told_without_torch(name: str, checkpoint: Path, scenes: Path, tmp_path: Path) -> None:
    """With torch and its like refused, the traits and the weights' digest come from the checkpoint's files."""
    folder = checkpoint if name == "wan-s2v" else scenes
    options = {"checkpoint": str(folder), "cache": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", REFUSE, name, json.dumps(options)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = s2v_model.traits(name, options)
    assert done.stdout.strip() == told.weights
    stated = s2v_model.traits(name, {"checkpoint": "elsewhere/weights", "weights_digest": told.weights})
    assert stated == told, "a machine without the folder plans by the digest"


def test_a_machine_with_a_pool_plans_without_the_renderer(checkpoint: Path, tmp_path: Path) -> None:
    """Where a work pool renders, the composition root asks for traits alone; without a pool it needs the renderer."""
    options = {"checkpoint": str(checkpoint), "cache": str(tmp_path / "cache")}
    engines = Engines(wan=options, wan_checkpoint=str(checkpoint))
    settings = Settings(pools={"wan-s2v": "gpu"}, engines=engines, cache=str(tmp_path / "cache"))
    wiring = Wiring(settings, quality="final")
    assert wiring.traits == s2v_model.traits("wan-s2v", options)
    assert "renderer" not in vars(wiring)


@pytest.mark.parametrize("source", ["Wan-AI/Wan2.2-S2V-14B", "hf:Wan-AI/Wan2.2-S2V-14B", "ms:Wan-AI/Wan2.2-S2V-14B"])
def test_what_was_downloaded_is_found(source: str, checkpoint: Path, tmp_path: Path) -> None:
    """A hub id means the folder that its download left, by commit or by tag; nothing is fetched."""
    weights = tmp_path / "cache" / "weights"
    own = weights / "hf" / "models--Wan-AI--Wan2.2-S2V-14B"
    (own / "refs").mkdir(parents=True)
    (own / "refs" / "v1").write_text("abc123\n")
    (weights / "ms").mkdir()
    for target in (own / "snapshots" / "abc123", weights / "ms" / "Wan-AI--Wan2.2-S2V-14B" / "v1"):
        shutil.copytree(checkpoint, target)
    told = s2v_model.traits("wan-s2v", {"checkpoint": source, "revision": "v1", "cache": str(tmp_path / "cache")})
    assert told.weights == s2v_model.traits("wan-s2v", {"checkpoint": str(checkpoint), "cache": str(tmp_path)}).weights


def test_doctor_says_the_digest_of_the_weights(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`troupe doctor --wan` prints memory by size and option, and the digest that other machines are to be given."""
    (tmp_path / "troupe.toml").write_text(
        f'cache = "{tmp_path / "cache"}"\n[engines]\nwan_checkpoint = "{checkpoint}"\n'
        '[engines.wan_scene]\ncheckpoint = "nobody/nothing"\n'
    )
    monkeypatch.setenv("TROUPE_SETTINGS", str(tmp_path / "troupe.toml"))
    text = "\n".join(examine(fetch=False, wan=True)["text"])
    told = s2v_model.traits("wan-s2v", {"checkpoint": str(checkpoint), "cache": str(tmp_path / "cache")})
    assert f"wan-s2v: weights_digest = {told.weights}" in text
    assert "wan-scene: wan-scene renders elsewhere" in text
    assert "1280x704" in text


def test_unknown_weights_are_an_error(tmp_path: Path) -> None:
    """A machine that knows neither folder nor digest says what to set, and never downloads to plan."""
    engines = Engines(wan_checkpoint="Wan-AI/Wan2.2-S2V-14B", wan={"revision": "abc"})
    wiring = Wiring(Settings(pools={"wan-s2v": "gpu"}, engines=engines), quality="final")
    with pytest.raises(EngineMissing, match=r"option weights_digest .*troupe doctor --wan"):
        wiring.traits  # noqa: B018
    with pytest.raises(RendererMissing, match=r"must be what `troupe doctor --wan` says"):
        s2v_model.traits("wan-scene", {"weights_digest": "ab" * 32})


def test_other_weights_than_stated_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    """Where the weights are, a digest that is not theirs is an error: producers and workers would miss each other."""
    from s2v_model.wan.layout import open_checkpoint
    from s2v_model.wan.traits import digest_of

    with pytest.raises(RendererMissing, match=r"weights_digest is 00.*the weights here have"):
        digest_of(Options(cache=str(tmp_path), weights_digest="00"), open_checkpoint(checkpoint))


def test_a_cache_that_cannot_be_written_costs_time_alone(checkpoint: Path, tmp_path: Path) -> None:
    """A worker with a read-only root computes the digest every time, and says so."""
    (tmp_path / "file").write_text("in the way")
    options = {"checkpoint": str(checkpoint), "cache": str(tmp_path / "file" / "cache")}
    told = s2v_model.traits("wan-s2v", options).weights
    assert told == s2v_model.traits("wan-s2v", {**options, "cache": str(tmp_path / "cache")}).weights


def test_a_calibration_counts_by_its_content(tmp_path: Path) -> None:
    """The file of a step cache is part of the options by its digest, wherever it lies."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "calibration.json").write_text("{}")
    first, second = (
        s2v_model.traits(
            "wan-s2v", {"weights_digest": "ab", "step_cache": f"0.5:{tmp_path / name / 'calibration.json'}"}
        )
        for name in ("a", "b")
    )
    (tmp_path / "b" / "calibration.json").write_text("{ }")
    changed = s2v_model.traits(
        "wan-s2v", {"weights_digest": "ab", "step_cache": f"0.5:{tmp_path / 'b' / 'calibration.json'}"}
    )
    assert first.options == second.options != changed.options


@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        ({}, "sdpa"),
        ({"device": "cpu"}, "blocked"),
        ({"device": "cpu", "precision": "float32"}, "sdpa"),
        ({"device": "cpu", "attention": "sdpa"}, "sdpa"),
    ],
)
def test_automatic_attention_is_named_in_the_fingerprint(options: dict[str, str], kernel: str) -> None:
    """`auto` is decided by device and precision as they are set, never by what a machine has; its choice is named."""
    assert s2v_model.traits("wan-s2v", {"weights_digest": "ab", **options}).options["attention"] == kernel
