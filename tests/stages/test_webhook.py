"""Webhooks: what is said, and that nobody else can have said it."""

import hmac
import json
from hashlib import sha256

import pytest

from tasks.domain.errors import InputError
from tasks.webhook import KEY_HEADER, SIGNATURE_HEADER, check_signature, failed, headers, published

MADE = {"programme": "/p/one/ab", "revision": "ab", "shots": 3, "rendered": 1, "reused": 2, "seconds": 1.5, "text": []}
SECRET = "correct horse battery"
AT = "2026-01-05T06:00:00+00:00"


def test_a_publication_says_what_was_made() -> None:
    """Event, key, time, and where the programme is; nothing of settings."""
    body = json.loads(published("one", MADE, at=AT).body)

    assert body == {
        "schema": "webhook/1",
        "event": "programme.published",
        "key": body["key"],
        "at": AT,
        "data": {"episode": "one", "programme": "/p/one/ab", "revision": "ab", "shots": 3, "rendered": 1, "reused": 2},
    }


def test_equal_publications_have_equal_keys() -> None:
    """Told twice, a receiver can know; another revision, or a failure, is another message."""
    first, later = published("one", MADE, at=AT), published("one", MADE, at="2027-01-01T00:00:00+00:00")
    other = published("one", {**MADE, "revision": "cd"}, at=AT)

    assert first.key == later.key
    assert len({first.key, other.key, failed("one", "run-1", "no", at=AT).key}) == 3


def test_a_failure_says_why_at_bounded_length() -> None:
    """The sentence for a person, cut."""
    data = json.loads(failed("one", "run-1", "x" * 5000, at=AT).body)["data"]

    assert (data["run"], len(data["error"])) == ("run-1", 1000)


def test_the_signature_is_plain_hmac_over_time_and_body() -> None:
    """A receiver needs no code of ours."""
    event = published("one", MADE, at=AT)
    sent = headers(event, SECRET, now=1_767_600_000)
    expected = hmac.new(SECRET.encode(), b"1767600000." + event.body, sha256).hexdigest()

    assert sent[SIGNATURE_HEADER] == f"t=1767600000,v1={expected}"
    assert sent[KEY_HEADER] == event.key
    check_signature(event.body, sent[SIGNATURE_HEADER], SECRET, now=1_767_600_200)


@pytest.mark.parametrize(
    ("body", "header", "secret", "now", "said"),
    [
        (b"{}", "t=100,v1=00", SECRET, 100, "does not fit"),
        (b"{}", None, "another secret!!!", 100, "does not fit"),
        (b"{ }", None, SECRET, 100, "does not fit"),
        (b"{}", None, SECRET, 401, "too old"),
        (b"{}", None, SECRET, -201, "too old"),
        (b"{}", "v1=00", SECRET, 100, "no time"),
        (b"{}", "t=1e9,v1=é", SECRET, 100, "no time"),
        (b"{}", "t=100,v1=é", SECRET, 100, "does not fit"),
        (b"{}", "", SECRET, 100, "no time"),
    ],
)
def test_a_forged_or_stale_one_is_refused(body: bytes, header: str | None, secret: str, now: int, said: str) -> None:
    """Another body, secret or time, or a header that is none."""
    signed = hmac.new(SECRET.encode(), b"100.{}", sha256).hexdigest()

    with pytest.raises(InputError, match=said):
        check_signature(body, f"t=100,v1={signed}" if header is None else header, secret, now=now)
