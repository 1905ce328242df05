"""Review: beside a programme, the page on which a person looks it over before it goes out. One for each run.

In: a programme, what a run did for it. Out: the key of the page in the store. The page is nobody's input: no manifest
names it, and a delivery is whole without it. Knows how the store's files are reached; the page itself is
tasks/formats/review.py.
"""

import posixpath
from collections.abc import Sequence
from datetime import datetime, timedelta

from tasks.domain.editing import Programme
from tasks.domain.reviewing import Account, Addresses
from tasks.engines.stores import MANIFEST, Store
from tasks.engines.workspace import Workspace
from tasks.formats.review import review_page

LINK_SECONDS = 7 * 24 * 3600
"""The longest that S3 signs an address for."""
_MAX_CAPTION_BYTES = 8 << 20


def add_review(
    programme: Programme, account: Account, programmes: Sequence[Programme], *, workspace: Workspace, now: datetime
) -> str:
    """Write the page of a run. programmes: all of that run, whose pages are written, too. now: UTC.

    Returns its key. Raises StoreError where the store does not take it; nothing else of the programme changes then.
    """
    key = review_key(programme, account.run)
    page = review_page(programme, account, _addresses(programme, account, programmes, workspace.store, now))
    workspace.store.write(key, page.encode(), "text/html; charset=utf-8")
    return key


def review_key(programme: Programme, run: str) -> str:
    """Where the page of a run lies: beside its record."""
    return f"{programme.folder}/runs/{run}.html"


def web_address(store: Store, key: str) -> str | None:
    """Where a browser anywhere finds an object for a week; None in a folder."""
    link = store.link(key, LINK_SECONDS)
    return link if link.startswith(("http://", "https://")) else None


def _addresses(
    programme: Programme, account: Account, programmes: Sequence[Programme], store: Store, now: datetime
) -> Addresses:
    """Within a folder the way from the page to the file; elsewhere a signed address."""
    is_signed = web_address(store, f"{programme.folder}/{MANIFEST}") is not None

    def to(key: str) -> str:
        return web_address(store, key) or posixpath.relpath(key, f"{programme.folder}/runs")

    outputs = programme.manifest.outputs
    portraits = {
        shot.speaker: shot.portrait.picture.key for shot in programme.plan.shots if shot.speaker and shot.portrait
    }
    captions = [one.name for one in outputs if one.media_type.startswith("text/vtt")]
    return Addresses(
        files=tuple((name, to(f"{programme.folder}/{name}")) for name in (*(one.name for one in outputs), MANIFEST)),
        record=to(f"{programme.folder}/runs/{account.run}.json"),
        portraits=tuple((speaker, to(key)) for speaker, key in portraits.items()),
        languages=tuple((one.language, to(review_key(one, account.run))) for one in programmes),
        captions=tuple(
            (name, store.read(f"{programme.folder}/{name}", limit=_MAX_CAPTION_BYTES) or b"") for name in captions
        ),
        until=now + timedelta(seconds=LINK_SECONDS) if is_signed else None,
    )
