"""The cast as people write it, in an episode or a file of its own, and records of consent.

In: nodes of YAML, or the bytes of a consent file. Out: CastEntry values, Consent. Does not open pictures or samples,
and is told today's date.
"""

import re
from datetime import date

from tasks.domain.casting import Consent
from tasks.domain.episode import CastEntry
from tasks.domain.errors import CastError
from tasks.formats.fields import Fields, number
from tasks.formats.findings import Findings, shown
from tasks.formats.tree import Node, read_tree

ENTRY_KEYS = ("portrait", "name", "voice", "sex", "age", "prompt", "box", "sample", "pose", "consent")
SEXES = ("female", "male")
AGES = ("child", "young", "adult", "elderly")
MAX_CAST = 50
MAX_NAME_CHARACTERS = 60

_KEY = re.compile(r"[^\W_][\w .'’&-]{0,59}")
_VOICE = re.compile(
    r"[a-z]{2,3}(?:-[a-z0-9]{1,8})*(?:/[\w+-]{1,40})?|[a-z][a-z0-9_-]{0,30}:[^\s\x00-\x1f][^\x00-\x1f]{0,100}", re.I
)


def read_cast(node: Node, findings: Findings) -> tuple[CastEntry, ...]:
    """The members of a cast. Faults go to `findings`, as CastError where they are about a person."""
    if node.kind != "map" or not node.entries:
        findings.add(
            "cast must map each speaker to a portrait.",
            where=node.where,
            remedy="Write it as cast: {anna: {portrait: anna.png}}.",
        )
        return ()
    if len(node.entries) > MAX_CAST:
        message = f"the cast has {len(node.entries):,} members; at most {MAX_CAST} are allowed."
        findings.add(message, where=node.where, remedy="Keep those who speak.", kind=CastError)
        return ()
    entries = tuple(_entry(key, value, where, findings) for key, value, where in node.entries)
    _check_names(entries, findings)
    return entries


def _entry(key: str, node: Node, where: str, findings: Findings) -> CastEntry:
    if not _KEY.fullmatch(key):
        remedy = "Use letters, digits, spaces, '-' and '_', at most 60."
        findings.add(f"the cast key {shown(key)} cannot be used.", where=where, remedy=remedy, kind=CastError)
    fields = Fields(node, f"cast.{key}", ENTRY_KEYS, findings)
    fields.where = where
    if node.kind == "map" and fields.node("portrait") is None:
        fields.fault("portrait", "is missing.", "Name a picture with one face.", kind=CastError)
    wanted = "Write LANGUAGE/VARIANT, such as en-us/f2, or ENGINE:NAME."
    return CastEntry(
        key=key,
        portrait=fields.file("portrait"),
        name=fields.text("name", limit=MAX_NAME_CHARACTERS),
        voice=fields.checked("voice", lambda text: text if _VOICE.fullmatch(text) else None, wanted),
        sex=fields.choice("sex", SEXES),
        age=fields.choice("age", AGES),
        prompt=fields.text("prompt") or "",
        box=_box(fields),
        sample=fields.file("sample"),
        pose=fields.file("pose"),
        consent=fields.file("consent"),
        where=where,
    )


def _box(fields: Fields) -> tuple[float, float, float, float] | None:
    written = fields.texts("box")
    if written is None:
        return None
    numbers = [number(text) for text, _ in written]
    if len(numbers) == 4 and all(value is not None and 0 <= value <= 100_000 for value in numbers):
        x, y, width, height = (float(value) for value in numbers if value is not None)
        if width >= 1 and height >= 1:
            return x, y, width, height
    fields.fault("box", "is no rectangle.", "Write [x, y, width, height] in pixels of the picture.")
    return None


def _check_names(entries: tuple[CastEntry, ...], findings: Findings) -> None:
    """Labels of a source meet keys and names alike, so none may mean two people."""
    owners: dict[str, CastEntry] = {}
    for entry in entries:
        for word in {folded(entry.key), folded(entry.name or entry.key)}:
            owner = owners.setdefault(word, entry)
            if owner is not entry:
                message = f"cast.{owner.key} and cast.{entry.key} share the name {shown(entry.name or entry.key)}."
                findings.add(message, where=entry.where, remedy="Give each a name of its own.", kind=CastError)
                break


def folded(label: str) -> str:
    """A label as it is compared: without regard to case, and to how many blanks or underscores it has."""
    return " ".join(label.replace("_", " ").split()).casefold()


def read_consent(content: bytes, *, name: str, today: date) -> Consent:
    """The consent recorded in a file {who, scope, until, revoked}.

    name: the file, for messages. Raises CastError where it cannot be read, has expired (its last day is `until`), or
    was revoked (`revoked: true`, or from a date on).
    """
    findings = Findings(CastError)
    tree = read_tree(content, name=name, findings=findings)
    fields = Fields(tree, "", ("who", "scope", "until", "revoked"), findings)
    fields.require("who", "Name the person whose face or voice it is.")
    fields.require("scope", "Say what the person agreed to.")
    consent = Consent(
        state="recorded", who=fields.text("who", limit=200), scope=fields.text("scope"), until=_day(fields, "until")
    )
    _check_revoked(fields, consent, today)
    findings.raise_any()
    if consent.until is not None and consent.until < today:
        message = f"the consent of {consent.who} ended on {consent.until.isoformat()}."
        raise CastError(message, where=fields.place_of("until"), remedy="Ask for a new one, or recast the part.")
    return consent


def _check_revoked(fields: Fields, consent: Consent, today: date) -> None:
    written = fields.text("revoked")
    if written is None or written.lower() in ("false", "no"):
        return
    since = None if written.lower() in ("true", "yes") else _day(fields, "revoked")
    if since is None and written.lower() not in ("true", "yes"):
        return  # _day has noted it
    if since is None or since <= today:
        fields.findings.add(
            f"{consent.who} revoked this consent.", where=fields.place_of("revoked"), remedy="Recast the part."
        )


def _day(fields: Fields, key: str) -> date | None:
    written = fields.text(key)
    if written is None:
        return None
    try:
        return date.fromisoformat(written[:10] if re.match(r"[0-9-]{10}[T ]", written) else written)
    except ValueError:
        fields.fault(key, f"is {shown(written)}.", "Write a day as 2027-05-31.")
        return None
