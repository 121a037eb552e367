r"""What a scalar means, by the type its key has in the schema.

YAML 1.1 reads `on`, `1:30`, `010` and `2.10` as true, 90, 8 and 2.1. A profile has none of these
surprises: a scalar stays the text that was written until its key's type reads it.

* Text (`name`, `engine-version`, `revision`, values of `env`, ...) is what was written: `2.10` is
  "2.10", `on` is "on", quoted or not.
* Numbers are decimal; `010`, `1_000` and `1:30` are errors that say what to write. A quoted number
  is an error too, unless a variable was put into it.
* Durations are seconds or have a unit (`90s`, `15m`, `2h`), sizes are bytes or have one (`64MiB`).
* Where the schema has no type (`engine-args`, `smoke.expect`, ...) a plain scalar is what YAML 1.2
  and JSON say: null, true, false, a number, else text. `on`, `1:30` and `010` are text there. A
  number with a fraction that would print differently (`2.10`) stays text directly under a flag's
  name, so that the engine gets what was written.
"""

from __future__ import annotations

import math
import re

from launcher.json_values import JsonValue
from launcher.profile.nodes import Scalar

_INTEGER = r"[-+]?(0|[1-9][0-9]*)"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
_DURATION = r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(ms|s|m|h|d)?"
_SIZE = r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTkmgt][iI]?[bB]|[bB])?"
_HOST = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_LONGEST_HOST = 253
"""Characters of a host's name (RFC 1035)."""
_URL = r"https?://[^\s/?#@]+(/[^\s?#]*)?"
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}
_DIGITS = 18
"""Digits of the largest number taken: every count, size and port is far below."""

NAME = r"[a-z0-9][a-z0-9.-]{0,47}"
REFERENCE = r"(env:[A-Za-z_][A-Za-z0-9_]*|file:(?!//)\S.*|cmd:\s*\S.*)"
DEVICE = r"[0-9]+|(?:GPU|MIG)-[A-Za-z0-9./-]+"


LONGEST_LINE = 4096
"""Characters of a value on one line, such as a path: Linux takes no longer ones."""


class ScalarError(Exception):
    """The scalar cannot be read as its type; `code`, message and remedy for the reader."""

    def __init__(self, message: str, remedy: str | None = None, code: str = "wrong-type") -> None:
        self.code, self.message, self.remedy = code, message, remedy
        super().__init__(message)


def quote_value(text: str) -> str:
    """`text` quoted for a message, cut where it is long."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def text(node: Scalar) -> str:
    """What was written; not empty."""
    if not node.text.strip():
        raise ScalarError("is empty", "give a value, or remove the key", "empty-value")
    if "\0" in node.text:
        raise ScalarError("holds a NUL character", code="bad-value")
    return node.text


def line(node: Scalar) -> str:
    """What was written, on one line."""
    value = text(node)
    if len(value) > LONGEST_LINE:
        raise ScalarError(
            f"{quote_value(value)} has {len(value)} characters, more than {LONGEST_LINE}",
            code="out-of-range",
        )
    if any(ord(c) < 32 or c in "\x7f\x85\u2028\u2029" for c in value):
        raise ScalarError(
            "is one line of text, this has a line break or a control character", code="bad-value"
        )
    return value.strip()


def name(node: Scalar) -> str:
    """An instance's name."""
    value = line(node)
    if not re.fullmatch(NAME, value):
        raise ScalarError(
            f"{quote_value(value)} is not a name: lower-case letters, digits, dots and dashes, not"
            " beginning with a dot or a dash, at most 48",
            f"such as {_as_name(value)}",
            "bad-name",
        )
    return value


def _as_name(value: str) -> str:
    name = re.sub(r"[^a-z0-9.-]+", "-", value.lower()).strip("-.")[:48]
    return name or "ernie"


def version(node: Scalar) -> str:
    """A release, or a constraint on releases, as written."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    value = line(node)
    try:
        if value[0].isdigit():
            Version(value)
        else:
            SpecifierSet(value)
    except (InvalidVersion, InvalidSpecifier):
        raise ScalarError(
            f"{quote_value(value)} is neither a version nor a constraint on versions",
            'write it like 2.3.2, or ">=2.2,<2.5"',
            "bad-version",
        ) from None
    return value


def host(node: Scalar) -> str:
    """An address or a host's name, without scheme and port."""
    value = line(node)
    if not _is_host(value):
        raise ScalarError(
            f"{quote_value(value)} is not an address or host name",
            "such as 127.0.0.1, 0.0.0.0 or ::1; the port goes under `ports`",
            "bad-host",
        )
    return value


def _is_host(value: str) -> bool:
    if len(value) > _LONGEST_HOST:
        return False
    if ":" not in value:
        return bool(re.fullmatch(_HOST, value))
    import ipaddress

    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return True


def url(node: Scalar) -> str:
    """An http or https URL without a query."""
    value = line(node)
    if re.match(r"[a-z]+://[^/]*@", value):
        raise ScalarError(
            "has a user or password before the `@`: a secret in clear",
            "give the secret as a reference, in `api-key` or `headers`",
            "secret-in-clear",
        )
    if not re.fullmatch(_URL, value):
        raise ScalarError(
            f"{quote_value(value)} is not an http or https URL",
            "such as https://api.example.com/v1",
            "bad-url",
        )
    return value.rstrip("/")


def secret(node: Scalar) -> str:
    """A reference to a secret; what is written is never repeated."""
    value = node.text.strip()
    if not re.fullmatch(REFERENCE, value) or "\0" in value:
        raise ScalarError(
            "is not a reference, and a secret never stands in a profile",
            "write env:NAME, file:PATH or cmd:COMMAND",
            "secret-in-clear",
        )
    return value


def parse_integer(node: Scalar, least: int, most: int | None = None) -> int:
    """A whole number from `least` to `most`."""
    value = _number_text(node, "a whole number")
    if not re.fullmatch(_INTEGER, value):
        raise ScalarError(f"{quote_value(value)} is not a whole number", _advice(value))
    if len(value) > _DIGITS:
        raise ScalarError(f"{quote_value(value)} is too large a number", code="out-of-range")
    number = int(value)
    if number < least or (most is not None and number > most):
        limits = f"at least {least}" if most is None else f"between {least} and {most}"
        raise ScalarError(f"{number} is not {limits}", code="out-of-range")
    return number


def duration(node: Scalar) -> float | int:
    """Seconds."""
    return seconds(_number_text(node, "a duration", quoted=_DURATION))


def seconds(value: str) -> float | int:
    """The seconds of a duration as a profile or an option spells it.

    Raises:
        ScalarError: it is none.
    """
    match = re.fullmatch(_DURATION, value)
    if not match:
        raise ScalarError(
            f"{quote_value(value)} is not a duration",
            _advice(value, "write seconds, or a unit: 90s, 15m, 2h"),
        )
    number = float(match[1]) * _SECONDS[match[2]]
    if not number <= 366 * 86400:
        raise ScalarError(f"{quote_value(value)} is longer than a year", code="out-of-range")
    return int(number) if number == int(number) else number


def boolean(node: Scalar) -> bool:
    """`true` or `false`; YAML 1.1's `on`, `yes` and the rest are refused."""
    value = node.text.strip().lower()
    if value not in ("true", "false"):
        raise ScalarError(f"{quote_value(node.text)} is neither true nor false", _BOOLEAN)
    return value == "true"


_BOOLEAN = "write true or false"


def size(node: Scalar) -> int:
    """Bytes."""
    value = _number_text(node, "a size", quoted=_SIZE)
    match = re.fullmatch(_SIZE, value)
    if not match or len(match[1]) > _DIGITS:
        raise ScalarError(
            f"{quote_value(value)} is not a size",
            _advice(value, "write bytes, or a unit: 64MiB, 2GiB"),
        )
    unit = (match[2] or "B").upper()
    scale = 1 if unit == "B" else (1024 if "I" in unit else 1000) ** (" KMGT".index(unit[0]))
    return int(float(match[1]) * scale)


def device(node: Scalar) -> str:
    """One GPU: its number or its UUID."""
    value = line(node)
    if not re.fullmatch(DEVICE, value):
        raise ScalarError(
            f"{quote_value(value)} is not a GPU number or UUID",
            "such as 0, or GPU-8f3c...",
            "bad-gpu",
        )
    return value


def untyped(node: Scalar, *, as_written: bool = False) -> JsonValue:
    """What YAML 1.2 and JSON make of it; with `as_written` only what prints the same again."""
    value = node.text
    if "\0" in value:
        raise ScalarError("holds a NUL character", code="bad-value")
    if not node.plain:
        return value
    if value in ("true", "True", "TRUE"):
        return True
    if value in ("false", "False", "FALSE"):
        return False
    if node.is_null:
        return None
    if re.fullmatch(_INTEGER, value) and len(value) <= _DIGITS:
        number = int(value)
        return value if as_written and str(number) != value else number
    if (
        re.fullmatch(_FLOAT, value)
        and re.search(r"[.eE]", value)
        and not re.match(r"[-+]?0[0-9]", value)
    ):
        real = float(value)
        if math.isfinite(real) and not (as_written and repr(real) != value):
            return real
    return value


def _number_text(node: Scalar, what: str, quoted: str | None = None) -> str:
    """The text of a number; a quoted one was meant as text, unless a variable is in it."""
    value = node.text.strip()
    if not value:
        raise ScalarError("is empty", "give a value, or remove the key", "empty-value")
    bare = node.plain or node.expanded
    if not bare and not (
        quoted and re.fullmatch(quoted, value) and not re.fullmatch(_FLOAT, value)
    ):
        remedy = "remove the quotes" if re.fullmatch(_FLOAT, value) else None
        raise ScalarError(f"{what} is expected, this is text ({quote_value(value)})", remedy)
    return value


def _advice(value: str, otherwise: str | None = None) -> str | None:
    plain = value.replace("_", "").replace(",", "")
    if re.fullmatch(r"[0-9]+(:[0-9]{1,2})+", value):
        seconds = 0
        for part in value.split(":")[:4]:
            seconds = seconds * 60 + int(part[:9])
        return f"write seconds: {seconds}" if otherwise and "seconds" in otherwise else otherwise
    if plain != value and re.fullmatch(_INTEGER, plain):
        return f"write {plain}"
    if re.fullmatch(r"0[0-9]+", value):
        return f"a leading zero is octal to some: write {value.lstrip('0') or '0'}"
    return otherwise
