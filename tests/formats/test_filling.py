"""A template, a brand and a row make an episode file."""

import pytest

from tasks.domain.batch import Row
from tasks.domain.episode import Episode
from tasks.domain.errors import EpisodeError
from tasks.formats.episode import read_episode
from tasks.formats.filling import as_document, fill, read_brand, read_template, unused_columns

TEMPLATE = """
schema: episode/1
id: any
title: Hello {{First Name}}
language: no
source:
  script: |
    Anna: Welcome, {{first_name}}.
cast: {anna: {portrait: anna.png, sex: female}}
render: {seed: 7, layout: active}
outputs: [{aspect: "16:9", height: 360, captions: [vtt]}, {aspect: "1:1", height: 480, captions: [vtt, srt]}]
"""
BRAND = "{cast: {anna: {portrait: acme.png}}, render: {layout: grid}, languages: [it]}"


def row(**cells: str) -> Row:
    """A row with an id."""
    return Row(id="one", line=2, cells=(("id", "one"), *cells.items()))


def filled(made: Row, brand: str | None = None) -> Episode:
    """The episode that comes out."""
    laid = read_brand(brand.encode(), name="brand.yaml") if brand else {}
    document = as_document(fill(made, read_template(TEMPLATE.encode(), name="t.yaml"), laid, where="t.csv, line 2"))
    return read_episode(document.encode(), path="t.csv", folder="/", roots=())


def test_places_are_filled_and_all_else_stays() -> None:
    """The row gives the id and fills the places; words that YAML would turn into values stay words."""
    episode = filled(row(first_name="Ada"))

    assert (episode.id, episode.title, episode.language) == ("one", "Hello Ada", "no")
    assert episode.source.script == "Anna: Welcome, Ada.\n"
    assert [(output.aspect, output.height) for output in episode.outputs] == [("16:9", 360), ("1:1", 480)]


def test_a_cell_cannot_add_a_line_to_a_script() -> None:
    """What is filled in is one line of words, never a speaker, a key or another place."""
    episode = filled(row(first_name='Ada"\nBEN: {{id}}'))

    assert episode.source.script == 'Anna: Welcome, Ada" BEN: {{id}}.\n'


def test_the_row_goes_before_the_brand_before_the_template() -> None:
    """Mappings are merged, down to one member of the cast; lists are replaced."""
    made = row(first_name="Ada", layout="split", outputs="9:16 1:1", languages="es, de", quality="final", seed="9")
    episode = filled(made, BRAND)

    assert (episode.cast[0].portrait, episode.cast[0].sex) == ("acme.png", "female")
    assert (episode.render.layout, episode.render.seed, episode.render.quality) == ("split", 9, "final")
    assert episode.languages == ("es", "de")
    assert [(out.aspect, out.height, out.captions) for out in episode.outputs] == [
        ("9:16", 1280, ("vtt",)),
        ("1:1", 480, ("vtt", "srt")),
    ]
    assert filled(row(first_name="Ada"), BRAND).render.layout == "grid"


def test_a_row_brings_its_own_source() -> None:
    """A script file, its words themselves, or a recording take the place of the template's source."""
    assert filled(row(first_name="A", script="own.txt")).source.script == "own.txt"
    assert filled(row(first_name="A", text="ANNA: Hi")).source.script == "ANNA: Hi\n"
    podcast = filled(row(first_name="A", podcast="a.mp3", transcript="a.vtt", speakers="2")).source
    assert (podcast.script, podcast.podcast, podcast.transcript, podcast.speakers) == (None, "a.mp3", "a.vtt", 2)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({}, "asks for {{First Name}}, and the row has nothing there"),
        ({"first_name": "A", "script": "a.txt", "text": "A: b"}, "both a script"),
        ({"first_name": "A", "layout": "round"}, "render.layout is 'round'"),
    ],
)
def test_a_wrong_row_is_told(cells: dict[str, str], said: str) -> None:
    """An empty place, two sources, or a value that no episode may have."""
    with pytest.raises(EpisodeError) as caught:
        filled(row(**cells))

    assert said in str(caught.value)


def test_a_brand_holds_what_brands_hold() -> None:
    """A source or an id in a brand would make all its episodes one."""
    with pytest.raises(EpisodeError, match="a brand has no key 'source'"):
        read_brand(b"{source: {script: a.txt}}", name="b.yaml")


def test_columns_that_nothing_asks_for_are_found() -> None:
    """Known columns, notes and places count as used."""
    template = read_template(TEMPLATE.encode(), name="t.yaml")

    assert unused_columns(("id", "notes", "first_name", "titel", "brand"), template, {}) == ("titel",)
