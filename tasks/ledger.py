"""What has been taken from a feed or an inbox: each thing once, whoever looks, and however often.

In: a store, a name for each thing. Out: whether it is ours to make. An entry is created by exactly one of many
watchers; one that died with it is followed after `STALE_AFTER`. To make a thing twice costs nothing but time: clips
and programmes are named by their content. Knows no feed and no folder.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from tasks.domain.errors import StoreError
from tasks.engines.stores import Store

STALE_AFTER = timedelta(hours=6)
"""A watcher that has not finished a thing by then is dead."""
MAX_TRIES = 3
FINAL = ("done", "same", "passed")
"""done: made. same: its content had been made before. passed: it was there before we watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was taken."""

    name: str
    state: str = "begun"
    """begun, failed (an engine, a server), wrong (the thing itself), or one of FINAL."""
    tries: int = 1
    at: str = ""
    """ISO 8601: when this try began."""
    title: str = ""
    episode: str = ""
    """Id of the episode that it becomes."""
    content: str = ""
    """SHA-256 of what it is, once that is known."""
    programme: str = ""
    error: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nobody need look at it again."""
        return self.state in FINAL or (self.state != "begun" and self.tries >= MAX_TRIES)


def name_of(text: str) -> str:
    """A name for a thing, from what it is called elsewhere: 32 hex."""
    return sha256(text.encode()).hexdigest()[:32]


class Ledger:
    """The entries below one prefix of a store."""

    def __init__(self, store: Store, prefix: str) -> None:
        """prefix: as "feeds/tides/items"."""
        self._store, self._prefix = store, prefix

    def take(self, fresh: Entry, *, now: datetime) -> Entry | None:
        """The entry to work on: `fresh`, or an earlier one that has failed or was left; None where it is not ours."""
        begun = replace(fresh, at=now.isoformat())
        if self._store.create(self._key(fresh.name), _written(begun), "application/json"):
            return begun
        known = self.read(fresh.name)
        if known is None or known.is_final:
            return None
        if known.state == "begun" and now - datetime.fromisoformat(known.at) < STALE_AFTER:
            return None
        again = replace(known, state="begun", tries=known.tries + 1, at=now.isoformat(), error="")
        self.write(again)
        return again

    def read(self, name: str) -> Entry | None:
        """The entry of a thing, None where it was never taken. Raises StoreError for one that is damaged."""
        content = self._store.read(self._key(name))
        if content is None:
            return None
        try:
            entry = Entry(**json.loads(content))
            datetime.fromisoformat(entry.at)
        except (ValueError, TypeError) as error:
            where = self._store.address(self._key(name))
            raise StoreError(f"{where} is damaged. Delete it to have its episode made again.") from error
        return entry

    def write(self, entry: Entry) -> None:
        """Keep what became of a thing."""
        self._store.write(self._key(entry.name), _written(entry), "application/json")

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}.json"


def _written(entry: Entry) -> bytes:
    document: dict[str, Any] = asdict(entry)
    return json.dumps(document, ensure_ascii=False).encode()
