"""Processes, ports, phases and log files of a start (behaviour sections 3, 6, 7)."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from pathlib import Path

from tests.twin.conftest import Start
from tests.twin.driver import Twin, accepts, queue_exists, wait_for


def stat_of(pid: int) -> tuple[int, int, int]:
    """ppid, process group, session."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), int(fields[2]), int(fields[3])


def test_three_sessions_and_changed_titles(served: Twin) -> None:
    master = served.process.pid
    lines = served.processes()
    assert lines[master] == "gunicorn: master [gunicorn]"
    assert Path(f"/proc/{master}/comm").read_text().strip() == "gunicorn: maste"
    queues = [p for p in lines if lines[p].find("api_server --model") > 0]
    assert len(queues) == 2
    assert {stat_of(pid) for pid in queues} == {(master, master, master)}
    shell = next(pid for pid in lines if lines[pid].startswith("/bin/sh -c ENABLE_"))
    assert stat_of(shell) == (master, shell, shell)
    launcher = next(pid for pid in lines if " -m paddle.distributed.launch" in lines[pid]
                    and pid != shell)  # fmt: skip
    assert stat_of(launcher) == (shell, shell, shell)
    assert stat_of(served.worker) == (launcher, served.worker, served.worker)
    trackers = {stat_of(pid)[0] for pid in lines if "resource_tracker" in lines[pid]}
    assert trackers == {master, served.worker}
    (http,) = served.find("gunicorn: worker [gunicorn]")
    assert stat_of(http) == (master, master, master)


def test_who_listens(served: Twin) -> None:
    ports, lines = served.ports, served.processes()
    master = served.process.pid
    (http,) = served.find("gunicorn: worker")
    holders: dict[str, set[int]] = {name: set() for name in ("port", "metrics", "queue", "cache")}
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9]: int(row[1].split(":")[1], 16) for row in table if row[3] == "0A"}
    for pid in lines:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            match = re.match(r"socket:\[(\d+)\]", os.readlink(entry))
            if match and match.group(1) in inodes:
                for name in holders:
                    if inodes[match.group(1)] == getattr(ports, name):
                        holders[name].add(pid)
    assert holders["port"] == {master, http}
    assert holders["metrics"] == {master, http}, "gunicorn's worker inherits M's socket"
    assert len(holders["queue"]) == len(holders["cache"]) == 1
    assert holders["queue"] | holders["cache"] <= set(served.find("api_server --model"))


def test_the_environment_is_hidden_where_the_title_can_change(start: Start) -> None:
    """Importing setproctitle takes the environment's memory: 4 of 9 processes show nothing."""
    twin = start(environment={"TOKEN_OF_OURS": "abc"}).wait_ready()
    hidden = set()
    for pid, line in twin.processes().items():
        if b"TOKEN_OF_OURS=abc" not in Path(f"/proc/{pid}/environ").read_bytes():
            hidden.add((line.split(" -m ")[-1].split(" --")[0], pid == twin.process.pid))
    assert hidden == {
        ("gunicorn: master [gunicorn]", True),
        ("gunicorn: worker [gunicorn]", False),
        ("fastdeploy.entrypoints.openai.api_server", False),
    }
    assert len(twin.processes()) == 9
    for pid in twin.find("fastdeploy.entrypoints.openai.api_server --model"):
        assert Path(f"/proc/{pid}/cmdline").read_bytes().count(b"\0") == 1
        assert Path(f"/proc/{pid}/comm").read_text().strip() == twin.processes()[pid][:15]


def test_the_title_leaves_the_environment_if_asked(start: Start) -> None:
    twin = start(environment={"SPT_NOENV": "1", "TOKEN_OF_OURS": "abc"}).wait_ready()
    assert b"TOKEN_OF_OURS=abc" in Path(f"/proc/{twin.process.pid}/environ").read_bytes()


def test_metrics_port_opens_before_the_main_port(start: Start) -> None:
    twin = start(scale=0.05)
    wait_for("M", lambda: accepts(twin.ports.metrics))
    assert not accepts(twin.ports.port)
    assert twin.http("GET", "/config-info", port=twin.ports.metrics)[0] == 200
    twin.wait_said("Launching chat completion service at http://0.0.0.0:")
    assert not accepts(twin.ports.port), "the address is printed before P is bound"
    twin.wait_ready()


def test_phases_in_order(served: Twin) -> None:
    marks = (
        "Number of api-server workers: 1.",
        "Waiting for worker processes to be ready...",
        "\rLoading Weights:   0%",
        "\rLoading Weights: 100%",
        "Using APPEND ATTN backend.",
        "\rLoading Layers:   0%",
        "\rLoading Layers: 100%",
        "Worker processes are launched with ",
        "Detected 4096 gpu blocks and 0 cpu blocks in cache (block size: 64).",
        "FastDeploy will be serving 8 running requests if each sequence reaches its maximum",
        "Launching metrics service at ",
        "Launching completion service at ",
        "[INFO] Listening at: http://0.0.0.0:",
        "Booting worker with pid:",
        "Application startup complete.",
    )
    raw = served.console.read_bytes().decode()
    places = [raw.index(mark) for mark in marks]
    assert places == sorted(places)
    shards = served.logs.joinpath("workerlog.0").read_bytes().decode()
    frame = r"\rLoading safetensors checkpoint shards: +\d+%\|.*?\| \d/8 \["
    assert len(re.findall(frame, shards)) == 9
    worker = served.log("worker_process.log")
    for mark in (
        "available_kv_cache_memory:",
        "num_blocks_global: 4096",
        "connect task queue addr",
    ):
        assert mark in worker
    assert "Starting to load model" in served.log("gpu_model_runner.log")
    assert "FastDeploy LLM engine initialized!" in served.log("api_server.log")


LINE = re.compile(
    r"^(?:\x1b\[\d+m)?(DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+"
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\s+\d+\s+[^\[]+\[line:\d+\]\s.*?(?:\x1b\[0m)?$"
)


def test_log_files_are_links_to_dated_files(served: Twin) -> None:
    today = time.strftime("%Y-%m-%d")
    for name in ("api_server", "console", "fastdeploy", "worker_process", "config", "trace"):
        link = served.logs / f"{name}.log"
        assert os.readlink(link) == f"{name}.log.{today}"
        assert (served.logs / f"{name}_error.log").is_symlink()
    lines = served.log("console.log").splitlines()
    assert lines
    assert all(LINE.match(line) for line in lines)
    assert "Loading Weights" not in served.log("console.log")


def test_the_environment_is_written_in_clear(start: Start) -> None:
    twin = start("--api-key", "sk-flag", environment={"FD_API_KEY": "sk-environment"}).wait_ready()
    backup = twin.logs / "backup_env.0.json"
    assert json.loads(backup.read_text())["FD_API_KEY"] == "sk-environment"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o644
    assert "FD_API_KEY=sk-environment" in twin.log("envlog.0")
    assert any("sk-environment" in p.read_text() for p in twin.logs.glob("default.*.log"))
    assert "sk-flag" in twin.log("api_server.log")
    assert not [name for name in ("console.log", "fastdeploy.log") if "sk-" in twin.log(name)]


def test_the_log_folder_can_be_moved(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    twin = start(environment={"FD_LOG_DIR": str(folder)}).wait_ready()
    assert (folder / "workerlog.0").exists()
    assert (folder / "launch_worker.log").exists()
    assert not twin.logs.exists()


def test_old_releases_create_one_level_of_log_folder(start: Start) -> None:
    twin = start(release="2.1", environment={"FD_LOG_DIR": "a/b/c"})
    assert twin.wait() == 1
    assert "FileNotFoundError: [Errno 2] No such file or directory: 'a/b/c'" in twin.output


def test_prompts_are_logged(served: Twin) -> None:
    served.says("My password is xyzzy123.")
    assert "xyzzy123" in served.log("data_processor.log")


def test_shared_memory_names(served: Twin) -> None:
    assert served.shm() >= {
        "worker_healthy_live_signal", "worker_ready_signal", "loaded_model_signal",
        "get_profile_block_num", "cache_ready_signal", "model_weights_status", "kv_cache_status",
        f"{served.ports.port}.socket", f"router_{served.ports.port}.ipc",
    }  # fmt: skip
    assert {"cache_task_inflight", "cache_task_is_paused"} <= served.shm()  # measured on 2.4
    assert "exist_tasks_intra_signal" not in served.shm()
    assert len(served.shm()) == 19
    beat = Path(f"/dev/shm/worker_healthy_live_signal.{served.ports.queue}").read_bytes()[:4]
    assert abs(int.from_bytes(beat, "little") - time.time()) < 5


def test_the_system_v_queue_comes_with_the_engine(start: Start) -> None:
    twin = start(fault="worker-hangs-in-load")
    twin.wait_said("Loading Weights:   0%")
    assert not queue_exists(twin.ports.queue)
    second = start().wait_ready()
    assert queue_exists(second.ports.queue)


def test_one_worker_per_gpu(start: Start) -> None:
    twin = start("--tensor-parallel-size", "2").wait_ready()
    scripts = [p for p, w in twin.processes().items() if "-u " in w and "--log_dir" not in w]
    assert len(scripts) == 2
    assert len({stat_of(pid)[2] for pid in scripts}) == 2
    assert "connect task queue" in twin.log("workerlog.0")
    assert (twin.logs / "workerlog.1").exists()
    assert twin.says("Say OK.") == "OK"


def test_several_http_workers(start: Start) -> None:
    twin = start("--workers", "3").wait_ready()
    wait_for("three workers", lambda: len(twin.find("gunicorn: worker")) == 3)


def test_prometheus_folder_is_left_in_tmp(start: Start) -> None:
    for flag, code in (("--help", 0), ("--no-such-flag", 2)):
        twin = start(flag, bare=True, environment={"PROMETHEUS_MULTIPROC_DIR": ""})
        assert twin.wait() == code
        assert len(twin.prometheus_folders()) == 1


def test_prometheus_folder_can_be_moved_from_2_4_on(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "prom"
    folder.mkdir()
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    new = start("--help", bare=True, environment=variables)
    assert new.wait() == 0
    assert new.prometheus_folders() == []
    assert (folder / f"counter_{new.process.pid}.db").exists()
    old = start(release="2.3", environment=variables).wait_ready()
    (folders,) = old.prometheus_folders()
    assert folders.name.startswith("prom_main_"), "before 2.4 the variable is overwritten"
    assert old.stop() == 0
    assert folders.exists(), "also after a clean stop"


def test_every_process_ends_at_its_lifetime(start: Start) -> None:
    twin = start(environment={"TWIN_MAX_LIFETIME": "3"}).wait_ready()
    twin.send(9)
    assert len(twin.processes()) >= 7
    wait_for("all gone", lambda: not twin.processes(), 15)
