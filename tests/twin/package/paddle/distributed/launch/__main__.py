"""``python -m paddle.distributed.launch``: one worker per device, each in a session of its own.

Its stderr is launch_worker.log; the last line there is the true exit code of the worker.
"""

from __future__ import annotations

import json
import os
import random
import signal
import string
import sys
import time
from types import FrameType

from fastdeploy._twin import clock, say
from fastdeploy._twin.faults import fault, strike

LEAST_ASK_S = 0.3
"""Real seconds: at any scale long enough for who is told of the death at once to be first."""


def say_line(level: str, text: str) -> None:
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    sys.stderr.write(f"LAUNCH {level} {stamp},{int(now * 1000) % 1000:03d} {text}\n")
    sys.stderr.flush()


def parse(argv: list[str]) -> tuple[str, list[str], list[str]]:
    """(log folder, devices, worker's command line)."""
    folder, devices, index = "log", ["0"], 0
    while index < len(argv) and argv[index].startswith("--"):
        if argv[index] == "--log_dir":
            folder = argv[index + 1]
        elif argv[index] == "--devices":
            devices = argv[index + 1].split(",")
        index += 2
    return folder, devices, argv[index:]


def environment_dump(folder: str, pod: str, devices: list[str]) -> None:
    """The whole environment in clear, with default modes: three files of the real launcher."""
    lines = "".join(f"{name}={value}\n" for name, value in sorted(os.environ.items()))
    texts = {
        f"default.{pod}.log": f"LAUNCH INFO -----------  Configuration  ----------------\n{lines}",
        "default.gpu.log": "".join(f"device {device}\n" for device in devices),
    }
    for rank in range(len(devices)):
        texts[f"envlog.{rank}"] = lines
        texts[f"backup_env.{rank}.json"] = json.dumps(dict(os.environ), indent=4)
    for name, text in texts.items():
        handle = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)


def start_worker(folder: str, rank: int, device: str, command: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    clock.arm_lifetime()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    path = os.path.join(folder, f"workerlog.{rank}")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(PADDLE_TRAINER_ID=str(rank), FLAGS_selected_gpus=device)
    os.execv(sys.executable, [sys.executable, "-u", *command])
    raise AssertionError("unreachable")


def main() -> int:
    clock.arm_lifetime()
    folder, devices, command = parse(sys.argv[1:])
    os.makedirs(folder, exist_ok=True)
    say.launcher()
    present = int(os.environ.get("TWIN_GPUS") or "8")
    if fault("launch-fails") or any(int(device) >= present for device in devices):
        strike()
        raise ValueError("substring not found")
    pod = "".join(random.choices(string.ascii_lowercase, k=6))
    environment_dump(folder, pod, devices)
    workers: dict[int, int] = {}
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(number)
        say_line("INFO", f"Terminating with signal {number}")
        for pid in workers:
            os.kill(pid, signal.SIGTERM)

    def expire(number: int, frame: FrameType | None) -> None:
        """The end of the lifetime: a stopped worker does not see its own alarm."""
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        os._exit(1)

    signal.signal(signal.SIGTERM, stop)
    for rank, device in enumerate(devices):
        workers[start_worker(folder, rank, device, command)] = rank
    signal.signal(signal.SIGALRM, expire)
    count = len(devices)
    say_line("INFO", "Job: default, mode collective, replicas 1[1:1], elastic False")
    say_line("INFO", f"Run Pod: {pod}, replicas {count}, status ready")
    say_line("INFO", f"Watching Pod: {pod}, replicas {count}, status running")
    failure = 0
    while workers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            # pod.watch: asks now and then, so a dead worker is a zombie for a second or two
            time.sleep(max(LEAST_ASK_S, clock.scaled(2)))
            continue
        rank = workers.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code and not failure and not stopping:
            failure = code
            say_line("INFO", "Pod failed")
            say_line("ERROR", "Container failed !!!")
            sys.stderr.write(
                f"Container rank {rank} status failed cmd {[sys.executable, '-u', *command]} "
                f"code {code} log {folder}/workerlog.{rank}\n"
            )
            say_line("INFO", f"{' ERROR LOG DETAIL ':-^68}")
            for sibling in workers:
                os.kill(sibling, signal.SIGTERM)
    if stopping:
        # Only now: it waits for its workers, without end where one is stopped.
        say_line("INFO", f"Exit with signal {stopping[0]}")
        return stopping[0]
    say_line("INFO", f"Exit code {failure}")
    return failure if failure >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
