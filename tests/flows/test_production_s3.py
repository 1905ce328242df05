"""A whole production into a bucket: equal to the one in a folder, and remembered there."""

from pathlib import Path

import pytest

from flows.settings import Settings
from tasks.engines.stores import load
from tests.productions import TinyWiring, produce, substance, write_episode
from tests.servers import S3Server

pytestmark = pytest.mark.server


def test_a_bucket_holds_what_a_folder_holds(tmp_path: Path, s3_server: S3Server) -> None:
    """The programme in a bucket equals the one in a folder; a second run renders nothing."""
    path = write_episode(tmp_path)
    local = TinyWiring(Settings(store=f"file:{tmp_path / 'store'}"))
    expected = substance(local.store, produce(path, local).programmes[0])
    settings = Settings(store=s3_server.new_uri(), scratch=str(tmp_path / "scratch"))

    def wiring() -> TinyWiring:
        return TinyWiring(settings, load(settings.store, s3_server.options()))

    first = wiring()
    made = produce(path, first)

    assert substance(first.store, made.programmes[0]) == expected
    assert made.programmes[0].uri.startswith("s3://")
    assert produce(path, wiring()).rendered == 0
