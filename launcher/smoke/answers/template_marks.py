"""Marks of ERNIE's template that no reader of an answer may see."""

from __future__ import annotations

TAGS = (
    "<think>",
    "</think>",
    "<response>",
    "</response>",
    "<tool_call>",
    "</tool_call>",
    "<|im_start|>",
    "<|im_end|>",
)


def without_tags(text: str) -> str:
    """`text` without the template's tags and without the blanks around it."""
    for tag in TAGS:
        text = text.replace(tag, "")
    return text.strip()
