"""What comes of a visit."""

import pytest

import flows.watching
from flows.settings import Settings
from flows.watching import _shown
from tasks.domain.errors import EngineError
from tasks.ledger import Entry


def test_a_visit_of_nothing_but_failures_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in which nothing could be made is red in the UI; one success keeps it green; each is told to webhooks."""
    failed, done = Entry(name="a", state="failed", error="no", episode="x"), Entry(name="b", state="done", episode="y")
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(flows.watching, "announce_outcome", lambda name, *given: told.append((name, given[2])))

    with pytest.raises(EngineError, match="none of 1 new episodes could be made: no"):
        _shown(lambda submit: [failed], Settings(), "feed-x")
    shown = _shown(lambda submit: [failed, done, Entry(name="c", state="same")], Settings(), "feed-x")

    assert [row["state"] for row in shown] == ["failed", "done", "same"]
    assert told == [("x", "no"), ("x", "no"), ("y", "")]


@pytest.fixture(autouse=True)
def _no_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.watching, "create_table_artifact", lambda *_, **__: None)
