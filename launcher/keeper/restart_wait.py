"""The wait before a restart: the delay, and then until nothing of the run before is in the way.

What has to hold: no process of the old tree is left, the memory of the engine's GPUs is released
(where nvidia-smi tells), the ports are free, and their leases are still ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from launcher.errors import ExitCode, Problem
from launcher.host.processes import summary
from launcher.host.sockets import bind_error, describe_holder
from launcher.keeper import cleanup
from launcher.keeper.failure import Failure
from launcher.keeper.gpu_release import GpuRelease
from launcher.keeper.loop import Loop
from launcher.keeper.state import State
from launcher.plan.model import LaunchPlan
from launcher.preparation import leases as port_leases

PATIENCE = 30.0
"""Seconds after the delay in which the old processes must have gone and the ports must be free."""
LOOK = 0.2
"""Seconds between two looks at them: the kernel sends no event when a port becomes free."""


class RestartWait:
    """What may stand in the way of a restart; one object for one wait."""

    def __init__(
        self,
        loop: Loop,
        plan: LaunchPlan,
        state: State,
        leases: list[int],
        tell: Callable[..., None],
        *,
        processes_left: bool,
    ) -> None:
        """Begin to look at the GPUs at once; `tell` is called with an event's name and fields.

        `leases` are the descriptors that hold the leases of the plan's ports and GPUs; what is
        taken again is added to them.
        `processes_left`: the receipt of the run before counted some.
        """
        self._loop = loop
        self._plan = plan
        self._state = state
        self._leases = leases
        self._tell = tell
        self._look_for_processes = processes_left
        self._gpus = GpuRelease(loop, plan)

    def wait(
        self, delay: float, stopped: Callable[[], bool], on_wait: Callable[[str], None]
    ) -> Failure | None:
        """Return after `delay` seconds, once nothing is in the way; or what stays in it.

        Returns at once when `stopped()` is true. `on_wait` gets what is waited for after the delay.
        """
        self._loop.run_until(stopped, delay)
        end = time.monotonic() + PATIENCE
        last = ""
        while not stopped():
            obstacle = self._obstacle()
            if obstacle is None:
                break
            what, failure = obstacle
            if time.monotonic() >= end:
                if failure is not None:
                    return failure
                break
            if what != last:
                last = what
                on_wait(what)
            self._loop.run_until(stopped, LOOK)
        if not stopped():
            note = self._gpus.note()
            if note:
                self._tell("warning", message=note)
            return self._lease_lost()
        return None

    def _obstacle(self) -> tuple[str, Failure | None] | None:
        """What is in the way now, and the failure that it is if it stays; None: nothing."""
        if self._look_for_processes:
            left = cleanup.strays(self._state)
            if left:
                first = f"process {left[0].pid} ({summary(left[0].pid)})"
                return f"the end of {first}", _failure(
                    "restart-blocked",
                    f"{len(left)} processes of the run before do not end, the first is {first}",
                    "a process that hangs in the kernel may wait for a GPU or a disk: see `dmesg`",
                )
            self._look_for_processes = False
        for use in self._plan.engine_ports:
            if not use.bound or (error := bind_error(use.address, use.number)) is None:
                continue
            who = describe_holder(use.number) or error.strerror or str(error)
            return f"port {use.number} ({use.name})", _failure(
                "port-taken-before-restart",
                f"port {use.number} ({use.name}) was taken while no engine ran: {who}",
                "end that process, then `ernie-deploy up` again; or give the profile another port",
            )
        if not self._gpus.settled:
            return "the memory of its GPUs", None
        return None

    def _lease_lost(self) -> Failure | None:
        """A lease whose file was removed has no effect any more: it is taken again."""
        for name in port_leases.lost(self._leases):
            descriptors = port_leases.lock_again(name)
            if descriptors is not None:
                self._leases.extend(descriptors)
                self._tell("warning", message=f"the lease {name} was removed; it is taken again")
                continue
            return _failure(
                "port-leased",
                f"the lease {name} was removed, and another process has taken it since",
                f"`ernie-deploy up {self._plan.instance}` leases another port",
            )
        return None


def _failure(code: str, message: str, remedy: str) -> Failure:
    return Failure(Problem(code, message, None, remedy), ExitCode.PRECONDITION)
