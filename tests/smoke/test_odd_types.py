"""Answers with a value of an odd type somewhere: a verdict of every check, and no check breaks."""

from __future__ import annotations

import random
from typing import Any

import pytest

from launcher.json_values import JsonValue
from launcher.smoke.run.suite import smoke
from tests.smoke.rows import rows
from tests.smoke.servers import Body, Defect, Event, Server, serve
from tests.smoke.targets import target_of

ODD: list[JsonValue] = [
    None,
    True,
    7,
    -1,
    10**390,
    1.5,
    "",
    "x",
    [],
    [None],
    [7],
    {},
    {"a": []},
    [[]],
    {"": {}},
]


def spoil(value: Body, draw: random.Random) -> None:
    """Put an odd value into one place of a JSON value, or take a field out."""
    places: list[tuple[Any, Any]] = []

    def walk(inner: Any) -> None:
        keys = range(len(inner)) if isinstance(inner, list) else list(inner)
        for key in keys:
            places.append((inner, key))
            if isinstance(inner[key], (dict, list)):
                walk(inner[key])

    walk(value)
    if not places:
        return
    container, key = draw.choice(places)
    if isinstance(container, dict) and draw.random() < 0.2:
        del container[key]
    else:
        container[key] = draw.choice(ODD)


def run(seed: int, clients: list[str]) -> list[str]:
    """What broke with the answers of this seed."""
    draw = random.Random(seed)

    def payload(server: Server, body: Body, answer: Body) -> None:
        spoil(answer, draw)

    def events(server: Server, body: Body, sent: list[Event]) -> list[Event]:
        for one in sent:
            if isinstance(one, dict) and draw.random() < 0.3:
                spoil(one, draw)
        return sent

    with serve(Defect("odd", "", payload=payload, events=events), key="sk-1") as server:
        target = target_of(server, request_timeout=5.0)
        result = smoke(target, tags=["full"], clients=clients)
    assert result.exit_code in (0, 1, 3, 5)
    broken = [c for c in rows(result) if "the check itself broke" in c["message"]]
    return [f"{c['name']} ({c['client']}): {c['message']}" for c in broken]


@pytest.mark.parametrize("odd", ODD, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("where", ["plain", "streamed"])
def test_any_value_may_stand_for_a_log_probability(where: str, odd: JsonValue) -> None:
    """One way of asking gives the odd value, the other a number to compare it with."""

    def walk(value: Any) -> None:
        if isinstance(value, dict) and "logprob" in value:
            value["logprob"] = odd
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, (dict, list)):
                walk(inner)

    def payload(server: Server, body: Body, answer: Body) -> None:
        if where == "plain":
            walk(answer)

    def events(server: Server, body: Body, sent: list[Event]) -> list[Event]:
        if where == "streamed":
            walk([one for one in sent if isinstance(one, dict)])
        return sent

    names = ["logprobs", "logprobs-tokens"]
    with serve(Defect("odd", "", payload=payload, events=events), key="sk-1") as server:
        result = smoke(target_of(server, request_timeout=30.0), names=names, clients=["requests"])
    assert [c for c in rows(result) if "the check itself broke" in c["message"]] == []


def test_no_check_breaks() -> None:
    assert run(1, ["requests"]) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 40))
def test_no_check_breaks_with_any_client(seed: int) -> None:
    assert run(seed, ["all"]) == []
