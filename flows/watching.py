"""Flows that watch: feeds and inboxes, on a schedule. Thin: the work is in flows/feeds.py and flows/inbox.py."""

from collections.abc import Callable
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.batch import Rows, Submit
from flows.feeds import Watched, visit_feed
from flows.inbox import visit_inbox
from flows.settings import load_settings
from tasks.domain.errors import EngineError
from tasks.ledger import Entry

Id = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,60}$")]


@flow(name="watch_feed", flow_run_name="feed {id}", persist_result=False)
def watch_feed(
    id: Id,  # noqa: A002 - the word of the form
    address: str,
    template: str,
    newest: Annotated[int, Field(ge=0, le=500)] = 1,
    store: str | None = None,
) -> list[dict[str, Any]]:
    """Make each new episode of a podcast feed, once.

    Args:
        id: Names the feed's folder in the store and begins the ids of its episodes, such as tides.
        address: The http(s) address of the RSS feed.
        template: Episode file with cast and outputs, as this worker sees it; its source is replaced.
        newest: How many episodes are made when the feed is seen for the first time; all later ones are.
        store: file:FOLDER or s3://BUCKET/PREFIX, in place of the worker's setting.

    """
    settings = load_settings(store=store)
    watched = Watched(id=id, address=address, template=template, newest=newest)
    return _shown(lambda submit: visit_feed(watched, settings, submit), Rows(settings, 1), f"feed-{id}")


@flow(name="watch_inbox", flow_run_name="inbox {id}", persist_result=False)
def watch_inbox(
    id: Id,  # noqa: A002 - the word of the form
    place: str,
    store: str | None = None,
) -> list[dict[str, Any]]:
    """Make each new episode file of a folder or a bucket's prefix, once.

    Args:
        id: Names the inbox's folder in the store, such as marketing.
        place: A folder that this worker sees, or s3://BUCKET/PREFIX.
        store: file:FOLDER or s3://BUCKET/PREFIX, in place of the worker's setting.

    """
    settings = load_settings(store=store)
    return _shown(lambda submit: visit_inbox(id, place, settings, submit), Rows(settings, 1), f"inbox-{id}")


def _shown(visit: Callable[[Submit], list[Entry]], rows: Rows, key: str) -> list[dict[str, Any]]:
    """What came of a visit, as a table in the UI. Raises EngineError where nothing but failures came of it."""
    try:
        entries = visit(rows)
    except BaseException:
        rows.close(stop=True)
        raise
    finally:
        rows.close()
    table = [
        {"episode": e.episode, "title": e.title, "state": e.state, "programme": e.programme, "error": e.error}
        for e in entries
    ]
    if table:
        create_table_artifact(table, key=key.casefold().replace("_", "-"), description="What this visit made.")
    if entries and all(entry.state in ("failed", "wrong") for entry in entries):
        raise EngineError(f"none of {len(entries)} new episodes could be made: {entries[0].error}")
    return table
