"""Honest servers that write their answers as well-known servers and gateways do.

Shapes only: what LiteLLM's proxy, vLLM, Azure OpenAI and gateways of Anthropic's dialect add to,
leave out of or spell differently in an answer. Each is a set of hooks of the loopback server.
"""

from __future__ import annotations

import json
from email.message import Message

from tests.smoke.servers import Body, Defect, Event, Handler, RouteAnswer, Server


def _rename_reasoning(message: Body) -> None:
    if "reasoning_content" in message:
        message["reasoning"] = message.pop("reasoning_content")


def _chunks(events: list[Event]) -> list[Body]:
    return [one for one in events if isinstance(one, dict)]


# --- vLLM -------------------------------------------------------------------------------------


def _vllm_payload(server: Server, body: Body, answer: Body) -> None:
    answer |= {"service_tier": None, "system_fingerprint": None, "prompt_logprobs": None}
    answer |= {"prompt_token_ids": None, "kv_transfer_params": None}
    answer["usage"]["prompt_tokens_details"] = None
    for choice in answer["choices"]:
        message = choice["message"]
        _rename_reasoning(message)
        message["tool_calls"] = message["tool_calls"] or []
        message |= {"refusal": None, "annotations": None, "audio": None, "function_call": None}
        choice |= {"stop_reason": None, "token_ids": None}
        choice.setdefault("logprobs", None)


def _vllm_events(server: Server, body: Body, events: list[Event]) -> list[Event]:
    if not _chunks(events):
        return events  # of the Messages dialect
    for chunk in _chunks(events):
        for choice in chunk["choices"]:
            _rename_reasoning(choice["delta"])
            choice |= {"token_ids": None}
            choice.setdefault("logprobs", None)
            if choice["finish_reason"]:
                choice["stop_reason"] = None
                choice["delta"] |= {"content": ""}
    _chunks(events)[0]["prompt_token_ids"] = None
    return events


# --- LiteLLM's proxy --------------------------------------------------------------------------


def _litellm_payload(server: Server, body: Body, answer: Body) -> None:
    answer["usage"]["prompt_tokens_details"] = {"cached_tokens": 0, "audio_tokens": None}
    answer["service_tier"] = None
    for choice in answer["choices"]:
        message = choice["message"]
        message |= {"function_call": None, "provider_specific_fields": {"refusal": None}}
        if not message["reasoning_content"]:
            del message["reasoning_content"]
        choice["provider_specific_fields"] = {}


def _litellm_events(server: Server, body: Body, events: list[Event]) -> list[Event]:
    for chunk in _chunks(events):
        if "usage" in chunk:
            # Its last chunk has a choice that says nothing.
            chunk["choices"] = [{"finish_reason": None, "index": 0, "delta": {}, "logprobs": None}]
        for choice in chunk["choices"]:
            delta = choice["delta"]
            delta |= {"function_call": None, "provider_specific_fields": None, "audio": None}
            delta.setdefault("tool_calls", None)
            delta.setdefault("content", None)
            delta.setdefault("role", None)
    return events


def _litellm_route(
    server: Server, method: str, path: str, data: bytes, headers: Message
) -> RouteAnswer | None:
    token = headers.get("Authorization") or f"Bearer {headers.get('x-api-key')}"
    if path.startswith("/v1") and token != f"Bearer {server.key}":
        message = "Authentication Error, Invalid proxy server token passed"
        error = {"message": message, "type": "auth_error", "param": "None", "code": "400"}
        return 400, {"error": error}
    if path == "/metrics":
        return 200, "# HELP a b\n# TYPE a counter\n" + "".join(
            f"{name} {value}.0\n" for name, value in server.counters.items()
        )
    return None


# --- Azure OpenAI -----------------------------------------------------------------------------

FILTERED = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}


def _azure_payload(server: Server, body: Body, answer: Body) -> None:
    answer["system_fingerprint"] = "fp_1"
    answer["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": FILTERED}]
    for choice in answer["choices"]:
        choice["content_filter_results"] = FILTERED
        choice.setdefault("logprobs", None)
        message = {k: v for k, v in choice["message"].items() if v is not None or k == "content"}
        choice["message"] = {**message, "refusal": None}


def _azure_events(server: Server, body: Body, events: list[Event]) -> list[Event]:
    if not _chunks(events):
        return events
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    for chunk in _chunks(events):
        chunk["system_fingerprint"] = "fp_1"
        if usage:
            chunk.setdefault("usage", None)
        for choice in chunk["choices"]:
            choice["content_filter_results"] = {} if not choice["delta"] else FILTERED
    results = [{"prompt_index": 0, "content_filter_results": FILTERED}]
    before = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
    return [{**before, "prompt_filter_results": results}, *events]


# --- a gateway of Anthropic's dialect, with prompt caching ------------------------------------


def cached(usage: Body) -> Body:
    """The same usage where all but two tokens of the prompt are in the cache."""
    rest = usage["input_tokens"] - 2
    return {
        **usage,
        "input_tokens": 2,
        "cache_read_input_tokens": rest - rest // 2,
        "cache_creation_input_tokens": rest // 2,
        "cache_creation": {"ephemeral_5m_input_tokens": rest // 2, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }


def _caching_events(server: Server, body: Body, events: list[Event]) -> list[Event]:
    events_: list[Event] = []
    start: Body = {}
    for one in events:
        if not isinstance(one, bytes):
            return events
        event = json.loads(one.partition(b"data: ")[2])
        if event["type"] == "message_start":
            start = event["message"]["usage"] = cached(event["message"]["usage"])
        if event["type"] == "message_delta":
            # The counts of the end are those of the whole answer, the cache's among them.
            event["usage"] = {**start, **event["usage"]}
        events_.append(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        if event["type"] == "message_start":
            events_.append(b'event: ping\ndata: {"type": "ping"}\n\n')
    return events_


def _caching_body(server: Server, handler: Handler, data: bytes) -> bytes:
    if not handler.path.endswith("/messages"):
        return data
    document = json.loads(data)
    if document.get("type") == "message":
        document["usage"] = cached(document["usage"])
        document |= {"container": None, "context_management": None}
    return json.dumps(document).encode()


GATEWAYS = {
    "vLLM": Defect("vllm", "", payload=_vllm_payload, events=_vllm_events),
    "LiteLLM": Defect(
        "litellm", "", payload=_litellm_payload, events=_litellm_events, route=_litellm_route
    ),
    "Azure": Defect("azure", "", payload=_azure_payload, events=_azure_events),
    "Anthropic with prompt caching": Defect(
        "caching", "", events=_caching_events, body=_caching_body
    ),
}
