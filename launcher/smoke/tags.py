"""The tags of our checks, and what each stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TAGS: Mapping[str, str] = {
    "quick": "a few generations' time in all: the gate of an `up` or a rollout",
    "tools": "tool calls",
    "reasoning": "thinking and its split from the answer",
    "long": "long contexts and long answers",
    "load": "many requests at once",
    "security": "keys and hostile input",
    "sampling": "temperature, seed, penalties and what else decides a draw",
    "dialect": "Anthropic's dialect",
    "vision": "pictures and videos",
    "language": "Chinese, emoji and other text beyond ASCII",
    "full": "everything",
}


def theme_of(tags: Iterable[str]) -> str:
    """The tag under which a list shows a check: its theme, else `quick`, else `full`."""
    own = set(tags)
    themes = [tag for tag in TAGS if tag not in ("quick", "full")]
    return next((tag for tag in (*themes, "quick") if tag in own), "full")
