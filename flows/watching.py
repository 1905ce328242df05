"""Flows that watch: feeds and inboxes, on a schedule. Thin: the work is in flows/feeds.py and flows/inbox.py."""

from collections.abc import Callable
from typing import Any

from prefect import flow, runtime
from prefect.artifacts import create_table_artifact

from flows.batch import Rows, Submit
from flows.feeds import Watched, visit_feed
from flows.forms import FeedForm, InboxForm
from flows.inbox import visit_inbox
from flows.report import escaped, log_run
from flows.settings import Settings, load_settings
from flows.webhooks import announce_outcome
from tasks.domain.errors import EngineError
from tasks.ledger import Entry

TOLD = ("done", "failed", "wrong")
"""States of entries that webhooks tell of; the others are no news."""


@flow(name="watch_feed", flow_run_name="feed {feed.id}", persist_result=False)
def watch_feed(feed: FeedForm) -> list[dict[str, Any]]:
    """Make each new episode of a podcast feed, once.

    Args:
        feed: Which podcast, and what becomes of it.

    """
    settings = load_settings(store=feed.other_store)
    watched = Watched(id=feed.id, address=feed.address, template=feed.template, newest=feed.newest)
    return _shown(lambda submit: visit_feed(watched, settings, submit), settings, f"feed-{feed.id}")


@flow(name="watch_inbox", flow_run_name="inbox {inbox.id}", persist_result=False)
def watch_inbox(inbox: InboxForm) -> list[dict[str, Any]]:
    """Make each new episode file of a folder or a bucket's prefix, once.

    Args:
        inbox: Which folder.

    """
    settings = load_settings(store=inbox.other_store)
    return _shown(
        lambda submit: visit_inbox(inbox.id, inbox.place, settings, submit), settings, f"inbox-{inbox.id}"
    )  # fmt: skip


def _shown(visit: Callable[[Submit], list[Entry]], settings: Settings, key: str) -> list[dict[str, Any]]:
    """What came of a visit, as a table in the UI. Raises EngineError where nothing but failures came of it."""
    log_run(settings)
    rows = Rows(settings, 1)
    try:
        entries = visit(rows)
    except BaseException:
        rows.close(stop=True)
        raise
    finally:
        rows.close()
    for entry in entries:
        if entry.state in TOLD:
            run = str(runtime.flow_run.id or key)
            announce_outcome(entry.episode or entry.title, run, entry.programme, entry.error, settings)
    table = [
        {
            "episode": e.episode,
            "title": escaped(e.title),  # a cell is Markdown, and a feed may say anything
            "state": e.state,
            "programme": escaped(e.programme),
            "error": escaped(e.error),
        }
        for e in entries
    ]
    if table:
        create_table_artifact(table, key=key.casefold().replace("_", "-"), description="What this visit made.")
    if entries and all(entry.state in ("failed", "wrong") for entry in entries):
        raise EngineError(f"none of {len(entries)} new episodes could be made: {entries[0].error}")
    return table
