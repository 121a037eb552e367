"""The verdict on a ready server, from what the keeper saw of it second by second."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from launcher.liveness.judge import Liveness, Verdict, is_suspect, judge, needs_canary
from launcher.liveness.policy import Counters, LivenessPolicy
from launcher.liveness.sample import Answer, Canary, ProcessSample, Sample

POLICY = LivenessPolicy(
    paused_statuses=(304,),
    counters=Counters(
        progress=("tokens", "finished"),
        running=("running",),
        waiting=("waiting",),
        received="received",
        finished="finished",
    ),
)
GOOD = Answer(200, seconds=0.01)


@dataclass
class Server:
    """A server whose time passes in steps; `samples` is what its keeper saw."""

    policy: LivenessPolicy = POLICY
    step: float = 5.0
    now: float = 1000.0
    samples: list[Sample] = field(default_factory=list)
    tokens: float = 0.0
    received: float = 0.0
    finished: float = 0.0
    running: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0
    state: str = "S"

    def pass_time(
        self,
        seconds: float,
        *,
        tokens: float = 0.0,
        cores: float = 0.0,
        starved: float = 0.0,
        health: Answer | None = GOOD,
        paused: bool | None = None,
        late: float = 0.0,
        counted: bool = True,
        canaries: Sequence[Canary] = (),
        gpu: float | None = None,
        heartbeat: float | None = None,
    ) -> Server:
        """Let `seconds` pass in which `tokens` a second are made; a sample every step."""
        end = self.now + seconds
        while self.now < end:
            self.now += self.step
            self.tokens += tokens * self.step
            self.cpu += cores * self.step
            self.queued += starved * self.step
            processes = (
                ProcessSample(1, "python3", "main", self.state or "S"),
                ProcessSample(2, "worker_process.py", "worker", self.state, self.cpu, self.queued),
            )
            counters = {
                "tokens": self.tokens,
                "finished": self.finished,
                "received": self.received,
                "running": self.running,
                "waiting": 0.0,
            }
            self.samples.append(
                Sample(
                    self.now, late, processes, health, counters if counted else None,
                    heartbeat=heartbeat, paused=paused, canaries=tuple(canaries), gpu=gpu,
                )
            )  # fmt: skip
        return self

    def get(self, requests: int) -> Server:
        """Clients send `requests`."""
        self.received += requests
        self.running += requests
        return self

    def verdict(self) -> Verdict:
        return judge(self.samples, self.policy)


def test_a_server_without_requests_is_idle_since_it_is() -> None:
    server = Server().pass_time(300)
    assert server.verdict().name is Liveness.IDLE
    assert server.verdict().since == 1005.0
    assert server.verdict().reasons == ("no request waits",)


def test_requests_that_move_are_busy() -> None:
    server = Server().pass_time(60).get(3).pass_time(60, tokens=20)
    assert server.verdict().name is Liveness.BUSY
    assert server.verdict().since == 1065.0
    assert server.verdict().reasons == ("3 requests are in work or waiting, counters rise",)


def test_requests_that_do_not_move_are_a_stall_after_30_seconds() -> None:
    server = Server().pass_time(60).get(3).pass_time(60, tokens=20)
    stopped = server.now
    server.pass_time(25, heartbeat=25)
    assert server.verdict().name is Liveness.BUSY
    server.pass_time(5, heartbeat=30)
    assert server.verdict() == Verdict(
        Liveness.STALLED,
        stopped,
        (
            "3 requests are in work or waiting, no progress for 30 s",
            "the oldest heartbeat of a worker is 30 s old",
        ),
    )


def test_the_backlog_counts_where_the_gauge_of_waiting_requests_stays_0() -> None:
    """FastDeploy before 2.6: num_requests_waiting was 0 while 6 of 10 waited."""
    server = Server().get(10)
    server.running = 0
    assert server.pass_time(40).verdict().name is Liveness.STALLED
    assert "10 requests are" in server.verdict().reasons[0]


@pytest.mark.parametrize("evidence", [{"cores": 1.0}, {"starved": 1.0}, {"gpu": 0.97}])
def test_a_prefill_of_a_minute_is_busy_and_a_kernel_that_hangs_is_a_stall_in_the_end(
    evidence: dict[str, float],
) -> None:
    """Both compute and give no token; a starved worker would compute if it could."""
    server = Server().get(1).pass_time(60, **evidence)  # type: ignore[arg-type]
    assert server.verdict().name is Liveness.BUSY
    server.pass_time(220, **evidence)  # type: ignore[arg-type]
    assert server.verdict().name is Liveness.BUSY
    server.pass_time(30, **evidence)  # type: ignore[arg-type]
    assert server.verdict().name is Liveness.STALLED


def test_a_worker_that_polls_in_vain_does_not_compute() -> None:
    server = Server().get(1).pass_time(40, cores=0.15)
    assert server.verdict().name is Liveness.STALLED


def test_a_full_queue_that_moves_slowly_is_busy() -> None:
    server = Server().get(500)
    for _ in range(100):
        server.pass_time(25)
        server.tokens += 1
        server.pass_time(5)
        assert server.verdict().name is Liveness.BUSY


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"paused": True}, "the engine says that it is paused"),
        ({"health": Answer(304)}, "GET /health answered 304: the engine was paused"),
    ],
    ids=["is_paused", "304"],
)
def test_a_paused_server_is_paused_however_long_and_whatever_waits(
    how: dict[str, bool | Answer], reason: str
) -> None:
    server = Server().get(4).pass_time(5)
    server.pass_time(3600, **how)  # type: ignore[arg-type]
    assert server.verdict() == Verdict(Liveness.PAUSED, 1010.0, (reason,))
    assert not needs_canary(server.samples, POLICY)


def test_a_process_that_has_ended_is_dead_at_once() -> None:
    for state in ("", "Z", "X"):
        server = Server().get(1).pass_time(20, tokens=10)
        server.state = state
        server.pass_time(5, tokens=10)
        assert server.verdict().name is Liveness.DEAD
        assert server.verdict().reasons[-1] == "worker_process.py (2) has ended"
        assert is_suspect(server.samples, POLICY)


def test_a_helper_that_has_ended_is_not_the_end() -> None:
    helper = ProcessSample(9, "cache_transfer", "other", "Z")
    samples = [replace(s, processes=(*s.processes, helper)) for s in Server().pass_time(9).samples]
    assert judge(samples, POLICY).name is Liveness.IDLE


def test_a_process_stopped_by_a_signal_is_a_stall_but_a_debuggers_moment_is_none() -> None:
    server = Server(step=1.0).get(1).pass_time(20, tokens=10)
    server.state = "T"
    server.pass_time(2)
    assert server.verdict().name is Liveness.BUSY
    assert is_suspect(server.samples, POLICY)
    server.pass_time(2)
    assert server.verdict().name is Liveness.STALLED
    assert server.verdict().reasons[-1] == "stopped by a signal: worker_process.py (2)"
    server.state = "S"
    server.pass_time(1, tokens=10)
    assert server.verdict().name is Liveness.BUSY


@pytest.mark.parametrize(
    "health", [Answer(None, "timed out after 2 s"), Answer(404), Answer(None, "refused")]
)
def test_a_server_that_does_not_answer_is_a_stall_after_30_seconds(health: Answer) -> None:
    server = Server().pass_time(20)
    server.pass_time(30, health=health, counted=False)
    assert server.verdict().name is Liveness.BUSY
    server.pass_time(5, health=health, counted=False)
    assert server.verdict().name is Liveness.STALLED
    assert server.verdict().reasons == (f"GET /health {health}",)


def test_a_server_too_busy_to_answer_is_busy_while_it_computes() -> None:
    server = Server().get(200).pass_time(20, tokens=5)
    slow = Answer(None, "timed out after 2 s")
    server.pass_time(120, health=slow, counted=False, cores=0.1, starved=0.8)
    assert server.verdict().name is Liveness.BUSY


# -- an idle server ----------------------------------------------------------------------------


def drive(server: Server, seconds: float, answer: str | None) -> float | None:
    """Send canaries as the keeper does; seconds to the first stall, None where there is none."""
    begun = server.now
    sent: float | None = None
    while server.now < begun + seconds:
        ended: list[Canary] = []
        if sent is not None and answer is None:
            server.tokens += 1
            server.finished += 1
            ended.append(Canary(sent, True))
            sent = None
        elif sent is not None and server.now - sent >= POLICY.canary_deadline:
            ended.append(Canary(sent, False, str(answer)))
            sent = None
        server.step = 1.0 if is_suspect(server.samples, POLICY) or sent is not None else 5.0
        server.pass_time(server.step, canaries=ended)
        if server.verdict().name is Liveness.STALLED:
            return server.now - begun
        if sent is None and needs_canary(server.samples, POLICY):
            sent = server.now
            server.received += 1
    return None


def test_an_idle_server_that_answers_canaries_is_idle_for_hours() -> None:
    server = Server()
    assert drive(server, 7200, None) is None
    assert server.verdict().name is Liveness.IDLE
    assert 300 < server.finished < 800, "a canary every 10 to 20 s"


def test_an_idle_server_whose_completions_hang_is_seen_within_30_seconds() -> None:
    server = Server().pass_time(60)
    seconds = drive(server, 120, "no answer within 8 s")
    assert seconds is not None
    assert seconds <= 30
    assert server.verdict().reasons[0] == "2 short completions failed: no answer within 8 s"


def test_clients_that_are_answered_need_no_canary() -> None:
    server = Server().pass_time(60)
    assert needs_canary(server.samples, POLICY)
    server.get(1).pass_time(60, tokens=1)
    assert not needs_canary(server.samples, POLICY)
    server.received, server.running = server.finished, 0
    server.pass_time(5)
    assert not needs_canary(server.samples, POLICY), "something moved 5 s ago"
    server.pass_time(5)
    assert needs_canary(server.samples, POLICY)


def test_canaries_can_be_switched_off() -> None:
    off = replace(POLICY, canary=False)
    assert not needs_canary(Server().pass_time(600).samples, off)


def test_one_failed_canary_is_no_stall() -> None:
    server = Server().pass_time(20)
    server.pass_time(5, canaries=[Canary(server.now - 3, False, "connection reset")])
    assert server.verdict().name is Liveness.BUSY
    assert server.verdict().reasons == ("a short completion failed: connection reset",)
    server.pass_time(5, canaries=[Canary(server.now - 1, True)])
    assert server.verdict().name is Liveness.IDLE


# -- time in which the keeper did not run ------------------------------------------------------


def test_a_machine_that_was_suspended_is_no_evidence() -> None:
    server = Server().get(3).pass_time(20, tokens=10)
    server.now += 7200
    server.pass_time(5, late=7200)
    assert server.verdict().name is Liveness.BUSY
    assert server.verdict().since == server.now, "what was before is dropped"
    server.pass_time(25)
    assert server.verdict().name is Liveness.BUSY
    server.pass_time(5)
    assert server.verdict().name is Liveness.STALLED


def test_a_keeper_that_never_gets_the_processor_says_nothing_bad() -> None:
    server = Server(step=20.0).get(3).pass_time(2000, late=15.0)
    assert server.verdict().name is Liveness.BUSY


def test_a_verdict_needs_a_sample() -> None:
    with pytest.raises(ValueError, match="needs a sample"):
        judge([], POLICY)
    assert not needs_canary([], POLICY)
    assert not is_suspect([], POLICY)


# -- whatever happens ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_a_live_server_is_never_stalled_or_dead_whatever_its_load(seed: int) -> None:
    """An hour of load in which something moves at least every 20 s, or the engine computes."""
    dice = random.Random(seed)
    server = Server()
    while server.now < 4600:
        server.step = dice.choice([1.0, 5.0])
        server.get(dice.randrange(20))
        kind = dice.randrange(5)
        if kind == 0:
            server.pass_time(dice.uniform(1, 200), cores=dice.uniform(0.6, 4))
        elif kind == 1:
            server.pass_time(
                dice.uniform(1, 60), counted=False, starved=1.0, health=Answer(None, "timed out")
            )
        elif kind == 2:
            server.pass_time(5, late=dice.uniform(11, 4000))
        else:
            server.pass_time(dice.uniform(1, 60), tokens=dice.uniform(0.5, 500))
        assert server.verdict().name in (Liveness.BUSY, Liveness.IDLE), server.verdict()
        server.tokens += 1
        server.pass_time(1)
        if dice.random() < 0.3:
            server.received, server.running = server.finished, 0


@pytest.mark.parametrize("seed", range(20))
def test_a_server_that_does_nothing_while_work_waits_is_always_seen(seed: int) -> None:
    dice = random.Random(seed)
    server = Server().get(dice.randrange(1, 9)).pass_time(dice.uniform(1, 300), tokens=3)
    begun = server.now
    while server.verdict().name is not Liveness.STALLED:
        server.step = 1.0 if is_suspect(server.samples, POLICY) else 5.0
        server.pass_time(
            server.step,
            cores=dice.uniform(0, 0.4),
            health=dice.choice([GOOD, Answer(404), Answer(None, "timed out")]),
            counted=dice.random() < 0.9,
        )
        assert server.now - begun <= 36, server.verdict()
