"""HTML as a browser takes it apart, for tests: elements, their attributes, and the text that is seen."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"br", "img", "link", "meta", "source", "track"})


@dataclass
class Page(HTMLParser):
    """What a parser finds in a page."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    """All of it, but script and style."""
    code: dict[str, str] = field(default_factory=dict)
    """Content of script and style."""
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It ends: each where it should."""
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        if self.opened and self.opened[-1] in ("script", "style"):
            self.code[self.opened[-1]] = self.code.get(self.opened[-1], "") + data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def addresses(self) -> list[str]:
        """Everything that the page loads or leads to, but places within it."""
        found = [attributes.get(key) for _, attributes in self.elements for key in ("href", "src", "poster")]
        return [address for address in found if address and not address.startswith(("#", "data:"))]


def read_page(text: str) -> Page:
    """The page; fails where an element is not closed."""
    page = Page()
    page.feed(text)
    page.close()
    assert page.opened == []
    return page
