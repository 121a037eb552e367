"""What a release does in another way than the one before, beyond its flags and defaults.

Read in release/2.4 (2977a284), 2.5 (f3fb7e03) and 2.6 (7198b588); what says "measured" was seen on
their front ends (CPU, a stand-in worker) on 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launcher.engines.fastdeploy.release_data import LINES
from launcher.engines.fastdeploy.requested import Requested


def _always(requested: Requested) -> bool:
    return True


def _has_parsers(requested: Requested) -> bool:
    return bool(requested.value("reasoning-parser") or requested.value("tool-call-parser"))


def _is_split(requested: Requested) -> bool:
    return requested.role != "mixed"


def _has_many_nodes(requested: Requested) -> bool:
    return requested.nodes > 1


def _has_fixed_queues(requested: Requested) -> bool:
    ports = requested.profile.ports
    return any(isinstance(ports.get(n), int) for n in ("engine-worker-queue", "cache-queue"))


def _leaves_workers(requested: Requested) -> bool:
    return requested.value("workers") is None


def _leaves_concurrency(requested: Requested) -> bool:
    return requested.value("max-concurrency") is None


@dataclass(frozen=True)
class Change:
    """`text` holds from release line `first` on; `concerns` tells for which profiles."""

    first: str
    text: str
    concerns: Callable[[Requested], bool] = _always


CHANGES = (
    Change("2.4", "whether 2.3.0 has --api-key and --router depends on the wheel; 2.4 has both",
           lambda requested: requested.profile.api_key is not None
           or requested.value("router") is not None),
    Change("2.4", "prefill and decode servers use `ipc` alone by default; RDMA needs "
           "`ports: {rdma-comm: NUMBER}`", _is_split),
    Change("2.5", "one wheel for all cards, from the index of its CUDA version (cu126, cu129; the "
           "driver decides), with Paddle 3.3.1; before, the wheel was chosen by the card (80_90, "
           "86_89)"),
    Change("2.5", "a worker that dies while the KV cache is profiled ends the server with exit "
           "code 1; 2.4 hangs (measured)"),
    Change("2.5", "the message queue's key has 20 bits of the queue port, in wheels built from "
           "2026-03-16 on; earlier wheels keep the low byte, and a wheel does not tell its day"),
    Change("2.5", "/v1/pause and /v1/sleep stop the service and leave /health at 200: "
           "readiness and `status` ask /v1/is_paused (measured on 2.6)"),
    Change("2.5", "usage statistics are sent at the start and every 600 s; ernie-deploy sets "
           "DO_NOT_TRACK=1"),
    Change("2.5", "a parser wants all of its tags in the model's vocabulary, not `</think>` alone",
           _has_parsers),
    Change("2.5", "prefill and decode servers use `ipc,rdma` by default and choose missing ports",
           _is_split),
    Change("2.6", "four HTTP workers instead of one: four gunicorn workers, four lines "
           "`Application startup complete`, four sockets /dev/shm/response_*.pull (measured); "
           "`engine-args: {workers: 1}` keeps one", _leaves_workers),
    Change("2.6", "2048 requests at once instead of 512, 512 in each worker: a burst on one worker "
           "is refused with 429 earlier", _leaves_concurrency),
    Change("2.6", "both queues are unix sockets in /dev/shm, nothing listens on their ports "
           "(measured)"),
    Change("2.6", "the queues of several nodes need TCP: ernie-deploy sets "
           "FD_ENGINE_TASK_QUEUE_WITH_SHM=0, set it on the other nodes too", _has_many_nodes),
    Change("2.6", "a socket file that a killed server left blocks the next start with the same "
           "queue port (measured, exit code 1 after 24 s); `up` removes it where an instance "
           "recorded it and names it otherwise; `auto` takes another port", _has_fixed_queues),
    Change("2.6", "builds whose root logger has a handler print every INFO line of every log on "
           "stderr, prompts and --api-key values included, and console lines twice; the measured "
           "build does not. The captured console is kept as private as the log folder"),
    Change("2.6", "an error in the engine is answered with 200 and an empty text (500 before): "
           "clients must check the text"),
    Change("2.6", "a client that goes away ends its request; before, it ran to its last token"),
    Change("2.6", "a worker that dies while the KV cache is profiled ends the server with exit "
           "code 0 (measured)"),
    Change("2.6", "the line of a failed launch has the last traceback of the newest workerlog "
           "appended, which may be an earlier run's: `diagnose` reads this run's logs only"),
    Change("2.6", "access lines have FastDeploy's format on the console (measured)"),
    Change("2.6", "max-num-seqs may be 512 (256 before)"),
)  # fmt: skip


def between(requested: Requested, old: str, new: str) -> list[str]:
    """The changes from release line `old` to `new` that concern the profile, oldest first.

    The way back is told as well: what goes away, with the words "no longer".
    """
    low, high = sorted((LINES.index(old), LINES.index(new)))
    concerned = [
        change
        for change in CHANGES
        if low < LINES.index(change.first) <= high and change.concerns(requested)
    ]
    if LINES.index(old) <= LINES.index(new):
        return [f"from {change.first} on: {change.text}" for change in concerned]
    return [f"no longer (it came with {change.first}): {change.text}" for change in concerned]
