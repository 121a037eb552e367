"""Exit codes and last words (behaviour sections 1, 2 and 12)."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.twin.conftest import Start
from tests.twin.driver import accepts, tiny_ernie, wait_for
from tests.twin.faults import FAULTS, parse


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--no-such-flag", "1"], "api_server.py: error: unrecognized arguments: --no-such-flag 1"),
        (["--max-num-seqs", "abc"], "argument --max-num-seqs: invalid int value: 'abc'"),
        (
            ["--speculative-config", "{bad"],
            "argument --speculative-config: invalid loads value: '{bad'",
        ),
        (["--max-num", "3"], "ambiguous option: --max-num could match"),
    ],
)
def test_bad_command_lines(start: Start, flags: list[str], text: str) -> None:
    twin = start(*flags)
    assert twin.wait() == 2
    assert "usage: api_server.py" in twin.output
    assert text in twin.output
    twin.wait_gone()


def folder_with(tmp_path: Path, *names: str) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in names:
        shutil.copy(tiny_ernie() / name, folder / name)
    return folder


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (None, "FileNotFoundError: please make sure one of the ['config.json', "),
        ("{bad", "json.decoder.JSONDecodeError: "),
        (
            '{"architectures": ["Nope"], "dtype": "bfloat16"}',
            "ValueError: This model does not support '--runner generate.",
        ),
        ('{"architectures": ["Ernie4_5ForCausalLM"]}', "ValueError: Unknown model format."),
    ],
)
def test_bad_model_folders(start: Start, tmp_path: Path, config: str | None, text: str) -> None:
    folder = folder_with(tmp_path, "tokenizer.json")
    if config is not None:
        (folder / "config.json").write_text(config)
    twin = start(model=str(folder))
    assert twin.wait() == 1
    assert text in twin.output


def test_missing_model(start: Start) -> None:
    twin = start(model="/nonexistent/model")
    assert twin.wait() == 1
    assert (
        "Exception: The master of /nonexistent/model is not exist. "
        "Please check the model name or revision." in twin.output
    )


def test_missing_tokenizer(start: Start, tmp_path: Path) -> None:
    twin = start(model=str(folder_with(tmp_path, "config.json")))
    assert twin.wait() == 1
    assert "AssertionError: All tokenizer files should be in the same directory." in twin.output
    twin.wait_gone()
    assert not twin.shm()


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--reasoning-parser", "nope"], "reasoning helper: 'nope' not found in reasoning_parsers"),
        (["--tool-call-parser", "nope"], "tool helper: 'nope' not found in tool_parsers"),
        (
            ["--gpu-memory-utilization", "1.5"],
            "ValueError: GPU memory utilization must be less than 1.0. Got 1.5.",
        ),
        (
            ["--max-num-batched-tokens", "16"],
            "AssertionError: max_num_batched_tokens: 16 should be larger than or equal to "
            "block_size: 64",
        ),
        (["--max-num-seqs", "0"], "ZeroDivisionError"),
        (["--max-num-seqs", "300"], "The parameter `max_num_seqs` is not allowed to exceed 256"),
        (
            ["--max-model-len", "1000000", "--num-gpu-blocks-override", "512"],
            "AssertionError: current block number :512 should be greater than or equal to current "
            "model len needed minimum block number :15626",
        ),
        (["--splitwise-role", "prefill"], "please provide --router argument"),
    ],
)
def test_bad_settings(start: Start, flags: list[str], text: str) -> None:
    twin = start(*flags)
    assert twin.wait() == 1
    assert text in twin.output
    twin.wait_gone()
    assert not twin.shm()


def test_context_too_long_is_seen_after_the_load(start: Start) -> None:
    twin = start("--max-model-len", "1000000", environment={"TWIN_GPU_BLOCKS": "512"})
    assert twin.wait() == 1
    assert "Loading Weights: 100%" in twin.output
    assert (
        "AssertionError: current block number :512 should be greater than or equal to"
        in twin.output
    )


def test_parser_names_by_release(start: Start) -> None:
    old = start("--reasoning-parser", "ernie-x1", release="2.2")
    assert old.wait() == 1
    assert "reasoning helper: 'ernie-x1' not found" in old.output
    start("--reasoning-parser", "ernie_x1", release="2.2").wait_ready()


@pytest.fixture
def taken() -> socket.socket:
    """A listening socket of another process."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    return listener


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--engine-worker-queue-port", "engine_worker_queue_port"),
        ("--cache-queue-port", "cache_queue_port"),
        ("--rdma-comm-ports", "rdma_comm_ports"),
    ],
)
def test_queue_ports_are_checked_before_the_load(
    start: Start, taken: socket.socket, flag: str, name: str
) -> None:
    with taken:
        port = taken.getsockname()[1]
        twin = start(flag, str(port), release="2.5")
        assert twin.wait() == 1
    assert f"AssertionError: Parameter `{name}`:{port} is already in use." in twin.output
    assert "Loading Weights" not in twin.output


def test_the_metrics_port_is_checked_after_the_load(start: Start, taken: socket.socket) -> None:
    with taken:
        port = taken.getsockname()[1]
        twin = start("--metrics-port", str(port))
        assert twin.wait() == 1
    assert f"Exception: The parameter `metrics_port`:{port} is already in use." in twin.output
    assert "Worker processes are launched with" in twin.output
    twin.wait_gone()


def test_main_port_taken_ends_cleanly(start: Start, taken: socket.socket) -> None:
    with taken:
        twin = start("--port", str(taken.getsockname()[1]))
        assert twin.wait() == 1
    assert "Launching chat completion service at" in twin.output
    assert "Exception: The parameter `port`:" in twin.output
    twin.wait_gone()


def test_main_port_taken_leaves_the_cache_queue(start: Start, taken: socket.socket) -> None:
    with taken:
        twin = start("--port", str(taken.getsockname()[1]), fault="port-taken-orphan")
        assert twin.wait() == 1
    assert twin.listening() == {"C"}
    assert len(twin.find("api_server --model")) == 1


def test_main_port_taken_aborts(start: Start, taken: socket.socket) -> None:
    with taken:
        twin = start("--port", str(taken.getsockname()[1]), fault="port-taken-abort")
        assert twin.wait() == -signal.SIGABRT
    assert "Assertion failed: pfd.revents & POLLIN (src/signaler.cpp:238)" in twin.output
    assert twin.listening() == {"C"}


def test_main_port_taken_hangs_when_sigint_is_ignored(start: Start, taken: socket.socket) -> None:
    with taken:
        port = taken.getsockname()[1]
        twin = start("--port", str(port), ignore_sigint=True)
        twin.wait_said(f"Exception: The parameter `port`:{port} is already in use.")
        wait_for("the worker's end", lambda: not twin.find("worker_process.py"))
        time.sleep(75 * 0.02)
        assert twin.process.poll() is None
        assert twin.listening() == {"C", "M", "P"}, "P is the other one's"


def test_a_host_that_is_not_ours_is_reported_by_gunicorn(start: Start) -> None:
    twin = start("--host", "203.0.113.77")
    assert twin.wait() == 1
    where = f"('203.0.113.77', {twin.ports.port})"
    assert twin.output.count(f"[ERROR] Invalid address: {where}") == 5
    assert f"Can't connect to {where}" in twin.output
    assert "Worker processes are launched with" in twin.output


def test_a_port_stolen_after_the_check(start: Start) -> None:
    twin = start(fault="port-taken-while-loading")
    assert twin.wait() == 1
    assert twin.output.count("[ERROR] Connection in use: ('0.0.0.0', ") == 5


FAILED = "Failed to launch worker processes, check log/workerlog.* for more details."


def test_bad_quantization_is_exit_code_0(start: Start) -> None:
    twin = start("--quantization", "nope")
    assert twin.wait() == 0
    assert FAILED in twin.output
    assert "ValueError: Invalid quantization method: nope" in twin.log("workerlog.0")
    assert "Invalid quantization" not in twin.output


@pytest.mark.parametrize(
    ("fault", "true_code"),
    [
        ("worker-dies-in-init@code=3", 3),
        ("worker-dies-in-load@code=7@text=SomeError: no", 7),
        ("worker-dies-in-load@signal=9", -9),
        ("worker-out-of-memory", 1),
    ],
)
def test_a_worker_that_dies_in_load_is_exit_code_0(
    start: Start, fault: str, true_code: int
) -> None:
    twin = start(fault=fault)
    assert twin.wait() == 0
    assert re_ansi(twin.output).count(f"engine.py[line:160] {FAILED}") == 1
    launch = twin.log("launch_worker.log")
    assert launch.splitlines()[-1].endswith(f"Exit code {true_code}")
    assert "Container failed !!!" in launch
    assert f"code {true_code} log log/workerlog.0" in launch
    assert "Error extracting sub services: [Errno 3] No such process" in twin.output
    assert "Failed to initialize FastDeploy LLM engine" in twin.log("api_server.log")
    twin.wait_gone()
    assert not twin.shm()


def re_ansi(text: str) -> str:
    return text.replace("\x1b[31m", "").replace("\x1b[0m", "")


def test_a_worker_that_dies_in_profiling_is_waited_for_for_ever(start: Start) -> None:
    twin = start(fault="worker-dies-in-profiling")
    twin.wait_said(FAILED)
    assert "The total number of blocks cannot be less than zero" in twin.log("workerlog.0")
    time.sleep(60 * 0.02)
    assert twin.process.poll() is None
    assert twin.output.count(FAILED) == 1
    assert twin.health() is None
    assert twin.stop() == -signal.SIGTERM
    assert twin.listening() == {"Q", "C"}
    assert len(twin.processes()) == 3, "a tracker and both queues"


def test_a_worker_that_dies_in_warm_up(start: Start) -> None:
    twin = start(fault="worker-dies-in-warmup")
    assert twin.wait() == 1
    last = f"No such file or directory: '/cache_ready_signal.{twin.ports.queue}'"
    assert FAILED in twin.output
    assert f"FileNotFoundError: [Errno 2] {last}" in twin.output


def test_a_worker_that_dies_at_a_request(start: Start) -> None:
    """Measured twice: it ended with 0 once; once it hung, and SIGTERM then ended it."""
    twin = start(fault="worker-dies-after-ready@on=request,exit-hangs").wait_ready()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        twin.chat("Hello")
    twin.wait_said("[INFO] Shutting down: Master")
    assert "Exit code 7" in twin.log("launch_worker.log")
    twin.wait_said("Error extracting sub services")
    assert twin.process.poll() is None
    assert twin.stop() == 0
    twin.wait_gone()


def test_a_worker_that_dies_after_ready_can_abort_the_server(start: Start) -> None:
    twin = start(fault="worker-dies-after-ready@after=20,int-aborts").wait_ready()
    assert twin.wait() == -signal.SIGABRT
    assert "Worker process has died in the background (code=0)" in twin.output
    assert twin.listening() == {"C"}


@pytest.mark.parametrize("fault", ["code=7", "signal=9"])
def test_a_worker_that_dies_after_ready(start: Start, fault: str) -> None:
    twin = start(fault=f"worker-dies-after-ready@after=20@{fault}").wait_ready()
    assert twin.wait() == 0
    died = "Worker process has died in the background (code=0). API server is forced to stop."
    assert f"api_server.py[line:763] {died}" in twin.output
    true_code = 7 if fault == "code=7" else -9
    assert f"Exit code {true_code}" in twin.log("launch_worker.log")
    twin.wait_gone()


def test_a_worker_killed_from_outside(start: Start) -> None:
    twin = start().wait_ready()
    os.kill(twin.worker, signal.SIGKILL)
    assert twin.health() == 200, "/health never shows it"
    assert twin.wait() == 0
    assert "Exit code -9" in twin.log("launch_worker.log")


def test_the_hang_at_exit(start: Start) -> None:
    twin = start(fault="worker-dies-after-ready@after=20,exit-hangs").wait_ready()
    twin.wait_said("Worker process has died in the background (code=0)")
    wait_for("P closed", lambda: not accepts(twin.ports.port))
    time.sleep(60 * 0.02)
    assert twin.process.poll() is None
    assert twin.listening() == {"M", "C"}
    assert twin.http("GET", "/metrics", port=twin.ports.metrics)[0] == 200
    assert twin.stop() == 0
    twin.wait_gone()


def test_launch_failure_without_a_workerlog(start: Start) -> None:
    twin = start(environment={"CUDA_VISIBLE_DEVICES": "9"})
    assert twin.wait() == 0
    assert FAILED in twin.output
    assert not (twin.logs / "workerlog.0").exists()
    assert "ValueError: substring not found" in twin.log("launch_worker.log")


def test_a_hang_in_load_stays_at_its_percentage(start: Start) -> None:
    twin = start(fault="worker-hangs-in-load@at=50")
    twin.wait_said("\rLoading Weights:  50%")
    frames = twin.output.count("\r")
    wait_for("the bar is drawn again", lambda: twin.output.count("\r") > frames + 3)
    assert twin.process.poll() is None
    assert "100%" not in twin.output


def test_the_front_end_works_while_it_waits(start: Start) -> None:
    """Measured with the worker stopped: the master 5 %, the process of Q 2.5 %, 40.6 kB/s each."""
    twin = start(fault="worker-hangs-in-load@stopped=1")
    twin.wait_said("Loading safetensors", "workerlog.0")

    def used() -> dict[int, tuple[int, int]]:
        usage_by_role = {}
        for pid in twin.processes():
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            io = Path(f"/proc/{pid}/io").read_text().split()
            usage_by_role[pid] = int(stat[11]) + int(stat[12]), int(io[io.index("rchar:") + 1])
        return usage_by_role

    first, begun = used(), time.monotonic()
    master = twin.process.pid
    wait_for("half a second of CPU time", lambda: used()[master][0] >= first[master][0] + 50)
    last, passed = used(), time.monotonic() - begun
    grown = sorted(
        ((last[p][0] - first[p][0], (last[p][1] - first[p][1]) / 1000) for p in first), reverse=True
    )
    (ticks, read), (queue_ticks, queue_read), *idle = grown
    assert ticks <= 7 * passed
    assert 0.3 * ticks <= queue_ticks <= 0.7 * ticks
    assert all(few <= 5 for few, _ in idle)
    assert read <= 45 * passed
    assert queue_read <= 45 * passed
    assert min(read, queue_read) >= 4 * passed, "less beside a busy machine"


def test_a_worker_that_spins_in_load(start: Start) -> None:
    twin = start(fault="worker-spins-in-load")
    twin.wait_said("\rLoading Weights:  12%")

    def ticks() -> int:
        fields = Path(f"/proc/{twin.worker}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    wait_for("CPU time is used", lambda: ticks() > before + 5)


def test_an_unknown_fault_stops_the_twin(start: Start) -> None:
    twin = start(fault="worker-dies-in-laod")
    assert twin.wait() == 97
    with pytest.raises(ValueError, match="has no parameter 'cod'"):
        parse("worker-dies-in-load@cod=1")


def test_the_fault_table_is_documented() -> None:
    page = (Path(__file__).parent / "README.md").read_text()
    assert not [name for name in FAULTS if f"`{name}" not in page]


def test_a_space_in_a_path_breaks_the_workers_command(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    shutil.copytree(tiny_ernie(), folder)
    twin = start(model=str(folder))
    assert twin.wait() == 0
    assert "unrecognized arguments: model" in twin.log("workerlog.0")


def private(mounts: str) -> list[str]:
    """Words that run a command in mount and IPC namespaces of its own, or a skip."""
    argv = ["unshare", "--mount", "--ipc", "/bin/sh", "-ec", f'{mounts}; exec "$@"', "sh"]
    tried = subprocess.run([*argv, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no private mount namespace here: {tried.stderr.decode().strip()}")
    return argv


def test_a_small_dev_shm(start: Start) -> None:
    twin = start(prefix=private("mount -t tmpfs -o size=1m none /dev/shm"))
    assert twin.wait() == 0
    assert "Error while creating shared memory segment /dev/shm/nccl-" in twin.log("workerlog.0")


def test_a_full_dev_shm(start: Start) -> None:
    fill = "mount -t tmpfs -o size=64k none /dev/shm; head -c 64k /dev/zero > /dev/shm/full"
    twin = start(prefix=private(fill))
    assert twin.wait() == -signal.SIGBUS, "the first write into a signal"


def test_a_full_disk_under_the_logs(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    fill = f"mount -t tmpfs -o size=16k none {folder}; head -c 16k /dev/zero > {folder}/full || :"
    twin = start(prefix=private(fill), environment={"FD_LOG_DIR": str(folder)})
    assert twin.wait() == 0
    assert "--- Logging error ---\nOSError: [Errno 28] No space left on device" in twin.output
    assert FAILED in twin.output


def test_noise_is_harmless(start: Start) -> None:
    twin = start(fault="noise").wait_ready()
    assert "Error extracting sub services: [Errno 3] No such process" in twin.output


def test_the_configuration_can_differ(start: Start) -> None:
    twin = start("--max-model-len", "131072", fault="config-differs").wait_ready()
    status, body = twin.http("GET", "/config-info", port=twin.ports.metrics)
    assert status == 200
    assert json.loads(body)["model_config"]["max_model_len"] == 2048
    twin = start(fault="config-differs@max_num_seqs=3").wait_ready()
    body = twin.http("GET", "/config-info", port=twin.ports.metrics)[1]
    assert json.loads(body)["scheduler_config"]["max_num_seqs"] == 3


@pytest.mark.parametrize("phase", ["import", "load", "serve"])
def test_the_front_end_dies(start: Start, phase: str) -> None:
    twin = start(fault=f"front-dies@phase={phase}")
    assert twin.wait() == -signal.SIGKILL
    if phase == "import":
        twin.wait_gone()
    else:
        wait_for("everything else lives", lambda: len(twin.processes()) >= 6)
