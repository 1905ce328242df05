"""Which espeak-ng variant sounds like whom, and which of them suits a cast member. Pure.

The order within a sex comes from voice prints: each next variant is the one least like those before it (cosine of GE2E
prints and distance of median pitch, one English sentence each). Left out: those that clip, whisper or play robots.
"""

from collections.abc import Collection
from dataclasses import dataclass

from tasks.domain.errors import CastError


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way of speaking that any language of espeak-ng can take on."""

    name: str
    """As in a voice id: en-us/NAME."""
    espeak: str
    """The library's own name."""
    sex: str
    age: str
    pitch: int = 50
    """0..100; 50 is the library's own."""


def _of(sex: str, age: str, *names: str) -> tuple[Variant, ...]:
    return tuple(Variant(name=name, espeak=name, sex=sex, age=age) for name in names)


VARIANTS: tuple[Variant, ...] = (
    *_of("female", "adult", "f3", "steph", "Andrea", "f1", "f5", "shelby", "linda", "f2", "f4"),
    *_of("male", "adult", "m3", "david", "Reed", "Lee", "m8", "travis", "iven4", "ian", "marcelo", "m7", "Hugo", "m1"),
    *_of("female", "young", "Alicia", "Annie"),
    *_of("male", "young", "Nguyen", "rob"),
    *_of("female", "elderly", "aunty", "grandma"),
    *_of("male", "elderly", "grandpa", "croak"),
    Variant(name="girl", espeak="f5", sex="female", age="child", pitch=80),
    Variant(name="girl2", espeak="Annie", sex="female", age="child", pitch=70),
    Variant(name="boy", espeak="f2", sex="male", age="child", pitch=75),
    Variant(name="boy2", espeak="f4", sex="male", age="child", pitch=90),
)
BY_NAME = {variant.name: variant for variant in VARIANTS}

SEXES = ("female", "male")
AGES = ("child", "young", "adult", "elderly")

_SYNONYMS = {
    "zh": "cmn",
    "zh-cn": "cmn",
    "zh-hans": "cmn",
    "zh-hant": "cmn",
    "zh-tw": "cmn",
    "zh-hk": "yue",
    "en": "en-us",
    "en-au": "en-gb",
    "en-ie": "en-gb",
    "en-nz": "en-gb",
    "no": "nb",
    "nn": "nb",
    "iw": "he",
    "fr": "fr-fr",
    "pt": "pt-br",
    "pt-pt": "pt",
    "es-mx": "es-419",
    "tl": "fil",
    "sh": "hr",
}
"""BCP 47 to espeak-ng, where they differ."""


def espeak_language(tag: str, known: Collection[str]) -> str | None:
    """The code that espeak-ng has for a BCP 47 tag: as it stands, by its synonym, then ever shorter; or None."""
    parts = tag.strip().lower().replace("_", "-").split("-")
    for size in range(len(parts), 0, -1):
        short = "-".join(parts[:size])
        for code in (_SYNONYMS.get(short), short):
            if code is not None and code in known:
                return code
    return next((code for code in sorted(known) if code.split("-")[0] == parts[0]), None)


def choose(language: str, sex: str | None, age: str | None, taken: Collection[str]) -> str:
    """The id of a voice for `language`, a code of espeak-ng.

    Voices of the wanted sex and age come first, then of that sex, then the rest; among them one whose variant nobody in
    `taken` has, whatever their language. Without a wish the sexes take turns. Raises CastError for an unknown sex or
    age.
    """
    for what, value, allowed in (("sex", sex, SEXES), ("age", age, AGES)):
        if value is not None and value not in allowed:
            raise CastError(f"{what} {value!r} is none of {', '.join(allowed)}.")
    used = {voice.rpartition("/")[2] for voice in taken}
    wanted_age = age or "adult"
    wanted_sex = sex or min(SEXES, key=lambda s: sum(BY_NAME[name].sex == s for name in used if name in BY_NAME))

    def fit(variant: Variant) -> tuple[bool, bool, int, int]:
        distance = abs(AGES.index(variant.age) - AGES.index(wanted_age))
        child = (variant.age == "child") != (wanted_age == "child")
        return variant.sex != wanted_sex, child, distance, VARIANTS.index(variant)

    order = sorted(VARIANTS, key=fit)
    free = [variant for variant in order if variant.name not in used]
    best = (free or order)[0]
    if sex is not None and best.sex != sex:
        # All of one sex are taken: a second person with the same voice is better than one with the wrong sex.
        best = order[len(used) % sum(variant.sex == sex for variant in VARIANTS)]
    return f"{language}/{best.name}"
