"""Text in HTML: whatever it says, it stays text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.hypertext import Markup, element, escaped, joined
from tests.reading import read_page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("</script><img src=x onerror=alert(1)>", "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"),
        ("\" onload='x' &amp;", "&quot; onload=&#x27;x&#x27; &amp;amp;"),
        ("a\x00b\ud800c\x1bd", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d"),
        ("Zoë\t午後\nمرحبا", "Zoë\t午後\nمرحبا"),
    ],
)
def test_text_stays_text(text: str, expected: str) -> None:
    """Tags, quotes and entities are shown; what no parser takes is replaced; all else is left alone."""
    assert escaped(text) == expected


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_a_parser_finds_what_was_put_in(text: str) -> None:
    """Whatever the text is, the page has one element, with that text in it and in its attribute."""
    page = read_page(element("p", text, title=text).html)
    assert page.elements == [("p", {"title": text})]
    assert page.text == text


def test_attributes_have_their_own_names() -> None:
    """Words of Python and dashes; a claim stands bare or not at all; an element without content is not closed."""
    made = element("track", kind="captions", class_="a", data_at="1", hidden=True, disabled=False, lang=None)
    assert made == Markup('<track kind="captions" class="a" data-at="1" hidden>')
    assert joined((element("b", "1 < 2"), " & ", element("i"))) == Markup("<b>1 &lt; 2</b> &amp; <i></i>")
