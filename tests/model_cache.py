"""Where tests find the model files of the embedded engines."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tasks.engines.model_files import missing

CACHE = Path(os.environ.get("TROUPE_CACHE", "~/.cache/troupe")).expanduser() / "models"


def model_cache(names: Iterable[str]) -> Path:
    """The folder that holds the model files `names`: the one that the product fills.

    Skips the test, and says so, where they are not there; `make test` fetches them first.
    """
    if absent := missing(CACHE, names):
        pytest.skip(f"the model files {', '.join(absent)} are not in the cache: run `troupe doctor --fetch`")
    return CACHE
