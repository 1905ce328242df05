"""Canonical JSON: one text for one value, on every machine, and the way back into the dataclasses.

In: the domain's values (frozen dataclasses, tuples, mappings with text keys, Fractions, dates, text, numbers). Out: JSON
with sorted keys and no spaces, and digests of it. Does not know what a value means, nor where its text is kept.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from tasks.domain.errors import StoreError

T = TypeVar("T")


def plain(value: object) -> Any:
    """`value` in terms of JSON: a Fraction as "n/d", a date as in ISO 8601, a dataclass as its fields.

    Raises TypeError for a type without one canonical form (a set, a path, bytes), ValueError for a float not finite.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, date):
        return value.isoformat()
    return _plain_of_many(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} has no place in canonical JSON: only finite numbers do")
    return value + 0.0  # turns -0.0, which equals 0.0, into 0.0


def _plain_of_many(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"keys of canonical JSON are text, got {key!r}")
    return key


def canonical(value: object) -> str:
    """The one JSON text of `value`: equal values give equal text, in every process and on every machine."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: object) -> str:
    """SHA-256 of `canonical(value)` in UTF-8: 64 lower-case hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def to_json(value: object) -> bytes:
    """`canonical(value)` in UTF-8, as it is kept in a store."""
    return canonical(value).encode()


def from_json(kind: type[T], text: bytes | str) -> T:
    """The value of type `kind` that `to_json` wrote; exact, Fractions included.

    Raises StoreError where the text is not one: we kept it, so any other text is the store's fault or another release's.
    """
    adapter: TypeAdapter[T] = _adapter(kind)
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise StoreError(f"a kept {kind.__name__} cannot be read: {place}: {first['msg']}.") from error


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
