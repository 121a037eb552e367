"""JSON of servers: read, or a ValueError that says why."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.probe.bounded_json import DEPTH, SIZE, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(-1e300, 1e300),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_json_writes_is_read(value: object) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value).encode(), strict=False) == value


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "levels deep"),
        ('{"a":' * 100_000, "levels deep"),
        ("[" * 100_000 + "]" * 100_000, "levels deep"),
        ("9" * 5_000, "5000 digits"),
        ("1" + " " * SIZE, "bytes of JSON"),
        (b"\xff", "decode byte"),
        ("{", "property name"),
    ],
)
def test_a_bound_is_named(text: str | bytes, why: str, strict: bool) -> None:
    with pytest.raises(ValueError, match=why):
        loads(text, strict=strict)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[NaN]", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e999", "too large"),
        ("0." + "1" * 500, "502 characters"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' twice"),
    ],
)
def test_what_readers_disagree_about_is_refused_in_answers_only(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        loads(text)
    loads(text, strict=False)


def test_the_deepest_that_is_read() -> None:
    assert loads("[" * DEPTH + "]" * DEPTH)


def test_the_message_names_the_depth() -> None:
    with pytest.raises(ValueError, match=rf"^JSON nested more than {DEPTH} levels deep$"):
        loads("[" * (DEPTH + 1) + "]" * (DEPTH + 1))


def test_the_documented_bounds() -> None:
    assert loads("9" * 400)
    with pytest.raises(ValueError, match="401 digits"):
        loads("9" * 401)
    assert loads("1" + " " * (8 * 1024 * 1024 - 1)) == 1
    with pytest.raises(ValueError, match="bytes of JSON"):
        loads("1" + " " * (8 * 1024 * 1024))
