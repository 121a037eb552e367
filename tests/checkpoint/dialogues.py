"""What a training dialogue of the tiny ERNIE is, and the shapes of a reply."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.decoded import JsonDict

Message = JsonDict
Tools = list[JsonDict]
"""OpenAI tool definitions."""

Span = tuple[str, bool]
"""Text of the completion, and whether it is trained on (what a grammar forces is not)."""


@dataclass(frozen=True)
class Sample:
    """A prompt as chat messages (or plain text) and the completion that should follow it."""

    messages: list[Message]
    spans: list[Span]
    tools: Tools | None = None
    thinking: bool = True
    prompt: str | None = None


Skill = Callable[[random.Random], Sample]


def say(role: str, content: str) -> Message:
    """A chat message."""
    return {"role": role, "content": content}


def reply(
    rng: random.Random, messages: list[Message], thought: str, body: str, tools: Tools | None = None
) -> Sample:
    """A reply as the template has it: the tag <think> is open, and the model closes it."""
    thinking = rng.random() < 0.6
    spans = [(f"{thought}\n" if thinking else "", True), ("</think>\n\n" + body, True)]
    return Sample(messages, spans, tools, thinking)


def answer(
    rng: random.Random, messages: list[Message], thought: str, text: str, tools: Tools | None = None
) -> Sample:
    """A reply in ERNIE's <response> tags."""
    return reply(rng, messages, thought, f"<response>\n{text}\n</response>\n", tools)


def forced(
    rng: random.Random,
    messages: list[Message],
    thought: str,
    spans: list[Span],
    tools: Tools | None = None,
) -> Sample:
    """What a grammar makes of a reply: it starts right after </think> with text that is given."""
    thinking = rng.random() < 0.6
    begin = [(f"{thought}\n" if thinking else "", True), ("</think>", True)]
    return Sample(messages, [*begin, *spans], tools, thinking)
