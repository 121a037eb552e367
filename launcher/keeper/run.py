"""One run of the engine, from nothing to nothing.

It is over when it failed or was asked to stop. A failure is decided by the first of: a fatal line
of the load, a vital process's death, the first process's exit, a rung of the ladder that says
"failed", a deadline, a stall, and a ready server that fails as a line of its log says. Whatever the
way out, the whole tree is gone and the leftovers are removed before the final state is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from launcher import paths
from launcher.diagnose import log_lengths
from launcher.errors import ExitCode, Problem
from launcher.files import lengths
from launcher.keeper import (
    cleanup,
    command_line,
    identity,
    mark,
    own_cgroup,
    precondition,
    stranger,
    tree,
)
from launcher.keeper.claim import EngineClaim
from launcher.keeper.conclusion import OUR_SIGNALS, conclude, look_up_worker_exit
from launcher.keeper.engine_lines import EngineLines
from launcher.keeper.engine_process import EngineProcess
from launcher.keeper.engine_stop import StopRequest, stop_tree
from launcher.keeper.failure import Failure, explain
from launcher.keeper.guard_process import Guard, start_guard
from launcher.keeper.last_words import wait_for_last_words
from launcher.keeper.line_sampling import Attention
from launcher.keeper.liveness_watch import LivenessWatch
from launcher.keeper.log_follower import Follower, follow
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.memory_killer import MemoryKiller
from launcher.keeper.notify import Notifier
from launcher.keeper.output import Runs
from launcher.keeper.own_cgroup import OwnCgroup
from launcher.keeper.port_watch import is_held
from launcher.keeper.readiness import Prover
from launcher.keeper.record import Record
from launcher.keeper.restart_policy import StartAgain
from launcher.keeper.restarts import Restarts
from launcher.keeper.rounds import Rounds
from launcher.keeper.second_opinion import SecondOpinion
from launcher.keeper.state import LivenessRecord
from launcher.keeper.watch import Watcher
from launcher.lifecycle import RUNNING, InstanceState
from launcher.liveness.sample import Sample
from launcher.plan.command import environment
from launcher.plan.model import LaunchPlan
from launcher.probe.readiness import Rung
from launcher.redact import Redactor

QUOTED = 200
"""Characters of a line that a warning quotes: it may be a client's prompt."""
NO_LAST_WORDS = ("engine-stalled",)
"""Failures after half a minute in which the engine could write whatever it had to say."""


class Run:
    """Starts the engine, proves it, keeps it and ends it, once; a restart is another run."""

    def __init__(
        self,
        folder: Path,
        plan: LaunchPlan,
        loop: Loop,
        tree: tree.Tree,
        record: Record,
        stop: StopRequest,
        notifier: Notifier,
        restarts: Restarts,
        *,
        secrets: Mapping[str, str],
        environ: Mapping[str, str],
        on_ready: Callable[[], None],
        before_stop: Callable[[], None],
        on_output: Callable[[Runs], None] | None = None,
    ) -> None:
        """Nothing is started yet; `stop` is filled in from outside, `on_ready` called once.

        `before_stop` is called before the first signal of ours, and may take a moment. `on_output`
        gets every line of the engine.
        """
        self.failure: Failure | None = None
        self.restart: StartAgain | None = None
        """The run that follows this one, which has ended."""
        self._folder = folder
        self._plan = plan
        self._loop = loop
        self._tree = tree
        self._record = record
        self._state = record.state
        self._stop = stop
        self._notifier = notifier
        self._restarts = restarts
        self._secrets = dict(secrets)
        self._redactor = Redactor(secrets.values())
        self._environ = environ
        self._on_ready = on_ready
        self._before_stop = before_stop
        self._on_output = on_output
        self._watcher = Watcher(plan)
        self._rounds = Rounds(
            loop,
            plan,
            tree,
            record,
            notifier,
            fail=self._fail,
            on_command_lines=self._look_at_watched,
            lost_bytes=lambda: self._engine.lost_bytes if self._engine else 0,
        )
        self._lines = EngineLines(
            self._watcher,
            record,
            plan,
            notifier,
            self._fail,
            self._doubt,
            self._rounds.note_progress,
            lambda: self.failure is not None,
        )
        self._attention = Attention(
            loop, self._lines.take, self._watcher.texts, self._lines.overwhelmed
        )
        self._engine: EngineProcess | None = None
        self._guard: Guard | None = None
        self._follower: Follower | None = None
        self._closed_follower: Follower | None = None
        self._prover: Prover | None = None
        self._second_opinion: SecondOpinion | None = None
        self.watch: LivenessWatch | None = None
        """The verdicts on the ready server; None before it is ready."""
        self._deadline: Timer | None = None

    @property
    def samples(self) -> Sequence[Sample]:
        """What was seen of the server in the last minutes."""
        return () if self.watch is None else tuple(self.watch.samples)

    @property
    def newest_sample(self) -> Sample | None:
        """The last of them; may be asked for by any thread."""
        watch = self.watch
        try:
            return None if watch is None else watch.samples[-1]
        except IndexError:
            return None

    def live(self) -> ExitCode:
        """One run of the engine, from nothing to nothing."""
        if not self._stop.requested and self._start():
            self._loop.run_until(self._decided)
            if self.failure is None and not self._stop.requested:
                self._become_ready()
                self._loop.run_until(self._over)
        return self.end()

    def _decided(self) -> bool:
        proved = self._prover is not None and self._prover.done
        return proved or self._over()

    def _over(self) -> bool:
        return self.failure is not None or self._stop.requested

    # -- start ------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Start the engine; False where it could not even be started (the failure is kept)."""
        self._restarts.begin()
        self.failure = precondition.missing(self._plan, self._record)
        if self.failure is not None:
            return False
        log_lengths.forget(self._folder / "logs")  # an earlier run's, where this is a restart
        # Before the engine can write: what stands there is an earlier run's. Before it runs: it is
        # guarded from the first moment.
        self._follower = follow(self._loop, self._plan, self._attention, self._record)
        self._guard = start_guard(self._loop, self._tree, self._folder, self._plan, self._record)
        env = environment(self._plan, self._environ, self._secrets)
        env[identity.TOKEN_VARIABLE] = self._state.token
        env[identity.FOLDER_VARIABLE] = str(self._folder)
        env[identity.LEFTOVERS_VARIABLE] = mark.encode(self._plan, self._state.started_at)
        cgroup = self._make_cgroup()
        log = self._folder / "logs" / paths.CONSOLE
        try:
            self._engine = EngineProcess(
                self._loop, self._plan, env, log, self._attention, cgroup, self._on_output
            )
        except OSError as error:
            text = f"the engine cannot be started: {error}"
            self.failure = Failure(Problem("cannot-execute", text), ExitCode.PRECONDITION)
            return False
        if cgroup is not None and not cgroup.has_taken(self._engine.pid):
            self._state.cgroup = None if cgroup.remove() else self._state.cgroup
        # Recorded before anything else: a command finds the engine in the state if we are killed.
        self._tree.discover()
        first = next((p for p in self._tree.processes if p.pid == self._engine.pid), None)
        self._state.engine = EngineClaim(self._engine.pid, first.start if first else 0)
        self._record.claims.pid = self._engine.pid
        self._record.set(InstanceState.LOADING, engine={"pid": self._engine.pid})
        first_phase = self._watcher.begin()
        if first_phase is not None:
            self._lines.phase(first_phase, None)
        self._prover = Prover(
            self._loop, self._plan, self._secrets, self._tree, self._proof_failed, self._climbed
        )
        name = self._plan.readiness.auth_secret
        self._second_opinion = SecondOpinion(
            self._loop, self._plan, self._secrets.get(name) if name else None,
            self._fail, self._unfounded,
        )  # fmt: skip
        self._deadline = self._loop.call_later(self._plan.deadlines.startup, self._startup_deadline)
        self._rounds.begin()
        return True

    def _make_cgroup(self) -> OwnCgroup | None:
        """A cgroup for the engine alone, where one can be made; told before it is there."""
        path = own_cgroup.planned(self._state.token)
        if path is not None:
            self._state.cgroup = str(path)
            self._record.write()
        cgroup, problem = own_cgroup.make(path, self._plan.memory_max, self._tree.helpers)
        if problem is not None:
            self._record.event("warning", message=f"memory-max holds for nothing: {problem}")
        if cgroup is None:
            self._state.cgroup = None
        elif cgroup.counts_memory:
            self._rounds.memory_killer = MemoryKiller(cgroup.path)
        return cgroup

    def _kill_cgroup(self) -> bool:
        own = OwnCgroup.recorded(self._state.cgroup, self._state.token)
        return own is not None and own.kill(lambda process: process.parent == os.getpid())

    # -- what happens while it lives ------------------------------------------------------------

    def process_ended(self, process: identity.Process) -> None:
        """Take note of a death in the tree; that of the engine or of a vital process is the end."""
        self._record.dirty = True
        self._rounds.memory_killer.died(process.pid, self._tree.exits.get(process.pid))
        if self._engine is None or self._state.state not in RUNNING:
            return
        if process.pid == self._engine.pid:
            status = self._tree.exits.get(process.pid)
            code = tree.exit_code(status) if status is not None else None
            self._state.engine_exit = code
            self._take_last_words()
            self._fail(self._told() or Failure.from_exit(code, self._state.state))
        elif self.failure is None and (line := self._rounds.vital.line_of(process)) is not None:
            status = self._tree.exits.get(process.pid)
            code = tree.exit_code(status) if status is not None else None
            self._watcher.worker_exit = self._watcher.worker_exit or code
            self._take_last_words()
            self._fail(self._told() or Failure.from_vital(line, process, self._state.state, code))

    def _doubt(self, failure: Failure) -> None:
        """A line says that the server, which listens, has failed."""
        if self._second_opinion is not None and not self._over():
            self._second_opinion.ask(failure)

    def _told(self) -> Failure | None:
        """What a line has told of the server, of which a process has died now."""
        return None if self._second_opinion is None else self._second_opinion.told

    def _unfounded(self, failure: Failure, answers: bool) -> None:
        problem = failure.without_secrets(self._redactor).problem
        line = (problem.where or "")[:QUOTED]
        but = "the server answers well" if answers else "the server cannot tell now, and goes on"
        message = f"a line of the log says {problem.code}, but {but}: {line}"
        self._record.event("warning", message=message)

    def _take_last_words(self) -> None:
        if self._engine:
            self._engine.drain()
        if self._follower:
            self._follower.read_all()
        self._attention.last_words()

    def _fail(self, failure: Failure) -> None:
        if self.failure is None and not self._stop.requested:
            failure = self._rounds.memory_killer.explain(failure, self._tree.pids)
            self.failure = failure = failure.without_secrets(self._redactor)
            if self.watch is not None and not self.watch.fails:
                self.watch.died(failure.problem.message)
            self._record.event(
                "failure", code=failure.problem.code, message=failure.problem.message
            )

    def _startup_deadline(self) -> None:
        if self._state.state == InstanceState.LOADING:
            self._fail(Failure.startup_deadline(self._plan, self._state, self._last_rung()))

    def _proof_failed(self, rung: Rung) -> None:
        self._fail(Failure.from_rung(rung))

    def _climbed(self, rung: Rung) -> None:
        if not self._state.evidence:
            # The port is open, so everything that the engine needs runs: whose death would be
            # the engine's has to be known before it is called ready, not a tick later.
            self._rounds.discover()
        self._state.evidence[rung.name] = {"message": rung.message, **rung.evidence}
        self._record.event("probe", name=rung.name, verdict=rung.verdict, message=rung.message)
        self._rounds.note_progress()

    def _last_rung(self) -> Rung | None:
        return self._prover.last if self._prover else None

    def _become_ready(self) -> None:
        self._restarts.ready()
        self._state.ready_at = time.time()
        seconds = round(self._state.ready_at - self._state.started_at, 3)
        self._record.set(InstanceState.READY, seconds=seconds, base_url=self._plan.base_url)
        self._notifier.send(f"READY=1\nSTATUS=ready at {self._plan.base_url}")
        if self._prover:
            self._prover.close()
        if self._follower:
            # From here on the console tells of failures; the logs hold every request, and only
            # the exit code of a worker is looked up there when it has died.
            self._follower.close()
            self._follower, self._closed_follower = None, self._follower
        if self._plan.liveness is not None:
            self.watch = LivenessWatch(
                self._loop, self._plan, self._plan.liveness, self._record, self._secrets,
                self._folder, self._stalled, self._rounds.look_now,
            )  # fmt: skip
            self._look_at_watched(command_line.read_all(self._tree.processes))
        self._on_ready()

    def _stalled(self, verdict: LivenessRecord) -> None:
        if self._plan.restart.ends_stalled:
            self._fail(Failure.from_stall(verdict))

    def _look_at_watched(self, lines: Mapping[int, str]) -> None:
        if self.watch is not None and self._engine is not None:
            self.watch.look(self._engine.pid, self._tree.processes, lines)

    @property
    def engine_lives(self) -> bool:
        """True while the engine's first process does, and is neither stalled nor dead."""
        lives = self._engine is not None and self._engine.pid in self._tree.pids
        return lives and not (self.watch is not None and self.watch.fails)

    # -- the end --------------------------------------------------------------------------------

    def end(self) -> ExitCode:
        """Stop whatever still runs, remove the leftovers, write the final state."""
        started = time.monotonic()
        was_ready = self._state.ready_at is not None
        if self._prover:
            self._prover.close()
        if self.watch is not None:
            self.watch.close()
        if self._second_opinion is not None:
            self._second_opinion.close()
        self._record.set(InstanceState.STOPPING, reason=self._stop.reason or "failure")
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._rounds.close()
        self._rounds.discover()
        # What listens already stops as a ready server does, whether or not it was proved.
        serves = was_ready or is_held(self._plan.port(self._plan.readiness.port), self._tree.pids)
        policy = self._plan.stop.ready if serves else self._plan.stop.loading
        main = self._engine.pid if self._engine else -1
        self._look_up_worker_exit()
        self._note_what_was_written()
        self._before_stop()
        stop_tree(
            self._loop, self._tree, main, policy, self._more_drain, self._record.event,
            self._claim_more, self._kill_cgroup, hurry=self._clients_wait,
        )  # fmt: skip
        if self._follower:
            self._follower.read_all()
            self._follower.close()
            self._follower = None
        if self._engine:
            if self._state.engine_exit is None and self._engine.pid in self._tree.exits:
                self._state.exit_is_ours = True
                self._state.engine_exit = tree.exit_code(self._tree.exits[self._engine.pid])
            self._engine.close()
            self._attention.close()
            self._engine.process.returncode = self._state.engine_exit or 0
        if self._guard:
            self._guard.close()
        self._look_up_worker_exit(besides=OUR_SIGNALS)
        self._state.worker_exit = self._watcher.worker_exit
        self._record.remember()
        if self.failure is not None:
            failure = self.failure
            # The logs may take seconds to read, and the keeper is asked for its state meanwhile.
            self.failure = self._loop.run_in_thread(
                lambda: explain(failure, self._plan, self._folder, self._state)
            )
        decision = self._restarts.decide(self._stop, self.failure)
        self.restart = decision if isinstance(decision, StartAgain) else None
        # Its name is known by now: if it were free during the delay, another user could take it.
        keep = self._plan.temporary_folder if self.restart else None
        receipt = cleanup.clean(self._state, self._plan.engine_ports, started, keep)
        self._state.receipt = receipt
        self._state.ended_at = time.time()
        return conclude(self._record, self.failure, self._stop, self._redactor, receipt, decision)

    def _note_what_was_written(self) -> None:
        """How long the logs are before our first signal: what comes then is not a cause.

        A failure is often told by one process while another still writes the reason.
        """
        if self.failure is not None and self.failure.problem.code not in NO_LAST_WORDS:
            wait_for_last_words(self._loop, self._tree, self._written, hurry=self._clients_wait)
        self._take_last_words()
        self._look_for_a_stranger()
        self._record.claims.look_at_use(self._tree.pids)
        self._state.log_lengths = self._log_lengths()
        try:
            log_lengths.write(self._folder / "logs", self._state.token, self._state.log_lengths)
        except OSError as error:
            self._record.event("warning", message=f"the logs' lengths are not noted: {error}")
        self._record.write()  # should the keeper be killed from here on

    def _look_for_a_stranger(self) -> None:
        if self.failure is None or self._engine is None:
            return
        status = self._tree.exits.get(self._engine.pid)
        code = tree.exit_code(status) if status is not None else None
        stop_line, own = self._lines.told, self._plan.own_signals
        better = stranger.behind(self.failure, stop_line, code, own)
        if better is not None:
            self.failure = None
            self._fail(better)

    def _more_drain(self) -> float:
        """Seconds that running requests get beyond the profile's; fewer than 0 where it is less."""
        if self._stop.drain is None or self._state.ready_at is None:
            return 0.0
        return self._stop.drain - self._plan.stop.drain

    @property
    def _clients_wait(self) -> bool:
        """Whether a server that was ready has failed, and may be started again."""
        was_ready = self._state.ready_at is not None
        return self.failure is not None and was_ready and self._plan.restart.policy != "never"

    def _log_lengths(self) -> dict[str, int]:
        return lengths(self._folder / "logs", self._plan.log_folder)

    def _written(self) -> int:
        return sum(self._log_lengths().values())

    def _look_up_worker_exit(self, besides: frozenset[int] = frozenset()) -> None:
        if self.failure is not None:
            look_up_worker_exit(self._watcher, self._closed_follower, self._plan, besides)

    def _claim_more(self) -> None:
        """Workers go on for a while after their front end has died, and make what they leave."""
        self._record.claims.look(self._tree.pids)
        self._record.claims.look_at_use(self._tree.pids)
        self._record.remember()
