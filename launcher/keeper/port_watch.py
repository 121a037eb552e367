"""Who listens on the plan's ports while the engine loads: the engine, or a process that took one.

FastDeploy looks at its API and metrics ports before a load and binds them after it: half an hour in
which a port can be taken by another process, which it would notice only then.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence

from launcher.host import sockets
from launcher.host.sockets import Listener, describe_holder, holder, listeners_on
from launcher.plan.model import PortUse
from launcher.probe.readiness import Rung


class PortWatch:
    """Remembers what listened at the last look: one that is there at two looks has come to stay."""

    def __init__(self, ports: Sequence[PortUse]) -> None:
        """Watch those of them that the engine binds."""
        self._ports = [use for use in ports if use.bound]
        self._suspects: set[int] = set()
        self._harmless: set[int] = set()

    def look(self, pids: Collection[int]) -> Rung | None:
        """A failed rung for the first port that is another process's; `pids` are the engine's.

        A process that the engine has just started may not be among `pids` yet: it takes two looks.
        """
        everything = sockets.listeners()
        foreign: dict[int, PortUse] = {}
        for use in self._ports:
            here = [one for one in everything if one.port == use.number]
            if here and not any(holder(one.inode, list(pids)) for one in here):
                foreign |= {one.inode: use for one in here if self._conflicts(use, one)}
        suspects, self._suspects = self._suspects, set(foreign)
        for inode, use in foreign.items():
            who = describe_holder(use.number) if inode in suspects else None
            if who is not None:
                return taken(use, who)
        return None

    def _conflicts(self, use: PortUse, listener: Listener) -> bool:
        """True where the engine cannot bind its port because of `listener`."""
        if listener.inode in self._harmless:
            return False
        certain = _overlap(use.address, listener.address)
        if certain is None:
            # An IPv6 wildcard may or may not take IPv4 along; the kernel knows, and is asked once.
            certain = sockets.bind_error(use.address, use.number) is not None
            if not certain:
                self._harmless.add(listener.inode)
        return certain


WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104


def _overlap(ours: str, theirs: str) -> bool | None:
    """Whether two addresses exclude each other on one port; None where only the kernel knows."""
    if not _is_literal(ours):
        return None
    wild = ours in WILDCARDS or theirs in WILDCARDS
    if (":" in ours) == (":" in theirs):
        return wild or ours == theirs
    return None if wild else False


def _is_literal(address: str) -> bool:
    """True for an IP address, False for a host's name."""
    if not address:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.inet_pton(family, address)
    except OSError:
        return False
    return True


def taken(use: PortUse, who: str) -> Rung:
    """The rung that fails because `who` listens on a port of the engine."""
    return Rung(
        "listening", "failed",
        f"port {use.number} ({use.name}) was taken by another process while the engine loaded:"
        f" {who}", {"holder": who}, "port-taken-while-loading",
        "end that process, or give the profile another port (`auto` leases one)",
    )  # fmt: skip


def is_held(use: PortUse, pids: Collection[int]) -> bool:
    """True where one of `pids` listens on the port."""
    own = list(pids)
    return any(holder(one.inode, own) is not None for one in listeners_on(use.number))
