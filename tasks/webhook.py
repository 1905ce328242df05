"""What the world is told of a programme: events, and their signature.

In: what a run made, or why it failed. Out: a body and the headers that prove who sent it and when. Pure: the clock and
the secret are given; media/deliver.py sends. Equal publications have equal keys, so that a receiver who is told twice
can know.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tasks.domain.errors import InputError
from tasks.formats.canonical import canonical

PUBLISHED, FAILED = "programme.published", "programme.failed"
SIGNATURE_HEADER = "Troupe-Signature"
KEY_HEADER = "Idempotency-Key"
TOLERANCE_SECONDS = 300
"""A receiver refuses what was signed longer ago: a copy of an old message proves nothing."""
MAX_ERROR_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing to tell."""

    key: str
    """Idempotency key."""
    body: bytes


def published(episode: str, made: dict[str, Any], *, at: str) -> Event:
    """A programme is there. made: a document of `troupe produce`, its counts where they are known. at: ISO 8601."""
    fields = ("programme", "revision", "shots", "rendered", "reused")
    data = {"episode": episode, **{field: made[field] for field in fields if field in made}}
    return _event(PUBLISHED, data, at, key=(made["programme"], made["revision"]))


def failed(episode: str, run: str, error: str, *, at: str) -> Event:
    """A run has ended without a programme. run: its id. error: the sentence for a person."""
    data = {"episode": episode, "run": run, "error": error[:MAX_ERROR_CHARACTERS]}
    return _event(FAILED, data, at, key=(episode, run))


def _event(kind: str, data: dict[str, Any], at: str, *, key: tuple[str, ...]) -> Event:
    name = sha256("\n".join((kind, *key)).encode()).hexdigest()[:32]
    document = {"schema": "webhook/1", "event": kind, "key": name, "at": at, "data": data}
    return Event(key=name, body=canonical(document).encode())


def headers(event: Event, secret: str, *, now: int) -> dict[str, str]:
    """What is sent beside the body. now: Unix seconds, of this try."""
    return {
        "Content-Type": "application/json",
        KEY_HEADER: event.key,
        SIGNATURE_HEADER: f"t={now},v1={signature(event.body, secret, now)}",
    }


def signature(body: bytes, secret: str, at: int) -> str:
    """HMAC-SHA256 over "<at>.<body>", in hex: neither can be exchanged without the other (RFC 2104)."""
    return hmac.new(secret.encode(), b"%d." % at + body, sha256).hexdigest()


def check_signature(body: bytes, header: str, secret: str, *, now: int) -> None:
    """What a receiver does. Raises InputError for a header that is odd, too old, too new, or of somebody else."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    written = parts.get("t", "")
    if not written.isascii() or not written.isdecimal() or len(written) > 12:
        raise InputError("the signature has no time.", where=SIGNATURE_HEADER, remedy="Refuse it.")
    if abs(now - int(written)) > TOLERANCE_SECONDS:
        raise InputError("the signature is too old.", where=SIGNATURE_HEADER, remedy="Refuse it; check the clock.")
    expected = signature(body, secret, int(written))
    if not hmac.compare_digest(expected.encode(), parts.get("v1", "").encode()):
        raise InputError("the signature does not fit.", where=SIGNATURE_HEADER, remedy="Refuse it; check the secret.")
