"""The engine in the front end: starts queues and worker, schedules requests, ends everything."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

from fastdeploy._twin import clock, logs, ports, queues, release, say, web
from fastdeploy._twin.checks import Config
from fastdeploy._twin.family import alive, descendants, is_stopped
from fastdeploy._twin.faults import fault, strike
from fastdeploy._twin.progress import Bar
from fastdeploy._twin.scheduler import Scheduler
from fastdeploy._twin.shm import OWN, SHARED, Signals
from fastdeploy._twin.status import metrics_app

ABORT = "Assertion failed: pfd.revents & POLLIN (src/signaler.cpp:238)\n"
#: Unlinked before the worker is told to go (engine.py:430); the others after Q is gone.
FIRST = ("worker_ready_signal", "loaded_model_signal", "get_profile_block_num")
SHARDS = re.compile(rb"\rLoading safetensors checkpoint shards: +(\d+)%")
#: Three spellings (logs of the releases); they were never corrected.
WAITING = {
    "2.0": "Waitting worker processes ready...",
    "2.1": "Waiting worker processes ready...",
    "2.2": "Waiting worker processes ready...",
    "2.3": "Waiting for worker processes to be ready...",
}
FAILED_TO_START = "Worker process failed to start.Please check log/workerlog.* for details."
FAILED = "Failed to launch worker processes, check log/workerlog.* for more details."


def failed() -> str:
    """The summary; 2.6 appends the last traceback of the newest workerlog (common_engine.py:82).

    The newest by time: where this run's worker wrote none, it may be an earlier run's.
    """
    if not release.at_least("2.6"):
        return FAILED
    folder = Path(logs.folder())
    newest = sorted(folder.glob("workerlog.*"), key=lambda path: path.stat().st_mtime)
    for path in newest[-1:]:
        text = path.read_text(encoding="utf-8", errors="replace")
        start = text.rfind("Traceback (most recent call last):")
        if start >= 0:
            return f"{FAILED}\n{text[start:].rstrip()}"
    return FAILED


class Engine:
    """One engine: its child processes, its signals, and how it ends.

    Attributes:
        exit_delay: seconds of the real server's time that the finalizers take.
        ending: how ``exit`` ends: clean, orphan, abort, hang or stuck.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.signals: Signals | None = None
        self.scheduler: Scheduler | None = None
        self.exit_delay = 12.0
        self.ending = "clean"
        self.queue_pid = self.cache_pid = self.shell_pid = 0
        self.comm: socket.socket | None = None
        self.shell_reaped = False
        self.shell_status = 0
        self.stop_requested = threading.Event()
        self.monitor_fired = threading.Event()
        self._log_size = self._percent = 0
        self._watched = False
        self._owner = os.getpid()
        self._ended = False

    # Start -----------------------------------------------------------------------------------

    def start(self) -> bool:
        """False when the worker died before it was ready: the caller then returns normally."""
        try:
            return self._start()
        except KeyboardInterrupt:
            # Measured: 4.6 to 4.9 s in load, 0.1 to 2.5 s before it.
            self.exit_delay = 4.7 if self._watched else 1.0
            raise

    def _start(self) -> bool:
        config = self.config
        begun = time.monotonic()
        self.signals = Signals(config.segments, create=True)
        self.signals.put("model_weights_status", 0)
        self.queue_pid = queues.fork_server(config.queue_port, relay=True)
        if config.wants_cache_queue:
            self.cache_pid = queues.fork_server(config.cache_port, relay=False)
        if config.comm_port:
            self.comm = ports.listen("0.0.0.0", config.comm_port)
        clock.until(10)
        config.open_tokenizer()
        code = say.front("engine")
        if code is not None:
            sys.exit(code)
        clock.until(12)
        self._launch_worker()
        logs.console(WAITING.get(release.RELEASE, WAITING["2.3"]), "engine.py", 151)
        assert config.tokens is not None
        config.tokens.prepare()
        with clock.Waiting(0.05):
            clock.pause(5)
            if not self._follow_load():
                return False
            if not self._take_profile():
                return False
            self._reach_ready()
        elapsed = clock.unscaled(time.monotonic() - begun)
        logs.console(f"Worker processes are launched with {elapsed} seconds.", "engine.py", 202)
        blocks, size = config.gpu_blocks, config.block_size
        seats = min(blocks * size // config.max_model_len, config.args.max_num_seqs)
        logs.console(
            f"Detected {blocks} gpu blocks and 0 cpu blocks in cache (block size: {size}).",
            "engine.py",
            212,
        )
        logs.console(
            f"FastDeploy will be serving {seats} running requests if each sequence reaches its "
            f"maximum length: {config.max_model_len}",
            "engine.py",
            215,
        )
        return True

    def _launch_worker(self) -> None:
        """engine.py:610-625: one unquoted shell string, in a session of its own."""
        config, args = self.config, self.config.args
        script = os.path.abspath(os.path.join(os.path.dirname(__file__), "../worker"))
        folder = logs.folder()
        quantization = getattr(args, "quantization", None)
        if isinstance(quantization, dict):
            quantization = str(quantization).replace("'", '"')
        elif isinstance(quantization, str):
            quantization = f'{{"quantization": "{quantization}"}}'
        command = (
            "ENABLE_FASTDEPLOY_LOAD_MODEL_CONCURRENCY=0 NCCL_ALGO=Ring OMP_NUM_THREADS=3 "
            f"FLAGS_use_append_attn=1 {sys.executable} -u -m paddle.distributed.launch"
            f" --log_dir {folder} --devices {config.devices} {script}/worker_process.py"
            f" --max_num_seqs {args.max_num_seqs} --max_model_len {config.max_model_len}"
            f" --gpu_memory_utilization {args.gpu_memory_utilization} --model {config.model}"
            f" --device_ids {config.devices} --tensor_parallel_size {config.tensor_parallel_size}"
            f" --engine_worker_queue_port {config.queue_port} --block_size {config.block_size}"
            f" --engine_pid {config.segments}"
            f" --max_num_batched_tokens {config.max_num_batched_tokens}"
            f" --quantization '{quantization or 'null'}'"
        )
        if config.blocks_override:
            command += f" --num_gpu_blocks_override {config.blocks_override}"
        command += f" 2>{folder}/launch_worker.log"
        logs.log("fastdeploy", f"Launch worker service command: {command}", "engine.py", 615)
        reader, writer = os.pipe()
        sys.stdout.flush()
        self.shell_pid = os.fork()
        if self.shell_pid == 0:
            os.setsid()
            clock.arm_lifetime()
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.dup2(writer, 1)
            os.execv("/bin/sh", ["/bin/sh", "-c", command])
        os.close(writer)
        os.set_inheritable(reader, False)

    def _worker_lives(self) -> bool:
        if not self.shell_reaped:
            pid, status = os.waitpid(self.shell_pid, os.WNOHANG)
            self.shell_reaped = pid != 0
            self.shell_status = status if pid else 0
        return not self.shell_reaped

    def _follow_load(self) -> bool:
        """The console's bar: workerlog's figures, half a second at a time."""
        assert self.signals is not None
        self._watched = True  # the status thread runs from here on
        code = say.front("load")
        if code is not None:
            sys.exit(code)
        dies = fault("front-dies")
        bar = Bar("Loading Weights")
        while not self.signals.get("loaded_model_signal"):
            if dies and dies["phase"] == "load":
                strike()
                os.kill(os.getpid(), signal.SIGKILL)
            if not self._worker_lives():
                logs.stderr("\n")
                logs.console(failed(), "engine.py", 160, "ERROR")
                return False
            bar.show(self._loaded())
            if bar.is_broken:
                return False  # start() looks after the thread only while the weights are loaded
            clock.pause(0.5)
        bar.end()
        logs.console("Using APPEND ATTN backend.", "append_attn_backend.py", 40)
        self._layers = Bar("Loading Layers")
        return True

    def _loaded(self) -> int:
        """The percentage in workerlog.0; the file is only read when it has grown."""
        path = os.path.join(logs.folder(), "workerlog.0")
        size = os.path.getsize(path) if os.path.exists(path) else 0
        if size != self._log_size:
            self._log_size = size
            with open(path, "rb") as stream:
                shards = SHARDS.findall(stream.read())
            self._percent = int(shards[-1]) if shards else 0
        return self._percent

    def _take_profile(self) -> bool:
        """engine.py:695: waits for the block number, to 2.4 without a look at the worker.

        2.5 ends with a RuntimeError (engine.py:722), 2.6 returns, with exit code 0 (measured).
        """
        assert self.signals is not None
        config = self.config
        if config.blocks_override:
            return True
        is_announced = False
        while not self.signals.get("get_profile_block_num"):
            if not is_announced and not self._worker_lives():
                logs.stderr("\n")
                logs.console(failed(), "engine.py", 160, "ERROR")
                if release.at_least("2.6"):
                    return False
                if release.at_least("2.5"):
                    raise RuntimeError(FAILED_TO_START)
                is_announced = True
            clock.pause(0.5)
        blocks = self.signals.get("get_profile_block_num")
        if not fault("few-phases"):
            logs.log("config", f"Doing profile, the total_block_num:{blocks}", "config.py", 1420)
        config.set_blocks(blocks)
        logs.log(
            "config",
            f"Reset block num, the total_block_num:{blocks}, prefill_kvcache_block_num:"
            f"{int(blocks * 0.75)}",
            "config.py",
            1440,
        )
        return True

    def _reach_ready(self) -> None:
        assert self.signals is not None
        ranks = len(self.config.devices.split(","))
        while self.signals.total("worker_ready_signal") < ranks:
            if not self._worker_lives():
                logs.stderr("\n")
                logs.console(failed(), "engine.py", 160, "ERROR")
                # prefix_cache_manager.py:227 attaches what the worker's tracker just removed
                raise FileNotFoundError(
                    2, os.strerror(2), f"/cache_ready_signal.{self.config.segments}"
                )
            clock.pause(0.5)
        self._layers.end()
        self.signals.put("cache_ready_signal", 1)
        self.scheduler = Scheduler(self.config, self.signals)
        self.scheduler.start()

    # Serve -----------------------------------------------------------------------------------

    def serve_metrics(self, port: int) -> None:
        """M: a thread of this process; the socket is inherited by gunicorn's workers."""

        assert self.scheduler is not None
        server = web.Server(ports.listen("0.0.0.0", port), metrics_app(self.scheduler))
        threading.Thread(target=server.run, daemon=True).start()

    def watch_worker(self) -> None:
        """api_server.py:754-770: polls every 5 s; the code it reports is 0, but for rare times.

        The first of monitor and gunicorn to collect the child knows its code.

        No check before 2.3: /health is 200 for 30 s more, then 404, and the server runs on.
        """
        if not release.at_least("2.3"):
            return

        def watch() -> None:
            while not self.stop_requested.is_set():
                if not self.shell_reaped:
                    try:
                        self._worker_lives()
                    except ChildProcessError:
                        self.shell_reaped = True
                if self.shell_reaped:
                    dies = fault("worker-dies-after-ready")
                    status = self.shell_status if dies and dies["told"] else 0
                    code = os.waitstatus_to_exitcode(status)
                    logs.console(
                        f"Worker process has died in the background (code={code}). "
                        "API server is forced to stop.",
                        "api_server.py",
                        763,
                        "ERROR",
                    )
                    self.monitor_fired.set()
                    self.exit_delay = 8
                    os.kill(os.getpid(), signal.SIGINT)
                    return
                self.stop_requested.wait(clock.scaled(5))

        threading.Thread(target=watch, daemon=True).start()

    def port_taken(self) -> None:
        """The four endings of "P is taken"; with SIGINT ignored it hung."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN or fault("port-taken-hang"):
            self.ending = "hang"
        elif fault("port-taken-orphan"):
            self.ending = "orphan"
        elif fault("port-taken-abort"):
            self.ending = "abort"

    # End -------------------------------------------------------------------------------------

    def exit(self) -> None:
        """common_engine.py:1480-1515: worker, Q, signals; then zmq, where it may abort or hang."""
        if self._ended or os.getpid() != self._owner:
            return
        self._ended = True
        self.stop_requested.set()
        released = threading.Event()
        if self.ending == "hang" and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            # From the first moment: a SIGTERM that comes while it goes into the hang counts too.
            signal.signal(signal.SIGTERM, lambda *_: released.set())
        deadline = time.monotonic() + clock.scaled(self.exit_delay)
        if self.signals is not None:
            self.signals.unlink(*FIRST)
        if self.shell_reaped:
            # 11 of 14 s in load, 6 of 8 s when ready: only then the worker is looked for.
            time.sleep(clock.scaled(self.exit_delay) * 0.75)
        self._end_worker()
        if fault("stop-hangs") and self.scheduler is not None:
            self.ending = "stuck"
        self._end_queue()
        if self.scheduler is not None and self.ending in ("hang", "abort", "stuck"):
            self._end_in_zmq(deadline, released)
        time.sleep(max(0.0, deadline - time.monotonic()))
        if self.ending != "orphan":
            self._end_child(self.cache_pid)
        if self.scheduler is not None:
            self.scheduler.close()

    def _end_worker(self) -> None:
        if not self.shell_pid:
            return
        family = descendants(self.shell_pid)
        was_loading = self._watched and self.scheduler is None and not self.shell_reaped
        if was_loading and self._worker_prints():
            # Python forgets that an interrupt ended the process (exit code 1 instead of -2): the
            # thread that reads the worker's progress evaluates it.
            eval("0")
        try:
            if self.shell_reaped:
                raise ProcessLookupError(3, os.strerror(3))
            os.killpg(self.shell_pid, signal.SIGTERM)
        except ProcessLookupError as error:
            logs.console(
                f"Error extracting sub services: {error}, {traceback.format_exc()}",
                "engine.py",
                440,
                "ERROR",
            )
        stuck = fault("worker-ignores-sigterm") or any(is_stopped(pid) for pid in family)
        limit = time.monotonic() + (0.5 if stuck else 5.0)
        while any(alive(pid) for pid in family) and time.monotonic() < limit:
            self._reap(self.shell_pid)
            time.sleep(0.005)
        if self._reap(self.shell_pid) and was_loading:
            # engine.py:152-155: the thread that waits for the workers sees them go, by SIGINT too.
            logs.console(FAILED, "engine.py", 155, "ERROR")

    @staticmethod
    def _worker_prints() -> bool:
        """True while the load goes on: lines of progress come during the exit as well."""
        if fault("worker-hangs-in-load") or fault("worker-spins-in-load"):
            return False
        return not any(is_stopped(pid) for pid in descendants(os.getpid()))

    def _end_queue(self) -> None:
        self._end_child(self.queue_pid)
        sockets = (
            queues.task_path(self.config.queue_port),
            queues.cache_path(self.config.cache_port),
        )
        for path in sockets:
            if path and os.path.exists(path):
                os.unlink(path)
        if self.signals is not None:
            self.signals.unlink(*(name for name in SHARED + OWN if name not in FIRST))

    def _end_in_zmq(self, deadline: float, released: threading.Event) -> None:
        if self.ending == "abort":
            time.sleep(max(0.0, deadline - time.monotonic()))
            logs.stderr(ABORT)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core file in a test's folder
            os.abort()
        while self.ending == "stuck" or not released.is_set():
            time.sleep(0.05)
        clock.pause(2.5)
        self._end_child(self.cache_pid)
        if self.scheduler is not None:
            self.scheduler.close()
        os._exit(0)

    def _end_child(self, pid: int) -> None:
        if not pid:
            return
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        while not self._reap(pid):
            time.sleep(0.002)

    @staticmethod
    def _reap(pid: int) -> bool:
        try:
            return os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True

    def kill_from_fork(self) -> NoReturn:
        """What LLMEngine's finalizer does in a gunicorn worker that gets a SIGTERM of its own."""
        for pid in filter(None, (self.queue_pid, self.cache_pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.shell_pid, signal.SIGTERM)
        os._exit(0)
