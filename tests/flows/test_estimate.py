"""What rendering will cost, learned from the past."""

from pathlib import Path

import pytest

from flows.estimate import Past, factor_of, known, learn, quote
from s2v_model.contract import Traits
from tasks.engines.workspace import Workspace
from tests.fakes import MemoryStore

TRAITS = Traits(name="wan-s2v", revision=1, weights="w")


def test_nothing_is_known_at_first(tmp_path: Path) -> None:
    """Without a past, the renderer's own figures hold."""
    assert factor_of(known(Workspace(MemoryStore(), tmp_path), TRAITS)) == 1.0


def test_the_past_corrects_the_estimate(tmp_path: Path) -> None:
    """Runs that took half again as long as expected raise the next quote by half; only recent runs count."""
    workspace = Workspace(MemoryStore(), tmp_path)
    for _ in range(30):
        learn(workspace, TRAITS, Past(expected_seconds=100.0, actual_seconds=500.0))
    for _ in range(20):
        learn(workspace, TRAITS, Past(expected_seconds=100.0, actual_seconds=150.0))
    assert factor_of(known(workspace, TRAITS)) == pytest.approx(1.5)


def test_another_engine_has_its_own_past(tmp_path: Path) -> None:
    """What one revision cost says nothing of the next."""
    workspace = Workspace(MemoryStore(), tmp_path)
    learn(workspace, TRAITS, Past(expected_seconds=1.0, actual_seconds=3.0))
    assert known(workspace, Traits(name="wan-s2v", revision=2, weights="w")) == ()


def test_a_quote_names_seconds_price_and_end() -> None:
    """GPU seconds by the learned factor; the end is bounded by the longest shot."""
    told = quote([600.0, 600.0, 2400.0], factor=2.0, workers=4, gpu_hour_price=3.0)
    assert (told.gpu_seconds, told.finish_seconds, told.price) == (7200.0, 4800.0, 6.0)
    assert quote([], factor=2.0, workers=4, gpu_hour_price=3.0).gpu_seconds == 0
