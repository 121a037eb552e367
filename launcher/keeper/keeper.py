"""The keeper: parent, subreaper and only owner of one engine.

States and what leads out of them:

    starting  leftovers looked at, engine about to be started     -> loading, failed
    loading   the engine runs and has not proved itself           -> ready, failed, stopping
    ready     the readiness ladder was climbed to the top         -> stopping, died
    stopping  signals by policy, then SIGKILL                     -> stopped, failed, died, starting
    stopped, failed, died                                          final; the keeper exits

What happens between two of them is told in `launcher.keeper.run`; here is what outlives one run of
the engine: the control socket, the signals, the `up` that waits, and restarts.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from launcher.errors import ExitCode, Problem
from launcher.json_values import JsonObject
from launcher.keeper import identity, requests, tree
from launcher.keeper.admin import metrics
from launcher.keeper.admin.endpoint import Endpoint, listen_problem
from launcher.keeper.admin.probes import PROBES, Answer
from launcher.keeper.engine_stop import StopRequest, longest_stop
from launcher.keeper.failure import Failure
from launcher.keeper.helper_process import LAST_WAIT
from launcher.keeper.incidents import IncidentWriter
from launcher.keeper.loop import Loop
from launcher.keeper.notifications import Notifications
from launcher.keeper.notify import Notifier
from launcher.keeper.own_files import OwnFiles
from launcher.keeper.record import Record
from launcher.keeper.restart_policy import StartAgain
from launcher.keeper.restart_wait import RestartWait
from launcher.keeper.restarts import Restarts
from launcher.keeper.run import Run
from launcher.keeper.server import Server
from launcher.keeper.state import EndError, RestartRecord
from launcher.keeper.usage import UsageMeter
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan


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
        lock: int | None = None,
        leases: Sequence[int] = (),
    ) -> None:
        """Own the instance in `folder`, whose lock this process holds by the descriptor `lock`.

        `parent` is a socket that ends when the `up` that started us dies, and is told once the
        control socket listens; None in the foreground. `leases` are the descriptors that hold the
        leases of the plan's ports and GPUs.
        """
        self.folder = folder
        self.plan = plan
        self.loop = Loop()
        self.tree = tree.Tree(self.loop, self._process_ended)
        self._record = Record(folder, plan, token, self.tree, forced)
        self._record.echo = sys.stderr if parent is None else None
        self.state = self._record.state
        self._lock = lock
        self._leases = list(leases)
        self._secrets = {name: secrets[name] for name in plan.secrets if name in secrets}
        self._environ = environ
        self._parent = parent
        self._notifier = Notifier(dict(environ), self.loop)
        self._incidents = IncidentWriter(
            self.loop, self.tree, folder, plan, self._record,
            secrets=secrets, environ=environ, samples=lambda: self._run.samples,
        )  # fmt: skip
        self._notifications = Notifications(
            self.loop, self.tree, folder, plan, self._record,
            secrets=secrets, environ=environ, incident=lambda: self._incidents.newest,
        )  # fmt: skip
        self._usage = self._make_meter()
        self._stop = StopRequest()
        self._restarts = Restarts(plan.restart)
        self._run = self._new_run()

    def run(self) -> int:
        """Start, prove, keep and end the engine; returns a documented exit code."""
        tree.become_subreaper()
        self._catch_signals()
        try:
            server = self._record.server = Server(self.loop, self.folder, self._answer)
        except OSError as error:
            return self._refuse(error)
        if self._parent is not None:
            self.loop.add_reader(self._parent, self._up_is_gone)
            with contextlib.suppress(OSError):  # it was killed already, which the loop will see
                os.write(self._parent, b"listening\n")
        self._notifier.feed_watchdog(self.loop, self._engine_lives)
        endpoint = self._open_endpoint()
        self._record.set(InstanceState.STARTING)
        own = OwnFiles(self.loop, self.folder, self._record, server, endpoint, self._lock)
        code = self._run.end() if self._run.failure is not None else self._run.live()
        while (again := self._run.restart) is not None:
            code = self._restart(again)
        if self._usage is not None:
            self._usage.close()
        own.check()  # the last word needs its place
        own.close()
        self._record.write()
        self._tell_up()
        if endpoint is not None:
            endpoint.close()
        server.close()
        end = time.monotonic() + LAST_WAIT
        self._notifications.close(end)
        self._incidents.close(end)
        return int(code)

    def _open_endpoint(self) -> Endpoint | None:
        """The keeper's own address; no engine is started without it, as without its own port."""
        try:
            return Endpoint(
                self.loop, self.folder, self.plan, self._record, self._process_lives,
                lambda: metrics.newest(self.plan, self._run.newest_sample),
                self._usage.totals if self._usage is not None else None,
            )  # fmt: skip
        except OSError as error:
            problem = listen_problem(self.plan, error)
            self._run.failure = Failure(problem, ExitCode.PRECONDITION)
            return None

    def _tell_up(self) -> None:
        """How it ended, to the `up` that waits, where that could not be written down.

        It may end before that `up` has come to the control socket.
        """
        if self._parent is None or not self._record.dirty:
            return
        with contextlib.suppress(OSError):  # it is gone
            os.set_blocking(self._parent, False)
            os.write(self._parent, json.dumps(self._record.snapshot()).encode() + b"\n")

    def _refuse(self, error: OSError) -> int:
        """Start no engine that could not be asked or stopped, and say why."""
        text = f"the control socket cannot be made: {error.strerror or error}"
        problem = Problem(
            "control-socket", text, str(self.folder / "control.sock"),
            "free some disk space, or set ERNIE_DEPLOY_HOME to a folder on a local disk",
        )  # fmt: skip
        self._run.failure = Failure(problem, ExitCode.PRECONDITION)
        code = self._run.end()
        if self._record.echo is None:
            sys.stderr.write(f"{text}\n")  # the last line of keeper.log, which `up` tells
        return int(code)

    def abandon(self, error: Exception) -> int:
        """After a defect of ours: end the engine anyway, and say what happened."""
        text = f"a defect of the keeper itself: {error!r}"
        problem = Problem("keeper-defect", text, str(self.folder / "logs" / "keeper.log"))
        self._run.failure = Failure(problem, ExitCode.DEFECT)
        try:
            return int(self._run.end())
        except Exception as second:  # the first one is told in full; the tree is ended anyway
            sys.stderr.write(f"ending the engine after that failed as well: {second!r}\n")
            return int(ExitCode.DEFECT)
        finally:
            self.tree.kill_all()

    def _make_meter(self) -> UsageMeter | None:
        """What adds up the requests of each key; None where the output is not an access log."""
        folder = self.plan.usage_folder
        if folder is None:
            return None
        return UsageMeter(
            self.loop, Path(folder), lambda text: self._record.event("warning", message=text)
        )

    # -- runs -------------------------------------------------------------------------------

    def _new_run(self) -> Run:
        return Run(
            self.folder,
            self.plan,
            self.loop,
            self.tree,
            self._record,
            self._stop,
            self._notifier,
            self._restarts,
            secrets=self._secrets,
            environ=self._environ,
            on_ready=self._let_go_of_up,
            before_stop=self._incidents.wait_for_stacks,
            on_output=self._usage.take if self._usage is not None else None,
        )

    def _restart(self, again: StartAgain) -> ExitCode:
        """Wait for the delay and until nothing is in the way, then run the engine again."""
        error, receipt = (
            self.state.error or EndError("failed", "the engine failed"),
            self.state.receipt,
        )
        left = receipt is not None and receipt.processes > 0
        self._incidents.run_ended()
        self._record.begin_again()
        restart = RestartRecord(
            number=again.number,
            limit=self.plan.restart.max_restarts,
            window=self.plan.restart.window,
            delay=round(again.delay, 3),
            at=round(time.time() + again.delay, 3),
            code=error.code,
            cause=error.message,
        )
        self.state.restart = restart
        self._record.event(
            "restart",
            number=restart.number,
            limit=restart.limit,
            window=restart.window,
            delay=restart.delay,
            at=restart.at,
            cause=error.code,
            message=error.message,
            total=self.state.restarts,
        )
        self._notifier.send(f"STATUS=restart {restart.number} of {restart.limit}")
        self._run = self._new_run()
        self._record.set(InstanceState.STARTING)
        obstacles = RestartWait(
            self.loop, self.plan, self.state, self._leases, self._record.event, processes_left=left
        )
        failure = obstacles.wait(again.delay, lambda: self._stop.requested, self._waits_for)
        self.state.restart = None
        if failure is None and not self._stop.requested:
            return self._run.live()
        self._run.failure = failure
        return self._run.end()

    def _waits_for(self, what: str) -> None:
        if self.state.restart is not None:
            self.state.restart = replace(self.state.restart, waiting=what)
            self._record.write()

    def _process_ended(self, process: identity.Process) -> None:
        self._run.process_ended(process)

    def _engine_lives(self) -> bool:
        """What systemd's watchdog asks; only this loop answers, so a hung keeper is seen too."""
        return self.state.state != InstanceState.READY or self._run.engine_lives

    # -- being asked ------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        def note(number: int, frame: object) -> None:
            if number in (signal.SIGTERM, signal.SIGINT):
                code = ExitCode.DONE if number == signal.SIGTERM else ExitCode.INTERRUPTED
                self._request_stop(signal.Signals(number).name, code)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, note)
        signal.set_wakeup_fd(self.loop.wake_descriptor, warn_on_full_buffer=False)
        # They were blocked before the exec until now, so that none is lost.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _request_stop(
        self, reason: str, code: ExitCode = ExitCode.DONE, drain: float | None = None
    ) -> float:
        """Stop the engine unless that was requested before; returns the seconds it may take.

        Another request with a shorter `drain` ends a drain that is under way.
        """
        if not self._stop.requested:
            self._stop.reason, self._stop.code, self._stop.drain = reason, code, drain
            self._record.event("stop", reason=reason)
            seconds = longest_stop(self.plan.stop, drain)
            self._stop.end = time.monotonic() + seconds
            # systemd's own limit (TimeoutStopSec) would cut a drain off with SIGKILL.
            self._notifier.send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")
        elif drain is not None and drain < self._drain:
            self._stop.drain = drain
            self._record.event("stop", reason=reason, drain=drain)
        return self._stop.deadline()

    @property
    def _drain(self) -> float:
        return self.plan.stop.drain if self._stop.drain is None else self._stop.drain

    def _let_go_of_up(self) -> None:
        """From ready on the instance outlives the `up` that started it."""
        if self._parent is not None:
            self.loop.remove_reader(self._parent)
            os.close(self._parent)
            self._parent = None

    def _up_is_gone(self) -> None:
        self._let_go_of_up()
        self._request_stop("the `up` that started it was killed", ExitCode.INTERRUPTED)

    def _process_lives(self) -> bool:
        return self._run.engine_lives

    def _probe(self, kind: str) -> Answer:
        return PROBES[kind](self.state, self._process_lives())

    def _answer(self, request: JsonObject) -> JsonObject:
        return requests.answer(request, self._record.snapshot, self._request_stop, self._probe)
