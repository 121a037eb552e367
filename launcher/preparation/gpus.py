"""GPUs: leased like ports while an instance lives, so that two never share one unknowingly.

The lease tells of all instances of this user, whatever their state directory. What other users
have on a GPU only the driver knows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.host import processes
from launcher.host.gpus import GpuReport, device_numbers
from launcher.plan.model import LaunchPlan
from launcher.preparation import leases
from launcher.preparation.keepers import kept_folder
from launcher.preparation.leases import Leases


@dataclass(frozen=True)
class ForeignUse:
    """A process of another user on a GPU; `instance`: one of ernie-deploy's servers."""

    card: str
    pid: int
    owner: int
    command: str
    instance: bool

    def describe(self) -> str:
        """`pid 1234 of uid 1001 (python ...)`."""
        return f"pid {self.pid} of uid {self.owner} ({self.command or 'command line unknown'})"


def cards(plan: LaunchPlan, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs an engine started from here will be on, by number or UUID.

    Those of the profile; else the first ones of CUDA_VISIBLE_DEVICES in `environ`, which the
    engine inherits; else the first ones of this machine, which is what the engines take.
    """
    if plan.gpus is not None:
        return plan.gpus
    listed = [one.strip() for one in environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    visible = [one for one in listed if one] or [str(number) for number in device_numbers()]
    return tuple(visible[: plan.gpu_ranks])


def take(cards: tuple[str, ...], leases_held: Leases) -> None:
    """Add the leases of these GPUs to `leases_held`; one that is held stays with its holder.

    The doctor's check `gpu-shared` refuses the start then, unless the operator forces it.
    """
    for card in cards:
        leases.take_gpu(leases_held, card)


def holders(cards: tuple[str, ...], besides: tuple[int, ...] = ()) -> dict[str, str]:
    """Each of these GPUs that another instance holds, and who that is.

    `besides` are processes whose leases do not count: this one, an instance's own keeper.
    """
    holder_of_card = {card: leases.holder_of_gpu(card, besides) for card in cards}
    return {card: who for card, who in holder_of_card.items() if who is not None}


def foreign(cards: tuple[str, ...], report: GpuReport) -> tuple[ForeignUse, ...]:
    """What other users run on these GPUs, as the driver reports it.

    A pid that this pid namespace does not have is left out: the driver gives the host's numbers.
    """
    uses = []
    for card in cards:
        for gpu in report.gpus:
            if card not in (str(gpu.index), gpu.uuid):
                continue
            for process in gpu.processes:
                owner = processes.uid(process.pid)
                if owner not in (None, os.getuid()):
                    command = processes.summary(process.pid)
                    uses.append(
                        ForeignUse(card, process.pid, owner, command, _has_keeper(process.pid))
                    )
    return tuple(uses)


def _has_keeper(pid: int) -> bool:
    """True where a keeper is among the ancestors of `pid`."""
    return any(kept_folder(one) is not None for one in processes.ancestors(pid))
