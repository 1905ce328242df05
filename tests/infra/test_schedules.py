"""The file of schedules, where it is none."""

from pathlib import Path

import pytest

from infra.schedules import read_schedules
from tasks.domain.errors import SettingsError


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[" * 100_000, b"from: 2026-99-99", b"!!python/name:os.system x"])
def test_what_is_no_yaml_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    """Also a day that the calendar does not have, and nesting without end."""
    (tmp_path / "schedules.yaml").write_bytes(content)

    with pytest.raises(SettingsError, match=r"schedules.yaml: it is no YAML"):
        read_schedules(str(tmp_path / "schedules.yaml"), frozenset({"produce"}))
