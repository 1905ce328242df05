"""`troupe check` of a feed: the feed and its addresses are judged, and nothing is opened."""

import json
import socket
from pathlib import Path

import pytest

from flows.checking import check_file, kind_of

ACCEPTED = {"two_enclosures.xml", "script_in_notes.xml", "bad_values.xml", "thousand_items.xml"}


@pytest.fixture(autouse=True)
def _nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        pytest.fail("a host was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)


@pytest.mark.data
def test_every_bad_feed_is_judged_as_its_case_says(shared_data: Path) -> None:
    """Cases that expect acceptance are accepted, all others refused, with a reason."""
    cases = json.loads((shared_data / "feed_bad/cases.json").read_text())
    reports = {Path(case["file"]).name: check_file(str(shared_data / case["file"]), None) for case in cases}

    assert {name for name, report in reports.items() if report.ok} == ACCEPTED
    assert len(reports["enclosure_private.xml"].errors) == 10
    assert len(reports["bad_values.xml"].warnings) == 4
    assert "no playable episode" in reports["no_enclosure.xml"].errors[0].text


@pytest.mark.data
def test_a_feed_on_this_machine_is_refused_unless_allowed(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`network.allow` makes an exception of a private address."""
    path = str(shared_data / "feed/feed.xml")
    refused = check_file(path, None)
    monkeypatch.setenv("TROUPE_NETWORK__ALLOW", '["127.0.0.1"]')
    allowed = check_file(path, None)

    assert "not a public address" in refused.errors[0].text
    assert (allowed.ok, allowed.facts["playable"]) == (True, 5)


@pytest.mark.data
def test_relative_addresses_without_a_place_are_a_warning(shared_data: Path) -> None:
    """Such a feed is good where it is fetched from; a file of it is accepted, and says so."""
    report = check_file(str(shared_data / "feed/feed_relative.xml"), None)

    assert report.ok
    assert "addresses are relative" in report.warnings[-1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.rss", b""),
        ("a.atom", b""),
        ("a.XML", b""),
        ("feed", b"\xef\xbb\xbf<?xml version='1.0'?>"),
        ("f", b"\n<rss>"),
    ],
)
def test_a_feed_is_known_by_name_or_content(tmp_path: Path, name: str, content: bytes) -> None:
    """Extensions .xml .rss .atom, and without one the first bytes, say that a file is a feed."""
    path = tmp_path / name
    path.write_bytes(content)

    assert kind_of(path) == "feed"
