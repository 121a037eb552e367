"""A line of a ready server's log is a reason to ask the server, and no more than that."""

from __future__ import annotations

import threading
from email.message import Message
from pathlib import Path

import pytest

from launcher.errors import ExitCode, Problem
from launcher.json_values import JsonObject
from launcher.keeper import second_opinion
from launcher.keeper.events import read_events
from launcher.keeper.failure import Failure
from launcher.keeper.loop import Loop
from launcher.keeper.second_opinion import SecondOpinion
from launcher.liveness.policy import LivenessPolicy
from launcher.plan.model import LaunchPlan, PortUse, Readiness
from tests.smoke.servers import Defect, RouteAnswer, Server, serve
from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for

TOLD = Failure(Problem("ED-TOLD", "a line says so"), ExitCode.DIED)
OTHER = Failure(Problem("ED-OTHER", "another line"), ExitCode.DIED)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in a tenth of the time."""
    monkeypatch.setattr(second_opinion, "WATCHED", 0.3)
    monkeypatch.setattr(second_opinion, "PAUSE", 0.02)


class Asked:
    """A second opinion on a server, and what it says."""

    def __init__(self, port: int, *, completion: bool = True, timeout: float = 60.0) -> None:
        self.loop = Loop()
        self.said: list[tuple[str, Failure]] = []
        question: JsonObject = {
            "model": "tiny-ernie",
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 4,
        }
        plan = LaunchPlan(
            "one", "scripted", "1.0", ("/bin/x",), "/", "/nowhere", "/nowhere",
            ports=(PortUse("api", port, "127.0.0.1"),),
            readiness=Readiness(
                "127.0.0.1", completion=question if completion else {},
                probe_timeout=timeout,
            ),
            liveness=LivenessPolicy(paused_statuses=(304,)),
        )  # fmt: skip
        self.opinion = SecondOpinion(self.loop, plan, None, self._failed, self._unfounded)

    def _failed(self, failure: Failure) -> None:
        self.said.append(("failed", failure))

    def _unfounded(self, failure: Failure, answers: bool) -> None:
        self.said.append(("well" if answers else "unknown", failure))

    def verdict(self) -> str:
        """What is said of one line."""
        self.opinion.ask(TOLD)
        assert self.opinion.told == TOLD
        assert self.loop.run_until(lambda: bool(self.said), 600)
        ((what, failure),) = self.said
        assert failure == TOLD
        if what != "failed":
            assert self.opinion.told == (None if what == "well" else TOLD)
        return what


def answering(path: str, status: int, after: int = 0, times: int = 1000) -> Defect:
    """A server that answers `path` with `status` so many times, after so many good answers."""

    def route(
        server: Server, method: str, asked: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        if asked != path:
            return None
        server.memory["n"] = server.memory.get("n", 0) + 1
        if not after < server.memory["n"] <= after + times:
            return None
        return status, {"error": {"message": "no"}}

    return Defect("ill", "health", route=route)


CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("defect", "verdict"),
    [
        (None, "well"),
        (answering("/health", 503), "failed"),
        (answering("/health", 0), "failed"),
        (answering("/health", 304), "unknown"),
        (answering(CHAT, 500), "failed"),
        (answering(CHAT, 503, times=1), "well"),
        (answering(CHAT, 0), "failed"),
        (answering(CHAT, 429), "unknown"),
    ],
    ids=[
        *("well", "ill", "hangs up", "cleared weights"),
        *("errors", "one error", "hangs up on chats", "refuses"),
    ],
)
def test_the_server_decides(defect: Defect | None, verdict: str) -> None:
    with serve(defect) as server:
        assert Asked(server.server_address[1]).verdict() == verdict


def test_its_health_may_become_bad_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "WATCHED", 600.0)
    with serve(answering("/health", 503, after=3)) as server:
        assert Asked(server.server_address[1]).verdict() == "failed"


def test_one_bad_answer_is_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next question is asked although the time is over."""
    monkeypatch.setattr(second_opinion, "WATCHED", 1.0)
    with serve(answering("/health", 503, times=1)) as server:
        assert Asked(server.server_address[1]).verdict() == "well"
        assert server.memory["n"] >= 2


def test_a_slow_health_is_the_liveness_watchs_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "QUESTION", 0.1)

    def route(
        server: Server, method: str, asked: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        server.hang.wait(600)
        return None

    with serve(Defect("slow", "health", route=route)) as server:
        assert Asked(server.server_address[1]).verdict() == "unknown"


def test_where_no_thread_can_be_started_the_server_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with serve() as server:
        asked = Asked(server.server_address[1])
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            asked.opinion.ask(TOLD)
        assert not asked.loop.run_until(lambda: bool(asked.said), 0.1)


def test_a_server_that_is_gone_has_failed() -> None:
    with serve() as server:
        port = server.server_address[1]
    assert Asked(port).verdict() == "failed"


def test_a_slow_answer_is_the_liveness_watchs_to_judge() -> None:
    def slow(server: Server, body: object) -> None:
        server.hang.wait(600)

    with serve(Defect("slow", "chat", request=slow)) as server:
        assert Asked(server.server_address[1], timeout=0.5).verdict() == "unknown"


def test_a_server_without_completions_is_asked_for_its_health_alone() -> None:
    with serve(answering(CHAT, 500)) as server:
        assert Asked(server.server_address[1], completion=False).verdict() == "well"
        assert server.counters["requests_total"] == 0


def test_lines_that_come_by_thousands_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "REST", 600.0)
    with serve() as server:
        asked = Asked(server.server_address[1])
        asked.opinion.ask(TOLD)
        for _ in range(1000):
            asked.opinion.ask(OTHER)
        assert asked.loop.run_until(lambda: bool(asked.said), 600)
        asked.opinion.ask(OTHER)
        assert not asked.loop.run_until(lambda: len(asked.said) > 1, 0.1), "it rests"
        assert server.counters["requests_total"] == 1
    assert asked.said == [("well", TOLD)]


def test_a_death_confirms_a_line_also_while_no_question_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve() as server:
        asked = Asked(server.server_address[1])
        assert asked.verdict() == "well"
        monkeypatch.setattr(second_opinion, "WATCHED", 600.0)
        asked.opinion.ask(OTHER)
        assert asked.opinion.told == OTHER


def test_after_its_rest_it_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "REST", 0.0)
    with serve() as server:
        asked = Asked(server.server_address[1])
        assert asked.verdict() == "well"
        asked.said.clear()
        assert asked.verdict() == "well"


def test_nothing_is_heard_after_the_end() -> None:
    with serve(answering("/health", 503)) as server:
        asked = Asked(server.server_address[1])
        asked.opinion.ask(TOLD)
        asked.opinion.close()
        asked.opinion.ask(OTHER)
        assert not asked.loop.run_until(lambda: bool(asked.said), 0.5)


def test_a_defect_of_ours_does_not_speak_against_the_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(second_opinion, "plan_health", broken)
    assert Asked(1).verdict() == "unknown"
    assert "ZeroDivisionError" in capsys.readouterr().err


# --- with whole instances ---------------------------------------------------------------------


def warnings(rig: Rig) -> list[str]:
    events = read_events(rig.instance())
    return [str(event["message"]) for event in events if event["event"] == "warning"]


def test_what_the_log_says_ends_no_server_that_answers(rig: Rig) -> None:
    """A client had it written; a death later is not laid to it."""
    gate = Path(rig.path("gate"))
    lines = [{"print": "ASKED TO STOP BY TERM"}, {"print": "LOST what a client wrote"}]
    rig.up(script={"after": [{"wait": str(gate)}, *lines]}, restart=NEVER)
    engine = rig.engine()
    gate.touch()
    wait_for(lambda: any("the server answers well" in text for text in warnings(rig)), "a warning")
    assert (rig.stored()["state"], rig.engine()) == ("ready", engine)
    rig.kill(engine)
    error = rig.wait_for_state("died")["error"]
    assert "the engine was ready and was killed by SIGKILL" in error["message"], error


@pytest.mark.parametrize("ill", ['{"health": 503}', '{"completion": 500}'])
def test_a_server_that_does_not_answer_well_any_more_has_failed_as_its_log_says(
    rig: Rig, ill: str
) -> None:
    gate, later = Path(rig.path("gate")), Path(rig.path("later.json"))
    script = {"after": [{"wait": str(gate)}, {"print": "LOST it"}], "later": str(later)}
    rig.up(script=script, restart=NEVER)
    later.write_text(ill)
    gate.touch()
    error = rig.wait_for_state("died")["error"]
    assert (error["code"], error["message"]) == ("ED-FAKE-LOST", "it lost it")
    rig.nothing_left()


def test_a_death_confirms_the_line_before_it(rig: Rig) -> None:
    gate = Path(rig.path("gate"))
    after = [{"wait": str(gate)}, {"print": "LOST it"}, {"exit": 3}]
    rig.up(script={"after": after}, restart=NEVER)
    gate.touch()
    error = rig.wait_for_state("died")["error"]
    assert (error["code"], error["message"]) == ("ED-FAKE-LOST", "it lost it")
    rig.nothing_left()


def test_a_client_cannot_end_a_load_that_is_being_proved(rig: Rig) -> None:
    """The port is open, and the first completion takes its time."""
    stamp, gate = Path(rig.path("stamp")), Path(rig.path("gate"))
    script = {
        "completion": "slow:6", "stamp": str(stamp),
        "after": [{"wait": str(gate)}, {"print": "FATAL words of a client"}],
    }  # fmt: skip
    up = rig.spawn("up", rig.profile(script=script), "--json")
    rig.wait_for_passed("loading")
    wait_for(lambda: rig.stored()["evidence"], "the open port")
    gate.touch()
    assert up.wait(600) == 0
    rig.down()
