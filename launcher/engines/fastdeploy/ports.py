"""The ports a FastDeploy server listens on, and where.

Measured on 2.4: only the API port keeps to `--host`; metrics and both queues bind 0.0.0.0
(api_server.py:663, config.py:1657). Every release opens the cache queue only with prefix caching
or with a split into prefill and decode (common_engine.py, start_worker_queue_service). The queue
port's low byte names a System V message queue, so it must be unique on the host
(custom_ops/gpu_ops/get_output.cc); from 2.5 on 20 bits do.
"""

from __future__ import annotations

from launcher.engines.base import PlanContext, PortNeed, Release
from launcher.engines.fastdeploy import surroundings
from launcher.engines.fastdeploy.catalogue import catalogue_key, table
from launcher.engines.fastdeploy.release_data import LINES, at_least, nearest_line
from launcher.engines.fastdeploy.requested import Requested
from launcher.json_values import is_list
from launcher.plan.model import PortUse, SocketUse
from launcher.profile.model import Profile

EVERYWHERE = "0.0.0.0"  # noqa: S104 - where FastDeploy listens, not where we do


QUEUE_SOCKET = "/dev/shm/fd_task_queue_{port}.sock"  # noqa: S108 - FastDeploy's name


def ports(profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
    """Every port the server will listen on, `api` first."""
    requested = Requested(profile)
    line = catalogue_key(release) if release else LINES[-1]
    by_rank = not at_least(line, "2.2")
    ranks = requested.local_ranks
    groups = max(1, requested.data_parallel // requested.nodes)
    needs = [
        PortNeed("api", shown_as="API"),
        PortNeed("metrics", address=EVERYWHERE, shown_as="metrics and configuration"),
        PortNeed(
            "engine-worker-queue",
            key_bits=20 if at_least(line, TWENTY_BITS) else 8,
            span=ranks if by_rank else groups,
            address=EVERYWHERE,
            shown_as="task queue (unpickles what it is sent)",
            socket=QUEUE_SOCKET if surroundings.queue_is_unix_socket(profile, line) else None,
        ),
        PortNeed(
            "cache-queue",
            span=groups if at_least(line, "2.3") else 1,
            address=EVERYWHERE,
            shown_as="cache queue (unpickles what it is sent)",
            socket=QUEUE_SOCKET if surroundings.cache_queue_is_unix_socket(profile, line) else None,
        ),
    ]
    if "controller" in profile.ports:
        needs.append(PortNeed("controller", address=EVERYWHERE, shown_as="scheduler control"))
    split = requested.role != "mixed"
    if split or "pd-comm" in profile.ports:
        needs.append(
            PortNeed("pd-comm", span=groups, address=EVERYWHERE, shown_as="prefill to decode")
        )
    protocol = requested.value("cache-transfer-protocol") or _protocol(line)
    rdma = split and "rdma" in (protocol if is_list(protocol) else str(protocol))
    if rdma or "rdma-comm" in profile.ports:
        needs.append(PortNeed("rdma-comm", span=ranks, address=EVERYWHERE, shown_as="RDMA"))
    return tuple(needs)


TWENTY_BITS = "2.5"
"""From here on the message queue's key holds 20 bits of the queue port, before that its low byte
(custom_ops/gpu_ops/custom_ftok.h, 2026-03-16; wheels that were built earlier have the low byte)."""

_ONE_PORT = {
    "2.0": ("engine-worker-queue",),
    "2.1": ("engine-worker-queue",),
    "2.3": ("cache-queue",),
}
"""Needs of several numbers of which only the first is a port that is opened.

2.0 and 2.1 name a System V queue by each further number (gpu_model_runner.py adds the rank), 2.3
has one cache queue for all data-parallel groups.
"""


def uses(profile: Profile, context: PlanContext) -> tuple[PortUse, ...]:
    """Each number that FastDeploy is given, and what listens there."""
    uses = []
    line = catalogue_key(context.release)
    unix = {
        "engine-worker-queue": surroundings.queue_is_unix_socket(profile, line),
        "cache-queue": surroundings.cache_queue_is_unix_socket(profile, line),
    }
    unused = _unused(profile, line)
    for need in ports(profile, context.release):
        first = context.ports[need.name]
        for number in range(first, first + need.span):
            name = need.name if number == first else f"{need.name}-{number - first + 1}"
            path = None
            if unix.get(need.name) and need.name not in unused:
                path = QUEUE_SOCKET.format(port=number)
            bound = path is None and need.name not in unused
            if number != first and need.name in _ONE_PORT.get(nearest_line(line), ()):
                bound = False
            address = need.address or profile.host
            uses.append(PortUse(name, number, address, need.shown_as, bound, path))
    return tuple(uses)


def sockets(profile: Profile, context: PlanContext) -> tuple[SocketUse, ...]:
    """The Unix sockets within the server that have no port's option."""
    line = context.release.line
    name = str(context.ports["api"]) if at_least(line, "2.2") else "{pid}"
    sockets_ = [SocketUse(f"/dev/shm/{name}.socket", "requests to the engine")]  # noqa: S108
    if not batches_answers(profile, line):
        sockets_.append(
            SocketUse(f"/dev/shm/router_{name}.ipc", "answers of the engine")  # noqa: S108
        )
    if profile.env.get("FD_USE_GET_SAVE_OUTPUT_V1") == "1":
        sockets_ += [
            SocketUse(f"/dev/shm/get_save_output_rank{rank}.socket", "tokens")  # noqa: S108
            for rank in range(Requested(profile).local_ranks)
        ]
    return tuple(sockets_)


def batches_answers(profile: Profile, line: str) -> bool:
    """True where each HTTP worker has a socket of its own for answers (2.6, by default)."""
    value = Requested(profile).variable("ZMQ_SEND_BATCH_DATA", line)
    return at_least(line, "2.6") and value not in ("0", "")


def _unused(profile: Profile, line: str) -> tuple[str, ...]:
    """The ports that FastDeploy takes as options and does not open with these settings."""
    requested = Requested(profile)
    if requested.role != "mixed":
        return ()
    caching = requested.value("enable-prefix-caching")
    if caching is None:
        option = table(line).get("enable-prefix-caching")
        caching = option is not None and option.default
    if nearest_line(line) == "2.3" and requested.value("speculative-config") is not None:
        caching = False  # args_utils.py turns it off
    # Before 2.5 a number given is bound whatever the role (splitwise_connector.py).
    split = ("pd-comm", "rdma-comm") if at_least(line, "2.5") else ("rdma-comm",)
    return split if caching else ("cache-queue", *split)


def _protocol(line: str) -> str:
    return "ipc,rdma" if at_least(line, "2.5") else "ipc"


def consecutive(first: int, count: int) -> str:
    """`count` port numbers from `first` on, as FastDeploy takes a list."""
    return ",".join(str(first + i) for i in range(count))
