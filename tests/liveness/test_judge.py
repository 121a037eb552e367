"""The verdict on a ready server, from what the keeper saw of it second by second."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.liveness.judge import Liveness, Verdict, assess
from launcher.liveness.policy import Counters
from launcher.liveness.sample import Answer, Canary, ProcessSample
from tests.liveness.simulated import POLICY, Server

SLOW = Answer(None, "GET /health timed out after 2 s")


def test_a_server_without_requests_is_idle_since_it_is() -> None:
    server = Server().pass_time(300)
    assert server.verdict() == Verdict(Liveness.IDLE, 1005.0, ("no request waits",))
    assert 15 <= server.canaries <= 38, "a canary every 8 to 20 s"


def test_requests_that_move_are_busy() -> None:
    server = Server(step=5).pass_time(60).get(3).pass_time(60, tokens=20)
    assert server.verdict().name is Liveness.BUSY
    assert server.verdict().since == 1065.0
    assert server.verdict().reasons == ("3 requests are in work or waiting, counters rise",)


def test_requests_that_do_not_move_are_a_stall_within_30_seconds() -> None:
    server = Server(wedged=True).get(3).pass_time(60, tokens=20)
    stopped = server.now
    assert (server.seconds_until("stalled", 60, heartbeat=1) or 99) <= 30
    verdict = server.verdict()
    assert verdict.since == stopped
    assert verdict.reasons[0].startswith("3 requests are in work or waiting, no progress for 2")
    assert verdict.reasons[1] == "2 short completions failed: no answer within 8 s"
    assert any(reason.startswith("its processes use 0.00 cores") for reason in verdict.reasons)
    assert any(reason.startswith("its logs got no line in") for reason in verdict.reasons)


def test_an_old_heartbeat_makes_one_failed_completion_enough() -> None:
    server = Server(wedged=True).get(3).pass_time(60, tokens=20)
    assert (server.seconds_until("stalled", 60, heartbeat=25) or 99) <= 20
    assert "the oldest heartbeat of a worker is 25 s old" in server.verdict().reasons


def test_without_canaries_requests_that_do_not_move_are_a_stall_after_30_seconds() -> None:
    server = Server(policy=replace(POLICY, canary=False)).get(3).pass_time(60, tokens=20)
    assert server.seconds_until("stalled", 60) == 30
    assert server.canaries == 0


def test_the_backlog_counts_where_the_gauge_of_waiting_requests_stays_0() -> None:
    """FastDeploy before 2.6: num_requests_waiting was 0 while 6 of 10 waited."""
    server = Server(wedged=True, leaked=10)
    assert server.seconds_until("stalled", 60) is not None
    assert "10 requests are" in server.verdict().reasons[0]


@pytest.mark.parametrize("leaked", [1, 12])
def test_requests_that_were_dropped_and_still_count_are_no_stall(leaked: int) -> None:
    """FastDeploy counts a request that it refuses as received, and never as finished."""
    server = Server().pass_time(60)
    server.leaked = leaked
    for _ in range(60):
        server.pass_time(5)
        assert server.verdict().name in (Liveness.IDLE, Liveness.BUSY)
    assert server.verdict().name is Liveness.IDLE
    without = Server(policy=replace(POLICY, canary=False), leaked=leaked).pass_time(300)
    assert without.verdict().name is Liveness.IDLE


def test_a_gauge_that_never_comes_back_to_0_is_no_stall() -> None:
    server = Server().get(1).pass_time(20, tokens=5)
    server.pass_time(600)
    assert server.verdict().name is Liveness.IDLE
    server.get(2).pass_time(5, tokens=50)
    assert server.verdict().name is Liveness.BUSY, "what moves again counts again"


@pytest.mark.parametrize(
    "evidence",
    [{"cores": 1.0}, {"cores": 0.2, "starved": 0.8}, {"gpu": 0.97}, {"io": 5e7}],
    ids=["processor", "starved", "gpu", "io"],
)
def test_a_prefill_of_minutes_is_busy_and_a_kernel_that_hangs_is_a_stall_in_the_end(
    evidence: dict[str, float],
) -> None:
    """Both compute and give no token; a starved worker would compute if it could."""
    server = Server(wedged=True).get(1)
    seconds = server.seconds_until("stalled", 400, **evidence)
    assert seconds is not None
    assert 295 <= seconds <= 330


@pytest.mark.parametrize("requests", [0, 1], ids=["a canary's", "a client's"])
@pytest.mark.parametrize(
    "compiler", [{"compiler": 0.2}, {"kept": 0.2}], ids=["many short steps", "one long step"]
)
def test_an_engine_that_waits_for_its_compiler_is_busy_and_is_not_started_again(
    compiler: dict[str, float], requests: int
) -> None:
    """Its own processes sleep, its counters stand and its completions fail for a minute.

    Measured on vLLM 0.32 on a busy machine: TorchInductor compiles the sampler at the first request
    with a temperature, and a restart would only begin the compilation anew.
    """
    server = Server().pass_time(12)
    server.wedged = True
    seconds = server.get(requests).seconds_until("stalled", 500, **compiler)
    assert seconds is not None
    assert 295 <= seconds <= 330, "a compiler that never ends is a stall in the end"
    assert "cc1plus" in " ".join(server.verdict().reasons)


def test_a_compiler_that_ends_leaves_a_server_that_answers() -> None:
    server = Server().pass_time(12)
    server.wedged = True
    server.pass_time(90, compiler=0.2)
    assert server.verdict().name == "busy"
    server.wedged = False
    assert server.seconds_until("stalled", 60) is None
    assert server.verdict().name == "idle"


def test_an_engine_that_hangs_after_its_compiler_has_ended_is_a_stall() -> None:
    server = Server().pass_time(12)
    server.wedged = True
    server.pass_time(90, compiler=0.2)
    seconds = server.seconds_until("stalled", 120)
    assert seconds is not None
    assert seconds <= 60


def test_a_helper_that_is_always_busy_is_no_sign_of_work() -> None:
    server = Server().pass_time(20, kept=1.0)
    server.wedged = True
    assert (server.get(1).seconds_until("stalled", 60, kept=1.0) or 99) <= 31


def test_a_prefill_gets_no_canaries() -> None:
    server = Server(wedged=True).get(1).pass_time(60, cores=1.0)
    assert server.canaries == 0


def test_a_worker_that_polls_in_vain_does_not_compute() -> None:
    for how in ({"cores": 0.15}, {"cores": 0.02, "starved": 0.7}):
        server = Server(wedged=True).get(1).pass_time(5)
        assert (server.seconds_until("stalled", 60, **how) or 99) <= 31


def test_a_full_queue_that_moves_slowly_is_busy() -> None:
    server = Server(full=True).get(500)
    for _ in range(60):
        server.pass_time(25)
        server.tokens += 1
        server.pass_time(5)
        assert server.verdict().name is Liveness.BUSY


def test_a_server_that_refuses_every_request_and_does_not_move_is_a_stall() -> None:
    """FastDeploy with its largest number of requests, all of which hang, answers 429."""
    server = Server(full=True).get(512).pass_time(5)
    assert (server.seconds_until("stalled", 60) or 99) <= 31
    assert server.verdict().reasons[1] == "a short completion was refused: answered 429"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"paused": True}, "the engine says that it is paused"),
        (
            {"health": Answer(304, "GET /health answered 304")},
            "GET /health answered 304: the engine was paused",
        ),
        ({"awake": 0.0}, "the engine says that it sleeps"),
    ],
    ids=["is_paused", "304", "sleep"],
)
def test_a_paused_server_is_paused_however_long_and_whatever_waits(
    how: dict[str, bool | Answer], reason: str
) -> None:
    server = Server(wedged=True).get(4).pass_time(5)
    server.pass_time(300, **how)  # type: ignore[arg-type]
    assert server.verdict() == Verdict(Liveness.PAUSED, 1010.0, (reason,))
    server.pass_time(1800, **how)  # type: ignore[arg-type]
    assert server.verdict().name is Liveness.PAUSED
    assert server.last is not None
    assert not server.last.doubtful, "it says itself what it is"
    assert server.canaries == 0


def test_a_process_that_has_ended_is_dead_at_once() -> None:
    for state in ("", "Z", "X"):
        server = Server().get(1).pass_time(20, tokens=10)
        server.state = state
        server.pass_time(5, tokens=10)
        assert server.verdict().name is Liveness.DEAD
        assert server.verdict().reasons[-1] == "worker_process.py (2) has ended"
        assert assess(server.samples, POLICY).suspect
        assert not assess(server.samples, POLICY).canary


def test_a_helper_that_has_ended_is_not_the_end() -> None:
    helper = ProcessSample(9, "cache_transfer", "other", "Z")
    samples = [replace(s, processes=(*s.processes, helper)) for s in Server().pass_time(9).samples]
    assert assess(samples, POLICY).verdict.name is Liveness.IDLE


@pytest.mark.parametrize("who", ["state", "front"])
def test_a_process_stopped_by_a_signal_is_a_stall_but_a_profilers_moment_is_none(who: str) -> None:
    server = Server(step=1.0).get(1).pass_time(20, tokens=10)
    server.wedged = True
    setattr(server, who, "T")
    server.pass_time(9)
    assert server.verdict().name is Liveness.BUSY
    assert assess(server.samples, POLICY).suspect
    server.pass_time(2)
    assert server.verdict().name is Liveness.STALLED
    assert server.verdict().reasons[-1].startswith("stopped by a signal: ")
    setattr(server, who, "S")
    server.pass_time(1, tokens=10)
    assert server.verdict().name is Liveness.BUSY


def test_a_debugger_gets_more_time() -> None:
    server = Server(step=1.0).pass_time(20)
    server.state = "t"
    server.pass_time(29)
    assert server.verdict().name is Liveness.IDLE
    server.pass_time(2)
    assert server.verdict().reasons == ("stopped by a debugger: worker_process.py (2)",)


def test_a_worker_that_waits_for_a_device_is_named() -> None:
    server = Server(wedged=True).pass_time(20)
    server.state = "D"
    assert (server.seconds_until("stalled", 60) or 99) <= 30
    named = "waits for a device or a disk (uninterruptible): worker_process.py (2)"
    assert named in server.verdict().reasons


@pytest.mark.parametrize("health", [SLOW, Answer(404), Answer(None, "refused")])
def test_a_server_that_does_not_answer_is_a_stall_within_30_seconds(health: Answer) -> None:
    server = Server(wedged=True).pass_time(20)
    assert (server.seconds_until("stalled", 60, health=health, counted=False) or 99) <= 30
    assert server.verdict().reasons[0] == str(health)


def test_a_server_whose_completions_come_back_is_not_stalled_whatever_its_health_says() -> None:
    server = Server().pass_time(20).pass_time(300, health=Answer(500, "GET /health answered 500"))
    assert server.verdict().name is Liveness.BUSY
    assert server.verdict().reasons == ("GET /health answered 500",)


def test_a_server_too_busy_to_answer_is_busy_while_it_computes() -> None:
    server = Server(wedged=True).get(200).pass_time(20, tokens=5)
    server.pass_time(120, health=SLOW, counted=False, cores=0.1, starved=0.8)
    assert server.verdict().name is Liveness.BUSY


# -- an idle server ----------------------------------------------------------------------------


def test_an_idle_server_whose_completions_hang_is_seen_within_30_seconds() -> None:
    server = Server().pass_time(60)
    server.wedged = True
    assert (server.seconds_until("stalled", 120) or 99) <= 30
    assert server.verdict().reasons[0] == "2 short completions failed: no answer within 8 s"


def test_a_stalled_server_is_asked_less_and_less_and_comes_back_by_itself() -> None:
    server = Server(wedged=True).pass_time(1800)
    assert server.verdict().name is Liveness.STALLED
    assert server.canaries < 40, "they wait in its queue"
    server.wedged = False
    assert (server.seconds_until("idle", 120) or 999) <= 70


def test_clients_that_are_answered_need_no_canary() -> None:
    server = Server().get(1).pass_time(60, tokens=1)
    assert server.canaries == 0
    server.serve().pass_time(5)
    assert server.canaries == 0, "something moved 5 s ago"
    server.pass_time(10)
    assert server.canaries == 1


def test_canaries_can_be_switched_off() -> None:
    server = Server(policy=replace(POLICY, canary=False)).pass_time(600)
    assert server.canaries == 0
    assert server.verdict().name is Liveness.IDLE


def test_a_canary_is_not_sent_late_because_no_sample_was_due() -> None:
    server = Server().pass_time(20).get(1)
    server.step = 0.7
    server.pass_time(1.4, tokens=5)
    server.serve().pass_time(4.9)
    assert 3.0 < assess(server.samples, POLICY).wait <= 4.0


def test_one_failed_canary_is_no_stall() -> None:
    samples = Server().pass_time(20).samples
    last = samples[-1]
    failed = replace(
        last, at=last.at + 5, canaries=(Canary(last.at + 1, False, "connection reset"),)
    )
    verdict = assess([*samples, failed], POLICY).verdict
    assert verdict.name is Liveness.BUSY
    assert verdict.reasons == ("a short completion failed: connection reset",)
    answered = replace(failed, at=failed.at + 5, canaries=(Canary(failed.at, True),))
    assert assess([*samples, failed, answered], POLICY).verdict.name is Liveness.IDLE


# -- a server without counters --------------------------------------------------------------------

BARE = replace(POLICY, counters=Counters())


def test_a_server_without_counters_is_idle_while_completions_come_back() -> None:
    server = Server(policy=BARE, counted=False).pass_time(300)
    assert server.verdict() == Verdict(Liveness.IDLE, 1005.0, ("it answers",))


def test_one_that_computes_a_long_answer_is_busy_however_long() -> None:
    """transformers serve has no metrics, and a canary waits for the answer before it."""
    server = Server(policy=BARE, counted=False, wedged=True).pass_time(1200, cores=1.0)
    assert server.verdict().name is Liveness.BUSY
    server.seconds_until("stalled", 60)
    assert server.verdict().name is Liveness.STALLED, "it does not compute any more"


# -- time in which the keeper did not run ------------------------------------------------------


def test_a_machine_that_was_suspended_is_no_evidence() -> None:
    server = Server(step=5.0, wedged=True).get(3).pass_time(20, tokens=10)
    server.now += 7200
    server.pass_time(5, late=7200)
    assert server.verdict().name is Liveness.BUSY
    assert server.verdict().since == server.now, "what was before is dropped"
    server.pass_time(10)
    assert server.verdict().name is Liveness.BUSY
    assert server.seconds_until("stalled", 60) is not None


def test_a_keeper_that_never_gets_the_processor_says_nothing_bad() -> None:
    server = Server(step=20.0, wedged=True).get(3).pass_time(2000, late=15.0)
    assert server.verdict().name is Liveness.BUSY


def test_short_intervals_do_not_make_a_busy_machine_a_reason() -> None:
    policy = replace(POLICY, interval=0.2, suspect_interval=0.2, stall_after=2.0)
    server = Server(policy=policy, step=1.0, wedged=True).get(1).pass_time(60, late=0.8)
    assert server.verdict().name is Liveness.STALLED, "0.8 s late is on time enough"


def test_a_verdict_needs_a_sample() -> None:
    with pytest.raises(ValueError, match="needs a sample"):
        assess([], POLICY)
