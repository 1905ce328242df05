"""Checkpoints from hubs, on a loopback server that answers as they do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch; make test-wan")

from s2v_model.contract import RendererMissing  # noqa: E402
from s2v_model.wan import hub as hubs  # noqa: E402
from s2v_model.wan.config import TINY  # noqa: E402
from s2v_model.wan.hub import Hubs, local_folder  # noqa: E402
from s2v_model.wan.layout import open_checkpoint  # noqa: E402
from s2v_model.wan.weights import transformer_config  # noqa: E402
from tests.hub_server import COMMIT, NAME, TAG, Hub, serve  # noqa: E402
from tests.wan_checkpoint import write_official  # noqa: E402

pytestmark = pytest.mark.wan
LARGE = "large.json"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint, and a file beside it that no renderer needs."""
    folder = write_official(tmp_path_factory.mktemp("hub") / "checkpoint")
    (folder / "assets").mkdir()
    (folder / "assets" / "sample.mp4").write_bytes(b"0" * 1000)
    (folder / LARGE).write_bytes(bytes(24 << 20))
    return folder


@pytest.fixture
def hub(checkpoint: Path) -> Iterator[Hub]:
    """A running hub."""
    with serve(checkpoint) as running:
        yield running


def fetch(hub: Hub, kind: str, cache: Path, revision: str = COMMIT, name: str = NAME) -> Path:
    """Through the product's own function."""
    return local_folder(f"{kind}:{name}", revision, cache, Hubs(hugging_face=hub.address, modelscope=hub.address))


@pytest.mark.parametrize("kind", ["hf", "ms"])
@pytest.mark.parametrize("revision", [COMMIT, TAG])
def test_a_hub_id_becomes_a_folder_with_the_same_files(kind, revision, hub, checkpoint, tmp_path):
    """All that a renderer reads arrives byte for byte at the pinned revision, and nothing else does."""
    folder = fetch(hub, kind, tmp_path, revision)
    for path in open_checkpoint(folder).files:
        assert path.read_bytes() == (checkpoint / path.relative_to(folder)).read_bytes()
    assert transformer_config(open_checkpoint(folder)) == TINY
    assert not (folder / "assets").exists()


@pytest.mark.parametrize("kind", ["hf", "ms"])
def test_a_download_that_was_cut_off_goes_on(kind, hub, checkpoint, tmp_path, monkeypatch):
    """A file that was cut off is asked for from where it stopped, and is whole in the end."""
    monkeypatch.setattr(hubs.time, "sleep", lambda seconds: None)
    hub.cut_behind[LARGE] = 21 << 20
    try:
        folder = fetch(hub, kind, tmp_path)
    except RendererMissing as error:
        assert "goes on where it stopped" in str(error)  # noqa: PT017  - one hub's client tries again by itself
        folder = fetch(hub, kind, tmp_path)
    assert (folder / LARGE).read_bytes() == (checkpoint / LARGE).read_bytes()
    assert len(hub.ranges) == 1
    # Hugging Face's client keeps whole blocks of 10 MB, ours every byte.
    assert int(hub.ranges[0].removeprefix("bytes=").split("-")[0]) >= 20_000_000


def test_a_second_look_fetches_nothing(hub, tmp_path):
    """What has arrived is not fetched again."""
    fetch(hub, "ms", tmp_path)
    hub.cut_behind = dict.fromkeys((Path(name).name for name in hub.files()), 0)
    fetch(hub, "ms", tmp_path)


def test_a_damaged_file_is_refused(hub, tmp_path, monkeypatch):
    """A file whose digest is not the listed one is thrown away, not used."""
    monkeypatch.setattr(hubs, "file_sha256", lambda path: "0" * 64)
    with pytest.raises(RendererMissing, match="arrived damaged"):
        fetch(hub, "ms", tmp_path)


def test_a_listing_that_leaves_its_folder_is_refused(hub, tmp_path):
    """A hub cannot write outside the folder of the checkpoint."""
    hub.extra.append({"Path": "../evil.json", "Type": "blob", "Size": 1})
    with pytest.raises(RendererMissing, match="outside its folder"):
        fetch(hub, "ms", tmp_path / "cache")
    assert not (tmp_path / "evil.json").exists()


@pytest.mark.parametrize("kind", ["hf", "ms"])
def test_a_repository_or_revision_that_is_not_there_is_named(kind, hub, tmp_path):
    """A wrong name and a wrong revision are each an error that says to check them."""
    with pytest.raises(RendererMissing, match=r"Check|could not be listed"):
        fetch(hub, kind, tmp_path, revision="f" * 40)
    with pytest.raises(RendererMissing, match=r"Check|could not be listed"):
        fetch(hub, kind, tmp_path, name="Wan-AI/other")
