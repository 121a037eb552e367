"""The name that was probably meant, for the hint of an error."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_NAME = 200
"""Characters of a name that are compared: the time grows with the square of the length."""
MOST_NAMES = 5000
"""Names that are compared; the longest list, the options of an engine, has some hundred."""


def nearest(name: object, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of `names` whose letters are most like those of `name`, None where none is near.

    `cutoff` is the least likeness, from 0 to 1. A very long `name` is never near.
    """
    near = nearest_all(name, names, 1, cutoff)
    return near[0] if near else None


def nearest_all(name: object, names: Iterable[str], count: int, cutoff: float = 0.6) -> list[str]:
    """At most `count` of `names` that are like `name`, the nearest first; see `nearest`."""
    import difflib
    from itertools import islice

    text = str(name)
    if len(text) > LONGEST_NAME:
        return []
    candidates = list(islice(names, MOST_NAMES))
    return difflib.get_close_matches(text, candidates, n=count, cutoff=cutoff)


def did_you_mean(name: object, names: Iterable[str], cutoff: float = 0.6) -> str:
    """`; did you mean 'up'?` for the end of a message, empty where no name is near."""
    near = nearest(name, names, cutoff)
    return f"; did you mean {near!r}?" if near else ""


def likeness(one: str, second: str) -> float:
    """How alike the letters of two names are: 0 to 1."""
    import difflib

    return difflib.SequenceMatcher(None, one[:LONGEST_NAME], second[:LONGEST_NAME]).ratio()
