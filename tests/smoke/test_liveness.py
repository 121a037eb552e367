"""A server that answers nothing ends the run soon; a slow one does not; the budget always does."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from launcher.smoke.clients.base import Endpoint
from launcher.smoke.comparison import toolset
from launcher.smoke.run import liveness
from launcher.smoke.run.suite import smoke
from launcher.smoke.target import Target
from tests.smoke.servers import Defect, Server, serve
from tests.smoke.targets import target_of
from tests.smoke.test_no_answer import deaf

UNRESPONSIVE = "the server does not answer"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules in a tenth of the time."""
    monkeypatch.setattr(liveness, "FIRST_SILENCE", 0.5)
    monkeypatch.setattr(liveness, "SILENCE", 1.5)
    monkeypatch.setattr(liveness, "LIVENESS_SECONDS", 3.0)
    monkeypatch.setattr(liveness, "LOOK_SECONDS", 0.1)


def messages(result, verdict):
    return [c["message"] for c in result.data["checks"] if c["verdict"] == verdict]


def hangs_after(count: int) -> Defect:
    """Answers so many questions, and none from then on; its other routes go on."""

    def route(server: Server, method: str, path: str, data: bytes, headers: object) -> None:
        if method == "POST":
            with server.lock:
                server.memory["n"] = server.memory.get("n", 0) + 1
                hang = server.memory["n"] > count
            if hang:
                server.hang.wait(300)

    return Defect("hangs", "chat", route=route)


def test_a_server_that_never_says_a_word_ends_a_full_run_long_before_one_request_may_end() -> None:
    with deaf() as url:
        target = Target(url, "url", Endpoint(f"{url}/v1", "m"), "m", request_timeout=120)
        begun = time.monotonic()
        result = smoke(replace(target, health_url=f"{url}/health"), tags=["full"])
    assert time.monotonic() - begun < 60
    assert result.data["stopped"]["code"] == "unresponsive"
    assert len(messages(result, "fail")) >= 1
    assert all(UNRESPONSIVE in m for m in messages(result, "could not check"))
    assert not messages(result, "pass")
    assert result.exit_code == 1


@pytest.mark.parametrize("count", [0, 1, 25])
def test_a_server_that_answers_health_and_hangs_is_noticed_in_the_middle_of_a_run(
    count: int,
) -> None:
    with serve(hangs_after(count)) as server:
        begun = time.monotonic()
        target = target_of(server, request_timeout=120, max_num_seqs=8)
        result = smoke(target, tags=["quick"])
        assert time.monotonic() - begun < 60
    assert result.data["stopped"]["code"] == "unresponsive"
    assert 1 <= sum(UNRESPONSIVE in m for m in messages(result, "fail")) <= 8
    assert result.exit_code == 1


def test_a_server_that_is_only_slow_is_asked_to_the_end() -> None:
    def slow(server: Server, body: dict) -> None:
        if body.get("max_tokens") != 1:
            server.hang.wait(6)

    with serve(Defect("slow", "chat", request=slow)) as server:
        result = smoke(target_of(server, request_timeout=60), names=["chat"])
    assert result.data["stopped"] is None
    assert messages(result, "fail") == []


def test_health_alone_that_hangs_ends_nothing_else() -> None:
    def route(server: Server, method: str, path: str, data: bytes, headers: object) -> None:
        if path == "/health":
            server.hang.wait(300)

    with serve(Defect("health", "health", route=route)) as server:
        result = smoke(target_of(server, request_timeout=8), names=["health", "chat"])
    assert [c["verdict"] for c in result.data["checks"]] == ["fail", "pass"]


def test_a_budget_ends_a_run_and_the_exit_code_says_so() -> None:
    def slow(server: Server, body: dict) -> None:
        if server.memory.setdefault("n", 0):
            server.hang.wait(1)
        server.memory["n"] += 1

    with serve(Defect("slow", "chat", request=slow)) as server:
        target = target_of(server, max_num_seqs=1)
        result = smoke(target, names=["chat", "usage", "max-tokens", "stop"], budget=1.5)
        section = replace(target, smoke={"budget": "1ms"})
        at_once = smoke(section, names=["chat"])
    assert [c["verdict"] for c in result.data["checks"]].count("could not check") >= 2
    assert "the budget of 1.5 s" in messages(result, "could not check")[-1]
    assert result.exit_code == 5
    assert "--budget" in result.errors[0].message
    assert at_once.exit_code == 5


def test_a_failure_beats_a_budget_that_ended() -> None:
    def slow(server: Server, body: dict) -> None:
        server.hang.wait(3)

    def ill(server: Server, method: str, path: str, data: bytes, headers: object):
        return (503, {}) if path == "/health" else None

    with serve(Defect("ill", "health", route=ill, request=slow)) as server:
        result = smoke(target_of(server), names=["health", "chat"], budget=1)
    assert result.exit_code == 1


def test_a_set_of_tool_prompts_is_not_asked_to_the_end_of_a_server_that_hangs() -> None:
    questions = [toolset.Prompt(f"Question {i}?") for i in range(40)]
    with deaf() as url:
        target = Target(url, "url", Endpoint(f"{url}/v1", "m"), "m", request_timeout=1)
        begun = time.monotonic()
        counted = toolset.measure(target, questions)
    assert time.monotonic() - begun < 20
    assert (counted.prompts, counted.answered) == (40, 0)
