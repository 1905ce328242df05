"""What rendering will cost, learned from the past."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows import commands
from flows.estimate import Past, factor_of, known, learn, quote
from flows.settings import Settings
from s2v_model.contract import Cost, Traits
from tasks.engines.workspace import Workspace
from tests.fakes import MemoryStore
from tests.productions import TinyWiring, write_episode

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


def test_a_plan_reckons_with_the_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`troupe plan` shows seconds, end and price by what earlier runs took."""
    wired = TinyWiring(Settings(store=f"file:{tmp_path}/store", gpu_hour_price=3600.0))
    gpu = replace(wired.flat.traits(), cost=Cost(device="gpu", fixed_seconds=10.0, seconds_per_frame_megapixel=0.0))
    monkeypatch.setattr(wired.flat, "traits", lambda: gpu)
    monkeypatch.setattr(commands, "Wiring", lambda settings, quality: wired)
    monkeypatch.setattr(commands, "load_settings", lambda store: wired.settings)

    def planned() -> dict[str, Any]:
        return commands.plan_episode(str(write_episode(tmp_path)), store=None, quality=None, workers=2)

    before = planned()
    learn(wired.workspace, gpu, Past(expected_seconds=100.0, actual_seconds=150.0))
    after = planned()

    assert (before["seconds"], before["finish_seconds"], before["price"]) == (30.0, 15.0, 30.0)
    assert (after["seconds"], after["finish_seconds"], after["price"]) == (45.0, 22.5, 45.0)
    assert {row["seconds"] for row in after["shots"]} == {15.0}
    assert "1.50 times" in after["text"][-1]
