"""The forms of the flows that watch."""

import pytest
from prefect.utilities.callables import parameter_schema

import flows.watching
from flows.batch import Rows
from flows.settings import Settings
from flows.watching import _shown, watch_feed, watch_inbox
from tasks.domain.errors import EngineError
from tasks.ledger import Entry


def test_every_field_of_the_forms_is_explained() -> None:
    """A person who has never seen the code can fill them in."""
    for form in (watch_feed, watch_inbox):
        fields = parameter_schema(form.fn).properties

        assert {
            name for name, field in fields.items() if not field.get("title") or not field.get("description")
        } == set()


def test_a_visit_of_nothing_but_failures_fails() -> None:
    """A run in which nothing could be made is red in the UI; one success keeps it green."""
    failed, done = Entry(name="a", state="failed", error="no"), Entry(name="b", state="done")
    rows = Rows(Settings(), 1)

    with pytest.raises(EngineError, match="none of 1 new episodes could be made: no"):
        _shown(lambda submit: [failed], rows, "feed-x")
    assert [row["state"] for row in _shown(lambda submit: [failed, done], rows, "feed-x")] == ["failed", "done"]


@pytest.fixture(autouse=True)
def _no_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows.watching, "create_table_artifact", lambda *_, **__: None)
