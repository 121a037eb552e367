"""Seats, waiting requests, and the way of tokens back to the HTTP workers.

The link is ``/dev/shm/P.socket`` (ZMQ on the real server, JSON lines here); ``router_P.ipc`` exists
beside it; 2.6 has a ``response_P_wPID.pull`` for each HTTP worker instead. A request whose client
went away is not aborted before 2.6: it keeps its seat to its last token.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from fastdeploy._twin import queues, release, sysv
from fastdeploy._twin.checks import Config
from fastdeploy._twin.faults import fault
from fastdeploy._twin.shm import Signals


def batches_answers() -> bool:
    """2.6: each HTTP worker has a socket of its own for answers (ZMQ_SEND_BATCH_DATA)."""
    return release.at_least("2.6") and os.environ.get("ZMQ_SEND_BATCH_DATA", "1") == "1"


def stops_abandoned() -> bool:
    """FD_ENABLE_REQUEST_DISCONNECT_STOP_INFERENCE: off in 2.5, on in 2.6."""
    default = "1" if release.at_least("2.6") else "0"
    name = "FD_ENABLE_REQUEST_DISCONNECT_STOP_INFERENCE"
    return release.at_least("2.5") and os.environ.get(name, default) == "1"


@dataclass
class Job:
    """One request in the engine."""

    peer: socket.socket
    ids: list[int]
    prompt_tokens: int
    max_tokens: int
    arrived: float = field(default_factory=time.monotonic)
    started: float = 0.0
    first: float = 0.0
    sent: int = 0


class Scheduler:
    """Hands scripted answers to the worker, at most ``--max-num-seqs`` at a time."""

    def __init__(self, config: Config, signals: Signals) -> None:
        self.config, self.signals = config, signals
        self.seats: int = config.args.max_num_seqs
        self.running: dict[int, Job] = {}
        self.waiting: deque[Job] = deque()
        self.finished: list[dict[str, float]] = []
        self.received = self.prompt_tokens = self.generated = self.succeeded = 0
        port = config.link
        self.link, self.router = f"/dev/shm/{port}.socket", f"/dev/shm/router_{port}.ipc"
        self._sockets: list[socket.socket] = []
        self.paused = False
        self.paths = [self.link] if batches_answers() else [self.link, self.router]
        self._lock = threading.Lock()

    def start(self) -> None:
        self.output = sysv.open_output(self.config.queue_port, receiver=True)
        self.tasks = queues.connect(self.config.queue_port, "engine")
        for path in self.paths:
            if os.path.exists(path):
                os.unlink(path)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(512)
            self._sockets.append(listener)
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._collect, daemon=True).start()
        if fault("weights-cleared"):
            self.signals.put("model_weights_status", -1)

    def close(self) -> None:
        for path in self.paths:
            if os.path.exists(path):
                os.unlink(path)

    def _accept(self) -> None:
        while True:
            peer, _ = self._sockets[0].accept()
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        from fastdeploy._twin import status

        line = peer.makefile("rb").readline()
        if not line:
            peer.close()
            return
        order: dict[str, Any] = json.loads(line)
        if order["do"] in ("pause", "resume", "is_paused"):
            peer.sendall(json.dumps({"is_paused": self._control(order["do"])}).encode())
            peer.close()
            return
        if order["do"] != "generate":
            text = status.metrics(self) if order["do"] == "metrics" else status.config_info(self)
            peer.sendall(text.encode())
            peer.close()
            return
        if self.paused:
            # Measured on 2.6: answered with 200 and an empty text. common_engine.py has counted it
            # by then, and never counts it as finished.
            with self._lock:
                self.received += 1
            self._push_empty(peer)
            return
        with self._lock:
            self.received += 1
            self.prompt_tokens += order["prompt_tokens"]
            self.waiting.append(
                Job(peer, order["ids"], order["prompt_tokens"], order["max_tokens"])
            )
            self._fill()

    def _control(self, what: str) -> bool:
        """/v1/pause aborts what runs and refuses what comes; /health knows nothing of it."""
        with self._lock:
            if what != "is_paused":
                self.paused = what == "pause"
            if what == "pause":
                for job in [*self.running.values(), *self.waiting]:
                    self._push_empty(job.peer)
                self.running.clear()
                self.waiting.clear()
            return self.paused

    @staticmethod
    def _push_empty(peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer.sendall(json.dumps({"token": -1, "last": True}).encode() + b"\n")
        peer.close()

    def _fill(self) -> None:
        for slot in range(self.seats):
            if not self.waiting:
                return
            if slot not in self.running:
                job = self.waiting.popleft()
                job.started = time.monotonic()
                self.running[slot] = job
                line = json.dumps({"slot": slot, "ids": job.ids}).encode() + b"\n"
                try:
                    self.tasks.sendall(line)
                except OSError:
                    return  # Q is gone: the request hangs, as on the real server

    def _collect(self) -> None:
        while True:
            slot, token, last = self.output.receive()
            with self._lock:
                job = self.running.get(slot)
                if job is None:
                    continue  # another server's token, or one left in the queue
                job.first = job.first or time.monotonic()
                job.sent += 1
                self.generated += 1
                here = self._push(job, {"token": token, "last": last})
                if last or (not here and stops_abandoned()):
                    self._finish(slot, job)

    @staticmethod
    def _push(job: Job, message: dict[str, int]) -> bool:
        """False where the client went away; before 2.6 its tokens are made anyway."""
        try:
            job.peer.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def _finish(self, slot: int, job: Job) -> None:
        now = time.monotonic()
        self.succeeded += 1
        self.finished.append(
            {
                "time_to_first_token_seconds": job.first - job.arrived,
                "time_per_output_token_seconds": (now - job.first) / max(1, job.sent - 1),
                "request_inference_time_seconds": now - job.started,
                "request_queue_time_seconds": job.started - job.arrived,
                "request_prefill_time_seconds": job.first - job.started,
                "request_decode_time_seconds": now - job.first,
                "request_generation_tokens": job.sent,
                "e2e_request_latency_seconds": now - job.arrived,
                "request_params_max_tokens": job.max_tokens,
                "request_prompt_tokens": job.prompt_tokens,
            }
        )
        del self.finished[:-10_000]
        del self.running[slot]
        job.peer.close()
        self._fill()
