"""Proves readiness while the engine loads: waits for the port, then climbs the ladder.

The kernel does not tell anybody that a port was opened, so a connection is tried every 25 ms
(some 30 microseconds each on loopback); everything else happens in a thread of its own, because
a server that hangs must not hang its keeper.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping

from launcher.host.sockets import describe_holder, holder, listeners_on, reachable
from launcher.keeper import identity
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.port_watch import taken
from launcher.keeper.tree import Tree
from launcher.plan.model import LaunchPlan
from launcher.probe.readiness import Rung, climb

PORT_POLL = 0.025
"""Seconds between two tries of the port: the contract allows 100 ms from open to probe sent."""
RETRY = 0.1
"""Seconds until a rung that said "not yet" is asked again."""
SLOW_RETRY, SLOW_AFTER = 0.5, 300
"""The same after that many answers: our questions must not look like the engine's own work."""
LOOKS = 2
"""Looks at who holds the port before it is called another process's."""
PATIENCE = {"completion-timeout": 2, "completion-refused": 5, "completion-empty": 3}
"""How often an answer that should not come from a healthy server is believed to be a start."""


class Prover:
    """Calls `on_failed` with a rung that cannot pass, `on_passed` with each that does."""

    def __init__(
        self,
        loop: Loop,
        plan: LaunchPlan,
        secrets: Mapping[str, str],
        tree: Tree,
        on_failed: Callable[[Rung], None],
        on_passed: Callable[[Rung], None],
    ) -> None:
        """Start waiting for the port."""
        self._loop = loop
        self._plan = plan
        name = plan.readiness.auth_secret
        self._secret = secrets.get(name) if name else None
        self._tree = tree
        self._on_failed = on_failed
        self._on_passed = on_passed
        self._closed = False
        self._asked = 0
        self._told = 0
        self._seen: dict[str, int] = {}
        self.done = False
        self.last: Rung | None = None
        self._timer: Timer = loop.call_later(PORT_POLL, self._try_port)

    def close(self) -> None:
        """Stop asking; an answer that is still to come is not listened to."""
        self._closed = True
        self._timer.cancel()

    def _try_port(self) -> None:
        if self._closed:
            return
        use = self._plan.port(self._plan.readiness.port)
        if _open(reachable(self._plan.readiness.address), use.number):
            self._ask()
        else:
            self._timer = self._loop.call_later(PORT_POLL, self._try_port)

    def _ask(self) -> None:
        def work() -> None:
            try:
                rungs = climb(self._plan, self._ownership, self._secret)
            except Exception as error:  # a defect here must end the start, not hang it
                failed = f"the probe itself failed: {error!r}"
                rungs = [Rung("probe", "failed", failed, code="probe-defect")]
            self._loop.call_soon(lambda: self._heard(rungs))

        threading.Thread(target=work, name="readiness", daemon=True).start()

    def _heard(self, rungs: list[Rung]) -> None:
        if self._closed:
            return
        self._asked += 1
        # Every round starts at the bottom, because an earlier answer may no longer hold; only a
        # rung that was never reached before is news (and progress).
        for number, rung in enumerate(rungs, 1):
            if rung.verdict == "passed" and number > self._told:
                self._told = number
                self._on_passed(rung)
        self.last = last = rungs[-1]
        if last.verdict == "passed":
            self.done = True
            return
        if last.code in PATIENCE:
            self._seen[last.code] = self._seen.get(last.code, 0) + 1
            if self._seen[last.code] >= PATIENCE[last.code]:
                self._on_failed(last)
                return
        if last.verdict == "failed":
            self._on_failed(last)
            return
        wait = RETRY if self._asked < SLOW_AFTER else SLOW_RETRY
        self._timer = self._loop.call_later(wait, self._try_port)

    def _ownership(self) -> Rung:
        """Rung 1: whose socket is it? Runs in the probe's thread and only reads."""
        use = self._plan.port(self._plan.readiness.port)
        sockets = listeners_on(use.number)
        # A process that opens the port, forks and leaves the port to its child is between the two
        # where the child was not there yet at the first look.
        for _ in range(LOOKS):
            ours = [p.pid for p in identity.descendants(identity.myself())]
            for listener in sockets:
                pid = holder(listener.inode, ours)
                if pid is not None:
                    text = f"port {use.number} is listened on by our process {pid}"
                    return Rung("listening", "passed", text, {"pid": pid, "at": time.time()})
            sockets = listeners_on(use.number)
        who = describe_holder(use.number)
        if not sockets or who is None:
            return Rung("listening", "retry", f"nothing listens on port {use.number} yet")
        return taken(use, who)


def _open(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((address, port)) == 0
    return False
