"""Looks at a ready server from a thread of its own: one that hangs does not delay the keeper.

A sample asks the server at most three short questions, each with a deadline, and reads files. A
canary may take longer than the time between two samples: it has a thread for as long as it lasts.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.files import lengths
from launcher.host import processes
from launcher.host.sockets import waiting_connections
from launcher.json_values import at, text_at
from launcher.keeper.control import Client
from launcher.keeper.gpu_use import GpuUse
from launcher.keeper.loop import Loop
from launcher.liveness.policy import LivenessPolicy
from launcher.liveness.sample import Answer, Canary, ProcessSample, Sample
from launcher.plain import plain
from launcher.plan.model import LaunchPlan
from launcher.probe import heartbeat, prometheus
from launcher.probe.readiness import ask_paused, completion, plan_health
from launcher.probe.request import ask
from launcher.redact import Redactor

LONGEST_QUESTION = 2.0
"""Seconds one question of a sample may take."""
EXCERPT = 200
"""Characters of what a server answered to a canary."""


@dataclass(frozen=True)
class Watched:
    """A process to look at, and what it is to the engine (see `ProcessSample.role`)."""

    pid: int
    start: int
    name: str
    role: str


class Sampler:
    """Takes samples and sends canaries; hands both back in the loop's thread."""

    def __init__(
        self, loop: Loop, plan: LaunchPlan, policy: LivenessPolicy, secret: str | None, logs: str
    ) -> None:
        """Start the thread that looks; `logs` is the folder of the captured output."""
        self._loop = loop
        self._plan = plan
        self._policy = policy
        self._secret = secret
        self._redactor = Redactor([secret] if secret else [])
        self._folders = (logs, plan.log_folder)
        self._port = plan.port(plan.readiness.port).number
        self._gpus = GpuUse(plan.gpus, plan.gpu_ranks)
        self._timeout = max(0.5, min(LONGEST_QUESTION, policy.interval))
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_run, args=(self._work,), daemon=True)
        self._thread.name = "liveness"
        self._thread.start()

    @property
    def longest(self) -> float:
        """Seconds after which a sample is overdue: something without a deadline hangs."""
        return 4 * self._timeout + 10.0

    def close(self) -> None:
        """End the thread once it has nothing to do; what it still finds is handed back."""
        self._work.put(None)

    def take(
        self, watched: Sequence[Watched], suspect: bool, on_sample: Callable[[Sample], None]
    ) -> None:
        """Take a sample; with `suspect` also what costs more to know."""

        def work() -> None:
            try:
                sample = self._sample(watched, suspect)
            except Exception:  # a defect here must not end the thread: nothing would be seen again
                traceback.print_exc()
                sample = Sample(time.monotonic())
            self._loop.call_soon(lambda: on_sample(sample))

        self._work.put(work)

    def send_canary(self, on_end: Callable[[Canary | None], None]) -> None:
        """Ask for a short completion; `on_end` gets None where the keeper had no processor."""
        sent = time.monotonic()

        def work() -> None:
            canary = self._canary(sent)
            self._loop.call_soon(lambda: on_end(canary))

        threading.Thread(target=work, name="canary", daemon=True).start()

    # -- in the threads ---------------------------------------------------------------------------

    def _sample(self, watched: Sequence[Watched], suspect: bool) -> Sample:
        at = time.monotonic()
        policy, readiness = self._policy, self._plan.readiness
        looked = tuple(_look(one) for one in watched)
        answer = self._health()
        well = answer is not None and answer.status == 200
        paused = None
        if readiness.paused_path is not None and well:
            rung = ask_paused(
                readiness.address, self._port, readiness.paused_path, self._secret, self._timeout
            )
            paused = rung.evidence.get("paused")
        beat = heartbeat.age(policy.heartbeat, time.time()) if policy.heartbeat else None
        return Sample(
            at,
            processes=looked,
            health=answer,
            counters=self._counters(),
            heartbeat=beat,
            log_bytes=sum(lengths(*self._folders).values()),
            gpu=self._gpus.read() if suspect else None,
            connections=None if well else waiting_connections(self._port),
            paused=paused,
        )

    def _health(self) -> Answer | None:
        """None where the keeper was kept from the processor for most of the question's time."""
        before = processes.seconds_waited_for_processor()
        rung = plan_health(self._plan, self._timeout)
        waited = processes.seconds_waited_for_processor() - before
        status = rung.evidence.get("status")
        if status is None and waited > self._timeout / 2:
            return None
        if status == 200 and rung.verdict != "passed":
            return Answer(None, self._redactor.text(rung.message))
        if status == 200 and (ill := self._ill_peer()) is not None:
            return Answer(None, ill)
        return Answer(status, "" if status == 200 else self._redactor.text(rung.message))

    def _ill_peer(self) -> str | None:
        """Why one of the instances without which this one cannot work is not ready."""
        for folder in self._plan.readiness.peers:
            name = Path(folder).name
            try:
                client = Client(Path(folder), self._timeout)
                try:
                    answer = client.request("probe", kind="ready")
                finally:
                    client.close()
            except (OSError, ValueError) as error:
                return f"{name} has no keeper that answers: {error}"
            if at(answer, "passed") is not True:
                return f"{name} is not ready: {text_at(answer, 'reason')}"
        return None

    def _counters(self) -> dict[str, float] | None:
        policy = self._policy
        if policy.metrics_port is None:
            return None
        use = self._plan.port(policy.metrics_port)
        try:
            answer = ask(use.address, use.number, policy.metrics_path, timeout=self._timeout)
        except OSError:
            return None
        if answer.status != 200:
            return None
        return prometheus.sums(answer.body.decode(errors="replace"), policy.counters.names)

    def _canary(self, sent: float) -> Canary | None:
        deadline = self._policy.canary_deadline
        readiness = replace(self._plan.readiness, probe_timeout=deadline)
        before = processes.seconds_waited_for_processor()
        try:
            rung = completion(replace(self._plan, readiness=readiness), self._secret)
        except Exception as error:  # a defect of ours does not speak against the server
            return Canary(sent, False, f"the canary itself failed: {error!r}", refused=True)
        waited = processes.seconds_waited_for_processor() - before
        if rung.verdict != "passed" and waited > deadline / 2:
            return None
        status = rung.evidence.get("status")
        # It passed when the server became ready: a refusal tells of the request, not of the engine.
        refused = isinstance(status, int) and 400 <= status < 500
        message = rung.message
        if rung.code == "completion-timeout":
            message = f"no answer within {deadline:g} s"
        text = self._redactor.text(plain(" ".join(message.split())))[:EXCERPT]
        return Canary(sent, rung.verdict == "passed", text, refused)


def _run(work: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := work.get()) is not None:
        job()


def _look(watched: Watched) -> ProcessSample:
    """One process now; its state is empty where it is gone."""
    pid, name, role = watched.pid, watched.name, watched.role
    now = processes.stat(pid)
    if now is None or now.number(processes.START) != watched.start:
        return ProcessSample(pid, name, role, "")
    own = now.number(processes.USER_TIME) + now.number(processes.SYSTEM_TIME)
    ended = now.number(processes.CHILDREN_USER_TIME) + now.number(processes.CHILDREN_SYSTEM_TIME)
    cpu, ended_cpu = own / processes.TICKS, ended / processes.TICKS
    queued, moved = 0.0, 0
    if role != "other":
        queued = processes.queued_for_processor(pid)
        counters = processes.transferred(pid)
        moved = counters.get("rchar", 0) + counters.get("wchar", 0)
    return ProcessSample(pid, name, role, now.state, cpu, queued, moved, ended_cpu)
