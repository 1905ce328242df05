"""Names that look like something else in Fountain."""

import pytest

from tasks.formats.script import read_script


@pytest.mark.parametrize("name", ["OTTO", "ROBERTO", "TOTO"])
def test_a_name_that_ends_like_a_transition_speaks(name: str) -> None:
    """Only "TO" as a word of its own, as in "CUT TO", ends a transition: Otto has his lines."""
    page = f"INES\nHello.\n\n{name}\nI have a beard.\n\nINES\nYes.\n"
    script = read_script(page.encode(), name="page.fountain")
    assert [line.speaker for line in script.lines if line.kind == "speech"] == ["INES", name, "INES"]
