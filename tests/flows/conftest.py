"""The site of the fault tests: servers and workers, one for all of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster import Cluster, cluster

POOLS = ("gpu", "recycled", "broken")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers on the pool gpu, one that produces, one whose process grows, and one that may fail to load."""
    with cluster(tmp_path_factory.mktemp("site")) as made:
        made.deploy(*POOLS)
        wanted = (
            ("a", "gpu", {}),
            ("b", "gpu", {}),
            ("growing", "recycled", {"SLEEPING_GROWTH_MB": "40", "SLEEPING_SECONDS": "0.3"}),
            ("cpu", "cpu", {}),
            ("unable", "broken", {"SLEEPING_BROKEN": str(made.folder / "broken")}),
        )
        with ThreadPoolExecutor(len(wanted)) as threads:
            for ready in [threads.submit(made.worker, name, pool, **more) for name, pool, more in wanted]:
                ready.result()
        yield made
