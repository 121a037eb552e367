"""The same question through every client: what one user sees and another does not is a finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from launcher.smoke.answers import Answer
from launcher.smoke.check import Check, Outcome, passed
from launcher.smoke.clients.base import Client, TransportError, UnsupportedError
from launcher.smoke.session import Session, shorten
from launcher.smoke.target import Target
from launcher.smoke.toolbox import CARD_QUESTION, WEATHER
from launcher.smoke.transcript import Transcript

DIALECT_OF = {"openai": "openai", "anthropic": "anthropic"}
"""Clients that speak one dialect only; plain requests speak the target's."""
FIELDS = ("content", "reasoning", "calls", "finish_reason", "usage")


def disagreements(target: Target, clients: Sequence[Client]) -> list[dict[str, Any]]:
    """Fields that clients of the same dialect read differently from the same question.

    Temperature 0; where two answers through the first client differ already, nothing can be said
    about that question.
    """
    same = [
        c
        for c in clients
        if DIALECT_OF.get(c.name, target.endpoint.dialect) == target.endpoint.dialect
    ]
    if len(same) < 2:
        return []
    found: list[dict[str, Any]] = []
    questions: list[tuple[str, dict[str, Any]]] = [("What is the capital of France?", {})]
    if target.promised("tools") is not False:
        questions.append((CARD_QUESTION, {"tools": [WEATHER], "tool_choice": "auto"}))
    for question, more in questions:
        for stream in (False, True):
            found += _of_question(target, same, question, {**more, "stream": stream})
    return found


def _of_question(
    target: Target, clients: Sequence[Client], question: str, more: dict[str, Any]
) -> list[dict[str, Any]]:
    views = [_view(target, c, question, more) for c in (clients[0], *clients)]
    if any(v is None for v in views) or views[0] != views[1]:
        return []
    how = "streamed" if more["stream"] else "plain"
    found = []
    for position, name in enumerate(FIELDS):
        values = {c.name: v[position] for c, v in zip(clients, views[1:], strict=True) if v}
        if len({repr(v) for v in values.values()}) > 1:
            shown = {c: shorten(v, 80) for c, v in values.items()}
            what = f"{name} of {question!r} ({how})"
            found.append({"check": what, "verdicts": shown, "known": False})
    return found


def _view(
    target: Target, client: Client, question: str, more: dict[str, Any]
) -> tuple[Any, ...] | None:
    asking = Check("clients-agree", "clients-agree", _nothing)
    session = Session(target, asking, client, Transcript(target.secrets))
    params = dict(more)
    ask = session.stream if params.pop("stream") else session.chat
    try:
        answer = ask(question, **params)
    except (TransportError, UnsupportedError):
        return None
    return _seen(answer) if answer.status == 200 else None


def _seen(answer: Answer) -> tuple[Any, ...]:
    choice = answer.choice
    usage = replace(answer.usage, reasoning=None) if answer.usage else None
    calls = tuple((c.name, c.arguments) for c in choice.calls)
    return (choice.content or "", choice.reasoning or "", calls, choice.finish_reason, usage)


def _nothing(session: Session) -> Outcome:
    return passed("")
