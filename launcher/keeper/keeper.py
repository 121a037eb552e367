"""The keeper: parent, subreaper and only owner of one engine.

States and what leads out of them:

    starting  leftovers looked at, engine about to be started     -> loading, failed
    loading   the engine runs and has not proved itself           -> ready, failed, stopping
    ready     the readiness ladder was climbed to the top         -> stopping, died
    stopping  asked to stop; signals by policy, then SIGKILL      -> stopped
    stopped, failed, died                                          final; the keeper exits

A failure is decided by the first of: a fatal line, a vital process's death, the first process's
exit, a rung of the ladder that says "failed", a deadline. Whatever the way out, the whole tree is
gone and the leftovers are removed before the final state is written.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.errors import ExitCode, Problem
from launcher.keeper import ending, identity, requests, tree
from launcher.keeper.control import Server
from launcher.keeper.engine_process import EngineProcess, prepare_folders
from launcher.keeper.failure import Failure, explain, without_secrets
from launcher.keeper.follow import Follower
from launcher.keeper.leftovers import file_identity
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.notify import Notifier
from launcher.keeper.progress import Progress
from launcher.keeper.proving import Prover
from launcher.keeper.record import Record
from launcher.keeper.stopping import stop_tree
from launcher.keeper.upkeep import bound_engine_logs
from launcher.keeper.watch import Watcher
from launcher.plan.command import environment
from launcher.plan.model import LaunchPlan
from launcher.probe.readiness import Rung
from launcher.probe.sockets import command_line
from launcher.redact import Redactor

LOADING_TICK = 1.0
"""Seconds between two looks for new processes while loading (they come and go)."""
READY_TICK = 5.0
"""The same when ready: deaths are told by pidfd, only new processes need looking for."""
UPKEEP_TICKS = 12
"""Ready ticks between two looks at the size of the engine's own logs: once a minute."""


class Keeper:
    """One instance's owner; `run` returns the exit code of `up --foreground`."""

    def __init__(
        self,
        folder: Path,
        plan: LaunchPlan,
        token: str,
        secrets: Mapping[str, str],
        *,
        environ: Mapping[str, str],
        parent: int | None = None,
        forced: tuple[str, ...] = (),
    ) -> None:
        """Own the instance in `folder`, whose lock this process holds.

        `parent` is a socket that ends when the `up` that started us dies, and is told once the
        control socket listens; None in the foreground.
        """
        self.folder = folder
        self.plan = plan
        self.loop = Loop()
        self.tree = tree.Tree(self.loop, self._process_ended)
        self._record = Record(folder, plan, token, self.tree, forced)
        self._record.echo = sys.stderr if parent is None else None
        self.state = self._record.state
        self.watcher = Watcher(plan)
        self._secrets = dict(secrets)
        self._redactor = Redactor(secrets.values())
        self._environ = environ
        self._parent = parent
        self._notifier = Notifier(dict(environ))
        self._vital = [re.compile(pattern) for pattern in plan.vital]
        self._vital_pids: dict[int, str] = {}
        self._engine: EngineProcess | None = None
        self._follower: Follower | None = None
        self._prover: Prover | None = None
        self._progress: Progress | None = None
        self._failure: Failure | None = None
        self._stop_reason: str | None = None
        self._stop_code = ExitCode.DONE
        self._drain: float | None = None
        self._tick: Timer | None = None
        self._deadline: Timer | None = None
        self._ticks = 0
        self._loss_told = False

    # -- the whole life ---------------------------------------------------------------------

    def run(self) -> int:
        """Start, prove, keep and end the engine; returns a documented exit code."""
        tree.become_subreaper()
        self._catch_signals()
        server = self._record.server = Server(self.loop, self.folder, self._answer)
        if self._parent is not None:
            self.loop.add_reader(self._parent, self._up_is_gone)
            with contextlib.suppress(OSError):  # it was killed already, which the loop will see
                os.write(self._parent, b"listening\n")
        self._notifier.feed_watchdog(self.loop, self._engine_lives)
        self._record.set("starting")
        code = self._live()
        while code in (ExitCode.DIED,) and self._may_restart():
            self._prepare_restart()
            stopped = self.loop.run_until(
                lambda: self._stop_reason is not None, self.plan.restart_delay
            )
            code = self._end() if stopped else self._live()
        self._record.write()
        server.close()
        return int(code)

    def abandon(self, error: Exception) -> int:
        """After a defect of ours: end the engine all the same, and say what happened."""
        text = f"a defect of the keeper itself: {error!r}"
        problem = Problem("keeper-defect", text, str(self.folder / "logs" / "keeper.log"))
        self._failure = Failure(problem, ExitCode.DEFECT)
        try:
            return int(self._end())
        finally:
            self.tree.kill_all()

    def _live(self) -> ExitCode:
        """One run of the engine, from nothing to nothing."""
        if self._stop_reason is None and self._start():
            self.loop.run_until(self._decided)
            if self._failure is None and self._stop_reason is None:
                self._become_ready()
                self.loop.run_until(self._over)
        return self._end()

    def _decided(self) -> bool:
        proved = self._prover is not None and self._prover.done
        return proved or self._over()

    def _over(self) -> bool:
        return self._failure is not None or self._stop_reason is not None

    # -- start ------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Start the engine; False where it could not even be started (the failure is kept)."""
        try:
            prepare_folders(self.plan)
            temporary = file_identity(self.plan.temporary_folder)
            if temporary and temporary not in self.state.temporary:
                self.state.temporary.append(temporary)
        except OSError as error:
            return self._refuse("folder", f"a folder cannot be made: {error}")
        for queue in self._record.claims.look_before(time.time()):
            return self._refuse(
                "queue-exists",
                "a System V message queue that this engine would use exists already"
                f" (id {queue.ident}, {queue.messages} unread messages, uid {queue.uid}):"
                " it would mix up answers",
                f"make sure that no server uses it, then `ipcrm -q {queue.ident}`; or give the"
                " queue another port",
            )
        self._follow_logs()  # before the engine can write: what stands there is an earlier run's
        env = environment(self.plan, self._environ, self._secrets)
        env[identity.TOKEN_VARIABLE] = self.state.token
        try:
            self._engine = EngineProcess(
                self.loop, self.plan, env, self.folder / "logs" / "engine.log", self._line
            )
        except OSError as error:
            return self._refuse("cannot-execute", f"the engine cannot be started: {error}")
        # Recorded before anything else: whoever finds us killed finds the engine in the state.
        self.tree.discover()
        first = next((p for p in self.tree.processes if p.pid == self._engine.pid), None)
        self.state.engine = {"pid": self._engine.pid, "start": first.start if first else 0}
        self._record.claims.pid = self._engine.pid
        self._record.set("loading", engine={"pid": self._engine.pid})
        first_phase = self.watcher.begin()
        if first_phase is not None:
            self._phase(first_phase, None)
        self._progress = Progress(self.plan.deadlines)
        self._prover = Prover(
            self.loop, self.plan, self._secrets, self.tree, self._proof_failed, self._climbed
        )
        self._deadline = self.loop.call_later(self.plan.deadlines.startup, self._startup_deadline)
        self._schedule_tick()
        return True

    def _refuse(self, code: str, message: str, remedy: str | None = None) -> bool:
        self._failure = Failure(Problem(code, message, None, remedy), ExitCode.PRECONDITION)
        return False

    def _follow_logs(self) -> None:
        try:
            self._follower = Follower(
                self.loop, Path(self.plan.log_folder), self.plan.log_sources, self._line
            )
        except OSError as error:
            # Phases will be coarser and causes found later; the engine itself is not affected.
            self._record.event(
                "warning", message=f"the engine's log files cannot be followed: {error}"
            )

    # -- what happens while it lives ------------------------------------------------------------

    def _line(self, source: str, file: str, text: str, final: bool) -> None:
        if self.state.state == "loading":
            seen = self.watcher.phase_of(source, text)
            if seen is not None:
                if self._progress:
                    self._progress.note()
                self._phase(seen.phase, seen.percent)
        if final and self._failure is None and self.state.state in ("loading", "ready"):
            failure = self.watcher.failure_of(self.state.state, source, file, text)
            if failure is not None:
                self._fail(Failure.from_line(failure, self.state.state))
            asked = self.watcher.asked_to_stop(source, text)
            if asked is not None:
                self._fail(Failure.from_stranger(asked, text, self.state.state))

    def _phase(self, phase: str, percent: float | None) -> None:
        news = phase != self.state.phase
        self.state.phase, self.state.percent = phase, percent
        self._record.dirty = True
        title = next((p.title for p in self.plan.phases if p.name == phase), phase)
        self._record.event("phase", phase=phase, title=title, percent=percent, new=news)
        if self._notifier.active:
            self._notifier.send(f"STATUS={title}")

    def _process_ended(self, process: identity.Process) -> None:
        self._record.dirty = True
        if self._engine is None or self.state.state not in ("loading", "ready"):
            return
        if process.pid == self._engine.pid:
            status = self.tree.exits.get(process.pid)
            code = tree.exit_code(status) if status is not None else None
            self.state.engine_exit = code
            self._take_last_words()
            self._fail(Failure.from_exit(code, self.state.state))
        elif process.pid in self._vital_pids and self._failure is None:
            self._take_last_words()
            self._fail(Failure.from_vital(self._vital_pids[process.pid], process, self.state.state))

    def _take_last_words(self) -> None:
        if self._engine:
            self._engine.drain()
        if self._follower:
            self._follower.read_all()

    def _fail(self, failure: Failure) -> None:
        if self._failure is None and self._stop_reason is None:
            self._failure = failure = failure.without_secrets(self._redactor)
            self._record.event(
                "failure", code=failure.problem.code, message=failure.problem.message
            )

    def _startup_deadline(self) -> None:
        if self.state.state == "loading":
            self._fail(Failure.startup_deadline(self.plan, self.state, self._last_rung()))

    def _proof_failed(self, rung: Rung) -> None:
        self._fail(Failure.from_rung(rung))

    def _climbed(self, rung: Rung) -> None:
        if not self.state.evidence:
            # The port is open, so everything that the engine needs runs: whose death would be
            # the engine's has to be known before it is called ready, not a tick later.
            self._discover()
        self.state.evidence[rung.name] = {"message": rung.message, **rung.evidence}
        self._record.event("rung", name=rung.name, verdict=rung.verdict, message=rung.message)
        if self._progress:
            self._progress.note()

    def _last_rung(self) -> Rung | None:
        return self._prover.last if self._prover else None

    def _become_ready(self) -> None:
        self.state.ready_at = time.time()
        seconds = round(self.state.ready_at - self.state.started_at, 3)
        self._record.set("ready", seconds=seconds, base_url=self.plan.base_url)
        self._notifier.send(f"READY=1\nSTATUS=ready at {self.plan.base_url}")
        if self._prover:
            self._prover.close()
        if self._follower:
            self._follower.close()
            self._follower = None
        if self._parent is not None:
            # From now on the instance outlives the `up` that started it.
            self.loop.remove_reader(self._parent)
            os.close(self._parent)
            self._parent = None

    # -- looking around ---------------------------------------------------------------------------

    def _schedule_tick(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        wait = LOADING_TICK if self.state.state == "loading" else READY_TICK
        self._tick = self.loop.call_later(wait, self._on_tick)

    def _on_tick(self) -> None:
        self._ticks += 1
        self._discover()
        if self.state.state == "loading" and self._progress:
            if self._notifier.active:
                # systemd's start time-out is in microseconds from now.
                self._notifier.send("EXTEND_TIMEOUT_USEC=30000000")
            if self._progress.stalled(self.tree.processes):
                self._fail(Failure.no_progress(self.plan, self.state, self.tree.processes))
        if self.state.state == "ready" and self._ticks % UPKEEP_TICKS == 0:
            for message in bound_engine_logs(self.plan):
                self._record.event("warning", message=message)
        if self._engine and self._engine.lost_bytes and not self._loss_told:
            self._loss_told = True
            self._record.event("warning", message="the engine's output is being lost: disk full?")
        if self._record.dirty:
            self._record.write()
        self._schedule_tick()

    def _discover(self) -> None:
        found = self.tree.discover()
        self.tree.refresh()
        for process in self.tree.processes:
            line = command_line(process.pid)
            if any(pattern.search(line) for pattern in self._vital):
                self._vital_pids[process.pid] = line
        claimed = self._record.claims.look(self.tree.pids)
        if found or claimed:
            self._record.dirty = True
        if self.state.state != "ready" and self._record.dirty:
            self._record.write()

    # -- the end --------------------------------------------------------------------------------

    def _end(self) -> ExitCode:
        """Stop whatever still runs, remove the leftovers, write the final state."""
        started = time.monotonic()
        was_ready = self.state.ready_at is not None
        if self._prover:
            self._prover.close()
        self._record.set("stopping", reason=self._stop_reason or "failure")
        for timer in (self._tick, self._deadline):
            if timer is not None:
                timer.cancel()
        self._deadline = self._tick = None
        self._discover()
        policy = self.plan.stop.ready if was_ready else self.plan.stop.loading
        extra = max(0.0, (self._drain or 0.0) - self.plan.stop.drain) if was_ready else 0.0
        main = self._engine.pid if self._engine else -1
        stop_tree(self.loop, self.tree, main, policy, extra, self._record.event, self._claim_more)
        if self._follower:
            self._follower.read_all()
            self._follower.close()
            self._follower = None
        if self._engine:
            if self.state.engine_exit is None and self._engine.pid in self.tree.exits:
                self.state.engine_exit = tree.exit_code(self.tree.exits[self._engine.pid])
            self._engine.close()
            self._engine.process.returncode = self.state.engine_exit or 0
        self.state.worker_exit = self.watcher.worker_exit
        self._record.remember()
        receipt = ending.clean(self.state, self.plan.ports, started)
        self.state.receipt = receipt
        self.state.ended_at = time.time()
        return self._conclude(was_ready, receipt)

    def _claim_more(self) -> None:
        """Workers go on for a while after their front end has died, and make what they leave."""
        self._record.claims.look(self.tree.pids)
        self._record.remember()

    def _conclude(self, was_ready: bool, receipt: Mapping[str, Any]) -> ExitCode:
        if self._failure is not None:
            self._failure = explain(self._failure, self.plan, self.folder, self.state)
            problem = without_secrets(self._failure.problem, self._redactor)
            code = self._failure.exit_code
            self.state.error = {
                "code": problem.code, "message": problem.message,
                "where": problem.where, "remedy": problem.remedy,
            }  # fmt: skip
            final = "died" if was_ready and code is ExitCode.DIED else "failed"
        else:
            code, final = self._stop_code, "stopped"
        if not ending.nothing_left(receipt):
            self._record.event("warning", message=f"left behind: {', '.join(receipt['left'])}")
        self.state.exit_code = int(code)
        self._record.set(final, error=self.state.error, receipt=dict(receipt), exit_code=int(code))
        return code

    # -- restarts -------------------------------------------------------------------------------

    def _may_restart(self) -> bool:
        allowed = self.plan.restart_policy == "on-failure"
        left = self.state.restarts < self.plan.max_restarts
        hopeless = self._failure is not None and not self._failure.retry
        return allowed and left and not hopeless and self._stop_reason is None

    def _prepare_restart(self) -> None:
        self._record.begin_again()
        number, delay = self.state.restarts, self.plan.restart_delay
        self._record.event("restart", number=number, delay=delay)
        self._failure = None
        self._engine = self._prover = self._progress = None
        self.watcher = Watcher(self.plan)
        self._vital_pids.clear()
        self._record.set("starting")

    # -- being asked ------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        def note(number: int, frame: object) -> None:
            if number in (signal.SIGTERM, signal.SIGINT):
                code = ExitCode.DONE if number == signal.SIGTERM else ExitCode.INTERRUPTED
                self._request_stop(signal.Signals(number).name, code)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, note)
        signal.set_wakeup_fd(self.loop.wake_descriptor, warn_on_full_buffer=False)
        # Whoever became this process held them back until now, so that none is lost.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _engine_lives(self) -> bool:
        """What systemd's watchdog asks; only this loop answers, so a hung keeper is seen too."""
        return self.state.state != "ready" or (
            self._engine is not None and self._engine.pid in self.tree.pids
        )

    def _request_stop(
        self, reason: str, code: ExitCode = ExitCode.DONE, drain: float | None = None
    ) -> None:
        if self._stop_reason is None:
            self._stop_reason, self._stop_code, self._drain = reason, code, drain
            self._record.event("stop", reason=reason)
            stages = (*self.plan.stop.ready, *self.plan.stop.loading)
            seconds = sum(stage.wait for stage in stages) + (drain or 0.0) + ending.KILL_DEADLINE
            # systemd's own limit (TimeoutStopSec) would cut a drain off with SIGKILL.
            self._notifier.send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def _up_is_gone(self) -> None:
        if self._parent is not None:
            self.loop.remove_reader(self._parent)
            os.close(self._parent)
            self._parent = None
        self._request_stop("the `up` that started it was killed", ExitCode.INTERRUPTED)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        return requests.answer(request, self._record.snapshot, self._request_stop)
