"""Stopping, in every state (behaviour section 4), and what stays behind (section 5)."""

from __future__ import annotations

import http.client
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.twin.conftest import Start
from tests.twin.driver import Twin, accepts, queue_exists, wait_for

LOADING = "\rLoading Weights:   0%"
ABORT = "Assertion failed: pfd.revents & POLLIN (src/signaler.cpp:238)"


def loading(start: Start, **options: object) -> Twin:
    twin = start(fault="late-start@phase=load@seconds=600", **options)
    twin.wait_said(LOADING)
    wait_for("the worker in load", lambda: "Loading safetensors" in twin.log("workerlog.0"))
    return twin


def gone(twin: Twin) -> bool:
    """No process (the resource tracker goes last), no signal, no port."""
    twin.wait_gone()
    return not twin.shm() and not twin.listening()


def test_sigterm_when_ready(start: Start) -> None:
    twin = start().wait_ready()
    assert twin.stop() == 0
    assert gone(twin)
    assert "Worker process has died in the background (code=-15)" in twin.output
    assert queue_exists(twin.ports.queue), "the System V queue is never removed"


def test_the_workers_tracker_complains_at_a_clean_stop(start: Start) -> None:
    twin = start().wait_ready()
    assert twin.stop() == 0
    wait_for("noise", lambda: "leaked shared_memory objects" in twin.log("workerlog.0"))


def test_sigterm_that_aborts(start: Start) -> None:
    twin = start(fault="term-aborts").wait_ready()
    assert twin.stop() == -signal.SIGABRT
    assert ABORT in twin.output
    assert twin.listening() == {"C"}
    (orphan,) = twin.find("api_server --model")
    assert len(twin.find("resource_tracker")) == 1
    assert f"/proc/{orphan}"


class Stream(threading.Thread):
    """A client in the middle of a long answer."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(daemon=True)
        self.twin, self.text, self.error = twin, "", ""
        self.begun = threading.Event()

    def run(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self.twin.ports.port, timeout=30)
        body = '{"stream": true, "messages": [{"role": "user", "content": "Write a story."}]}'
        client.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        response = client.getresponse()
        try:
            while piece := response.read(64):
                self.text += piece.decode()
                self.begun.set()
        except (http.client.HTTPException, OSError) as error:
            self.error = type(error).__name__
        client.close()


def streaming(start: Start, *flags: str, speed: int) -> tuple[Twin, Stream]:
    twin = start(*flags, environment={"TWIN_TOKENS_PER_S": str(speed)}).wait_ready()
    stream = Stream(twin)
    stream.start()
    assert stream.begun.wait(600)
    return twin, stream


def test_sigterm_cuts_a_stream(start: Start) -> None:
    twin, stream = streaming(start, speed=50)
    assert twin.stop() == 0
    stream.join(600)
    assert stream.error in ("IncompleteRead", "ConnectionResetError")
    assert "finish_reason" not in stream.text
    assert "[DONE]" not in stream.text


def test_sigterm_lets_a_stream_end_if_asked(start: Start) -> None:
    twin, stream = streaming(start, "--timeout-graceful-shutdown", "30", speed=1000)
    twin.send(signal.SIGTERM)
    wait_for("refusal", lambda: not accepts(twin.ports.port))
    assert twin.wait() == 0
    stream.join(600)
    assert stream.text.endswith("data: [DONE]\n\n")


def test_sigterm_cuts_a_stream_after_the_graceful_time(start: Start) -> None:
    twin, stream = streaming(start, "--timeout-graceful-shutdown", "1", speed=20)
    begun = time.monotonic()
    assert twin.stop() == 0
    assert time.monotonic() - begun >= 1
    stream.join(600)
    assert "[DONE]" not in stream.text


def test_sigterm_while_loading_leaves_everything(start: Start) -> None:
    twin = loading(start)
    assert twin.stop() == -signal.SIGTERM
    left = twin.processes()
    assert len(left) == 7, left
    assert twin.listening() == {"Q", "C"}
    assert len(twin.shm()) == 17


def test_sigterm_while_loading_lets_the_worker_finish(start: Start) -> None:
    twin = start(fault="late-start@phase=load@seconds=60")
    twin.wait_said(LOADING)
    wait_for("the worker in load", lambda: "Loading safetensors" in twin.log("workerlog.0"))
    lines, worker = re.split(r"[\r\n]+", twin.output), twin.worker
    assert twin.stop() == -signal.SIGTERM
    wait_for("the load's end", lambda: "shards: 100%" in twin.log("workerlog.0"))
    wait_for("the worker's loop", lambda: "connect task queue" in twin.log("workerlog.0"))
    assert twin.worker == worker
    new = re.split(r"[\r\n]+", twin.output)[len(lines) :]
    assert not [line for line in new if not line.startswith("Loading Weights")]


def test_sigint_while_loading_is_clean(start: Start) -> None:
    """Exit code 1: the thread that reads the worker's progress evaluates a line of it."""
    twin = loading(start)
    twin.send(signal.SIGINT)
    assert twin.wait() == 1
    assert "Exit with signal 15" in twin.log("launch_worker.log").splitlines()[-1]
    # The thread that waits for the workers takes their end for a failed launch.
    assert "Failed to launch worker processes" in twin.output.partition("KeyboardInterrupt")[2]
    assert gone(twin)


@pytest.mark.parametrize("until", ["Number of api-server workers", "Waiting for worker processes"])
def test_sigint_before_the_load(start: Start, until: str) -> None:
    """Before anybody watches the worker its end is not called a failed launch."""
    twin = start(scale=0.1)
    twin.wait_said(until)
    twin.send(signal.SIGINT)
    assert twin.wait() == -signal.SIGINT
    assert "Failed to launch" not in twin.output
    assert gone(twin)


def test_sigint_while_the_worker_hangs(start: Start) -> None:
    twin = start(fault="worker-hangs-in-load")
    twin.wait_said("Loading safetensors", "workerlog.0")
    twin.send(signal.SIGINT)
    assert twin.wait() == -signal.SIGINT, "no progress, so nothing is evaluated"
    assert gone(twin)


def test_sigint_while_the_worker_is_stopped_leaves_it_and_its_launcher(start: Start) -> None:
    twin = start(fault="worker-hangs-in-load@stopped=1")
    twin.wait_said("Loading safetensors", "workerlog.0")
    wait_for("SIGSTOP", lambda: "T (stopped)" in Path(f"/proc/{twin.worker}/status").read_text())
    twin.send(signal.SIGINT)
    assert twin.wait() == -signal.SIGINT
    left = {"worker", "launcher", "tracker"}  # the worker's own tracker, where it has one already
    wait_for("only these are left", lambda: {role(w) for w in twin.processes().values()} <= left)
    assert {role(w) for w in twin.processes().values()} >= {"worker", "launcher"}
    assert twin.log("launch_worker.log").splitlines()[-1].endswith("Terminating with signal 15")
    assert not twin.listening()
    assert not twin.shm()


def test_a_stopped_worker_does_not_outlive_the_twins_lifetime(start: Start) -> None:
    """SIGALRM cannot end it: its launcher does, so that no test run leaves it behind."""
    lifetime = {"TWIN_MAX_LIFETIME": "8"}
    twin = start(fault="worker-hangs-in-load@stopped=1", environment=lifetime)
    wait_for("every process's end", lambda: twin.process.poll() is not None)
    assert twin.process.returncode == -signal.SIGALRM
    assert "Loading safetensors" in twin.log("workerlog.0")
    twin.wait_gone(60)


def role(line: str) -> str:
    """The part of a process of the worker's tree."""
    if line.startswith("/bin/sh"):
        return "shell"
    if "resource_tracker" in line:
        return "tracker"
    return "launcher" if " -m paddle.distributed.launch" in line else "worker"


def test_sigint_while_loading_ignored(start: Start) -> None:
    twin = start(ignore_sigint=True)
    twin.wait_said(LOADING)
    twin.send(signal.SIGINT)
    twin.wait_ready()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_sigint_when_ready_is_slow_and_clean(start: Start, number: int) -> None:
    twin = start().wait_ready()
    begun = time.monotonic()
    twin.send(number)
    assert twin.wait() == 0
    assert time.monotonic() - begun >= 6 * 0.02
    assert gone(twin)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_sigint_when_ready_can_abort(start: Start, number: int) -> None:
    twin = start(fault="int-aborts").wait_ready()
    twin.send(number)
    assert twin.wait() == -signal.SIGABRT
    assert twin.listening() == {"C"}


def test_sigterm_to_the_group_when_ready(start: Start) -> None:
    twin = start().wait_ready()
    os.killpg(twin.process.pid, signal.SIGTERM)
    assert twin.wait() == 0
    wait_for("clean", lambda: gone(twin))


def test_sigterm_to_the_group_while_loading(start: Start) -> None:
    twin = loading(start)
    os.killpg(twin.process.pid, signal.SIGTERM)
    assert twin.wait() == -signal.SIGTERM
    wait_for("no queues", lambda: not twin.listening())
    time.sleep(35 * 0.02)
    assert twin.worker, "the worker survives"


def test_sigkill_when_ready(start: Start) -> None:
    twin = start().wait_ready()
    twin.send(signal.SIGKILL)
    assert twin.wait() == -signal.SIGKILL
    time.sleep(20 * 0.02)
    assert len(twin.processes()) == 8
    assert twin.listening() == {"P", "M", "Q", "C"}
    assert len(twin.shm()) == 19  # measured
    assert twin.health() == 200, "the orphaned HTTP worker keeps serving"


def test_sigkill_to_the_group_when_ready(start: Start) -> None:
    twin = start().wait_ready()
    os.killpg(twin.process.pid, signal.SIGKILL)
    assert twin.wait() == -signal.SIGKILL
    wait_for("worker and launcher end by themselves", lambda: not twin.processes())
    port = twin.ports.port
    own = {
        "cache_ready_signal", "cache_task_broadcast_signal", "kv_cache_status",
        "cache_task_inflight", "cache_task_is_paused",
        "need_block_num_signal", "prefix_tree_status", "swap_space_ready_signal",
    }  # fmt: skip
    wait_for(
        "eight segments and two sockets",
        lambda: twin.shm() == own | {f"{port}.socket", f"router_{port}.ipc"},
    )


def test_sighup_reloads_the_http_worker(start: Start) -> None:
    twin = start().wait_ready()
    (old,) = twin.find("gunicorn: worker")
    twin.send(signal.SIGHUP)
    wait_for("another worker", lambda: twin.find("gunicorn: worker") not in ([], [old]))
    wait_for("the old one gone", lambda: old not in twin.processes())
    assert twin.says("Say OK.") == "OK"
    assert twin.process.poll() is None


def test_a_killed_http_worker_is_replaced(start: Start) -> None:
    twin = start().wait_ready()
    (old,) = twin.find("gunicorn: worker")
    os.kill(old, signal.SIGKILL)
    wait_for("a new one", lambda: twin.find("gunicorn: worker") not in ([], [old]))
    assert twin.says("Say OK.") == "OK"


def test_an_http_worker_told_to_end_is_replaced(start: Start) -> None:
    twin = start().wait_ready()
    (old,) = twin.find("gunicorn: worker")
    os.kill(old, signal.SIGTERM)
    wait_for("a new one", lambda: twin.find("gunicorn: worker") not in ([], [old]))
    assert twin.says("Say OK.") == "OK"
    assert f"[INFO] Worker (pid:{old}) was sent SIGTERM!" in twin.output
    assert f"[{old}] [INFO] Finished server process [{old}]" in twin.output
    assert twin.process.poll() is None


def test_sigterm_to_the_http_worker_can_kill_the_server(start: Start) -> None:
    twin = start(fault="http-term-ends").wait_ready()
    (worker,) = twin.find("gunicorn: worker")
    os.kill(worker, signal.SIGTERM)
    assert twin.wait() == 0
    wait_for("clean", lambda: gone(twin))


def test_a_stop_that_hangs(start: Start) -> None:
    twin = start(fault="stop-hangs").wait_ready()
    twin.send(signal.SIGTERM)
    wait_for("P closed", lambda: not accepts(twin.ports.port))
    time.sleep(1)
    twin.send(signal.SIGTERM)
    time.sleep(0.5)
    assert twin.process.poll() is None
    twin.send(signal.SIGKILL)
    assert twin.wait() == -signal.SIGKILL


def test_a_worker_that_ignores_sigterm(start: Start) -> None:
    twin = start(fault="worker-ignores-sigterm").wait_ready()
    worker = twin.worker
    assert twin.stop() == 0
    assert worker in twin.processes()


def test_a_slow_stop(start: Start) -> None:
    twin = start(fault="stop-slow@seconds=50").wait_ready()
    begun = time.monotonic()
    assert twin.stop() == 0
    assert time.monotonic() - begun >= 50 * 0.02


def test_nobody_reads_its_output_when_ready(start: Start) -> None:
    reader, writer = os.pipe()
    twin = start(stderr=writer)
    os.close(writer)
    wait_for("ready", lambda: twin.health() == 200)
    os.close(reader)
    assert twin.says("Say OK.") == "OK", "logging swallows the broken pipe"
    assert twin.stop() == 0


def test_a_stop_without_a_reader_takes_longer(start: Start) -> None:
    """After kill -9 of the keeper 8 processes of a ready server were still there 8 s later."""
    reader, writer = os.pipe()
    twin = start(stderr=writer, scale=0.1)
    os.close(writer)
    wait_for("ready", lambda: twin.health() == 200)
    os.close(reader)
    begun = time.monotonic()
    assert twin.stop() == 0
    assert time.monotonic() - begun >= 8 * 0.1


@pytest.mark.parametrize("drawn", [False, True], ids=["before the bar", "with the bar"])
def test_nobody_reads_its_output_while_loading(start: Start, drawn: bool) -> None:
    reader, writer = os.pipe()
    twin = start(stderr=writer, fault="worker-hangs-in-load")
    os.close(writer)
    said = b""
    while drawn and b"Loading Weights" not in said:
        said += os.read(reader, 65536)
    os.close(reader)
    assert twin.wait() == 0, "tqdm does not swallow it: the load ends, main returns"
    assert gone(twin)


def test_leftovers_do_not_block_a_restart(start: Start) -> None:
    first = start().wait_ready()
    os.killpg(first.process.pid, signal.SIGKILL)
    first.wait()
    wait_for("gone", lambda: not first.processes())
    stale = Path(f"/dev/shm/cache_ready_signal.{first.ports.queue}")
    assert stale.exists()
    second = start(ports=first.ports).wait_ready()
    assert second.stop() == 0
    assert gone(second)
