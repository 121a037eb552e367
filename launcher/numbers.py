"""Numbers for people."""

from __future__ import annotations


def short(value: float, digits: int = 4) -> str:
    """`12345`, `12.35`, `0.1235`: significant digits, never fewer than the whole part has.

    The format `g` alone would write 12345 with an exponent.
    """
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
