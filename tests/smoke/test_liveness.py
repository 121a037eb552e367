"""A server that answers nothing ends the run soon; a slow one does not; the budget always does."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from email.message import Message

import pytest

from launcher.smoke.clients.base import Endpoint
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.comparison import toolset
from launcher.smoke.outcome import Outcome
from launcher.smoke.run import liveness
from launcher.smoke.run.suite import smoke
from launcher.smoke.target import Target
from tests.smoke.rows import Report, data_of, rows
from tests.smoke.servers import Body, Defect, RouteAnswer, Server, serve
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


def messages(result: Report, verdict: str) -> list[str]:
    return [c["message"] for c in rows(result) if c["verdict"] == verdict]


def hangs_after(count: int) -> Defect:
    """Answers so many questions, and none from then on; its other routes go on."""

    def route(server: Server, method: str, path: str, data: bytes, headers: Message) -> None:
        if method == "POST":
            with server.lock:
                server.memory["n"] = server.memory.get("n", 0) + 1
                hang = server.memory["n"] > count
            if hang:
                server.hang.wait(600)

    return Defect("hangs", "chat", route=route)


def test_a_server_that_never_says_a_word_ends_a_full_run_long_before_one_request_may_end() -> None:
    with deaf() as url:
        target = Target(url, "url", Endpoint(f"{url}/v1", "m"), "m", request_timeout=120)
        begun = time.monotonic()
        result = smoke(replace(target, health_url=f"{url}/health"), tags=["full"])
    assert time.monotonic() - begun < 60
    assert data_of(result)["stopped"]["code"] == "unresponsive"
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
    assert data_of(result)["stopped"]["code"] == "unresponsive"
    assert 1 <= sum(UNRESPONSIVE in m for m in messages(result, "fail")) <= 8
    assert result.exit_code == 1


def watch(target: Target, budget: float = 60.0) -> liveness.Liveness:
    """A watch over a request that waits for its answer."""
    transcript = Transcript()
    transcript.begin("chat", "requests", "POST", target.endpoint.chat_url, {}, None)
    return liveness.Liveness(target, transcript, budget)


def test_what_waits_is_told_when_a_second_question_gets_no_answer_either() -> None:
    box: liveness.Box = queue.SimpleQueue()
    with deaf() as url:
        watched = watch(Target(url, "url", Endpoint(f"{url}/v1", "m"), "m", request_timeout=120))
        with watched.watching(), watched.announce(box):
            outcome = box.get(timeout=50)
    assert isinstance(outcome, Outcome)
    assert [f.code for f in outcome.findings] == ["unresponsive"]
    assert watched.stopped == "unresponsive"


def test_a_second_question_that_is_answered_ends_nothing() -> None:
    questions = threading.Semaphore(0)
    box: liveness.Box = queue.SimpleQueue()
    with serve(Defect("alive", "", request=lambda server, body: questions.release())) as server:
        watched = watch(target_of(server, request_timeout=120))
        with watched.watching(), watched.announce(box):
            # Twice: the first answer was taken for a sign of life.
            assert questions.acquire(timeout=50)
            assert questions.acquire(timeout=50)
    assert watched.stopped is None
    assert box.empty()


def test_a_server_with_one_seat_and_a_patient_check_are_not_suspected() -> None:
    """After the first answer: until then a server that says nothing at all is suspected."""
    with serve() as server:
        several, single = (watch(target_of(server, max_num_seqs=seats)) for seats in (2, 1))
    assert several._suspicious(100.0, answered=True)
    assert not several._suspicious(0.1, answered=True)
    assert single._suspicious(100.0, answered=False)
    assert not single._suspicious(100.0, answered=True)
    several.patient = True
    assert not several._suspicious(100.0, answered=True)


def test_a_server_that_is_only_slow_is_asked_to_the_end() -> None:
    def slow(server: Server, body: Body) -> None:
        if body.get("max_tokens") != 1:
            server.hang.wait(6)

    with serve(Defect("slow", "chat", request=slow)) as server:
        result = smoke(target_of(server, request_timeout=60), names=["chat"])
    assert data_of(result)["stopped"] is None
    assert messages(result, "fail") == []


def test_health_alone_that_hangs_ends_nothing_else() -> None:
    def route(server: Server, method: str, path: str, data: bytes, headers: Message) -> None:
        if path == "/health":
            server.hang.wait(600)

    with serve(Defect("health", "health", route=route)) as server:
        result = smoke(target_of(server, request_timeout=8), names=["health", "chat"])
    assert [c["verdict"] for c in rows(result)] == ["fail", "pass"]


def test_a_budget_ends_a_run_and_the_exit_code_says_so() -> None:
    def slow(server: Server, body: Body) -> None:
        if server.memory.setdefault("n", 0):
            server.hang.wait(1)
        server.memory["n"] += 1

    with serve(Defect("slow", "chat", request=slow)) as server:
        target = target_of(server, max_num_seqs=1)
        result = smoke(target, names=["chat", "usage", "max-tokens", "stop"], budget=1.5)
        section = replace(target, smoke={"budget": "1ms"})
        at_once = smoke(section, names=["chat"])
    assert [c["verdict"] for c in rows(result)].count("could not check") >= 2
    assert "the budget of 1.5 s" in messages(result, "could not check")[-1]
    assert result.exit_code == 5
    assert "--budget" in result.errors[0].message
    assert at_once.exit_code == 5


def test_a_failure_beats_a_budget_that_ended() -> None:
    def slow(server: Server, body: Body) -> None:
        server.hang.wait(3)

    def ill(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
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
