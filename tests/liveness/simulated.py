"""A server and its keeper in time that passes in steps: what the keeper saw, and its canaries."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.liveness.judge import Assessment, Verdict, assess
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
        awake='sleep{state="awake"}',
    ),
)
ANSWERED = Answer(200)


@dataclass
class Server:
    """`samples` is what its keeper saw; requests of clients and of the keeper are kept apart.

    `wedged`: completions get no answer. `full`: they are refused. `leaked` requests stay in the
    backlog although they are gone, as those that FastDeploy dropped.
    """

    policy: LivenessPolicy = POLICY
    step: float | None = None
    now: float = 1000.0
    samples: collections.deque[Sample] = field(default_factory=collections.deque)
    tokens: float = 0.0
    clients: float = 0.0
    served: float = 0.0
    leaked: float = 0.0
    helper: int = 100
    helper_cpu: float = 0.0
    ended: float = 0.0
    cpu: float = 0.0
    queued: float = 0.0
    io: int = 0
    state: str = "S"
    front: str = "S"
    wedged: bool = False
    full: bool = False
    counted: bool = True
    sent: float | None = None
    canaries: int = 0
    admitted: int = 0
    answered: int = 0
    last: Assessment | None = None

    def pass_time(
        self,
        seconds: float,
        *,
        tokens: float = 0.0,
        cores: float = 0.0,
        starved: float = 0.0,
        compiler: float = 0.0,
        kept: float = 0.0,
        io: float = 0.0,
        health: Answer | None = ANSWERED,
        paused: bool | None = None,
        late: float = 0.0,
        counted: bool = True,
        gpu: float | None = None,
        heartbeat: float | None = None,
        awake: float = 1.0,
    ) -> Server:
        """Let `seconds` pass in which `tokens` a second are made; samples as the keeper takes.

        `compiler`: cores of helpers, each of which ends within a step, `kept`: of one that stays.
        """
        end = self.now + seconds
        while self.now < end - 1e-6:
            step = self.step or self._next_step()
            self.now += step
            self.tokens += tokens * step
            self.cpu += cores * step
            self.queued += starved * step
            self.io += int(io * step)
            self.ended += compiler * step
            self.helper += compiler > 0
            self.helper_cpu += kept * step
            ended = self._end_canary()
            counters = self._counters(awake) if counted and self.counted else None
            self.samples.append(
                Sample(
                    self.now, late, self._processes(), health, counters, heartbeat, 100, gpu,
                    paused=paused, canaries=ended, canary_sent=self.sent,
                )
            )  # fmt: skip
            while self.samples[0].at < self.now - self.policy.memory - 2 * self.policy.interval:
                self.samples.popleft()
            self.last = assess(self.samples, self.policy)
            if self.last.canary:
                self.sent = self.now
                self.canaries += 1
                self.admitted += not self.full
        return self

    def _next_step(self) -> float:
        """A sample is taken as soon as a canary has ended."""
        step = self.last.wait if self.last else self.policy.interval
        if self.sent is None:
            return step
        hangs = self.wedged and not self.full
        left = self.sent + self.policy.canary_deadline - self.now if hangs else 0.1
        return min(step, max(left, 0.1))

    def _processes(self) -> tuple[ProcessSample, ...]:
        return (
            ProcessSample(1, "python3", "main", self.front),
            ProcessSample(
                2, "worker_process.py", "worker", self.state, self.cpu, self.queued, self.io,
                self.ended,
            ),
            *([ProcessSample(self.helper, "cc1plus", "other", "R", self.helper_cpu)]
              if self.helper > 100 or self.helper_cpu else []),
        )  # fmt: skip

    def _counters(self, awake: float) -> Mapping[str, float]:
        return {
            "tokens": self.tokens + self.answered,
            "finished": self.served + self.answered,
            "received": self.served + self.clients + self.leaked + self.admitted,
            "running": self.clients + (self.sent is not None and not self.full),
            "waiting": 0.0,
            'sleep{state="awake"}': awake,
        }

    def _end_canary(self) -> tuple[Canary, ...]:
        if self.sent is None:
            return ()
        sent, hangs = self.sent, self.wedged and not self.full
        if hangs and self.now - sent < self.policy.canary_deadline:
            return ()
        self.sent = None
        if self.full:
            return (Canary(sent, False, "answered 429", refused=True),)
        self.answered += not hangs
        return (Canary(sent, not hangs, f"no answer within {self.policy.canary_deadline:g} s"),)

    def get(self, requests: int) -> Server:
        """Clients send `requests`."""
        self.clients += requests
        return self

    def serve(self) -> Server:
        """All that clients have sent is answered."""
        self.served, self.clients = self.served + self.clients, 0
        return self

    def verdict(self) -> Verdict:
        assert self.last is not None
        return self.last.verdict

    def seconds_until(self, name: str, most: float, **how: object) -> float | None:
        """Seconds until the verdict is `name`, None where it is not within `most`."""
        begun = self.now
        while self.now < begun + most:
            step = self.step or self._next_step()
            self.pass_time(step, **how)  # type: ignore[arg-type]
            if self.verdict().name == name:
                return self.now - begun
        return None
