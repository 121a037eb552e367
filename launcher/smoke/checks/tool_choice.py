"""tool_choice: required, named and none are orders, not hints; streamed and not."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.json_values import JsonValue
from launcher.smoke.check import check
from launcher.smoke.checks.toolbox import (
    CARD_QUESTION,
    TIME,
    WEATHER,
    called_in_text,
    judge_calls,
    name_of,
    named,
)
from launcher.smoke.outcome import Outcome
from launcher.smoke.session import Session

TIME_QUESTION = "What time is it in Paris?"
NO_NEED = "Hello!"
"""A message that gives a free model no reason to call: only the order makes it."""


@check(
    "tool-required",
    "tool_choice required makes a call in any case",
    tags="tools",
    needs="tools-required",
)
def tool_required(session: Session) -> Outcome:
    """A greeting, answered with a call that fits the schema."""
    return _forced(session, "required", NO_NEED, stream=False)


@check(
    "tool-required-stream",
    "tool_choice required makes a call in a stream, too",
    tags="tools",
    needs="tools-required tools-stream",
)
def tool_required_stream(session: Session) -> Outcome:
    """A greeting, answered with a call that fits the schema."""
    return _forced(session, "required", NO_NEED, stream=True)


@check("tool-named", "a named tool_choice calls that tool", tags="tools", needs="tools-named")
def tool_named(session: Session) -> Outcome:
    """Of two tools the one that the question does not ask for."""
    return _forced(session, named(WEATHER), TIME_QUESTION, stream=False)


@check(
    "tool-named-stream",
    "a named tool_choice calls that tool in a stream, too",
    tags="tools",
    needs="tools-named tools-stream",
)
def tool_named_stream(session: Session) -> Outcome:
    """Of two tools the one that the question does not ask for."""
    return _forced(session, named(WEATHER), TIME_QUESTION, stream=True)


@check("tool-none", "tool_choice none makes no call", tags="tools", needs="tools-none")
def tool_none(session: Session) -> Outcome:
    """The card's question, answered in words, streamed and not."""
    for stream in (False, True):
        answer = session.answered(CARD_QUESTION, tools=[WEATHER], tool_choice="none", stream=stream)
        calls = answer.choice.calls
        session.expect(not calls, "call-despite-none", "no call", [c.name for c in calls])
        session.expect(
            not called_in_text(answer.choice, ["get_weather"]),
            "tool-call-as-text",
            "no call in the text",
            answer.choice.content,
        )
        reason = answer.choice.finish_reason
        session.expect(reason in ("stop", "length"), "finish-reason", "finish_reason stop", reason)
    return session.outcome("no call")


def _forced(session: Session, choice: JsonValue, question: str, *, stream: bool) -> Outcome:
    answer = session.answered(question, tools=[WEATHER, TIME], tool_choice=choice, stream=stream)
    if stream:
        session.require(bool(answer.chunks), "no-stream", "a stream of events", "a plain answer")
    chosen = answer.choice
    if not chosen.calls:
        code = "tool-call-as-text" if called_in_text(chosen, ["get_"]) else "tool-choice-ignored"
        session.require(False, code, "the call that tool_choice orders", chosen.content)
    # OpenAI ends a forced named call with `stop`; servers differ and clients take both.
    reason = chosen.finish_reason
    finish = reason if reason in ("stop", "tool_calls") else "tool_calls"
    calls = judge_calls(session, chosen, WEATHER, TIME, finish=finish)
    if isinstance(choice, Mapping):
        expected_name = name_of(choice)
        names = [c.name for c in calls]
        session.expect(
            set(names) == {expected_name}, "wrong-tool", f"a call of {expected_name}", names
        )
    return session.outcome(", ".join(f"{c.name}({c.arguments.strip()})" for c in calls))
