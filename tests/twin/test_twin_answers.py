"""Answers and streams (section 10), and that the canned text depends on the prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.twin.conftest import Start
from tests.twin.driver import Twin

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Determine weather in my location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string"},
                "unit": {"type": "string", "enum": ["c", "f"]},
            },
            "additionalProperties": False,
            "required": ["location", "unit"],
        },
        "strict": True,
    },
}
QUESTION = "How 's the weather in Beijing today?"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the capital of France?", "Paris"),
        ("What is the capital of China?", "Beijing"),
        ("中国的首都是哪里？", "北京"),
        ("Hello!", "How can I help you"),
        ("你好", "有什么可以帮您的吗"),
        ("What is 1+1?", "2"),
        ("what is two plus two?", "4"),
        ("Count from 1 to 5.", "1, 2, 3, 4, 5"),
        ('Reply with exactly "marker-7F3a".', "marker-7F3a"),
        ("Reply with exactly: PONG_42", "PONG_42"),
        ("Repeat after me: zebra", "zebra"),
        ("Say OK.", "OK"),
        ("Say hello with an emoji.", "😀"),
        ("介绍一下你自己", "测试模型"),
    ],
)
def test_answers_depend_on_the_question(served: Twin, question: str, answer: str) -> None:
    assert answer in served.says(question)


def test_fields_of_an_answer(served: Twin) -> None:
    body = served.chat("What is the capital of France?")
    choice, usage = body["choices"][0], body["usage"]
    assert choice["message"]["content"] == "\nThe capital of France is Paris.\n"
    assert choice["message"]["reasoning_content"]
    assert choice["message"]["tool_calls"] is None
    assert choice["finish_reason"] == "stop"
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"].keys() >= {"cached_tokens", "image_tokens"}
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 0


def test_a_short_budget_ends_in_the_thinking(served: Twin) -> None:
    choice = served.chat("What is the capital of France?", max_tokens=3)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == ""
    assert choice["message"]["reasoning_content"]


def test_fields_of_a_stream(served: Twin) -> None:
    events = served.stream("What is the capital of France?", stream_options={"include_usage": True})
    assert events[-1] == "[DONE]"
    assert events[-2]["choices"] == []
    chunks = [event["choices"][0] for event in events[:-2]]
    assert chunks[0]["delta"]["role"] == "assistant"
    assert "finish_reason" in chunks[-1]
    assert not [chunk for chunk in chunks[:-1] if "finish_reason" in chunk]
    assert all({"content", "reasoning_content"} <= chunk["delta"].keys() for chunk in chunks)
    text = "".join(chunk["delta"]["content"] for chunk in chunks)
    assert text == "\nThe capital of France is Paris.\n"
    assert chunks[-1]["finish_reason"] == "stop"
    usage = served.chat("What is the capital of France?")["usage"]
    streamed = events[-2]["usage"]
    assert streamed["completion_tokens"] == usage["completion_tokens"]
    counted = [u["completion_tokens_details"]["reasoning_tokens"] for u in (usage, streamed)]
    assert counted[1] == 2 * counted[0] - 1, "the stream counts wrongly"


def test_usage_comes_only_if_asked(served: Twin) -> None:
    events = served.stream("Hello")
    assert events[-1] == "[DONE]"
    assert not [event for event in events[:-1] if "usage" in event]


def test_multibyte_characters_are_not_split(served: Twin) -> None:
    events = served.stream('Reply with exactly "źdźbło 😀 漢字"')
    text = "".join(event["choices"][0]["delta"]["content"] for event in events[:-1])
    assert text.strip() == "źdźbło 😀 漢字"


def test_tool_calls_whole(served: Twin) -> None:
    choice = served.chat(QUESTION, tools=[WEATHER])["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"location": "Beijing", "unit": "c"}


def test_tool_calls_streamed(served: Twin) -> None:
    events = served.stream(QUESTION, tools=[WEATHER])
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    calls = [delta["tool_calls"][0] for delta in deltas if delta["tool_calls"]]
    assert calls[0]["function"] == {"name": "get_weather"}
    assert calls[0]["id"].startswith("chatcmpl-tool-")
    pieces = [call["function"]["arguments"] for call in calls[1:]]
    assert pieces[0].startswith(" "), "raw text, with its leading space"
    assert json.loads("".join(pieces)) == {"location": "Beijing", "unit": "c"}
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_two_places_are_two_calls(served: Twin) -> None:
    text = "What is the weather in Paris and in Tokyo?"
    calls = served.chat(text, tools=[WEATHER])["choices"][0]["message"]["tool_calls"]
    places = [json.loads(call["function"]["arguments"])["location"] for call in calls]
    assert places == ["Paris", "Tokyo"]


def test_tools_are_not_called_for_other_questions(served: Twin) -> None:
    body = served.chat("What is the capital of France?", tools=[WEATHER])
    assert body["choices"][0]["message"]["tool_calls"] is None
    body = served.chat(QUESTION, tools=[WEATHER], tool_choice="none")
    assert body["choices"][0]["message"]["tool_calls"] is None


def test_tool_results_are_reported(served: Twin) -> None:
    call = {"id": "1", "type": "function",
            "function": {"name": "get_weather", "arguments": "{}"}}  # fmt: skip
    messages: list[Any] = [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny, 31 degrees"},
    ]
    assert "31 degrees" in served.says(*messages, tools=[WEATHER])


def test_json_answers(served: Twin) -> None:
    text = "Bob is 41 years old. Give me name and age as JSON."
    answer = json.loads(served.says(text))
    assert answer == {"name": "Bob", "age": 41}
    shape = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
    layout = {"type": "json_schema", "json_schema": {"name": "t", "schema": shape}}
    assert json.loads(served.says("Where?", response_format=layout)).keys() == {"town"}


def test_memory_over_turns(served: Twin) -> None:
    texts: list[Any] = [
        "My name is Grace.",
        {"role": "assistant", "content": "Nice."},
        "What is my name?",
    ]
    assert "Grace" in served.says(*texts)
    assert "Grace" not in served.says("What is my name?")


def test_system_messages_are_obeyed(served: Twin) -> None:
    system = {"role": "system", "content": "Always answer with the word BANANA."}
    assert served.says(system, "What is the capital of France?") == "BANANA"


def test_a_needle_is_found(served: Twin) -> None:
    hay = "The grass is green. " * 20
    text = f"{hay}The secret number is 73914. {hay}What is the secret number?"
    assert "73914" in served.says(text)


def test_stop_strings(served: Twin) -> None:
    choice = served.chat("Count from 1 to 5.", stop=["3"])["choices"][0]
    assert choice["message"]["content"].strip() == "1, 2,"
    assert choice["finish_reason"] == "stop"
    kept = served.chat("Count from 1 to 5.", stop="3", include_stop_str_in_output=True)
    assert kept["choices"][0]["message"]["content"].strip() == "1, 2, 3"


def test_several_choices(served: Twin) -> None:
    body = served.chat("Say OK.", n=2)
    assert [choice["index"] for choice in body["choices"]] == [0, 1]


def test_sampling_shows(served: Twin) -> None:
    question = "What is the capital of France?"
    plain = served.says(question)
    assert served.says(question, temperature=0) == served.says(question, top_p=0.5) == plain
    hot = [served.says(question, temperature=1.5, seed=seed) for seed in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]
    assert served.says(question, frequency_penalty=2.0) != plain


def test_text_completions(served: Twin) -> None:
    body = {"prompt": "What is the capital of France?", "max_tokens": 64}
    status, raw = served.http("POST", "/v1/completions", body)
    choice = json.loads(raw)["choices"][0]
    assert status == 200
    assert "Paris" in choice["text"]
    assert choice["reasoning_content"]


def test_without_parsers_all_is_content(start: Start) -> None:
    twin = start("--enable-logprob").wait_ready()
    body = twin.chat("What is the capital of France?", logprobs=True, top_logprobs=2)
    choice = body["choices"][0]
    assert choice["message"]["content"] == "The capital of France is Paris."
    assert choice["message"]["reasoning_content"] is None
    entries = choice["logprobs"]["content"]
    assert len(entries) == body["usage"]["completion_tokens"]
    assert len(entries[0]["top_logprobs"]) == 2
    raw = twin.says(QUESTION, tools=[WEATHER])
    assert raw.startswith("<tool_call>"), "no tool parser: the markup stays in content"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("answer-empty", lambda t: t.says("Hello") == ""),
        ("answer-wrong", lambda t: "Paris" not in t.says("What is the capital of France?")),
        ("answer-cut", lambda t: t.stream("Hello")[-1] != "[DONE]"),
        ("answer-no-done", lambda t: "finish_reason" in t.stream("Hello")[-1]["choices"][0]),
        ("answer-no-usage", lambda t: "usage" not in t.chat("Hello")),
        (
            "answer-bad-usage",
            lambda t: (
                (u := t.chat("Hello")["usage"])["total_tokens"]
                != u["prompt_tokens"] + u["completion_tokens"]
            ),
        ),
        ("answer-no-tools", lambda t: t.says(QUESTION, tools=[WEATHER]) != ""),
        ("answer-leaks-thinking", lambda t: "greet" in t.says("Hello")),
        ("answer-no-stop", lambda t: "3" in t.says("Count from 1 to 5.", stop=["3"])),
        (
            "answer-forgets",
            lambda t: "Grace" not in t.says("My name is Grace.", "What is my name?"),
        ),
    ],
)
def test_faults_of_the_answers(start: Start, fault: str, expected: Any) -> None:
    flags = ("--reasoning-parser", "ernie-x1", "--tool-call-parser", "ernie-x1")
    assert expected(start(*flags, fault=fault).wait_ready())


def test_tool_arguments_that_are_no_json(start: Start) -> None:
    flags = ("--reasoning-parser", "ernie-x1", "--tool-call-parser", "ernie-x1")
    twin = start(*flags, fault="answer-bad-tools").wait_ready()
    (call,) = twin.chat(QUESTION, tools=[WEATHER])["choices"][0]["message"]["tool_calls"]
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(call["function"]["arguments"])
