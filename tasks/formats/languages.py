"""Language tags as in BCP 47 (RFC 5646): well formed, their primary part known, in their customary case.

In and out: text. Does not know which engine speaks which language.
"""

import re

_ISO_639_1 = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el
en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu
ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na
nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn
so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_TWO_LETTERS = frozenset(_ISO_639_1.split())
_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(?P<rest>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?)",
    re.IGNORECASE,
)
MAX_TAG_CHARACTERS = 35
"""As RFC 5646, 4.4.1 asks of every implementation."""


def language_tag(text: str) -> str | None:
    """`text` as a tag in its customary case ("pt-BR", "zh-Hant"), or None where it is none.

    An underscore counts as a hyphen, since column names often cannot hold one.
    """
    text = text.strip().replace("_", "-")
    match = _TAG.fullmatch(text)
    if match is None or len(text) > MAX_TAG_CHARACTERS:
        return None
    language = match["language"].lower()
    if len(language) == 2 and language not in _TWO_LETTERS:
        return None
    script = match["script"].title() if match["script"] else None
    region = match["region"].upper() if match["region"] else None
    return "-".join(part for part in (language, script, region) if part) + match["rest"].lower()


def primary(tag: str) -> str:
    """The language alone: "pt" of "pt-BR"."""
    return tag.split("-", 1)[0].lower()


def best_match(wanted: str, offered: tuple[str, ...]) -> str | None:
    """Which of the tags `offered` serves `wanted`: the same one, else the first of the same language."""
    for tag in offered:
        if tag.lower() == wanted.lower():
            return tag
    return next((tag for tag in offered if primary(tag) == primary(wanted)), None)
