"""Servers that do what the schema allows, in ways that few do: none of it is a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from launcher.smoke.run.suite import smoke
from launcher.smoke.targets.resolve import of_url
from tests.smoke import model
from tests.smoke.defects.planting import (
    Hooks,
    choice_of,
    chunks_of,
    delta_of,
    deltas,
    message,
    payload,
    pieces,
)
from tests.smoke.rows import rows
from tests.smoke.servers import Body, Defect, Event, Handler, Server, serve
from tests.smoke.targets import target_of
from tests.support.matrix import some
from tests.support.waiting import slowness


def bytes_of(change: Callable[[bytes], bytes]) -> Hooks:
    return {"wire": lambda server, body, data: change(data)}


def chunks(change: Callable[[Body], object]) -> Hooks:
    def hook(events: list[Event], body: Body) -> list[Event]:
        for event in events:
            if isinstance(event, dict):
                change(event)
        return events

    return {"events": deltas(hook)}


def choices(change: Callable[[Body], object]) -> Hooks:
    return chunks(lambda event: [change(c) for c in event["choices"]])


def plain(change: Callable[[Body, Body], object]) -> Hooks:
    return {"payload": payload(change)}


def fused(size: int) -> Hooks:
    """Several tokens a chunk, as speculative decoding sends them."""

    def hook(events: list[Event], body: Body) -> list[Event]:
        for field in ("reasoning_content", "content"):
            where = [e for i in pieces(events, field) for e in chunks_of([events[i]])]
            gone: list[Body] = []
            for start in range(0, len(where), size):
                group = where[start : start + size]
                texts = (delta_of(e)[field] for e in group)
                delta_of(group[0])[field] = "".join(texts)
                kept = [c for e in group for c in _entries(e)]
                if kept:
                    group[0]["choices"][0]["logprobs"]["content"] = kept
                gone += group[1:]
            events = [e for e in events if not any(e is g for g in gone)]
        return events

    return {"events": deltas(lambda e, b: hook(e, b) if (b.get("n") or 1) == 1 else e)}


def _entries(event: Body) -> list[Body]:
    entries: list[Body] = (event["choices"][0].get("logprobs") or {}).get("content") or []
    return entries


def end_with_text(events: list[Event], body: Body) -> list[Event]:
    """finish_reason in the chunk that carries the last text."""
    ends = [e for e in events if isinstance(e, dict) and e["choices"]]
    where = pieces(events)
    if (body.get("n") or 1) == 1 and where and not pieces(events, "tool_calls"):
        choice_of(events[where[-1]])["finish_reason"] = choice_of(ends[-1])["finish_reason"]
        events.remove(ends[-1])
    return events


def azure(events: list[Event], body: Body) -> list[Event]:
    if not isinstance(events[0], dict):
        return events
    first = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    return [{**first, "prompt_filter_results": []}, *events]


def whole_calls(events: list[Event], body: Body) -> list[Event]:
    """Every call in one piece, arguments and all."""
    calls: dict[int, Body] = {}
    gone = []
    for i in pieces(events, "tool_calls"):
        call = delta_of(events[i])["tool_calls"][0]
        if call["index"] in calls:
            calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
            gone.append(events[i])
        else:
            calls[call["index"]] = call
    return [e for e in events if not any(e is g for g in gone)]


def cached(server: Server, body: Body, answer: Body) -> None:
    """A gateway's cache of whole requests at temperature 0."""
    if body.get("temperature") == 0:
        key = json.dumps(body, sort_keys=True)
        with server.lock:
            kept = server.memory.setdefault(key, json.dumps(answer))
        answer.update(json.loads(kept))


def usage_everywhere(events: list[Event], body: Body) -> list[Event]:
    total = next((e["usage"] for e in events if isinstance(e, dict) and e.get("usage")), None)
    for event in events:
        if isinstance(event, dict) and total:
            event["usage"] = total
    return events


def with_pings(events: list[Event], body: Body) -> list[Event]:
    return [x for e in events for x in (b": ping\n\n", e)]


def closing(server: Server, handler: Handler, data: bytes) -> bytes:
    handler.close_connection = True
    return data


ODD: dict[str, Hooks] = {
    "crlf": bytes_of(lambda d: d.replace(b"\n", b"\r\n")),
    "no blank after the colon": bytes_of(lambda d: d.replace(b"data: ", b"data:", 1)),
    "names of events": bytes_of(lambda d: b"event: message\nid: 7\n" + d),
    "comments": {"events": deltas(with_pings)},
    "role in every delta": choices(lambda c: c["delta"].update(role="assistant")),
    "nulls in every delta": choices(
        lambda c: [c["delta"].setdefault(n, None) for n in ("content", "tool_calls", "refusal")]
    ),
    "finish_reason absent until the end": choices(
        lambda c: c["finish_reason"] or c.pop("finish_reason")
    ),
    "empty lists of calls": {
        **choices(lambda c: c["delta"].setdefault("tool_calls", [])),
        **plain(lambda p, b: message(p).update(tool_calls=message(p)["tool_calls"] or [])),
    },
    "usage null in chunks": chunks(lambda e: e.setdefault("usage", None)),
    "usage in every chunk": {"events": deltas(usage_everywhere)},
    "end with the last text": {"events": deltas(end_with_text)},
    "azure": {"events": deltas(azure)},
    "calls in one piece": {"events": deltas(whole_calls)},
    "four tokens a chunk": fused(4),
    "reasoning under its other name": {
        **choices(
            lambda c: (
                "reasoning_content" in c["delta"]
                and c["delta"].update(reasoning=c["delta"].pop("reasoning_content"))
            )
        ),
        **plain(lambda p, b: message(p).update(reasoning=message(p).pop("reasoning_content"))),
    },
    "newlines around": plain(
        lambda p, b: (
            message(p)["content"] and message(p).update(content=f"\n{message(p)['content']}\n")
        )
    ),
    "cache of the gateway": {"payload": cached},
    "connections closed": {"body": closing},
}


@pytest.mark.parametrize("name", some(list(ODD), list(ODD)[::3]))
def test_is_no_failure(name: str) -> None:
    with serve(Defect(name, "", **ODD[name]), key="right") as server:
        result = smoke(target_of(server), tags=["full"])
    wrong = {
        c["name"]: c["message"] for c in rows(result) if c["verdict"] in ("fail", "inconclusive")
    }
    assert wrong == {}
    assert result.exit_code == 0


def no_thoughts(server: Server, body: Body, reply: model.Reply) -> None:
    reply.reasoning = ""


def versioned(server: Server, body: Body, answer: Body) -> None:
    answer["model"] = "tiny-ernie-2026-01-09"


@pytest.mark.parametrize(
    "hooks",
    [{"reply": no_thoughts}, {"payload": versioned}],
    ids=["no thoughts", "a version in the name"],
)
def test_of_an_unknown_server_is_no_failure(hooks: Hooks) -> None:
    with serve(Defect("odd", "", **hooks), key="right") as server:
        target = replace(of_url(server.url, key="right"), request_timeout=20.0 * slowness())
        result = smoke(target, tags=["full"])
    wrong = {
        c["name"]: c["message"] for c in rows(result) if c["verdict"] in ("fail", "inconclusive")
    }
    assert wrong == {}


def test_an_honest_unknown_server_in_pieces_of_a_byte_is_no_failure() -> None:
    """Chunks end inside lines and inside characters."""
    with serve(key="right") as server:
        server.memory["bytewise"] = True
        result = smoke(target_of(server), names=["stream-bytes", "stream-end", "stream-unicode"])
    assert {c["verdict"] for c in rows(result)} == {"pass"}
