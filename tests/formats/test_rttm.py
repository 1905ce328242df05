"""RTTM and UEM read and write as NIST's plan says."""

from fractions import Fraction

import pytest

from tasks.domain.errors import RecordingError
from tasks.domain.speech import Turn
from tasks.domain.timing import Span
from tasks.formats.rttm import read_rttm, read_uem, write_rttm

TURNS = (
    Turn(speaker="S1", span=Span(Fraction(1, 2), Fraction(9, 4))),
    Turn(speaker="S2", span=Span(Fraction(2), Fraction(301, 100))),
)
TEXT = (
    "SPEAKER talk 1 0.50 1.75 <NA> <NA> S1 <NA> <NA>\n"  #
    "SPEAKER talk 1 2.00 1.01 <NA> <NA> S2 <NA> <NA>\n"
)


def test_turns_are_written_to_the_hundredth():
    """One line each, ten fields."""
    assert write_rttm(TURNS, "talk") == TEXT


def test_what_is_written_reads_back():
    """Reading undoes writing."""
    assert read_rttm(write_rttm(TURNS, "talk")) == TURNS


def test_names_stay_one_field():
    """Blanks and line ends in names cannot forge fields or lines."""
    forged = Turn(speaker="a b\nSPEAKER x", span=Span(Fraction(0), Fraction(1)))
    assert write_rttm([forged], "my talk\n") == "SPEAKER my_talk 1 0.00 1.00 <NA> <NA> a_b_SPEAKER_x <NA> <NA>\n"


def test_other_lines_are_passed_over():
    """Comments, other types, blank lines and a byte order mark do no harm; turns come in order of start."""
    text = (
        f"\ufeff;; a comment\n\nSPKR-INFO talk 1 <NA> <NA> <NA> unknown S1 <NA>\n{''.join(TEXT.splitlines(True)[::-1])}"
    )
    assert read_rttm(text) == TURNS


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("SPEAKER talk 1 0.5", "line 1: a SPEAKER line has 4 fields"),
        ("SPEAKER talk 1 zero 1.75 <NA> <NA> S1 <NA> <NA>", "line 1: 'zero' is no time"),
        ("SPEAKER talk 1 0.5 -1 <NA> <NA> S1 <NA> <NA>", "'-1' is no time"),
        ("SPEAKER talk 1 nan 1 <NA> <NA> S1 <NA> <NA>", "'nan' is no time"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line, message):
    """The message says which line and why."""
    with pytest.raises(RecordingError, match=message):
        read_rttm(line, where="talk.rttm")


def test_scored_stretches_are_read():
    """File, channel, start, end."""
    assert read_uem("talk 1 0.000 1.690\n") == (Span(Fraction(0), Fraction(169, 100)),)
    with pytest.raises(RecordingError, match="line 1: a line has 2 fields"):
        read_uem("talk 1\n")
