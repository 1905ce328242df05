"""The fonts of burned text: where they lie, how libass is shown them and nothing else, and how wide a text is.

They come from two packages of Noto fonts (SIL Open Font License 1.1), so that a text looks alike on every machine.
"""

import unicodedata
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import ImageFont

from tasks.domain.errors import EngineMissing

PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
LATIN_FILE = "NotoSans[wght].ttf"
EM_OF_SIZE = 1 / 1.362
"""ASS sizes count from the font's ascent to its descent: what part of it the em is."""


@lru_cache
def folders() -> tuple[Path, ...]:
    """The folders that hold the fonts. Raises EngineMissing where a package is not installed."""
    specs = {name: find_spec(name) for name in PACKAGES}
    for name, spec in specs.items():
        if spec is None or spec.origin is None:
            raise EngineMissing(
                f"the fonts of {name.replace('_', '-')} are not installed: install troupe again with pip."
            )
    return tuple(Path(spec.origin).parent for spec in specs.values() if spec is not None and spec.origin)


def fontconfig_text(cache: Path) -> str:
    """A fonts.conf that knows our fonts and no others. cache: a folder that fontconfig may write."""
    known = "".join(f"<dir>{escape(str(folder))}</dir>" for folder in folders())
    return (
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n'
        f"<fontconfig>{known}<cachedir>{escape(str(cache))}</cachedir></fontconfig>\n"
    )


def text_width(text: str, size: float) -> float:
    """About how wide one line is, in px. size: as ASS counts it. Right within a few per cent, never far too narrow."""
    em = size * EM_OF_SIZE
    wide = sum(1 for char in text if unicodedata.east_asian_width(char) in "WF")
    narrow = "".join(char for char in text if unicodedata.east_asian_width(char) not in "WF")
    return em * (wide + _latin().getlength(narrow) / 100)


@lru_cache
def _latin() -> ImageFont.FreeTypeFont:
    """Noto Sans, semi-bold, at 100 px."""
    font = ImageFont.truetype(str(folders()[0] / LATIN_FILE), 100, layout_engine=ImageFont.Layout.BASIC)
    font.set_variation_by_axes([600])
    return font
