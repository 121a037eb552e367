"""The tags of our checks, and what each stands for."""

from __future__ import annotations

from collections.abc import Mapping

TAGS: Mapping[str, str] = {
    "quick": "a few generations' time in all: the gate of an `up` or a rollout",
    "full": "everything",
    "tools": "tool calls",
    "reasoning": "thinking and its split from the answer",
    "long": "long contexts and long answers",
    "load": "many requests at once",
    "security": "keys and hostile input",
    "sampling": "temperature, seed, penalties and what else decides a draw",
    "dialect": "Anthropic's dialect",
    "vision": "pictures and videos",
    "language": "Chinese, emoji and other text beyond ASCII",
}
