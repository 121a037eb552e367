"""Parameters of dear tests: a few of them in `make test`, all of them in `make soak`."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest


def diagonal(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """All pairs for `@pytest.mark.parametrize(("one", "other"), diagonal(ONES, OTHERS))`.

    In `make test` each value of both is there once at least; the other pairs are for `make soak`.
    """
    longest = max(len(first), len(second))
    near = {(i % len(first), i % len(second)) for i in range(longest)}
    return [
        pytest.param(
            first[i], second[j], id=f"{first[i]}-{second[j]}",
            marks=() if (i, j) in near else pytest.mark.soak,
        )
        for i, j in product(range(len(first)), range(len(second)))
    ]  # fmt: skip


def some(values: Sequence[Any], always: Sequence[Any]) -> list[Any]:
    """All of `values`, those that are not in `always` for `make soak` only.

    Raises:
        ValueError: one of `always` is none of the values.
    """
    missing = [value for value in always if value not in values]
    if missing:
        raise ValueError(f"not among the values: {missing}")
    return [
        value if value in always else pytest.param(value, marks=pytest.mark.soak)
        for value in values
    ]
