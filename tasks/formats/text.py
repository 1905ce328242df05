"""Bytes from outside -> clean text, or a sentence that says why not.

In: the bytes of a file that a person wrote. Out: text in Unicode NFC with plain line ends and no control characters,
and warnings about what was mended. Knows encodings and limits; does not know what the text means.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, NoReturn

from tasks.domain.errors import InputError, ScriptError

MAX_BYTES = 4 * 1024 * 1024
MAX_LINES = 50_000
MAX_LINE_CHARACTERS = 250_000
"""Of a line of the file; what one speech may hold is another limit (script.py)."""

_SIGNATURES = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP or Office document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"{\\rtf", "an RTF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"RIFF", "a recording"),
    (b"OggS", "a recording"),
    (b"fLaC", "a recording"),
    (b"ID3", "a recording"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\x1f\x8b", "a compressed file"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format", "a database"),
)
_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
# Embeddings, overrides and isolates: an unbalanced one would turn round every text that follows it on a page.
# The implicit marks (LRM, RLM, ALM) act on their neighbours alone and stay.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x01-\x08\x0e-\x1b\x1f\x7f-\x9f\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_LATIN = [
    bytes([byte]).decode("cp1252" if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1") for byte in range(256)
]
_NUL_SHARE = 0.3
_CONTROL_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanText:
    """Text as every reader here takes it."""

    text: str
    warnings: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Without their ends."""
        return self.text.split("\n")


def read_text(
    content: bytes,
    *,
    name: str,
    error: type[InputError] = ScriptError,
    max_bytes: int = MAX_BYTES,
    max_line_characters: int = MAX_LINE_CHARACTERS,
) -> CleanText:
    """The text of `content`.

    UTF-8, UTF-16 and UTF-32 by their byte order mark, plain UTF-8, UTF-16 without a mark, else Latin-1 with a warning.
    name: the file, for messages. error: what to raise: the file is empty, too large, or no text.
    """
    _check_bytes(content, name, error, max_bytes)
    text, warnings = _decoded(content, name, error)
    text = _LINE_ENDS.sub("\n", text)
    text, found = _without_controls(text, name, error)
    text = unicodedata.normalize("NFC", text)
    if not text.strip():
        raise error("the file is empty.", where=name, remedy="Write at least one line into it.")
    _check_lines(text, name, error, max_line_characters)
    return CleanText(text=text, warnings=tuple(warnings + found))


def _check_bytes(content: bytes, name: str, error: type[InputError], max_bytes: int) -> None:
    if not content:
        raise error("the file is empty.", where=name, remedy="Write at least one line into it.")
    if len(content) > max_bytes:
        raise error(
            f"the file has {len(content):,} bytes; at most {max_bytes:,} are allowed.",
            where=name,
            remedy="Split it into several.",
        )
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            raise _not_text(f"this is {kind}, a format that is not supported here.", name, error)


def _not_text(message: str, name: str, error: type[InputError]) -> InputError:
    return error(message, where=name, remedy="Save it as plain text in UTF-8.")


def _check_lines(text: str, name: str, error: type[InputError], max_line_characters: int) -> None:
    if (num_lines := text.count("\n") + 1) > MAX_LINES:
        raise error(
            f"the file has {num_lines:,} lines; at most {MAX_LINES:,} are allowed.",
            where=name,
            remedy="Split it into several.",
        )
    for row, line in enumerate(text.split("\n"), start=1):
        if len(line) > max_line_characters:
            raise error(
                f"the line has {len(line):,} characters; at most {max_line_characters:,} are allowed.",
                where=f"{name}, line {row}",
                remedy="Break it into several lines.",
            )


def _decoded(content: bytes, name: str, error: type[InputError]) -> tuple[str, list[str]]:
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None) or _unmarked_wide(
        content
    )
    try:
        return content.decode(encoding or "utf-8"), []
    except UnicodeDecodeError as problem:
        if encoding is not None:
            message = (
                f"byte {problem.start:,} does not belong to its encoding ({encoding.removesuffix('-sig').upper()})."
            )
            raise _not_text(message, name, error) from problem
    # Windows-1252 is Latin-1 with letters where Latin-1 has controls; five bytes have no letter in it.
    text = "".join(_LATIN[byte] for byte in content) if _holds_latin(content) else ""
    if not text:
        raise _not_text("this is no text in a known encoding.", name, error)
    return text, [f"{name}: the text is not UTF-8; it was read as Latin-1. Check its accents."]


def _unmarked_wide(content: bytes) -> str | None:
    """UTF-16 without a mark shows as NULs at every other byte of Western text."""
    sample = content[:4096]
    if len(content) % 2 or len(sample) < 4:
        return None
    share = [sample[start::2].count(0) / (len(sample) / 2) for start in (0, 1)]
    if share[1] > _NUL_SHARE > share[0] * 10:
        return "utf-16-le"
    return "utf-16-be" if share[0] > _NUL_SHARE > share[1] * 10 else None


def _holds_latin(content: bytes) -> bool:
    controls = sum(content.count(bytes([byte])) for byte in range(32) if byte not in (9, 10, 11, 12, 13))
    return controls <= len(content) * _CONTROL_SHARE


def _without_controls(text: str, name: str, error: type[InputError]) -> tuple[str, list[str]]:
    """NULs and overrides of direction are dropped with a warning; a flood of control characters is no text."""
    num_controls = text.count("\x00") + len(_CONTROL.findall(text))
    if num_controls > max(8, len(text) * _NUL_SHARE):
        raise _not_text("this is no text: it is full of control characters.", name, error)
    warnings = []
    if (num_nuls := text.count("\x00")) > 0:
        text = text.replace("\x00", "")
        warnings.append(f"{name}: {num_nuls} NUL {'byte was' if num_nuls == 1 else 'bytes were'} removed.")
    if _BIDI.search(text):
        text = _BIDI.sub("", text)
        warnings.append(f"{name}: characters that override the direction of writing were removed.")
    text = _SURROGATES.sub("\ufffd", _CONTROL.sub("", text))
    return text, warnings


def parse_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError, RecursionError; also where no file could hold what is in it.

    Python takes NaN for a number, and an escape that is half of a UTF-16 pair for a character.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number")

    value = json.loads(text, parse_constant=refuse)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value
