"""Which items of a podcast feed are new, and the episode that each becomes.

In: a feed as read, what is known of it, a template. Out: the items to make, an episode as plain values. Pure, but for
the index that `read_index` and `write_index` keep in the store. Opens no address: flows/feeds.py does, by
media/fetch.py.

An item is known by its GUID, or by its recording's address without the query (feeds change GUIDs, and hosts sign
addresses anew), unless the feed tells its recordings apart by the query alone; a recording that was made before under
another name is known by its content once it is here.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tasks.domain.errors import StoreError
from tasks.domain.feed import Feed, FeedItem, Linked, Person
from tasks.engines.stores import Store
from tasks.ledger import Entry, name_of

MAX_KNOWN = 50_000
"""Of an index: what is far older than any feed is forgotten."""
_TRANSCRIPTS = (
    ("text/vtt", ".vtt"),
    ("application/x-subrip", ".srt"),
    ("application/srt", ".srt"),
    ("text/srt", ".srt"),
    ("application/json", ".json"),
)
"""Kinds that are read, the best first."""
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".heic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is known of a feed."""

    etag: str = ""
    modified: str = ""
    guids: tuple[str, ...] = ()
    """Names (ledger.name_of) of items that are settled."""
    recordings: tuple[str, ...] = ()
    """Names of their addresses."""
    contents: tuple[str, ...] = ()
    """SHA-256 of what was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFiles:
    """Where the files of an item lie, absolute."""

    recording: str
    transcript: str | None = None
    chapters: str | None = None
    portraits: tuple[tuple[str, str], ...] = ()
    """(name of a person, file)."""


def new_items(items: Sequence[FeedItem], index: Index) -> tuple[FeedItem, ...]:
    """Items that nobody has settled, in the feed's order; of several with one GUID or recording, the first."""
    guids, recordings = set(index.guids), set(index.recordings)
    asked = _told_by_query(items)
    found = []
    for item in items:
        guid, recording = name_of(item.guid), recording_name(item)
        if recording in asked:
            recording = name_of(item.enclosure.address.partition("#")[0])
        if guid not in guids and recording not in recordings:
            found.append(item)
        guids.add(guid)
        recordings.add(recording)
    return tuple(found)


def _told_by_query(items: Iterable[FeedItem]) -> set[str]:
    """Names of addresses that several GUIDs share but for the query: there it names the recording."""
    guids: dict[str, set[str]] = {}
    addresses: dict[str, set[str]] = {}
    for item in items:
        name = recording_name(item)
        guids.setdefault(name, set()).add(item.guid)
        addresses.setdefault(name, set()).add(item.enclosure.address.partition("#")[0])
    return {name for name in guids if len(guids[name]) > 1 and len(addresses[name]) > 1}


def newest_first(items: Sequence[FeedItem]) -> list[FeedItem]:
    """By their dates, where each has one; else in the feed's order, which is that by custom."""
    dated = [(item.published, item) for item in items if item.published is not None]
    if len(dated) < len(items):
        return list(items)
    return [item for _, item in sorted(dated, key=lambda each: each[0], reverse=True)]


def recording_name(item: FeedItem) -> str:
    """The name of an item's recording: its address without query and fragment."""
    return name_of(item.enclosure.address.partition("#")[0].partition("?")[0])


def settled(index: Index, item: FeedItem, entry: Entry) -> Index:
    """The index with an item that need not be looked at again."""
    return replace(
        index,
        guids=_with(index.guids, name_of(item.guid)),
        recordings=_with(index.recordings, recording_name(item)),
        contents=_with(index.contents, entry.content) if entry.content else index.contents,
    )


def _with(known: tuple[str, ...], name: str) -> tuple[str, ...]:
    return known if name in known else (*known, name)[-MAX_KNOWN:]


def read_index(store: Store, feed: str) -> Index | None:
    """What is known of a feed, None where it was never seen. Raises StoreError for an index that is damaged."""
    content = store.read(_key(feed))
    if content is None:
        return None
    try:
        fields = json.loads(content)
        fields.pop("schema")
        held: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
        }
        return Index(**held)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        where = store.address(_key(feed))
        raise StoreError(f"{where} is damaged. Delete it: the feed counts as new then.") from error


def write_index(store: Store, feed: str, index: Index) -> None:
    """Keep what is known of a feed."""
    store.write(_key(feed), json.dumps({"schema": "feed/1", **asdict(index)}).encode(), "application/json")


def _key(feed: str) -> str:
    return f"feeds/{feed}/index.json"


def episode_id(feed: str, item: FeedItem) -> str:
    """Names the episode of an item: the feed, the day, and what tells two of a day apart."""
    day = f"{item.published:%Y%m%d}-" if item.published else ""
    return f"{feed}-{day}{name_of(item.guid)[:8]}"


def transcript_of(item: FeedItem, language: str | None) -> tuple[Linked, str] | None:
    """(the transcript to read, its extension): of the episode's language if there is one, cues before JSON."""
    kinds = {kind: place for place, (kind, _) in enumerate(_TRANSCRIPTS)}
    readable = [
        (0 if _same_language(each.language, language) else 1, kinds[kind], place, each)
        for place, each in enumerate(item.transcripts)
        if (kind := each.media_type.partition(";")[0].strip().casefold()) in kinds
    ]
    if not readable:
        return None
    _, rank, _, best = min(readable)
    return best, _TRANSCRIPTS[rank][1]


def _same_language(one: str | None, other: str | None) -> bool:
    return (one or "").partition("-")[0] == (other or "").partition("-")[0]


def persons_to_picture(item: FeedItem, cast: Any) -> tuple[Person, ...]:
    """Persons of an item who have a picture and no entry in the template's cast."""
    if not isinstance(cast, dict | None):
        return ()  # a cast in a file of its own stays as it is
    known = set(_names(cast or {}))
    return tuple(person for person in item.persons if person.image and person.name.casefold() not in known)


def _names(cast: dict[str, Any]) -> Iterable[str]:
    for key, entry in cast.items():
        yield str(key).casefold()
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            yield entry["name"].casefold()


def picture_extension(address: str) -> str:
    """The extension that a picture's address shows, ".img" for none."""
    path = address.partition("#")[0].partition("?")[0].casefold()
    return next((extension for extension in _PICTURES if path.endswith(extension)), ".img")


def episode_of(
    item: FeedItem, feed: Feed, template: dict[str, Any], files: ItemFiles, *, name: str
) -> dict[str, Any]:  # fmt: skip
    """The item's episode as plain values: the template, with what the feed says of the item.

    name: the episode's id. The template's own cast goes before the feed's persons.
    """
    hint = template.get("source")
    source = {"podcast": files.recording, "transcript": files.transcript}
    if isinstance(hint, dict) and hint.get("speakers"):
        source["speakers"] = str(hint["speakers"])
    made = {
        "casting": "order",
        **template,
        "schema": "episode/1",
        "id": name,
        "title": item.title,
        "language": template.get("language") or feed.language or "en",
        "source": {key: value for key, value in source.items() if value},
    }
    if files.chapters:
        made["chapters"] = files.chapters
    if files.portraits:
        made["cast"] = {**(template.get("cast") or {}), **_cast(files.portraits)}
    return made


def _cast(portraits: tuple[tuple[str, str], ...]) -> dict[str, dict[str, str]]:
    cast: dict[str, dict[str, str]] = {}
    for number, (name, file) in enumerate(portraits, start=1):
        key = _slug(name) or f"person-{number}"
        cast[key if key not in cast else f"{key}-{number}"] = {"name": name, "portrait": file}
    return cast


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.casefold()).strip("-")[:40]
