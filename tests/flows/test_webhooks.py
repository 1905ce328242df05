"""Sending webhooks: one try, what may be tried again, and that no run waits or fails for it."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.states import State

import flows.webhooks as module
from flows.settings import Settings, load_settings
from flows.webhooks import AGAIN_AFTER_SECONDS, announce, deliver, deliver_webhook
from tasks.domain.errors import EngineError, SettingsError
from tasks.webhook import SIGNATURE_HEADER, Event, check_signature
from tests.receiver import SECRET, Receiver

EVENT = Event(key="k1", body=b'{"event":"programme.published"}')


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Up for one test."""
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


def test_a_message_arrives_signed(receiver: Receiver) -> None:
    """Body, key and a signature of now."""
    status = deliver(EVENT, receiver.settings)
    (sent, body), = receiver.got  # fmt: skip

    assert (status, body, sent["Idempotency-Key"]) == (204, EVENT.body, "k1")
    check_signature(body, sent[SIGNATURE_HEADER], SECRET, now=int(time.time()))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_receiver_may_be_asked_again(receiver: Receiver, status: int) -> None:
    """An answer that may change is an engine's failure."""
    receiver.status = status

    with pytest.raises(EngineError, match=f"answers {status}"):
        deliver(EVENT, receiver.settings)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
def test_a_receiver_that_refuses_is_not_asked_again(receiver: Receiver, status: int) -> None:
    """A redirect is not followed either: a signed message goes where it was meant to."""
    receiver.status = status

    with pytest.raises(SettingsError, match=f"answers {status}"):
        deliver(EVENT, receiver.settings)


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ("http://10.0.0.1/hook", SettingsError, "not a public address"),
        ("file:///etc/passwd", SettingsError, "kind 'file'"),
        ("http://127.0.0.1:1/hook", EngineError, "connection failed"),
    ],
)
def test_only_public_addresses_are_told(url: str, kind: type[Exception], said: str) -> None:
    """As for downloads; a refused connection may be tried again."""
    settings = Settings(webhooks={"url": url, "secret": SECRET}, network={"allow": ["127.0.0.1"]})

    with pytest.raises(kind, match=said):
        deliver(EVENT, settings)


def test_an_address_needs_a_secret() -> None:
    """Nothing is sent unsigned, or signed with a word."""
    with pytest.raises(SettingsError, match="a secret of at least 16 characters"):
        load_settings(webhooks={"url": "https://example.org/hook", "secret": "short"})


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Runs that would have been started on a server."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "run_deployment", lambda name, **kinds: calls.append({"name": name, **kinds}))
    return calls


def test_a_run_hands_its_message_over_and_goes_on(started: list[dict[str, Any]], receiver: Receiver) -> None:
    """A flow run of its own, without waiting, once for each message; no secret is in its parameters."""
    taken = announce(EVENT, receiver.settings)

    assert taken
    assert started == [
        {
            "name": "deliver_webhook/cpu",
            "parameters": {"key": "k1", "body": EVENT.body.decode(), "attempt": 1},
            "scheduled_time": None,
            "timeout": 0,
            "idempotency_key": "webhook/k1/1",
            "as_subflow": False,
        }
    ]
    assert SECRET not in json.dumps(started)


def test_a_server_that_is_away_fails_no_run(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    """Whatever keeps a message from being handed over is a warning; without an address there is none."""

    def away(*_: object, **__: object) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(module, "run_deployment", away)

    assert announce(EVENT, receiver.settings) is False
    assert announce(EVENT, Settings()) is False


def tried(monkeypatch: pytest.MonkeyPatch, receiver: Receiver, attempt: int, deployment: str | None = "d") -> State:
    """The flow's own function, as a run of a deployment."""
    monkeypatch.setattr(module, "load_settings", lambda: receiver.settings)
    monkeypatch.setattr(module.runtime.deployment, "id", deployment, raising=False)
    result: State = deliver_webhook.fn(EVENT.key, EVENT.body.decode(), attempt)
    return result


def test_a_try_that_fails_for_now_schedules_the_next(
    monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]], receiver: Receiver
) -> None:
    """As a run of its own, later and later, for a day."""
    receiver.status = 503
    state = tried(monkeypatch, receiver, 3)
    wait = started[0]["scheduled_time"] - datetime.now(UTC)

    assert state.name == "Again"
    assert timedelta(seconds=110) < wait <= timedelta(seconds=120)
    assert started[0]["parameters"]["attempt"] == 4
    assert 0.9 < sum(AGAIN_AFTER_SECONDS) / 86400 < 1.1


def test_after_a_day_the_message_is_given_up(
    monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]], receiver: Receiver
) -> None:
    """The last run fails, and says why; so does one that belongs to no deployment."""
    receiver.status = 503

    with pytest.raises(EngineError):
        tried(monkeypatch, receiver, len(AGAIN_AFTER_SECONDS) + 1)
    with pytest.raises(EngineError):
        tried(monkeypatch, receiver, 1, deployment=None)
    assert started == []
