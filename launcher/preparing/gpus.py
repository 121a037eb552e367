"""GPUs: leased like ports while an instance lives, so that two never share one unknowingly.

The lease is host-wide: it also tells of the instances of other users and state directories.
"""

from __future__ import annotations

from collections.abc import Mapping

from launcher.host.gpus import device_numbers
from launcher.plan.model import LaunchPlan
from launcher.preparing import leases
from launcher.preparing.leases import Leases


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


def take(wanted: tuple[str, ...], held: Leases) -> None:
    """Add the leases of these GPUs to `held`; one that somebody else has stays with him.

    The doctor's check `gpu-shared` refuses the start then, unless the operator forces it.
    """
    for card in wanted:
        leases.take_gpu(held, card)


def holders(wanted: tuple[str, ...], besides: tuple[int, ...] = ()) -> dict[str, str]:
    """Each of these GPUs that another instance holds, and who that is.

    `besides` are processes whose leases do not count: this one, an instance's own keeper.
    """
    found = {card: leases.holder_of_gpu(card, besides) for card in wanted}
    return {card: who for card, who in found.items() if who is not None}
