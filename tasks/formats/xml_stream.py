"""XML from outside -> plain elements, one after another, with limits on everything.

In: bytes. Out: calls with the elements somebody asked for, each a small tree. Document types and entities are refused
before anything of them is read, so nothing can be included or unfolded. Does not know any vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

from tasks.domain.errors import InputError
from tasks.formats.text import read_text

MAX_DEPTH = 40
MAX_TEXT_CHARACTERS = 200_000
"""Of one element; what follows is dropped."""
MAX_ELEMENTS = 2_000_000
MAX_CHILDREN = 5_000
"""Of one kept element; what follows is dropped."""


# XML allows these, and means nothing by them: who wrote &#146; meant an apostrophe of Windows-1252 (HTML, 13.2.5.5).
_CONTROLS = {code: bytes((code,)).decode("cp1252", errors="ignore") or " " for code in range(0x80, 0xA0)} | {0x7F: " "}


@dataclass(slots=True)
class Element:
    """A tag ("{namespace}name"), its attributes, text and children."""

    tag: str
    attributes: dict[str, str]
    line: int
    parts: list[str] = field(default_factory=list)
    children: list["Element"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text without control characters, white space as one blank."""
        return " ".join("".join(self.parts).translate(_CONTROLS).split())

    def all(self, *tags: str) -> list["Element"]:
        """Children with one of these tags, in order."""
        return [child for child in self.children if child.tag in tags]

    def first(self, *tags: str) -> "Element | None":
        """The first child with one of these tags that says anything."""
        return next((child for child in self.all(*tags) if child.text or child.attributes), None)


def read_elements(
    content: bytes, *, name: str, kept: Callable[[str, Element], bool], found: Callable[[Element], None],
    error: type[InputError],
) -> Element:  # fmt: skip
    """The root element, without what `found` was given.

    kept: told (parent's tag, element); True hands the element to `found` when it ends, and drops it from its parent.
    name, error: for messages, and what to raise: no XML, a document type, too deep, too many elements.
    """
    builder = _Builder(name, kept, found, error)
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes, parser.CurrentLineNumber)
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse_document_type
    parser.EntityDeclHandler = builder.refuse_document_type
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as problem:
        raise _no_xml(content, name, error, problem) from problem
    assert builder.root is not None
    return builder.root


class _Builder:
    """Grows elements under limits."""

    def __init__(
        self, name: str, kept: Callable[[str, Element], bool], found: Callable[[Element], None], error: type[InputError]
    ) -> None:
        self.name, self.kept, self.found, self.error = name, kept, found, error
        self.root: Element | None = None
        self.open: list[Element] = []
        self.num_elements = 0
        self.num_characters = 0

    def start(self, tag: str, attributes: dict[str, str], line: int) -> None:
        self.num_elements += 1
        if len(self.open) >= MAX_DEPTH or self.num_elements > MAX_ELEMENTS:
            raise self.error(
                f"it has more than {MAX_DEPTH} levels or {MAX_ELEMENTS:,} elements.",
                where=f"{self.name}, line {line}",
                remedy="Shorten or flatten it.",
            )
        element = Element(tag=_braced(tag), attributes={_braced(k): v for k, v in attributes.items()}, line=line)
        self.root = self.root or element
        self.open.append(element)
        self.num_characters = 0

    def end(self, tag: str) -> None:
        element = self.open.pop()
        self.num_characters = 0
        if not self.open:
            return
        parent = self.open[-1]
        if self.kept(parent.tag, element):
            self.found(element)
        elif len(parent.children) < MAX_CHILDREN:
            parent.children.append(element)

    def text(self, text: str) -> None:
        if self.open and self.num_characters < MAX_TEXT_CHARACTERS:
            self.num_characters += len(text)
            self.open[-1].parts.append(text[:MAX_TEXT_CHARACTERS])

    def refuse_document_type(self, *_: object) -> None:
        is_page = bool(_) and str(_[0]).casefold() == "html"
        raise self.error(
            "it is a web page, not a feed." if is_page else "it declares a document type or entities; none are read.",
            where=self.name,
            remedy="Name the feed's own address." if is_page else "Remove the DOCTYPE.",
        )


def _braced(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _no_xml(content: bytes, name: str, error: type[InputError], problem: Exception) -> InputError:
    """Why it is no XML: what it is instead, where that is known, else the place of the fault."""
    head = content[:200].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return error("it is a web page, not a feed.", where=name, remedy="Name the feed's own address.")
    try:
        read_text(content[:4096], name=name, error=error)
    except InputError as known:
        if "format" in known.message or "empty" in known.message:
            return error(known.message, where=name, remedy="Supply an RSS feed.")
    if isinstance(problem, expat.ExpatError):
        where = f"{name}, line {problem.lineno}, column {problem.offset + 1}"
        return error(f"it is not well-formed XML: {expat.ErrorString(problem.code)}.", where=where, remedy=_MEND)
    return error("its encoding is not known.", where=name, remedy="Save it as UTF-8.")


_MEND = "Check tags and '&' (write '&amp;')."
