"""Fields of JSON without a promised shape."""

from __future__ import annotations

import pytest

from launcher.json_values import (
    JsonValue,
    at,
    integer_at,
    list_at,
    number_at,
    object_at,
    text_at,
    texts_at,
)

ANSWER: JsonValue = {
    "choices": [{"message": {"content": "Paris", "tool_calls": None}, "index": 0}],
    "usage": {"total_tokens": 7, "seconds": 0.5, "cached": True},
}


def test_a_field_is_read_by_keys_and_indexes() -> None:
    assert text_at(ANSWER, "choices", 0, "message", "content") == "Paris"
    assert text_at(ANSWER, "choices", -1, "message", "content") == "Paris"
    assert integer_at(ANSWER, "usage", "total_tokens") == 7
    assert number_at(ANSWER, "usage", "seconds") == 0.5
    assert object_at(ANSWER, "usage")["cached"] is True
    assert len(list_at(ANSWER, "choices")) == 1


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "text", [], {}, [ANSWER], "choices"])
def test_another_shape_gives_a_neutral_value(value: JsonValue) -> None:
    path = ("choices", 0, "message")
    assert at(value, *path) is None
    assert object_at(value, *path) == {}
    assert list_at(value, *path) == ()
    assert text_at(value, *path, default="none") == "none"
    assert number_at(value, *path) is None
    assert integer_at(value, *path) is None


def test_an_index_beyond_the_list_is_no_value() -> None:
    assert at(ANSWER, "choices", 1) is None
    assert at(ANSWER, "choices", -2) is None
    assert at("text", 0) is None


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_number_that_no_float_can_hold_is_none(value: int) -> None:
    assert integer_at({"n": value}, "n") is None
    assert number_at({"n": value}, "n") is None
    assert number_at({"n": 10**300}, "n") == 10**300


def test_a_bool_is_no_number_and_a_float_is_no_whole_number() -> None:
    assert number_at(ANSWER, "usage", "cached") is None
    assert integer_at(ANSWER, "usage", "cached") is None
    assert integer_at(ANSWER, "usage", "seconds") is None


def test_a_list_of_texts() -> None:
    assert texts_at({"a": ["x", 2.2, None]}, "a") == ("x", "2.2", "None")
    assert texts_at({"a": "x"}, "a") == texts_at({}, "a") == ()
