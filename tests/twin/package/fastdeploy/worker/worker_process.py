"""The stand-in of a GPU worker: loads nothing, then plays back the tokens it is given.

Own session and own resource tracker; its stdout and stderr are workerlog.<rank>.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from fastdeploy._twin import clock, logs, queues, release, say, sysv
from fastdeploy._twin.faults import fault, strike
from fastdeploy._twin.shm import Signals

RANK = int(os.environ.get("PADDLE_TRAINER_ID", "0"))
TOKENS_PER_SECOND = float(os.environ.get("TWIN_TOKENS_PER_S") or "400")
KNOWN_QUANTIZATION = {
    "wint8", "wint4", "wint2", "mix_quant", "w4a8", "w4afp8", "w8a8", "block_wise_fp8",
    "tensor_wise_fp8", "kvcache", "wfp8afp8", "weight_only_int8", "weight_only_int4",
}  # fmt: skip
SHARDS = 8
#: Bytes that NCCL wants in /dev/shm, as in its own message.
NCCL_SEGMENT = 9_637_888


def option(name: str, default: str = "") -> str:
    flag = f"--{name}"
    return sys.argv[sys.argv.index(flag) + 1] if flag in sys.argv else default


def unrecognized() -> list[str]:
    """Words that argparse would refuse: the command line went through an unquoted shell string."""
    argv, unknown, expected = sys.argv[1:], [], False
    for word in argv:
        if not word.startswith("--") and not expected:
            unknown.append(word)
        expected = word.startswith("--")
    return unknown


def die(parameters: dict[str, str], text: str = "") -> NoReturn:
    """Leave with the code or the signal of a fault."""
    message = parameters.get("text") or text
    if message:
        print("Traceback (most recent call last):", file=sys.stderr)
        print(
            f'  File "{__file__}", line 1040, in <module>\n    run_worker_proc()', file=sys.stderr
        )
        print(message, file=sys.stderr, flush=True)
    strike()
    if int(parameters.get("signal", "0")):
        os.kill(os.getpid(), int(parameters["signal"]))
    os._exit(int(parameters.get("code", "1")))


def note(message: str, number: int, name: str = "worker_process") -> None:
    if fault("few-phases") and name != "gpu_model_runner":
        return
    text = logs.log(name, message, f"{name}.py", number)
    if RANK == 0:
        print(text, end="", file=sys.stderr, flush=True)


def late(phase: str) -> float:
    extra = fault("late-start")
    return float(extra["seconds"]) if extra and extra["phase"] == phase else 0.0


def load(signals: Signals) -> None:
    """Read the shards, with tqdm's carriage returns in workerlog."""
    dies, hangs = fault("worker-dies-in-load"), fault("worker-hangs-in-load")
    note("Starting to load model Ernie4_5ForCausalLM", 1498, "gpu_model_runner")
    say.worker("load")
    free = os.statvfs("/dev/shm")
    if free.f_bavail * free.f_frsize < NCCL_SEGMENT:
        segment = f"/dev/shm/nccl-{os.getpid():06d}"
        text = f"Error while creating shared memory segment {segment} (size {NCCL_SEGMENT})"
        die({"code": "1"}, f"ExternalError: NCCL error(2), ncclSystemError. {text}")
    for shard in range(SHARDS + 1):
        percent = 100 * shard // SHARDS
        eta = 3.0 * (SHARDS - shard) / SHARDS
        frame = f"{percent:3d}%|{'#' * shard:<8}| {shard}/{SHARDS} [00:0{shard // 3}<00:0{eta:.0f}]"
        print(f"\rLoading safetensors checkpoint shards: {frame}", end="", file=sys.stderr)
        sys.stderr.flush()
        if RANK == 0 and hangs and percent >= int(hangs["at"]):
            if hangs["stopped"]:
                os.kill(os.getpid(), signal.SIGSTOP)
            while True:
                time.sleep(60)
        if RANK == 0 and fault("worker-spins-in-load") and shard == 1:
            os.nice(19)
            while True:
                pass
        if RANK == 0 and dies and percent >= int(dies["at"]):
            print(file=sys.stderr)
            die(dies)
        if RANK == 0 and fault("worker-out-of-memory") and shard == 5:
            print(file=sys.stderr)
            die(
                {"code": "1"},
                "ResourceExhaustedError: Out of memory error on GPU 0. Cannot allocate 1.0GB "
                "memory on GPU 0, 79.0GB memory has been allocated and available memory is only "
                "512.0MB.",
            )
        clock.pause((3.0 + late("load")) / (SHARDS + 1))
    print(file=sys.stderr, flush=True)
    signals.put("loaded_model_signal", 1)


def profile(signals: Signals) -> None:
    dies = fault("worker-dies-in-profiling")
    say.worker("profile")
    if RANK == 0 and dies:
        die(dies)
    clock.pause(1 + late("profile"))
    blocks = int(os.environ.get("TWIN_GPU_BLOCKS") or "4096")
    note("------- available_kv_cache_memory:0.5 GB --------", 535)
    note("------- model_block_memory_used:0.25 GB --------", 545)
    note(f"------- num_blocks_local:{blocks} --------", 546)
    note(f"------- num_blocks_global: {blocks} --------", 573)
    if RANK == 0:
        signals.put("get_profile_block_num", blocks)


def warm_up() -> None:
    dies = fault("worker-dies-in-warmup")
    if not fault("few-phases"):
        note("Warm up the model with the batch size:1, num tokens:64", 2175, "gpu_model_runner")
    if RANK == 0 and dies:
        die(dies, "OSError: (External) CUDA error(700), an illegal memory access was encountered.")
    clock.pause(1 + late("warmup"))
    if not fault("few-phases"):
        note("Cuda Graph capturing took 0.8 seconds", 2196, "gpu_model_runner")


def spin(seconds: float) -> None:
    """Compute: the worker's loop does not come round, and its heartbeat stands."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class Loop:
    """Plays every request's tokens back, one per slot and step, and beats the heart."""

    def __init__(self, signals: Signals, queue_port: int) -> None:
        self.signals = signals
        self.queue = queues.connect(queue_port, f"worker{RANK}")
        # gpu_model_runner.py of 2.0 and 2.1 adds the rank: a queue for each of Q .. Q + ranks.
        own = queue_port if release.at_least("2.2") else queue_port + RANK
        self.output = sysv.open_output(own, receiver=False)
        self.running: dict[int, list[int]] = {}
        self.answered = 0
        self.buffer = b""
        self.started = time.monotonic()
        self.spoken = False

    def run(self) -> NoReturn:
        step = 1 / TOKENS_PER_SECOND if TOKENS_PER_SECOND > 0 else 0.0
        due = time.monotonic()
        while True:
            self.faults()
            if RANK == 0:
                self.signals.put("worker_healthy_live_signal", int(time.time()))
            wait = max(0.0, due - time.monotonic()) if self.running else 0.25
            if select.select([self.queue], [], [], wait)[0]:
                self.read()
            if self.running and time.monotonic() >= due:
                self.emit()
                due = max(due + step, time.monotonic() - 5 * step)
            elif not self.running:
                due = time.monotonic() + float(os.environ.get("TWIN_TTFT") or "0")

    def read(self) -> None:
        try:
            block = self.queue.recv(65536)
        except OSError:
            block = b""
        if not block:
            while fault("worker-ignores-sigterm"):
                time.sleep(60)  # stuck in a kernel: it sees neither the signal nor the queue's end
            clock.pause(5)
            print("ConnectionResetError: [Errno 104] Connection reset by peer", file=sys.stderr)
            sys.exit(1)
        *lines, self.buffer = (self.buffer + block).split(b"\n")
        for line in lines:
            task: dict[str, Any] = json.loads(line)
            spin(float(os.environ.get("TWIN_PREFILL") or "0"))
            dies = fault("worker-dies-after-ready")
            if dies and dies["on"] == "request":
                die(dies)
            self.running[int(task["slot"])] = list(task["ids"])

    def emit(self) -> None:
        hangs = fault("chat-hangs")
        if hangs and self.answered >= int(hangs["after"]):
            return
        slow = fault("answer-slow")
        if slow:
            time.sleep(float(slow["seconds"]))
        for slot, ids in list(self.running.items()):
            token = ids.pop(0)
            self.output.send(slot, token, 0 if ids else 1)
            if not ids:
                del self.running[slot]
                self.answered += 1

    def faults(self) -> None:
        age = time.monotonic() - self.started
        if RANK == 0 and not self.spoken and age > clock.scaled(20):
            self.spoken = True
            say.worker("serve")
        dies, stops = fault("worker-dies-after-ready"), fault("heartbeat-stops")
        if RANK == 0 and dies and dies["on"] == "time" and age > clock.scaled(float(dies["after"])):
            die(dies)
        if RANK == 0 and stops and age > clock.scaled(float(stops["after"])):
            if not self.signals.get("worker_healthy_live_signal"):
                self.signals.put("worker_healthy_live_signal", int(time.time()))
            while fault("heartbeat-stops"):
                time.sleep(0.2)


def main() -> None:
    clock.arm_lifetime()
    if fault("worker-ignores-sigterm"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    socket.setdefaulttimeout(None)
    logs.open_folder(logs.WORKER_LOGGERS)
    queue_port = int(option("engine_worker_queue_port").split(",")[0])
    clock.pause(4)
    if unrecognized():
        arguments = " ".join(unrecognized())
        die({"code": "2"}, f"worker_process.py: error: unrecognized arguments: {arguments}")
    dies = fault("worker-dies-in-init")
    if RANK == 0 and dies:
        die(dies)
    signals = Signals(int(option("engine_pid")), create=False)
    quantization = json.loads(option("quantization", "null"))
    method = (quantization or {}).get("quantization")
    if method and method not in KNOWN_QUANTIZATION:
        die({"code": "1"}, f"ValueError: Invalid quantization method: {method}")
    load(signals)
    if not option("num_gpu_blocks_override"):
        profile(signals)
    warm_up()
    note(f"connect task queue address ('0.0.0.0', {queue_port})", 603)
    loop = Loop(signals, queue_port)
    if RANK == 0:
        signals.put("worker_healthy_live_signal", int(time.time()))
    signals.put("worker_ready_signal", 1, RANK)
    loop.run()


if __name__ == "__main__":
    main()
