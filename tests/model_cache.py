"""Where tests find the model files of the embedded engines."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from tasks.engines.model_files import missing

PLACES = (Path(__file__).parents[1] / ".local" / "models", Path.home() / ".cache" / "troupe" / "models")


def model_cache(names: Iterable[str]) -> Path:
    """The first folder that holds the model files `names`: $TROUPE_MODELS, .local/models, the user's cache.

    Skips the test, and says so, where none does.
    """
    named = [Path(os.environ["TROUPE_MODELS"])] if "TROUPE_MODELS" in os.environ else []
    wanted = tuple(names)
    for folder in (*named, *PLACES):
        if not missing(folder, wanted):
            return folder
    pytest.skip(f"the model files {', '.join(wanted)} are not in the cache: run `troupe doctor`")
