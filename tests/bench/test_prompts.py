"""Requests are the same for every run, as long as asked for, and fit the server."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from launcher.bench.prompts import Calibration, bodies, calibrate
from launcher.bench.scenario import Answer, Prompt, Scenario, read_scenario
from launcher.errors import PreconditionError
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.target import Target

TARGET = Target("t", "url", Endpoint("http://127.0.0.1:1/v1", "m"), "m", "vllm", max_model_len=4096)
TWO_PER_WORD = Calibration(10.0, 2.0)


def words(body: Any, role: str = "user") -> list[str]:
    (text,) = [one["content"] for one in body["messages"] if one["role"] == role]
    return text.split()  # type: ignore[no-any-return]


def test_the_same_seed_makes_the_same_requests() -> None:
    scenario, _ = read_scenario("chat")
    assert bodies(scenario, TARGET, TWO_PER_WORD) == bodies(scenario, TARGET, TWO_PER_WORD)
    second = dataclasses.replace(scenario, seed=2)
    assert bodies(scenario, TARGET, TWO_PER_WORD) != bodies(second, TARGET, TWO_PER_WORD)


def test_questions_have_the_tokens_that_the_scenario_asks_for() -> None:
    scenario = Scenario("s", prompt=Prompt(tokens=200, distinct=5))
    requests = bodies(scenario, TARGET, TWO_PER_WORD)
    assert {len(words(one)) for one in requests} == {100}
    assert len({json.dumps(one) for one in requests}) == 5


def test_lengths_vary_within_the_spread() -> None:
    scenario = Scenario("s", prompt=Prompt(tokens=200, spread=0.5, distinct=50))
    lengths = [len(words(one)) for one in bodies(scenario, TARGET, TWO_PER_WORD)]
    assert min(lengths) >= 49
    assert max(lengths) <= 151
    assert max(lengths) - min(lengths) > 50


def test_prefixes_are_shared_in_turns() -> None:
    scenario = Scenario("s", prompt=Prompt(tokens=20, shared_tokens=60, prefixes=2, distinct=6))
    systems = [" ".join(words(one, "system")) for one in bodies(scenario, TARGET, TWO_PER_WORD)]
    assert systems[0] == systems[2] == systems[4] != systems[1]
    assert len(systems[0].split()) == 30


def test_a_share_of_the_context_fits_with_the_answer() -> None:
    scenario, _ = read_scenario("long-context")
    for body in bodies(scenario, TARGET, TWO_PER_WORD):
        tokens = 2 * (len(words(body)) + len(words(body, "system"))) + 10
        assert tokens + scenario.answer.max_tokens <= 4096


def test_what_does_not_fit_is_refused_before_anything_is_sent() -> None:
    long = Scenario("s", prompt=Prompt(tokens=4000), answer=Answer(200))
    with pytest.raises(PreconditionError, match="do not fit the context of 4096"):
        bodies(long, TARGET, TWO_PER_WORD)
    share = Scenario("s", prompt=Prompt(context_share=0.5))
    unknown = dataclasses.replace(TARGET, max_model_len=None)
    with pytest.raises(PreconditionError, match="context is unknown"):
        bodies(share, unknown, TWO_PER_WORD)


def test_only_engines_that_know_it_are_asked_for_an_exact_length() -> None:
    scenario = Scenario("s", answer=Answer(64, exact=True))
    exact: Any = bodies(scenario, TARGET, TWO_PER_WORD)[0]
    assert (exact["ignore_eos"], exact["min_tokens"], exact["max_tokens"]) == (True, 64, 64)
    second: Any = bodies(scenario, dataclasses.replace(TARGET, engine=None), TWO_PER_WORD)[0]
    assert "ignore_eos" not in second


def test_tools_and_further_fields_are_in_every_body() -> None:
    scenario, _ = read_scenario("tools")
    body: Any = bodies(scenario, TARGET, TWO_PER_WORD)[0]
    assert body["tools"][0]["function"]["name"] == "get_weather"
    assert "Beijing" in body["messages"][-1]["content"]
    assert body["stream_options"] == {"include_usage": True}
    reasoning, _ = read_scenario("reasoning")
    warm: Any = bodies(reasoning, TARGET, TWO_PER_WORD)[0]
    assert warm["temperature"] == 0.6


def test_the_server_s_own_count_of_tokens_is_what_lengths_are_made_of(known_server: str) -> None:
    target = dataclasses.replace(TARGET, endpoint=Endpoint(known_server, "known"))
    measured = calibrate(target)
    assert measured.per_word == pytest.approx(1.4, abs=0.2)
    assert measured.count_words(140) == round(140 / measured.per_word)


def test_a_server_that_does_not_answer_cannot_be_measured(free_port: int) -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{free_port}/v1", "m")
    with pytest.raises(PreconditionError) as caught:
        calibrate(dataclasses.replace(TARGET, endpoint=endpoint))
    assert caught.value.problems[0].code == "bench-no-answer"
