"""The reasoning and tool parsers, token by token, as they show in streams and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from fastdeploy._twin.tokens import Detokenizer, Tokens

NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
ARGUMENTS = re.compile(r'"arguments"\s*:')


class Piece(NamedTuple):
    """``kind``: reasoning, content, call (a new call's name) or arguments."""

    kind: str
    text: str
    call: int = 0


class Reader:
    """Splits generated tokens into thinking, answer and tool calls.

    Without a reasoning parser everything is content. With one, the text before ``</think>`` is
    thinking even if the prompt opened no ``<think>`` (model_status think_start); ernie-x1 then
    takes what stands between ``<response>`` and ``</response>``.
    """

    def __init__(self, tokens: Tokens, reasoning: str | None, tools: str | None) -> None:
        self.tokens = tokens
        self.tags = {
            tokens.tag(text): text
            for text in (
                "<think>", "</think>", "<response>", "</response>", "<tool_call>", "</tool_call>",
            )
            if tokens.tag(text) is not None
        }  # fmt: skip
        self.state = "think" if reasoning else "answer"
        self.enclosed = reasoning == "ernie-x1"
        self.reasoning, self.tools = reasoning, tools
        self.calls = -1
        self.text = Detokenizer(tokens)
        self.call = ""
        self.sent = 0

    def feed(self, number: int) -> Iterator[Piece]:
        tag = self.tags.get(number)
        if tag and self._switch(tag):
            self.text = Detokenizer(self.tokens)
            return
        if number == self.tokens.end:
            return
        text = self.text.feed(number)
        if not text:
            return
        if self.state == "think":
            yield Piece("reasoning", text)
        elif self.state == "answer":
            yield Piece("content", text)
        elif self.state == "call":
            self.call += text
            yield from self._read_call()

    def _switch(self, tag: str) -> bool:
        """Whether the tag is markup here and not text."""
        if tag == "<tool_call>" and self.tools and self.state != "think":
            self.state, self.call, self.sent = "call", "", 0
            self.calls += 1
            return True
        if tag == "</tool_call>" and self.state == "call":
            self.state = "between"
            return True
        if not self.reasoning:
            return False
        if tag == "</think>":
            self.state = "between" if self.enclosed else "answer"
            return True
        if tag == "<response>" and self.enclosed:
            self.state = "answer"
            return True
        if tag == "</response>" and self.enclosed:
            self.state = "between"
            return True
        return tag == "<think>"

    def _read_call(self) -> Iterator[Piece]:
        name, start = NAME.search(self.call), ARGUMENTS.search(self.call)
        if name is None or start is None:
            return
        if self.sent == 0:
            self.sent = start.end()
            yield Piece("call", name.group(1), self.calls)
        end = closing(self.call, start.end())
        ready = self.call[self.sent : end if end is not None else len(self.call)]
        if ready:
            self.sent += len(ready)
            yield Piece("arguments", ready, self.calls)


def closing(text: str, start: int) -> int | None:
    """The place after the value that starts at ``start``; None while it is not complete."""
    depth, quoted, skip = 0, False, False
    for index in range(start, len(text)):
        letter = text[index]
        if skip:
            skip = False
        elif quoted:
            skip, quoted = letter == "\\", letter != '"'
        elif letter == '"':
            quoted = True
        elif letter in "{[":
            depth += 1
        elif letter in "}]":
            depth -= 1
            if depth == 0:
                return index + 1
            if depth < 0:
                return index
    return None
