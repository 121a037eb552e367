"""JSON that a server wrote, read within bounds: whatever it holds, the reader gets a ValueError.

`json.loads` raises RecursionError on deep nesting, takes NaN, and makes infinity of 1e999; what
is read here can be walked by recursive code, compared, and written again as JSON.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

DEPTH = 100
"""Levels of nesting; answers of model servers have fewer than 20."""
SIZE = 8 << 20
"""Bytes or characters of one document."""
DIGITS = 400
"""Characters of one number; a float has at most some 330."""


def loads(text: str | bytes, *, strict: bool = True) -> Any:
    """The value of a JSON document.

    `strict` also refuses what readers in other languages would not read or not read alike: NaN,
    infinity, and a key that is given twice.

    Raises:
        ValueError: no JSON, or beyond a bound; the message says what is wrong.
    """
    if len(text) > SIZE:
        raise ValueError(f"more than {SIZE} bytes of JSON")
    if isinstance(text, (bytes, bytearray)):
        text = bytes(text).decode("utf-8-sig")
    try:
        if strict:
            value = json.loads(
                text,
                parse_int=_integer,
                parse_float=_float,
                parse_constant=_refuse_constant,
                object_pairs_hook=_object,
            )
        else:
            value = json.loads(text, parse_int=_integer)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEPTH):
        if not level:
            return
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, (dict, list))
        ]
    if level:
        raise ValueError(_too_deep())


def _too_deep() -> str:
    return f"JSON nested more than {DEPTH} levels deep"


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    if len(text) > DIGITS:
        raise ValueError(f"a number of {len(text)} characters")
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"a number that is too large: {text}")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not allowed in JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys: set[str] = set()
        twice = next(key for key, _ in pairs if key in keys or keys.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"an object with the key {twice[:80]!r} twice")
    return result
