"""The ports a FastDeploy server listens on, and where.

Measured on 2.4: only the API port keeps to `--host`; metrics and both queues bind 0.0.0.0
(api_server.py:663, config.py:1657). The queue port's low byte names a System V message queue, so
it must be unique on the host (custom_ops/gpu_ops/get_output.cc).
"""

from __future__ import annotations

from launcher.engines.base import PortNeed, Release
from launcher.engines.fastdeploy.asked import Asked
from launcher.profile.model import Profile

EVERYWHERE = "0.0.0.0"  # noqa: S104 - where FastDeploy listens, not where we do


def ports(profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
    """Every port the server will listen on, `api` first."""
    asked = Asked(profile)
    line = release.line if release else "2.4"
    by_rank = line in ("2.0", "2.1")
    ranks = asked.local_ranks
    groups = max(1, asked.data_parallel // asked.nodes)
    needs = [
        PortNeed("api", shown_as="API"),
        PortNeed("metrics", address=EVERYWHERE, shown_as="metrics and configuration"),
        PortNeed(
            "engine-worker-queue",
            unique_low_byte=True,
            span=ranks if by_rank else groups,
            address=EVERYWHERE,
            shown_as="task queue (unpickles what it is sent)",
        ),
        PortNeed(
            "cache-queue",
            span=groups if line in ("2.3", "2.4") else 1,
            address=EVERYWHERE,
            shown_as="cache queue (unpickles what it is sent)",
        ),
    ]
    if "controller" in profile.ports:
        needs.append(PortNeed("controller", address=EVERYWHERE, shown_as="scheduler control"))
    split = asked.role != "mixed"
    if split or "pd-comm" in profile.ports:
        needs.append(
            PortNeed("pd-comm", span=groups, address=EVERYWHERE, shown_as="prefill to decode")
        )
    rdma = split and "rdma" in (asked.value("cache-transfer-protocol") or _protocol(line))
    if rdma or "rdma-comm" in profile.ports:
        needs.append(PortNeed("rdma-comm", span=ranks, address=EVERYWHERE, shown_as="RDMA"))
    return tuple(needs)


def _protocol(line: str) -> str:
    return "ipc,rdma" if line == "2.4" else "ipc"


def consecutive(first: int, count: int) -> str:
    """`count` port numbers from `first` on, as FastDeploy takes a list."""
    return ",".join(str(first + i) for i in range(count))
