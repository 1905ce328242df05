"""Batch tables: rows as text, and everything that is wrong with a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.errors import EpisodeError
from tasks.formats.findings import all_findings
from tasks.formats.table import MAX_ROWS, read_batch


def test_cells_are_text_whatever_they_look_like() -> None:
    """A byte order mark is no part of a name, a formula is words, columns are folded, empty cells are not there."""
    table = read_batch(
        '\ufeffID;First Name;Text\none;Ada;"=HYPERLINK(""http://x"")"\n\ntwo; ;+1\n'.encode(), name="t.csv"
    )

    assert table.columns == ("id", "first_name", "text")
    assert [row.cells for row in table.rows] == [
        (("id", "one"), ("first_name", "Ada"), ("text", '=HYPERLINK("http://x")')),
        (("id", "two"), ("text", "+1")),
    ]
    assert [row.line for row in table.rows] == [2, 4]


def test_json_lines_say_the_same_as_csv() -> None:
    """Numbers and lists become text; a row need not have every column."""
    table = read_batch(
        b'{"id": "one", "Seed": 7, "languages": ["it", "es"]}\n\n{"id": "two", "note": null}\n', name="t"
    )

    assert [row.cells for row in table.rows] == [
        (("id", "one"), ("seed", "7"), ("languages", "it, es")),
        (("id", "two"),),
    ]
    assert table.columns == ("id", "seed", "languages", "note")


@pytest.mark.parametrize(
    ("priority", "deadline", "read"),
    [
        ("", "", (50, None)),
        ("high", "2026-05-31", (75, "2026-05-31T23:59:59+00:00")),
        ("", "20260531", (50, "2026-05-31T23:59:59+00:00")),
        ("", "2026W227", (50, "2026-05-31T23:59:59+00:00")),
        ("0", "2026-05-31T18:00+02:00", (0, "2026-05-31T16:00:00+00:00")),
        ("100", "2026-05-31T18:00", (100, "2026-05-31T18:00:00+00:00")),
    ],
)
def test_priority_and_deadline(priority: str, deadline: str, read: tuple[int, str | None]) -> None:
    """A word or 0 to 100; a date is the end of that day, a time without a zone is UTC."""
    row = read_batch(f"id,priority,deadline\none,{priority},{deadline}\n".encode(), name="t.csv").rows[0]

    assert (row.priority, row.deadline) == read


def test_ten_thousand_rows_are_allowed_and_no_more() -> None:
    """The limit is told before anything starts."""
    rows = "".join(f"e{number}\n" for number in range(MAX_ROWS))

    assert len(read_batch(f"id\n{rows}".encode(), name="t.csv").rows) == MAX_ROWS
    with pytest.raises(EpisodeError, match="more than 10,000 rows"):
        read_batch(f"id\n{rows}one-more\n".encode(), name="t.csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,text\na,b\n", "no column 'id'; it has 'name', 'text'"),
        ("id\n", "no rows"),
        ("id,text,text\na,b,c\n", "two columns 'text'"),
        ("id,text\na,b,c,d\n", "4 cells, but there are 2 columns"),
        ("id,text\na b,c\n", "'a b' is no name"),
        ("id,text\n,c\n", "the row has no id"),
        ("id,priority\na,urgent\n", "the priority is 'urgent'"),
        ("id,priority\na,101\n", "the priority is '101'"),
        ("id,deadline\na,tomorrow\n", "the deadline is 'tomorrow'"),
        ('{"id": "a"\n', "no JSON"),
        ('{"id": "a", "title": "\\udfff"}\n', "no JSON"),
        ('{"id": "a"}\n[1]\n', "no JSON object"),
        ('{"id": {"x": 1}}\n', "no text, number or list"),
        ('{"id": "a", "ID": "b"}\n', "stands twice"),
        ("id," + ",".join(f"c{i}" for i in range(200)) + "\na\n", "201 columns; at most 200"),
        ("id,text\na," + "x" * 100_001 + "\n", "100,001 characters"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(content: str, said: str) -> None:
    """The message says what is wrong, where, and what to do."""
    with pytest.raises(EpisodeError, match=said) as caught:
        read_batch(content.encode(), name="t")

    assert caught.value.where.startswith("t")
    assert caught.value.remedy


def test_every_double_id_is_told() -> None:
    """Ids that differ in case alone would share a folder; all of them are found at once."""
    with pytest.raises(EpisodeError) as caught:
        read_batch(b"id\na\nB\nA\nb\nc\n", name="t.csv")

    assert [finding.where for finding in all_findings(caught.value)] == ["t.csv, line 4", "t.csv, line 5"]
    assert "stands in line 2 already" in str(caught.value)


@given(st.binary(max_size=400), st.sampled_from(["t.csv", "t.jsonl", "t"]))
def test_any_bytes_end_in_rows_or_a_sentence(content: bytes, name: str) -> None:
    """Nothing but EpisodeError comes out of a damaged table."""
    try:
        table = read_batch(b"id,text\n" + content, name=name)
    except EpisodeError:
        return
    assert table.rows
