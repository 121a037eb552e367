"""The tools that the checks offer, and the judgement of a call."""

from __future__ import annotations

from launcher.json_values import JsonObject, object_at, text_at
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import Choice, ToolCall
from launcher.smoke.answers.template_marks import TAGS
from launcher.smoke.judgement.schema import violations
from launcher.smoke.outcome import inconclusive
from launcher.smoke.session import Session

CARD_QUESTION = "How 's the weather in Beijing today?"
"""As the card of baidu/ERNIE-4.5-21B-A3B-Thinking asks it, the blank included."""

WEATHER: JsonObject = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Determine weather in my location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": "The city and state e.g. San Francisco, CA",
                },
                "unit": {"type": "string", "enum": ["c", "f"]},
            },
            "additionalProperties": False,
            "required": ["location", "unit"],
        },
        "strict": True,
    },
}
"""The tool of the model card's request."""

TIME: JsonObject = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Tell the local time in a city",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string", "description": "The city"}},
            "additionalProperties": False,
            "required": ["location"],
        },
        "strict": True,
    },
}


def name_of(tool: JsonObject) -> str:
    """The name of a tool, as a request offers it."""
    return text_at(tool, "function", "name")


def parameters_of(tool: JsonObject) -> JsonObject:
    """The schema of a tool's arguments."""
    return object_at(tool, "function", "parameters")


def named(tool: JsonObject) -> JsonObject:
    """The `tool_choice` that forces `tool`."""
    return {"type": "function", "function": {"name": name_of(tool)}}


def judge_calls(
    session: Session, choice: Choice, *tools: JsonObject, finish: str = "tool_calls"
) -> tuple[ToolCall, ...]:
    """At least one call, each of an offered tool with arguments valid against its schema.

    Raises:
        Stop: the answer has no call.
    """
    names = [name_of(t) for t in tools]
    if not choice.calls:
        _no_call(session, choice, names)
    if choice.finish_reason == "length" and not _is_complete(choice.calls[-1]):
        raise inconclusive("the token budget ended inside a call: raise `smoke.max-tokens`")
    by_name = {name_of(t): parameters_of(t) for t in tools}
    for call in choice.calls:
        is_known_tool = session.expect(
            call.name in by_name, "tool-name", f"a call of {' or '.join(names)}", call.name
        )
        session.expect(bool(call.id), "tool-id", "an id on the call", call.id)
        if is_known_tool:
            judge_arguments(session, call, by_name[call.name])
    ids = [c.id for c in choice.calls]
    session.expect(len(set(ids)) == len(ids), "tool-id", "ids that differ", ids)
    session.expect(
        choice.finish_reason == finish,
        "tool-finish",
        f"finish_reason {finish}",
        choice.finish_reason,
    )
    session.expect(
        not called_in_text(choice, names) or "{" not in choice.text,
        "call-doubled",
        "the call in tool_calls alone",
        f"and in the content {choice.content!r}",
    )
    leaked = [t for t in TAGS if t in (choice.content or "")]
    session.expect(not leaked, "tags-in-content", "no template tags in the content", leaked)
    return choice.calls


def judge_arguments(session: Session, call: ToolCall, schema: JsonObject) -> None:
    """The arguments of one call: JSON, and valid."""
    try:
        arguments = loads(call.arguments, strict=False)
    except ValueError:
        session.expect(False, "tool-json", "arguments that are JSON", call.arguments)
        return
    wrong = violations(arguments, schema)
    session.expect(not wrong, "tool-schema", "arguments valid against the schema", "; ".join(wrong))


def called_in_text(choice: Choice, names: list[str]) -> bool:
    """True where a call was written into the answer instead of being returned as one."""
    text = choice.content or ""
    return "<tool_call>" in text or (
        any(f'"{n}"' in text or f"{n}(" in text for n in names) and "{" in text
    )


def _is_complete(call: ToolCall) -> bool:
    try:
        loads(call.arguments, strict=False)
    except ValueError:
        return False
    return True


def _no_call(session: Session, choice: Choice, names: list[str]) -> None:
    session.require(
        not called_in_text(choice, names),
        "tool-call-as-text",
        "the call in tool_calls",
        f"content {choice.content!r}",
    )
    if choice.finish_reason == "length":
        raise inconclusive("the token budget ended before a call: raise `smoke.max-tokens`")
    if session.promised():
        session.require(False, "no-tool-call", f"a call of {' or '.join(names)}", choice.text)
    raise inconclusive(f"the model answered without a call: {choice.text[:120]!r}")
