"""Faults of the known kinds in places where the first ones were not planted."""

from __future__ import annotations

from collections.abc import Callable

from tests.smoke.defects.planting import Events, defect, delta_of, deltas, message, payload, pieces
from tests.smoke.servers import Body, Event, Server


def _each_content(change: Callable[[str, int], str]) -> Events:
    """A hook that changes the text of each delta: change(text, position) -> text."""

    def changed(events: list[Event], body: Body) -> list[Event]:
        for number, at in enumerate(pieces(events)):
            delta = delta_of(events[at])
            delta["content"] = change(delta["content"], number)
        return events

    return deltas(changed)


def _finish(reason: str, only_tools: bool = False) -> Events:
    def changed(events: list[Event], body: Body) -> list[Event]:
        for one in events:
            for choice in one["choices"] if isinstance(one, dict) else ():
                if choice["finish_reason"] and (not only_tools or body.get("tools")):
                    choice["finish_reason"] = reason
        return events

    return deltas(changed)


def _usage(change: Callable[[Body], object]) -> Events:
    def changed(events: list[Event], body: Body) -> list[Event]:
        for one in events:
            if isinstance(one, dict) and one.get("usage"):
                change(one["usage"])
        return events

    return deltas(changed)


def _calls(change: Callable[[Body], object]) -> Events:
    def changed(events: list[Event], body: Body) -> list[Event]:
        for one in events:
            for choice in one["choices"] if isinstance(one, dict) else ():
                for call in choice["delta"].get("tool_calls") or ():
                    change(call)
        return events

    return deltas(changed)


def _thought_in_the_last_turn(server: Server, body: Body, answer: Body) -> None:
    if len(body["messages"]) > 2:
        one = message(answer)
        if one["content"] and one["reasoning_content"]:
            one["content"] = one["reasoning_content"] + "\n\n" + one["content"]
            one["reasoning_content"] = None


def _now_and_then(server: Server, every: int) -> bool:
    server.memory["seen"] = server.memory.get("seen", 0) + 1
    return bool(server.memory["seen"] % every == 0)


defect("usage-as-text", "usage", payload=payload(lambda p, b: p["usage"].update(prompt_tokens="9")))
defect(
    "usage-negative", "usage", payload=payload(lambda p, b: p["usage"].update(completion_tokens=-1))
)
defect("usage-as-list", "usage", payload=payload(lambda p, b: p.update(usage=[1, 2])))
defect(
    "content-a-number", "every-answer", payload=payload(lambda p, b: message(p).update(content=7))
)
defect("choices-an-object", "chat", payload=payload(lambda p, b: p.update(choices={"0": {}})))
defect("message-null", "chat", payload=payload(lambda p, b: p["choices"][0].update(message=None)))
defect(
    "finish-reason-length-always",
    "every-answer",
    payload=payload(lambda p, b: p["choices"][0].update(finish_reason="length")),
)
defect(
    "finish-stop-with-calls-in-streams",
    "tool-call-stream",
    events=_finish("stop", only_tools=True),
)
defect("finish-reason-eos-in-streams", "every-answer", events=_finish("eos"))
defect(
    "usage-sum-wrong-in-streams", "stream-usage", events=_usage(lambda u: u.update(total_tokens=1))
)
defect(
    "usage-null-in-streams", "stream-usage", events=_usage(lambda u: u.update(prompt_tokens=None))
)
defect(
    "letters-doubled-in-streams", "stream-equals-plain", events=_each_content(lambda t, n: t * 2)
)
defect(
    "blanks-lost-between-deltas",
    "stream-equals-plain",
    events=_each_content(lambda t, n: t.strip() if n else t),
)
defect(
    "first-delta-lost",
    "stream-equals-plain",
    events=_each_content(lambda t, n: t if n else ""),
)
defect("upper-case-in-streams", "stream-equals-plain", events=_each_content(lambda t, n: t.upper()))
defect(
    "escapes-in-streams",
    "stream-equals-plain",
    events=_each_content(lambda t, n: t.encode("ascii", "backslashreplace").decode()),
)
defect("call-index-missing", "tool-call-stream", events=_calls(lambda c: c.pop("index", None)))
defect(
    "call-name-empty",
    "tool-call-stream",
    events=_calls(lambda c: c["function"].get("name") and c["function"].update(name="")),
)
defect(
    "call-id-null-in-streams",
    "tool-call-stream",
    events=_calls(lambda c: c.update(id=None) if "id" in c else None),
)
defect(
    "call-name-of-another-tool",
    "tool-call",
    payload=payload(
        lambda p, b: [
            call["function"].update(name="functions." + call["function"]["name"])
            for call in message(p)["tool_calls"] or ()
        ]
    ),
)
defect(
    "call-arguments-in-a-fence",
    "tool-call",
    payload=payload(
        lambda p, b: [
            call["function"].update(arguments="```json\n" + call["function"]["arguments"] + "\n```")
            for call in message(p)["tool_calls"] or ()
        ]
    ),
)
defect(
    "calls-null-with-finish-tool-calls",
    "tool-call",
    payload=payload(lambda p, b: message(p).update(tool_calls=None)),
)
defect("thought-in-content-late", "reasoning-turns", payload=_thought_in_the_last_turn)
defect(
    "json-with-a-word-before",
    "json-mode",
    payload=payload(
        lambda p, b: (
            b.get("response_format") and message(p).update(content="Sure: " + message(p)["content"])
        )
    ),
)
defect(
    "json-schema-key-renamed",
    "json-schema",
    payload=payload(
        lambda p, b: (
            (b.get("response_format") or {}).get("type") == "json_schema"
            and message(p).update(content=message(p)["content"].replace('": ', '_": '))
        )
    ),
)
defect(
    "logprobs-of-zero",
    "logprobs",
    payload=payload(
        lambda p, b: [
            entry["top_logprobs"].clear()
            for entry in (p["choices"][0].get("logprobs") or {}).get("content") or ()
        ]
    ),
)
defect(
    "logprobs-as-text",
    "logprobs",
    payload=payload(
        lambda p, b: [
            entry.update(logprob=str(entry["logprob"]))
            for entry in (p["choices"][0].get("logprobs") or {}).get("content") or ()
        ]
    ),
)
defect("n-one-more", "n", request=lambda s, b: b.update(n=b["n"] + 1) if b.get("n") else None)
defect(
    "ids-of-choices-equal",
    "n",
    payload=payload(lambda p, b: [c.update(index=0) for c in p["choices"]]),
)
defect(
    "temperature-halved-to-zero",
    "temperature",
    request=lambda s, b: b.update(temperature=0.0, seed=1),
)
defect(
    "max-tokens-doubled",
    "max-tokens",
    request=lambda s, b: b.update(max_tokens=b["max_tokens"] * 2) if "max_tokens" in b else None,
)
defect(
    "id-missing-now-and-then",
    "every-answer",
    payload=lambda s, b, p: p.update(id="") if _now_and_then(s, 4) else None,
)
defect(
    "logprobs-alternatives-of-odd-types",
    "logprobs",
    payload=payload(
        lambda p, b: [
            entry.update(top_logprobs=[7, None, {"token": [], "logprob": {}}])
            for entry in (p["choices"][0].get("logprobs") or {}).get("content") or ()
        ]
    ),
)
