"""What we write is written to the letter as it was, until a REVISION says that it is not."""

from dataclasses import replace

import pytest

from tests.golden import texts


@pytest.mark.parametrize("name", texts.GOLDENS)
def test_a_text_is_the_one_that_was_kept(name):
    """Exactly, and made with the REVISIONs of this code."""
    assert texts.fault(name) == ""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which one text is kept, made by a stage of REVISION 1."""
    monkeypatch.setitem(texts.GOLDENS, "t", texts.Golden(lambda folder: "one\n", ("diarize",)))
    monkeypatch.setattr(texts.diarize, "REVISION", 1)
    assert texts.rewrite("t", tmp_path) == ""
    assert texts.fault("t", tmp_path) == ""
    return tmp_path


def changed(monkeypatch):
    monkeypatch.setitem(texts.GOLDENS, "t", replace(texts.GOLDENS["t"], make=lambda folder: "two\n"))


def test_a_text_that_changes_alone_is_a_fault(folder, monkeypatch):
    """Its REVISION has to be bumped first: until then it is not even written anew."""
    changed(monkeypatch)

    assert "no REVISION has: bump that of diarize" in texts.fault("t", folder)
    assert "bump that of diarize" in texts.rewrite("t", folder)
    assert texts.kept("t", folder)[1] == "one\n"


def test_a_revision_that_changes_alone_is_a_fault(folder, monkeypatch):
    """The kept text names the REVISION that made it, so it has to be made anew, whether or not it differs."""
    monkeypatch.setattr(texts.diarize, "REVISION", 2)
    assert "another REVISION: `make golden NAME=t`" in texts.fault("t", folder)
    changed(monkeypatch)

    assert texts.rewrite("t", folder) == ""
    assert texts.fault("t", folder) == ""
    assert texts.kept("t", folder)[1] == "two\n"


def test_a_text_that_was_edited_by_hand_is_a_fault(folder, monkeypatch):
    """Even where the edit is what the code now writes: the digest beside it is the old one's."""
    changed(monkeypatch)
    (folder / "t").write_text((folder / "t").read_text().replace("one", "two"))

    assert "edited by hand" in texts.fault("t", folder)
