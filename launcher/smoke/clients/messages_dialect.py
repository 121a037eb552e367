"""Anthropic's Messages dialect, translated from and to the form the checks speak.

Shapes: https://docs.anthropic.com/en/api/messages and /en/api/messages-streaming. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from launcher.json_values import (
    JsonObject,
    JsonValue,
    at,
    integer_at,
    is_list,
    list_at,
    object_at,
    text_at,
)
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


def request(body: JsonObject) -> dict[str, JsonValue]:
    """The Messages request that asks the same as `body`.

    Raises:
        UnsupportedError: `body` has a field that this dialect has no word for.
    """
    strange = sorted(set(body) - {*COPIED_FIELDS, *TRANSLATED})
    if strange:
        raise UnsupportedError(f"the Anthropic dialect has no {', '.join(strange)}")
    sent: dict[str, JsonValue] = {name: body[name] for name in COPIED_FIELDS if name in body}
    sent["max_tokens"] = body.get("max_tokens", DEFAULT_MAX_TOKENS)
    messages = list_at(body, "messages")
    system = [_flat(at(m, "content")) for m in messages if at(m, "role") == "system"]
    if system:
        sent["system"] = "\n".join(system)
    sent["messages"] = _merged([_message(m) for m in messages if at(m, "role") != "system"])
    stop = body.get("stop")
    if stop:
        sent["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if body.get("tools"):
        sent["tools"] = [_tool(object_at(t, "function")) for t in list_at(body, "tools")]
        choice = _tool_choice(body.get("tool_choice"))
        if choice:
            sent["tool_choice"] = choice
    return sent


def response(raw: JsonObject) -> dict[str, JsonValue]:
    """A Messages answer in OpenAI's shape; the original is kept under `anthropic`."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[JsonValue] = []
    for block in list_at(raw, "content"):
        kind = at(block, "type")
        if kind == "text":
            texts.append(_text(at(block, "text")))
        elif kind == "thinking":
            thoughts.append(_text(at(block, "thinking")))
        elif kind == "tool_use":
            arguments = json.dumps(at(block, "input"), ensure_ascii=False)
            calls.append(
                {
                    "id": at(block, "id"),
                    "type": "function",
                    "function": {"name": at(block, "name"), "arguments": arguments},
                }
            )
    message: dict[str, JsonValue] = {"role": raw.get("role")}
    if texts:
        message["content"] = "".join(texts)
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    reason = _finish_reason(raw.get("stop_reason"))
    return {
        "id": raw.get("id"),
        "object": "chat.completion",
        "model": raw.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": _usage(raw.get("usage")),
        "anthropic": raw,
    }


def chunks(events: Sequence[Chunk]) -> tuple[list[Chunk], bool]:
    """Messages events as OpenAI chunks, and whether `message_stop` ended them."""
    translation = _Translation()
    for event in events:
        translation.take(event)
    return translation.chunks, translation.ended


class _Translation:
    """The chunks of a stream of Messages events, one event after the other."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.ended = False
        self._usage: dict[str, JsonValue] = {}
        self._calls: dict[int, int] = {}
        self._head: dict[str, JsonValue] = {"object": "chat.completion.chunk"}

    def take(self, event: Chunk) -> None:
        """Translate one event; what is of no known type says nothing here."""
        raw = event.raw
        kind = raw.get("type")
        if kind == "message_start":
            message = object_at(raw, "message")
            self._head |= {"id": message.get("id"), "model": message.get("model")}
            self._usage |= object_at(message, "usage")
            self._add(event, {"role": message.get("role"), "content": ""})
        elif kind == "content_block_start" and at(raw, "content_block", "type") == "tool_use":
            index = self._calls.setdefault(_index(raw), len(self._calls))
            function = {"name": at(raw, "content_block", "name"), "arguments": ""}
            identity = at(raw, "content_block", "id")
            call: dict[str, JsonValue] = {"index": index, "id": identity, "type": "function"}
            call["function"] = function
            self._add(event, {"tool_calls": [call]})
        elif kind == "content_block_delta":
            delta = self._delta(raw)
            if delta:
                self._add(event, delta)
        elif kind == "message_delta":
            self._usage |= object_at(raw, "usage")
            self._add(event, {}, _finish_reason(at(raw, "delta", "stop_reason")))
            self._add_bare(event, "usage", _usage(self._usage))
        elif kind == "error":
            self._add_bare(event, "error", raw.get("error"))
        self.ended = self.ended or kind == "message_stop"

    def _add(self, event: Chunk, delta: JsonObject, reason: JsonValue = None) -> None:
        choice: JsonObject = {"index": 0, "delta": delta, "finish_reason": reason}
        self.chunks.append(Chunk(event.at, {**self._head, "choices": [choice]}))

    def _add_bare(self, event: Chunk, name: str, value: JsonValue) -> None:
        self.chunks.append(Chunk(event.at, {**self._head, "choices": [], name: value}))

    def _delta(self, raw: JsonObject) -> JsonObject:
        delta = object_at(raw, "delta")
        kind = delta.get("type")
        if kind == "text_delta":
            return {"content": delta.get("text", "")}
        if kind == "thinking_delta":
            return {"reasoning_content": delta.get("thinking", "")}
        if kind == "input_json_delta":
            index = self._calls.get(_index(raw), 0)
            arguments = {"arguments": delta.get("partial_json", "")}
            return {"tool_calls": [{"index": index, "function": arguments}]}
        return {}


def _index(raw: JsonObject) -> int:
    return integer_at(raw, "index") or 0


def _finish_reason(reason: JsonValue) -> JsonValue:
    return STOP_REASONS.get(reason, reason) if isinstance(reason, str) else reason


def _usage(raw: JsonValue) -> dict[str, JsonValue] | None:
    if not isinstance(raw, Mapping):
        return None
    prompt, completion = raw.get("input_tokens"), raw.get("output_tokens")
    if isinstance(prompt, int):
        # With prompt caching `input_tokens` counts only what was neither read nor written there.
        prompt += sum(integer_at(raw, name) or 0 for name in CACHED)
    # The dialect has no total of its own: it is the sum by definition.
    total = None
    if isinstance(prompt, int) and isinstance(completion, int):
        total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def _message(message: JsonValue) -> JsonValue:
    """One message of a conversation; what is none is sent as it is, for the server to refuse."""
    if not isinstance(message, Mapping):
        return message
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        identity = message.get("tool_call_id")
        result = {"type": "tool_result", "tool_use_id": identity, "content": content}
        return {"role": "user", "content": [result]}
    calls = list_at(message, "tool_calls")
    if not calls:
        return {"role": role, "content": content}
    blocks: list[JsonValue] = [{"type": "text", "text": content}] if content else []
    blocks += [
        {
            "type": "tool_use",
            "id": at(call, "id"),
            "name": at(call, "function", "name"),
            "input": _input(text_at(call, "function", "arguments")),
        }
        for call in calls
    ]
    return {"role": "assistant", "content": blocks}


def _input(arguments: str) -> JsonValue:
    try:
        value: JsonValue = loads(arguments, strict=False)
    except ValueError as error:
        what = "a call whose arguments are not JSON"
        raise UnsupportedError(f"the Anthropic dialect cannot send {what}: {error}") from error
    return value


def _merged(messages: Sequence[JsonValue]) -> list[JsonValue]:
    """Results of several tools belong into one user message."""
    merged: list[JsonValue] = []
    for message in messages:
        before = merged[-1] if merged else None
        lists = is_list(at(before, "content")) and is_list(at(message, "content"))
        if lists and at(before, "role") == at(message, "role"):
            content = [*list_at(before, "content"), *list_at(message, "content")]
            merged[-1] = {**object_at(before), "content": content}
        else:
            merged.append(message)
    return merged


def _tool(function: JsonObject) -> JsonObject:
    return {
        "name": function.get("name"),
        "description": function.get("description", ""),
        "input_schema": function.get("parameters"),
    }


def _tool_choice(choice: JsonValue) -> JsonObject | None:
    if isinstance(choice, Mapping):
        return {"type": "tool", "name": at(choice, "function", "name")}
    kinds = {"required": "any", "none": "none", "auto": "auto"}
    kind = kinds.get(choice) if isinstance(choice, str) else None
    return None if kind is None else {"type": kind}


def _flat(content: JsonValue) -> str:
    """A content as one text: it may be a text, or a list of parts."""
    if is_list(content):
        return "".join(_text(at(part, "text")) for part in content)
    return _text(content)


def _text(value: JsonValue) -> str:
    return "" if value is None else str(value)
