"""What this machine offers a service: sets of GPUs, host memory, and the memory plan's figures."""

from __future__ import annotations

import os
from collections.abc import Sequence

from launcher import engines
from launcher.errors import DeployError
from launcher.host import memory, processes
from launcher.host.gpus import device_numbers
from launcher.instance.history import expected_seconds
from launcher.instance.store import instance_dir, keeper_of
from launcher.plan.memory import Prediction
from launcher.plan.model import LaunchPlan
from launcher.preparation import prepare
from launcher.preparation.memory import memory_plan
from launcher.profile.model import Profile
from launcher.service import groups
from launcher.service.layout import GIB, Room
from launcher.service.model import Member

MARGIN = 1.1
"""A replica may take this much more memory than one that runs."""


def measure(profile: Profile, members: Sequence[Member], *, named: str) -> Room:
    """What replicas of `profile` can have here; `named` is the name of one that could be started.

    Raises:
        DeployError: the engine, the model or the profile is not right.
    """
    candidate = Member(named, "", 0, parts=groups.parts_of(profile, named, None))
    plans = [_plan(one) for one in groups.profiles_of(profile, candidate)]
    size = sum(plan.gpu_ranks for plan in plans)
    service = profile.service
    sets = service.gpus if service is not None else ()
    cards = list(profile.gpus) if profile.gpus is not None else _visible()
    if not sets and (not cards or not size):
        # On the CPU, or where no driver tells of cards: then the doctor's checks have the word.
        need = max((resident(one) for one in members), default=0)
        return Room(
            memory_free=memory.read().usable, memory_need=round(need * MARGIN) if need else None
        )
    if not sets:
        sets = tuple(tuple(cards[i : i + size]) for i in range(0, len(cards) - size + 1, size))
    return Room(sets=sets, figures=_figures(profile))


def _plan(profile: Profile) -> LaunchPlan:
    """The plan of an instance that could be started; its ports are given back."""
    prepared = prepare.prepare(profile)
    prepared.leases.release()
    return prepared.plan


def _visible() -> list[str]:
    listed = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return [one for one in listed if one] or [str(number) for number in device_numbers()]


def resident(member: Member) -> int:
    """Bytes of host memory that the processes of a replica have in use; 0 where it does not run."""
    total = 0
    for name in member.instances:
        keeper = keeper_of(instance_dir(name))
        process = processes.look(keeper) if keeper is not None else None
        for one in processes.descendants(process) if process is not None else ():
            total += processes.resident_bytes(one.pid)
    return total


def _figures(profile: Profile) -> str:
    """What the memory plan says that one replica takes of a card; "" where nothing is known."""
    if engines.get(profile.engine).memory is None:
        return ""
    texts = []
    for role, one in groups.memory_profiles(profile):
        try:
            result = memory_plan(one, version=None, gpu=None, largest=False)
        except DeployError:
            return ""
        prediction: Prediction = result.payload.prediction
        taken = prediction.weights + prediction.blocks * prediction.block_bytes
        texts.append(
            f"a {role} takes {taken / GIB:.1f} GiB of each card for weights and KV cache, and a"
            f" {prediction.card.name} has {prediction.card.total / GIB:.1f} GiB"
        )
    return "; ".join(texts)


def expected_downtime(members: Sequence[Member]) -> float | None:
    """Seconds that a start takes, learnt from the replicas that run; None where none is known."""
    durations = [expected_seconds(instance_dir(one.name).folder) for one in members]
    seconds = [one for one in durations if one is not None]
    return max(seconds) if seconds else None
