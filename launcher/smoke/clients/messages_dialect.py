"""Anthropic's Messages dialect, translated from and to the form the checks speak.

Shapes: https://docs.anthropic.com/en/api/messages and /en/api/messages-streaming. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import Chunk
from launcher.smoke.clients.base import UnsupportedError

STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
COPIED_FIELDS = ("model", "temperature", "top_p", "stream", "chat_template_kwargs")
TRANSLATED = ("messages", "max_tokens", "stop", "tools", "tool_choice", "stream_options")
CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""Prompt tokens that `input_tokens` leaves out: docs.anthropic.com, prompt caching, usage."""
DEFAULT_MAX_TOKENS = 1024
"""The dialect requires `max_tokens`."""


def request(body: Mapping[str, Any]) -> dict[str, Any]:
    """The Messages request that asks the same as `body`.

    Raises:
        UnsupportedError: `body` has a field that this dialect has no word for.
    """
    strange = sorted(set(body) - {*COPIED_FIELDS, *TRANSLATED})
    if strange:
        raise UnsupportedError(f"the Anthropic dialect has no {', '.join(strange)}")
    message_request: dict[str, Any] = {name: body[name] for name in COPIED_FIELDS if name in body}
    message_request["max_tokens"] = body.get("max_tokens", DEFAULT_MAX_TOKENS)
    system = [m["content"] for m in body["messages"] if m["role"] == "system"]
    if system:
        message_request["system"] = "\n".join(system)
    message_request["messages"] = _merged(
        [_message(m) for m in body["messages"] if m["role"] != "system"]
    )
    stop = body.get("stop")
    if stop:
        message_request["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if body.get("tools"):
        message_request["tools"] = [_tool(t["function"]) for t in body["tools"]]
        choice = _tool_choice(body.get("tool_choice"))
        if choice:
            message_request["tool_choice"] = choice
    return message_request


def response(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A Messages answer in OpenAI's shape; the original is kept under `anthropic`."""
    message: dict[str, Any] = {"role": raw.get("role")}
    calls: list[dict[str, Any]] = []
    for block in _blocks(raw.get("content")):
        kind = block.get("type")
        if kind == "text":
            message["content"] = (message.get("content") or "") + str(block.get("text", ""))
        elif kind == "thinking":
            thought = str(block.get("thinking", ""))
            message["reasoning_content"] = (message.get("reasoning_content") or "") + thought
        elif kind == "tool_use":
            calls.append(
                {
                    "id": block.get("id"),
                    "type": "function",
                    "function": {
                        "name": block.get("name"),
                        "arguments": json.dumps(block.get("input"), ensure_ascii=False),
                    },
                }
            )
    if calls:
        message["tool_calls"] = calls
    reason = raw.get("stop_reason")
    return {
        "id": raw.get("id"),
        "object": "chat.completion",
        "model": raw.get("model"),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": STOP_REASONS.get(str(reason), reason),
            }
        ],
        "usage": _usage(raw.get("usage")),
        "anthropic": dict(raw),
    }


def chunks(events: Sequence[Chunk]) -> tuple[list[Chunk], bool]:
    """Messages events as OpenAI chunks, and whether `message_stop` ended them."""
    chunks_: list[Chunk] = []
    ended = False
    usage: dict[str, Any] = {}
    calls: dict[int, int] = {}
    head: dict[str, Any] = {"object": "chat.completion.chunk"}
    for event in events:
        kind = event.raw.get("type")
        if kind == "message_start":
            message = event.raw.get("message")
            message = message if isinstance(message, Mapping) else {}
            head |= {"id": message.get("id"), "model": message.get("model")}
            usage |= message.get("usage") or {}
            chunks_.append(_chunk(event, head, {"role": message.get("role"), "content": ""}))
        elif kind == "content_block_start":
            block = event.raw.get("content_block") or {}
            if block.get("type") == "tool_use":
                index = calls.setdefault(int(event.raw.get("index") or 0), len(calls))
                call = {
                    "index": index,
                    "id": block.get("id"),
                    "type": "function",
                    "function": {"name": block.get("name"), "arguments": ""},
                }
                chunks_.append(_chunk(event, head, {"tool_calls": [call]}))
        elif kind == "content_block_delta":
            delta = _delta(event.raw, calls)
            if delta:
                chunks_.append(_chunk(event, head, delta))
        elif kind == "message_delta":
            usage |= event.raw.get("usage") or {}
            reason = (event.raw.get("delta") or {}).get("stop_reason")
            chunks_.append(_chunk(event, head, {}, STOP_REASONS.get(str(reason), reason)))
            chunks_.append(Chunk(event.at, {**head, "choices": [], "usage": _usage(usage)}))
        elif kind == "error":
            chunks_.append(
                Chunk(event.at, {**head, "choices": [], "error": event.raw.get("error")})
            )
        ended = ended or kind == "message_stop"
    return chunks_, ended


def _delta(raw: Mapping[str, Any], calls: Mapping[int, int]) -> dict[str, Any]:
    delta = raw.get("delta") or {}
    kind = delta.get("type")
    if kind == "text_delta":
        return {"content": delta.get("text", "")}
    if kind == "thinking_delta":
        return {"reasoning_content": delta.get("thinking", "")}
    if kind == "input_json_delta":
        index = calls.get(int(raw.get("index") or 0), 0)
        arguments = {"arguments": delta.get("partial_json", "")}
        return {"tool_calls": [{"index": index, "function": arguments}]}
    return {}


def _chunk(
    event: Chunk, head: Mapping[str, Any], delta: Mapping[str, Any], reason: Any = None
) -> Chunk:
    choice = {"index": 0, "delta": dict(delta), "finish_reason": reason}
    return Chunk(event.at, {**head, "choices": [choice]})


def _usage(raw: Any) -> dict[str, Any] | None:
    if not isinstance(raw, Mapping):
        return None
    input_tokens, output_tokens = raw.get("input_tokens"), raw.get("output_tokens")
    if isinstance(input_tokens, int):
        # With prompt caching `input_tokens` counts only what was neither read nor written there.
        cached = (raw.get(name) for name in CACHED)
        input_tokens += sum(n for n in cached if isinstance(n, int) and not isinstance(n, bool))
    both = isinstance(input_tokens, int) and isinstance(output_tokens, int)
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        # The dialect has no total of its own: it is the sum by definition.
        "total_tokens": input_tokens + output_tokens if both else None,  # type: ignore[operator]
    }


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    if message["role"] == "tool":
        result = {
            "type": "tool_result",
            "tool_use_id": message.get("tool_call_id"),
            "content": message["content"],
        }
        return {"role": "user", "content": [result]}
    if message.get("tool_calls"):
        blocks: list[dict[str, Any]] = []
        if message.get("content"):
            blocks.append({"type": "text", "text": message["content"]})
        for call in message["tool_calls"]:
            function = call["function"]
            blocks.append(
                {
                    "type": "tool_use",
                    "id": call.get("id"),
                    "name": function["name"],
                    "input": loads(function["arguments"], strict=False),
                }
            )
        return {"role": "assistant", "content": blocks}
    return {"role": message["role"], "content": message["content"]}


def _merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of several tools belong into one user message."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        lists = merged and isinstance(merged[-1]["content"], list)
        if lists and isinstance(message["content"], list) and merged[-1]["role"] == message["role"]:
            merged[-1]["content"].extend(message["content"])
        else:
            merged.append(message)
    return merged


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": function["name"],
        "description": function.get("description", ""),
        "input_schema": function["parameters"],
    }


def _tool_choice(choice: Any) -> dict[str, Any] | None:
    if isinstance(choice, Mapping):
        return {"type": "tool", "name": choice["function"]["name"]}
    return {"required": {"type": "any"}, "none": {"type": "none"}, "auto": {"type": "auto"}}.get(
        str(choice)
    )


def _blocks(content: Any) -> list[Mapping[str, Any]]:
    return [b for b in content if isinstance(b, Mapping)] if isinstance(content, list) else []
