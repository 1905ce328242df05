"""The forms that a person fills in."""

import pytest
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, ValidationError

from flows.forms import EpisodeForm, FeedForm, InboxForm
from flows.produce import produce
from flows.watching import watch_feed, watch_inbox

FORMS = {produce: EpisodeForm, watch_feed: FeedForm, watch_inbox: InboxForm}


@pytest.mark.parametrize("flow", FORMS, ids=lambda flow: flow.name)
def test_every_field_has_a_title_and_an_explanation(flow) -> None:
    """As Prefect passes them on to the control room: what must be filled in stands first, no field is None or a tab."""
    definition = parameter_schema(flow.fn).definitions[FORMS[flow].__name__]
    fields = definition["properties"]

    assert [name for name, field in fields.items() if not field.get("description") or not field.get("title")] == []
    assert [name for name, field in fields.items() if "anyOf" in field or "oneOf" in field] == []
    assert list(fields)[: len(definition["required"])] == definition["required"]


@pytest.mark.parametrize(
    ("form", "filled"),
    [
        (EpisodeForm, {"path": " "}),
        (EpisodeForm, {"path": "a.yaml", "quality": "best"}),
        (EpisodeForm, {"path": "a.yaml", "budget_gpu_s": -1}),
        (FeedForm, {"id": "two words", "address": "https://a", "template": "t.yaml"}),
        (InboxForm, {"id": "a", "place": "/in", "folder": "/in"}),
    ],
)
def test_what_cannot_be_meant_is_refused(form: type[BaseModel], filled: dict[str, object]) -> None:
    """Before a run begins."""
    with pytest.raises(ValidationError):
        form.model_validate(filled)


def test_a_line_break_at_the_end_is_no_part_of_a_name() -> None:
    """A form's text fields take several lines; an empty store is the usual one."""
    form = EpisodeForm(path="/episodes/a.yaml\n")

    assert (form.path, form.other_store) == ("/episodes/a.yaml", None)
