"""Whether others use the instance: a drill breaks what it is pointed at."""

from __future__ import annotations

import os
import time

from launcher.drill.subject import Subject
from launcher.errors import PreconditionError
from launcher.host import processes
from launcher.host.sockets import connections_to, owners

WATCHED = 3.0
"""Seconds in which connections are looked for; a service in use has some at any time."""
INTERVAL = 0.1
"""Seconds between two looks."""


def refuse_if_used(subject: Subject, watched: float = WATCHED) -> None:
    """Refuse an instance that has clients.

    Told by the connections to its API port, which every engine has; those of the instance's own
    keeper and processes do not count.

    Raises:
        PreconditionError: another client is connected; names it.
    """
    end = time.monotonic() + watched
    own = {os.getpid(), *subject.tree(subject.state())}
    clients: set[str] = set()
    while time.monotonic() < end:
        clients |= _clients(subject.api_port, own)
        time.sleep(INTERVAL)
    if clients:
        names = ", ".join(sorted(clients)[:5]) + (", ..." if len(clients) > 5 else "")
        raise PreconditionError.of(
            "in-use",
            f"{subject.instance.name} has clients: {names}. A drill breaks their requests",
            f"port {subject.api_port}",
            "take it out of the load balancer first, or drill a staging server;"
            " `--force in-use` drills it anyway",
        )


def _clients(port: int, own: set[int]) -> set[str]:
    """The other ends of connections to `port`, without those that are held by `own` processes."""
    connections = connections_to(port)
    local = {one.peer_inode: one for one in connections if one.peer_inode is not None}
    holders = owners(local, own) if local else {}
    clients = set()
    for one in connections:
        if one.peer_inode is not None and one.peer_inode in holders:
            continue
        if one not in connections_to(port):
            continue  # it ended before its owner was looked for, which may be our keeper
        pid = owners([one.peer_inode], processes.pids()) if one.peer_inode else {}
        name = next((f" ({processes.name(p)}, pid {p})" for p in pid.values()), "")
        # Its port changes with each request.
        clients.add(f"{one.address}{name}")
    return clients
