"""A conversation as Claude Code makes it: 20,000 tokens of system prompt, 15 tools, streams."""

from dataclasses import dataclass, field
from typing import Any

import anthropic

from tests.support.decoded import JsonDict

TOOLS = (
    "get_weather", "Bash", "Read", "Edit", "Write", "Glob", "Grep", "LS", "WebFetch", "WebSearch",
    "TodoWrite", "Task", "NotebookEdit", "BashOutput", "KillShell",
)  # fmt: skip
BETAS = ["interleaved-thinking-2025-05-14", "fine-grained-tool-streaming-2025-05-14"]
RULES = "Read a file before you change it, and say what you did. " * 1700
"""Some 20,000 tokens of an ordinary tokenizer."""


@dataclass
class Turn:
    """One answer: the kinds of its blocks in order, why it stopped, tokens, and its calls."""

    blocks: list[str]
    stop_reason: str | None
    input_tokens: int
    output_tokens: int
    calls: list[JsonDict] = field(default_factory=list)
    text: str = ""


class CodingAgent:
    """The client's side; every answer is a stream, every call gets a result."""

    def __init__(self, client: anthropic.Anthropic, model: str, rules: str = RULES) -> None:
        self._client = client
        self.messages: list[Any] = []
        self._common: JsonDict = {
            "model": model,
            "system": [
                {"type": "text", "text": "You are a coding agent."},
                {"type": "text", "text": rules, "cache_control": {"type": "ephemeral"}},
            ],
            "tools": [_tool(name) for name in TOOLS],
        }

    def count(self, question: str) -> int:
        """Tokens of the request that would ask this."""
        messages = [*self.messages, {"role": "user", "content": question}]
        return self._client.messages.count_tokens(messages=messages, **self._common).input_tokens

    def ask(self, question: str) -> list[Turn]:
        """Ask, answer every call, and go on until there is none."""
        reminder = {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>"}
        block = {"type": "text", "text": question, "cache_control": {"type": "ephemeral"}}
        self.messages.append({"role": "user", "content": [reminder, block]})
        turns = [self.turn()]
        while turns[-1].calls and len(turns) < 5:
            self._answer_calls(turns[-1].calls)
            turns.append(self.turn())
        return turns

    def _answer_calls(self, calls: list[JsonDict]) -> None:
        """All results in one message, as parallel calls are answered."""
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call["id"],
                "content": [{"type": "text", "text": f"sunny in {call['input'].get('city')}"}],
            }
            for call in calls
        ]
        self.messages.append({"role": "user", "content": results})

    def turn(self) -> Turn:
        """Stream one answer to the conversation as it is."""
        blocks: list[str] = []
        with self._client.beta.messages.stream(
            max_tokens=2048,
            messages=self.messages,
            metadata={"user_id": "user_1"},
            thinking={"type": "enabled", "budget_tokens": 1024},
            betas=BETAS,
            **self._common,
        ) as stream:
            blocks += [
                event.content_block.type for event in stream if event.type == "content_block_start"
            ]
            message = stream.get_final_message()
        content = [block.model_dump(exclude_none=True) for block in message.content]
        self.messages.append({"role": "assistant", "content": content})
        return Turn(
            blocks,
            message.stop_reason,
            message.usage.input_tokens,
            message.usage.output_tokens,
            [
                {name: block[name] for name in ("id", "name", "input")}
                for block in content
                if block["type"] == "tool_use"
            ],
            "".join(block["text"] for block in content if block["type"] == "text"),
        )


def _tool(name: str) -> JsonDict:
    key = "city" if name == "get_weather" else "path"
    schema = {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]}
    return {"name": name, "description": f"The tool {name}.", "input_schema": schema}
