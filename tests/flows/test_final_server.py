"""`quality: final` through the real pool `gpu`: planned where there is no torch, rendered by a worker that has it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import until
from tests.episodes import small_episode
from tests.servers import PrefectServer, end

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
WAN = ROOT / ".venv-wan/bin/python"
OPTIONS = {"device": "cpu", "precision": "float32", "steps": 1, "guidance": 1.0, "infer_frames": 128}


@pytest.fixture(scope="module")
def settings(recorder: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What producer and worker share: a checkpoint of two small layers, a store, the pool."""
    if not WAN.exists():
        pytest.skip("there is no .venv-wan: make test-wan sets it up")
    folder = tmp_path_factory.mktemp("final")
    environment = recorder.environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    has_all = subprocess.run([WAN, "-c", "import prefect, torch, diffusers"], env=environment, check=False)
    if has_all.returncode:
        pytest.skip(".venv-wan is not of infra/requirements-gpu.lock: rm -r .venv-wan; make test-wan")
    subprocess.run([WAN, "-m", "tests.wan_checkpoint", folder / "checkpoint"], env=environment, cwd=ROOT, check=True)
    return {
        **environment,
        "CUDA_VISIBLE_DEVICES": "0",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "TROUPE_STORE": f"file:{folder / 'store'}",
        "TROUPE_POOLS": '{"wan-s2v": "gpu"}',
        "TROUPE_ENGINES__WAN_CHECKPOINT": str(folder / "checkpoint"),
        "TROUPE_ENGINES__WAN": json.dumps(OPTIONS),
    }


@pytest.fixture(scope="module")
def worker(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The GPU worker, its model loaded; gives its log."""
    subprocess.run([sys.executable, "-m", "infra.deployments"], env=settings, check=True)
    log = tmp_path_factory.mktemp("worker") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [WAN, "-m", "tests.run_worker", "gpu", "final"],
            env=settings, cwd=ROOT, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: b"started!" in log.read_bytes() or process.poll() is not None, 150)
        yield log
    finally:
        end(process, 20)


def produced(settings: dict[str, str], episode: Path) -> dict[str, Any]:
    """What `troupe produce` says, in an environment without torch."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "produce", str(episode), "--json"],
        env=settings, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_an_episode_of_final_quality_is_rendered_by_the_pool(
    recorder: PrefectServer, settings: dict[str, str], worker: Path, tmp_path: Path
) -> None:
    """Its manifest names the model and its weights; the shots were a run of the pool; a second run renders nothing."""
    episode = small_episode(tmp_path, name="final", quality="final")
    first = produced(settings, episode)
    manifest = json.loads((Path(first["programme"]) / "manifest.json").read_text())
    engines = {engine["name"]: engine["weights"] for engine in manifest["engines"] if engine["role"] == "renderer"}
    shards = [run for run in recorder.flow_runs(tags=["episode:final"]) if run["work_pool_name"] == "gpu"]
    again = produced(settings, episode)

    assert {shot["renderer"] for shot in manifest["shots"]} == {"wan-s2v"}
    assert len(engines["wan-s2v"]) == 64
    assert (first["rendered"], first["reused"]) == (2, 0), worker.read_text()
    assert shards
    assert (again["rendered"], again["reused"], again["revision"]) == (0, 2, first["revision"])
