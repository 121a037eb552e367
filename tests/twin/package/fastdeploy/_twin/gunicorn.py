"""gunicorn's master and workers, as far as signals, titles and sockets go."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

import setproctitle

from fastdeploy._twin import clock, logs, ports, prometheus, say, web
from fastdeploy._twin.checks import Config
from fastdeploy._twin.engine import Engine
from fastdeploy._twin.faults import fault, strike
from fastdeploy._twin.routes import Site
from fastdeploy._twin.scheduler import batches_answers

HANDLED = ("TERM", "INT", "QUIT", "HUP", "CHLD", "USR1", "USR2", "WINCH", "TTIN", "TTOU")


say_line = logs.gunicorn

# gunicorn asks for the title when it is imported, which takes the memory of the environment: from
# then on, in this process and its forks, /proc shows no variables and a command line of one word.
setproctitle.getproctitle()


class Arbiter:
    """The master: owns P's socket and its workers."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self.config, self.engine = config, engine
        self.workers: dict[int, int] = {}
        self.graceful: int = getattr(config.args, "timeout_graceful_shutdown", 0)
        self.shared = mmap.mmap(-1, 1)
        self.signals: list[int] = []
        self.listener: socket.socket | None = None
        self._reader, self._writer = os.pipe()
        for handle in (self._reader, self._writer):
            os.set_blocking(handle, False)

    def run(self) -> int:
        """Serve until told to stop; the exit code."""
        host, port = self.config.args.host, self.config.args.port
        say_line("Starting gunicorn 27.0.1")
        self.listener = self._bind(host, port)
        for name in HANDLED:
            signal.signal(getattr(signal, f"SIG{name}"), self._note)
        setproctitle.setproctitle("gunicorn: master [gunicorn]")
        say_line(f"Listening at: http://{host}:{port} ({os.getpid()})")
        say_line("Using worker: uvicorn.workers.UvicornWorker")
        for _ in range(self.config.args.workers):
            self._boot()
        return self._loop()

    def _bind(self, host: str, port: int) -> socket.socket:
        """Five attempts, a second apart (gunicorn/sock.py)."""
        if fault("port-taken-while-loading"):
            thief = socket.socket()
            # A server that has just ended leaves connections in TIME_WAIT behind.
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", port))
            thief.listen(1)
            strike()
        for _ in range(5):
            try:
                return ports.listen(host, port)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    say_line(f"Connection in use: {(host, port)!r}", "ERROR")
                else:
                    say_line(f"Invalid address: {(host, port)!r}", "ERROR")
            say_line(f"connection to {(host, port)} failed: retrying in 1 second.", "ERROR")
            clock.pause(1)
        say_line(f"Can't connect to {(host, port)!r}", "ERROR")
        sys.exit(1)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)
        with contextlib.suppress(BlockingIOError):  # the pipe is full of wake-ups already
            os.write(self._writer, b".")

    def _boot(self) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                Worker(self).run()
            finally:
                os._exit(1)
        self.workers[pid] = pid

    def _loop(self) -> int:
        spoken = False
        while True:
            dies = fault("front-dies")
            if dies and dies["phase"] == "serve":
                clock.pause(float(dies["after"]))
                strike()
                os.kill(os.getpid(), signal.SIGKILL)
            if not spoken:
                spoken = True
                code = say.front("serve")
                if code is not None:
                    return self._stop(quick=True, code=code)
            select.select([self._reader], [], [], 1.0)
            with contextlib.suppress(BlockingIOError):  # the second's tick, not a signal
                os.read(self._reader, 4096)
            while self.signals:
                number = self.signals.pop(0)
                if number == signal.SIGCHLD:
                    self._reap()
                elif number == signal.SIGHUP:
                    self._reload()
                elif number == signal.SIGTERM:
                    return self._terminate()
                elif number in (signal.SIGINT, signal.SIGQUIT):
                    say_line(f"Handling signal: {signal.Signals(number).name[3:].lower()}")
                    return self._interrupt()

    def _terminate(self) -> int:
        say_line("Handling signal: term")
        engine = self.engine
        slow = fault("stop-slow")
        streaming = bool(engine.scheduler and engine.scheduler.running)
        # Without a reader of its output the processes were still there 8 s after the signal.
        busy = streaming or logs.is_unread()
        engine.exit_delay = float(slow["seconds"]) if slow else 11.0 if busy else 3.0
        engine.ending = "abort" if fault("term-aborts") else "clean"
        return self._stop(quick=self.graceful <= 0)

    def _interrupt(self) -> int:
        """Slow (6 to 32 s) and clean; in an earlier measurement it aborted in zmq (4 of 6 runs)."""
        engine = self.engine
        if not engine.monitor_fired.is_set():
            engine.exit_delay = 3.0 if fault("int-aborts") else 12.0
        engine.ending = "abort" if fault("int-aborts") else "clean"
        return self._stop(quick=True)

    def _stop(self, *, quick: bool, code: int = 0) -> int:
        engine = self.engine
        if fault("exit-hangs"):
            engine.ending = "hang"
        if not engine.monitor_fired.is_set():
            engine.stop_requested.set()
        self.shared[0] = 1
        assert self.listener is not None
        # close() alone would leave workers in accept(): a new client must be refused at once
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for pid in self.workers:
            _kill(pid, signal.SIGKILL if quick else signal.SIGTERM)
        limit = time.monotonic() + (0 if quick else self.graceful)
        while self.workers:
            self._reap(boot=False)
            if time.monotonic() > limit:
                for pid in self.workers:
                    _kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        say_line("Shutting down: Master")
        if code == 0 and not engine.monitor_fired.is_set():
            logs.console(
                "Worker process has died in the background (code=-15). API server is forced to "
                "stop.",
                "api_server.py",
                763,
                "ERROR",
            )
        return code

    def _reload(self) -> None:
        say_line("Handling signal: hup")
        old = list(self.workers)
        for _ in old:
            self._boot()
        for pid in old:
            _kill(pid, signal.SIGQUIT)

    def _reap(self, boot: bool = True) -> None:
        """Reaps every child, the shell too: Popen.poll() then knows no code and reports 0."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.engine.shell_pid:
                self.engine.shell_reaped = True
                self.engine.shell_status = status
            if self.workers.pop(pid, None) is None or not boot:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code == -signal.SIGKILL:
                say_line(f"Worker (pid:{pid}) was sent SIGKILL! Perhaps out of memory?", "ERROR")
            elif code == -signal.SIGTERM:
                say_line(f"Worker (pid:{pid}) was sent SIGTERM!")
            if len(self.workers) < self.config.args.workers:
                self._boot()


class Worker:
    """One gunicorn worker: serves P, inherits M's listening socket as well."""

    def __init__(self, arbiter: Arbiter) -> None:
        self.arbiter = arbiter
        self.stopping = threading.Event()
        self.by_master = False

    def run(self) -> NoReturn:
        clock.arm_lifetime()
        for name in HANDLED:
            signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGQUIT, lambda *_: os._exit(0))
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
        setproctitle.setproctitle("gunicorn: worker [gunicorn]")
        say_line(f"Booting worker with pid: {os.getpid()}")
        if os.path.isdir(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")):  # 2.2: another's start
            prometheus.touch()
        listener = self.arbiter.listener
        assert listener is not None
        site = Site(self.arbiter.config, self.arbiter.engine)
        server = web.Server(listener, site.answer)
        if batches_answers():
            # Measured: these stay after a clean stop too.
            with socket.socket(socket.AF_UNIX) as pull:
                pull.bind(f"/dev/shm/response_{self.arbiter.config.args.port}_w{os.getpid()}.pull")
        say_line(f"Started server process [{os.getpid()}]")
        say_line("Waiting for application startup.")
        threading.Thread(target=server.run, daemon=True).start()
        say_line("Application startup complete.")
        self.stopping.wait()
        if not self.by_master and fault("http-term-ends"):
            self.arbiter.engine.kill_from_fork()
        say_line("Shutting down")
        if not self.by_master:
            say_line("Error while closing socket [Errno 9] Bad file descriptor")
        while server.active:
            time.sleep(0.01)
        say_line("Waiting for application shutdown.")
        say_line("Application shutdown complete.")
        say_line(f"Finished server process [{os.getpid()}]")
        # uvicorn gives itself the signal again, so the arbiter sees what ended it.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("unreachable")

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.by_master = self.arbiter.shared[0] == 1
        self.stopping.set()


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it went by itself
        os.kill(pid, number)
