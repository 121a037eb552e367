"""JSON of any shape, where a check reads a server's, an SDK's or a user's: a verdict, no error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import UsageError
from launcher.json_values import JsonObject, JsonValue
from launcher.smoke.answers.answer import Chunk, error_text, from_chunks, from_json
from launcher.smoke.clients import messages_dialect
from launcher.smoke.clients.base import Endpoint, UnsupportedError
from launcher.smoke.comparison import baseline, cost, toolset
from launcher.smoke.judgement.ledger import Entry, judge
from launcher.smoke.judgement.schema import unknown_words, violations
from launcher.smoke.target import Target

TARGET = Target("x", "url", Endpoint("http://x/v1", "m"), "m")
NAMES = st.sampled_from(
    [
        "type",
        "index",
        "delta",
        "choices",
        "usage",
        "content",
        "message",
        "tool_calls",
        "function",
        "name",
        "id",
        "arguments",
        "logprobs",
        "content_block",
        "input_tokens",
        "stop_reason",
        "role",
        "messages",
        "tools",
        "stop",
        "properties",
        "items",
        "enum",
        "minimum",
        "required",
    ]
)
KINDS = st.sampled_from(
    [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "message_delta",
        "error",
        "tool_use",
        "text",
        "text_delta",
        "input_json_delta",
        "thinking",
        "object",
        "array",
        "tool",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)


@given(bodies=st.lists(OBJECTS, min_size=1, max_size=4), request=OBJECTS)
def test_answers_are_read_and_judged(bodies: list[JsonObject], request: JsonObject) -> None:
    chunks = tuple(Chunk(0.1, body) for body in bodies)
    translated, _ = messages_dialect.chunks(chunks)
    answers = [
        from_chunks(chunks, 1.0, None),
        from_chunks(tuple(translated), 1.0, None),
        from_json(bodies[0], 200, 1.0),
        from_json(messages_dialect.response(bodies[0]), 200, 1.0),
    ]
    findings = judge([Entry("chat", "requests", request, a) for a in answers], TARGET)
    assert all(isinstance(one.text(), str) for one in findings)
    assert isinstance(error_text(bodies[0]), str)


@given(body=OBJECTS)
def test_a_conversation_is_translated_or_refused(body: JsonObject) -> None:
    try:
        sent = messages_dialect.request({k: v for k, v in body.items() if k != "type"})
    except UnsupportedError:
        return
    assert "max_tokens" in sent


@given(schema=VALUES, value=VALUES)
def test_a_schema_is_judged_or_refused(schema: JsonValue, value: JsonValue) -> None:
    wrong = unknown_words(schema)
    if not wrong:
        assert isinstance(schema, dict)
        assert isinstance(violations(value, schema), list)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": [{}]}, "$: unknown type {}"),
        ({"minimum": "1"}, "$: minimum needs a number, not '1'"),
        ({"required": [[]]}, "$: required needs a list of names, not [[]]"),
        ({"enum": "c"}, "$: enum needs a list, not 'c'"),
        ({"items": {"maxItems": 1.5}}, "$.items: maxItems needs a whole number, not 1.5"),
    ],
)
def test_a_keyword_with_a_wrong_value_is_named(schema: JsonObject, message: str) -> None:
    assert unknown_words(schema) == [message]


@pytest.mark.parametrize(
    ("targets", "where"),
    [
        (5, "targets: expected an object"),
        ({"one": []}, "targets.one: expected an object"),
        ({"one": {"verdicts": {"chat": 1}, "tools": {}}}, "targets.one.verdicts.chat"),
        ({"one": {"verdicts": {}, "tools": {"trigger_rate": "x"}}}, "tools.trigger_rate"),
    ],
)
def test_a_baseline_of_another_shape_is_refused(
    targets: JsonValue, where: str, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"schema": baseline.SCHEMA, "targets": targets}))
    with pytest.raises(UsageError, match="not a baseline") as caught:
        baseline.read(path)
    assert where in str(caught.value)


@pytest.mark.parametrize("entry", ["x", {"prompt": 1}, {"prompt": "a", "call": ["get_time"]}])
def test_a_prompt_set_of_another_shape_is_refused(entry: JsonValue, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps({"prompts": [entry]}))
    with pytest.raises(UsageError, match="no prompt set"):
        toolset.prompts(path)


@pytest.mark.parametrize("text", ["[]", "prices: 3", "prices: [{model: x, input: a, output: 1}]"])
def test_a_price_list_of_another_shape_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="no price list"):
        cost.prices(path)
