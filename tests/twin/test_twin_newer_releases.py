"""2.5 and 2.6, and 2.4 as it was released: what they do in another way than the measured 2.4.

Rows marked "measured" were seen on the front ends of release/2.5 and 2.6 on 2026-11-27 (CPU, a
stand-in worker); the others were read.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from tests.support import processes
from tests.twin.conftest import Start
from tests.twin.driver import Twin, queue_exists, queue_key, wait_for, wide_queue_key


@pytest.fixture
def newest(start: Start) -> Twin:
    """A ready 2.6 with its own defaults."""
    return start(release="2.6", environment={"TWIN_MAX_LIFETIME": "900"}).wait_ready()


def test_four_workers_start_and_each_has_its_socket(newest: Twin) -> None:
    newest.wait_said("Number of api-server workers: 4.")
    wait_for("four workers", lambda: newest.output.count("Application startup complete.") == 4)
    assert len([n for n in newest.shm() if n.startswith(f"response_{newest.ports.port}_w")]) == 4
    assert f"router_{newest.ports.port}.ipc" not in newest.shm()


def test_queues_are_sockets_and_listen_on_no_port(newest: Twin) -> None:
    assert newest.listening() == {"P", "M"}
    for port in (newest.ports.queue, newest.ports.cache):
        assert f"fd_task_queue_{port}.sock" in newest.shm()


def test_the_segments_and_the_key_of_2_6(newest: Twin) -> None:
    names = newest.shm()
    new_in_2_4 = {"cache_task_inflight", "cache_task_is_paused"}
    assert new_in_2_4 | {"cache_transfer_inited_signal", "fd_lock_gpu_cache_lock"} <= names
    assert "exist_tasks_intra_signal" not in names
    queue = newest.ports.queue
    assert queue_exists(queue, wide_queue_key(queue))
    assert not queue_exists(queue, queue_key(queue))


def test_a_paused_server_is_healthy_and_answers_nothing(newest: Twin) -> None:
    """Measured on 2.6."""

    def is_paused() -> bool:
        status, body = newest.http("GET", "/v1/is_paused")
        assert status == 200
        document = json.loads(body)
        assert document["status"] == "success"
        return bool(document["result"]["is_paused"])

    assert not is_paused()
    for stop, go in (("/v1/pause", "/v1/resume"), ("/v1/sleep", "/v1/wakeup")):
        assert newest.http("POST", stop, {})[0] == 200
        assert is_paused()
        assert newest.health() == 200
        assert newest.says("Say hello.") == ""
        assert newest.http("POST", go, {})[0] == 200
        assert not is_paused()
        assert newest.says("Say hello.")
    assert newest.http("POST", "/v1/is_paused", {})[0] == 405


def test_a_client_that_goes_away_ends_its_request(start: Start) -> None:
    environment = {"TWIN_TOKENS_PER_S": "2", "TWIN_MAX_LIFETIME": "600"}
    # One worker: the twin does not merge the gauges of several, as FastDeploy does.
    twin = start("--workers", "1", release="2.6", environment=environment).wait_ready()

    def running() -> float:
        lines = twin.http("GET", "/metrics", port=twin.ports.metrics)[1].decode().splitlines()
        (line,) = [x for x in lines if x.startswith("fastdeploy:num_requests_running")]
        return float(line.split()[-1])

    body = json.dumps(
        {"messages": [{"role": "user", "content": "Count to one hundred."}], "stream": True}
    ).encode()
    with socket.create_connection(("127.0.0.1", twin.ports.port)) as peer:
        peer.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            + f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        wait_for("the request runs", lambda: running() == 1)
    wait_for("it has ended with its client", lambda: running() == 0)


def test_the_newest_release_counts_what_waits_beyond_the_seats(start: Start) -> None:
    flags = ["--max-num-seqs", "1", "--max-num-batched-tokens", "1024"]
    twin = start(*flags, release="2.6", environment={"TWIN_TOKENS_PER_S": "40"})
    twin.wait_ready()
    names = ("fastdeploy:num_requests_waiting", "fastdeploy:num_requests_queuing")

    def queuing() -> float:
        lines = twin.http("GET", "/metrics", port=twin.ports.metrics)[1].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(names))

    threads = [threading.Thread(target=twin.chat, args=("Hello",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for("one waits", lambda: queuing() >= 1)
    for thread in threads:
        thread.join()
    assert queuing() == 0


@pytest.mark.parametrize(
    ("release", "code", "text"),
    [
        ("2.5", 1, "RuntimeError: Worker process failed to start.Please check log/workerlog.*"),
        ("2.6", 0, "ValueError: The total number of blocks cannot be less than zero."),
    ],
)
def test_the_death_in_profiling_ends_it(start: Start, release: str, code: int, text: str) -> None:
    """Measured: 2.4 hangs, 2.5 ends with 1, 2.6 with 0 and the worker's traceback."""
    twin = start(release=release, fault="worker-dies-in-profiling")
    assert twin.wait() == code
    assert "Failed to launch worker processes, check log/workerlog.*" in twin.output
    assert text in twin.output
    twin.wait_gone()


def test_the_traceback_of_a_failed_launch_can_be_an_earlier_runs(
    start: Start, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    _leave_an_old_workerlog(old)
    twin = start(release="2.6", fault="launch-fails", environment={"FD_LOG_DIR": str(old)})
    assert twin.wait() == 0
    assert "KeyError: 'of last week'" in twin.output


def _leave_an_old_workerlog(logs: Path) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    text = "Traceback (most recent call last):\nKeyError: 'of last week'\n"
    (logs / "workerlog.0").write_text(text)


def test_a_dead_socket_file_blocks_the_next_start(start: Start) -> None:
    """Measured on 2.6: exit code 1, `Address already in use`, then EOFError; the check passes."""
    first = start(release="2.6").wait_ready()
    processes.kill(first.processes())
    first.process.wait(60)
    assert f"fd_task_queue_{first.ports.queue}.sock" in first.shm()
    second = start(release="2.6", ports=first.ports)
    assert second.wait() == 1
    assert f"Using `engine_worker_queue_port`: [{first.ports.queue}]" in second.output
    assert "OSError: [Errno 98] Address already in use" in second.output
    assert second.output.rstrip().endswith("EOFError")


def test_a_live_socket_is_noticed_early(start: Start, newest: Twin) -> None:
    second = start(release="2.6", ports=newest.ports)
    assert second.wait() == 1
    port = newest.ports.queue
    text = f"AssertionError: Parameter `engine_worker_queue_port`:{port} is already in use."
    assert text in second.output


def test_the_root_loggers_handler_prints_everything(start: Start) -> None:
    """Read, and not so in the measured build: prompts on stderr, console lines twice."""
    twin = start(release="2.6", fault="root-logger-prints").wait_ready()
    assert twin.output.count("Waiting for worker processes to be ready...") == 2
    twin.says("A prompt that only its client may read.")
    twin.wait_said("A prompt that only its client may read.")


@pytest.mark.parametrize(("release", "status"), [("2.5", 500), ("2.6", 200)])
def test_an_error_in_the_engine(start: Start, release: str, status: int) -> None:
    twin = start(release=release, fault="engine-error").wait_ready()
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    got, raw = twin.http("POST", "/v1/chat/completions", body)
    assert got == status
    if status == 200:
        assert json.loads(raw)["choices"][0]["message"]["content"] == ""


def test_a_clean_stop_leaves_what_was_measured(start: Start) -> None:
    twin = start(release="2.6").wait_ready()
    wait_for("four workers", lambda: twin.output.count("Application startup complete.") == 4)
    assert twin.stop() == 0
    twin.wait_gone()
    left = {"fd_lock_gpu_cache_lock", f"fmq_ctrl_w2e_rank0_{twin.ports.queue}.ipc"}
    assert {n for n in twin.shm() if not n.startswith("response_")} == left
    assert len([n for n in twin.shm() if n.startswith("response_")]) == 4


def test_2_4_takes_the_kernels_ports_and_checks_one(start: Start) -> None:
    taken = start(release="2.4").wait_ready()
    second = start(release="2.4", ports=taken.ports)
    assert second.wait() == 1
    port = taken.ports.queue
    text = f"The parameter `engine_worker_queue_port`:['{port}'] is already in use."
    assert text in second.output


def test_limits_of_2_6(start: Start) -> None:
    twin = start("--max-num-seqs", "600", "--max-num-batched-tokens", "1024", release="2.6")
    assert twin.wait() == 1
    assert "`max_num_seqs` is not allowed to exceed 512, but now it's 600." in twin.output
