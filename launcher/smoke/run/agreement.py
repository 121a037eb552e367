"""The same question through every client: what one user sees and another does not is a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from launcher.json_values import JsonObject
from launcher.smoke.answers.answer import Answer
from launcher.smoke.answers.template_marks import without_tags
from launcher.smoke.check import Check
from launcher.smoke.checks.toolbox import CARD_QUESTION, WEATHER
from launcher.smoke.clients.base import Client, TransportError
from launcher.smoke.clients.transcript import Redactor, Transcript
from launcher.smoke.outcome import Outcome, passed
from launcher.smoke.run.results import Difference
from launcher.smoke.session import Session, shorten
from launcher.smoke.target import Target

DIALECT_OF = {"openai": "openai", "anthropic": "anthropic"}
"""Clients that speak one dialect only; plain requests speak the target's."""


def disagreements(target: Target, clients: Sequence[Client]) -> list[Difference]:
    """Fields that clients of the same dialect read differently from the same question.

    Temperature 0. A difference counts only where each client sees the same a second time; a
    request that only one of them gets answered is a difference, too.
    """
    is_equal = [
        c
        for c in clients
        if DIALECT_OF.get(c.name, target.endpoint.dialect) == target.endpoint.dialect
    ]
    if len(is_equal) < 2:
        return []
    differences: list[Difference] = []
    questions: list[tuple[str, JsonObject]] = [("What is the capital of France?", {})]
    if target.promised("tools") is not False:
        questions.append((CARD_QUESTION, {"tools": [WEATHER], "tool_choice": "auto"}))
    for question, more in questions:
        for stream in (False, True):
            differences += _of_question(target, is_equal, question, more, stream)
    return differences


def _of_question(
    target: Target, clients: Sequence[Client], question: str, more: JsonObject, stream: bool
) -> list[Difference]:
    views = [_view(target, c, question, more, stream) for c in clients]
    if all(v == views[0] for v in views):
        return []
    if [_view(target, c, question, more, stream) for c in clients] != views:
        return []  # a client reads something else the second time: it is the server that varies
    how = "streamed" if stream else "plain"
    differences = []
    for name in dict.fromkeys(name for view in views for name in view):
        values = {c.name: v.get(name) for c, v in zip(clients, views, strict=True)}
        if len({repr(v) for v in values.values()}) > 1:
            safe = Redactor(target.secrets).text
            readings = {c: safe(shorten(v, 80)) for c, v in values.items()}
            differences.append(Difference(f"{name} of {question!r} ({how})", readings, False))
            if name == "outcome":
                break  # what else differs follows from it
    return differences


def _view(
    target: Target, client: Client, question: str, more: JsonObject, stream: bool
) -> Mapping[str, object]:
    """What one client sees, field by field; of an answer that failed only how."""
    asking = Check("clients-agree", "clients-agree", _nothing)
    session = Session(target, asking, client, Transcript(target.secrets))
    ask = session.stream if stream else session.chat
    try:
        answer = ask(question, **more)
    except TransportError as error:
        return {"outcome": error.kind}
    if answer.status != 200:
        return {"outcome": f"HTTP {answer.status}"}
    return {"outcome": "answered", **_comparable(answer)}


def _comparable(answer: Answer) -> dict[str, object]:
    choice = answer.choice
    return {
        # Tags that leak are a finding of their own, and where they leak in a stream hangs on how
        # its pieces fell; so do the newlines that parsers leave.
        "content": without_tags(choice.content or ""),
        "reasoning": (choice.reasoning or "").strip(),
        "calls": tuple((c.name, c.arguments) for c in choice.calls),
        "finish_reason": choice.finish_reason,
        "usage": replace(answer.usage, reasoning=None) if answer.usage else None,
    }


def _nothing(session: Session) -> Outcome:
    return passed("")
