"""Tool calls: the card's own request, streamed and not, the way back, several tools."""

from __future__ import annotations

import json

from launcher.json_values import JsonObject, JsonValue, at
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import Answer, ToolCall, calls_of
from launcher.smoke.check import check
from launcher.smoke.checks.toolbox import CARD_QUESTION, TIME, WEATHER, judge_calls
from launcher.smoke.outcome import Outcome, inconclusive
from launcher.smoke.session import Messages, Session


@check(
    "tool-call",
    "the model card's get_weather call fits its schema",
    tags="quick tools",
    needs="tools",
)
def tool_call(session: Session) -> Outcome:
    """tool_choice auto: the call comes in tool_calls, not as text."""
    answer = session.answered(CARD_QUESTION, tools=[WEATHER], tool_choice="auto")
    calls = judge_calls(session, answer.choice, WEATHER)
    return session.outcome(_describe_calls(calls), seconds=answer.seconds)


@check(
    "tool-call-stream",
    "the card's call in a stream: its pieces join to JSON",
    tags="quick tools",
    needs="tools-stream",
)
def tool_call_stream(session: Session) -> Outcome:
    """Name and id once, arguments in order."""
    answer = session.answered(CARD_QUESTION, tools=[WEATHER], tool_choice="auto", stream=True)
    session.require(bool(answer.chunks), "no-stream", "a stream of events", "a plain answer")
    calls = judge_calls(session, answer.choice, WEATHER)
    names = _names_streamed(answer)
    session.expect(len(names) == len(calls), "tool-name-repeated", "each call's name once", names)
    plain = session.answered(CARD_QUESTION, tools=[WEATHER], tool_choice="auto")
    if plain.choice.calls:
        _same_calls(session, plain.choice.calls, calls)
    return session.outcome(_describe_calls(calls), seconds=answer.seconds)


@check(
    "tool-not-called",
    "a question that needs no tool is answered without one",
    tags="tools",
    needs="tools skill-tool-restraint",
    kind="skill",
)
def tool_not_called(session: Session) -> Outcome:
    """A greeting triggers no call."""
    answer = session.answered("Hello!", tools=[WEATHER], tool_choice="auto")
    session.skill(
        not answer.choice.calls, "needless-call", "no call", _describe_calls(answer.choice.calls)
    )
    reason = answer.choice.finish_reason
    if not answer.choice.calls:
        session.expect(reason == "stop", "finish-reason", "finish_reason stop", reason)
    return session.outcome("no call for a greeting")


@check(
    "tool-round-trip",
    "the tool's result finds its way into the answer",
    tags="tools",
    needs="tools skill-tool-result",
    kind="skill",
)
def tool_round_trip(session: Session) -> Outcome:
    """Call, result, answer: a condition that only the result names comes back."""
    first = session.answered(CARD_QUESTION, tools=[WEATHER], tool_choice="auto")
    calls = judge_calls(session, first.choice, WEATHER)
    result = json.dumps({"temperature": 17, "condition": "stormy"})
    messages = _with_results(CARD_QUESTION, calls, [result] * len(calls))
    answer = session.answered(messages, tools=[WEATHER], tool_choice="auto")
    text = session.speaks(answer)
    session.skill(
        "storm" in text.lower() or "17" in text,
        "result-lost",
        "the condition or the temperature of the result",
        text or answer.choice.calls,
    )
    return session.outcome(f"answered {text[:80]!r}")


@check(
    "tool-two",
    "of two tools the right one is called",
    tags="tools",
    needs="tools skill-tool-selection",
    kind="skill",
)
def tool_two(session: Session) -> Outcome:
    """Each question calls its own tool."""
    for question, expected_names in (
        (CARD_QUESTION, "get_weather"),
        ("What time is it in Paris?", "get_time"),
    ):
        answer = session.answered(question, tools=[TIME, WEATHER], tool_choice="auto")
        calls = judge_calls(session, answer.choice, WEATHER, TIME)
        session.skill(
            calls[0].name == expected_names,
            "wrong-tool",
            f"{expected_names} for {question!r}",
            calls[0].name,
        )
    return session.outcome("each question called its own tool")


@check(
    "tool-parallel",
    "two cities give two calls in one answer",
    tags="tools",
    needs="tools tools-parallel skill-parallel-tools",
    kind="skill",
)
def tool_parallel(session: Session) -> Outcome:
    """Ids differ and each city is asked for, streamed and not."""
    question = "What's the weather in Paris and Tokyo?"
    for stream in (False, True):
        answer = session.answered(question, tools=[WEATHER], tool_choice="auto", stream=stream)
        calls = judge_calls(session, answer.choice, WEATHER)
        places = " ".join(c.arguments for c in calls)
        both = len(calls) >= 2 and "Paris" in places and "Tokyo" in places
        how = "streamed" if stream else "plain"
        session.skill(
            both,
            "parallel-calls",
            f"a call for Paris and one for Tokyo ({how})",
            _describe_calls(calls),
        )
    return session.outcome("two cities, two calls")


def _same_calls(
    session: Session, plain: tuple[ToolCall, ...], streamed: tuple[ToolCall, ...]
) -> None:
    """At temperature 0 the same calls; each request's calls have ids of their own."""
    ids = {c.id for c in plain} & {c.id for c in streamed}
    session.expect(
        not ids, "tool-id-reused", "ids that no other request's calls had", sorted(map(str, ids))
    )
    call_lists = [[(c.name, _value(c.arguments)) for c in calls] for calls in (plain, streamed)]
    if call_lists[0] != call_lists[1]:
        again = session.answered(CARD_QUESTION, tools=[WEATHER], tool_choice="auto").choice.calls
        steady = [(c.name, _value(c.arguments)) for c in again] == call_lists[0]
        session.expect(
            not steady,
            "tool-stream-differs",
            f"{_describe_calls(plain)} as plain",
            _describe_calls(streamed),
        )


def _value(arguments: str) -> JsonValue:
    try:
        value: JsonValue = loads(arguments, strict=False)
    except ValueError:
        return arguments
    return value


def _with_results(question: str, calls: tuple[ToolCall, ...], results: list[str]) -> Messages:
    message: JsonObject = {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": c.id or f"call_{i}",
                "type": "function",
                "function": {"name": c.name, "arguments": c.arguments},
            }
            for i, c in enumerate(calls)
        ],
    }
    try:
        [loads(c.arguments, strict=False) for c in calls]
    except ValueError as error:
        raise inconclusive("the first call's arguments are not JSON: see tool-call") from error
    result_messages = [
        {"role": "tool", "tool_call_id": c.id or f"call_{i}", "content": result}
        for i, (c, result) in enumerate(zip(calls, results, strict=True))
    ]
    return [{"role": "user", "content": question}, message, *result_messages]


def _names_streamed(answer: Answer) -> list[str]:
    names = []
    for chunk in answer.chunks:
        for delta in chunk.deltas:
            for call in calls_of(delta):
                name = at(call, "function", "name")
                if name:
                    names.append(str(name))
    return names


def _describe_calls(calls: tuple[ToolCall, ...]) -> str:
    return ", ".join(f"{c.name}({c.arguments.strip()})" for c in calls) or "no call"
