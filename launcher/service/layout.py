"""Where new replicas can run: their devices, and the strategy that fits.

A pure decision over what the machine has: `layout` gets the facts and returns what will be done and
why, or refuses before anything is stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launcher.errors import DeployError, PreconditionError
from launcher.profile.service import Strategy
from launcher.service.model import ConcreteStrategy, Member

GIB = 1024**3

Devices = tuple[str, ...] | None


@dataclass(frozen=True)
class Room:
    """What a machine offers a service.

    `sets` are the devices that replicas may have, one set each; None: replicas need no devices of
    their own. `memory_free` are bytes of host memory that are available now, `memory_need` those
    that one more replica takes; None: not known. `figures` say what a replica takes of a device.
    """

    sets: tuple[tuple[str, ...], ...] | None = None
    memory_free: int | None = None
    memory_need: int | None = None
    figures: str = ""

    def free_sets(self, members: Iterable[Member]) -> list[tuple[str, ...]]:
        """The sets of which no device is used by one of `members`."""
        used = {device for member in members for device in member.gpus or ()}
        return [one for one in self.sets or () if not used.intersection(one)]

    def fits(self, more: int, members: Sequence[Member]) -> str | None:
        """None where `more` replicas fit beside `members`, else why they do not."""
        if self.sets is not None:
            free = len(self.free_sets(members))
            if free < more:
                return (
                    f"for {_replicas(more)} more there are {free} free sets of GPUs of"
                    f" {len(self.sets)}{self._figures()}"
                )
        if self.memory_free is not None and self.memory_need is not None:
            need = more * self.memory_need
            if need > self.memory_free:
                return (
                    f"{_replicas(more)} more would take {need / GIB:.1f} GiB of host memory, and"
                    f" {self.memory_free / GIB:.1f} GiB are available"
                )
        return None

    def _figures(self) -> str:
        return f" ({self.figures})" if self.figures else ""


@dataclass(frozen=True)
class Layout:
    """A decision: the strategy, why, and the devices of each new replica."""

    strategy: ConcreteStrategy
    reason: str
    devices: tuple[Devices, ...]


def layout(requested: Strategy, room: Room, old: Sequence[Member], count: int) -> Layout:
    """How `count` new replicas replace the `old` ones.

    Raises:
        PreconditionError: `strategy-impossible`: the requested strategy does not fit here, or
            not even the replicas alone do.
    """
    if not old:
        why = room.fits(count, ())
        if why is not None:
            raise _impossible(
                f"{_replicas(count)} {_verb(count)} not fit on this machine: {why}", None
            )
        return Layout("blue-green", "nothing runs yet", _take(room, (), count))
    together = room.fits(count, old)
    one_more = room.fits(1, old)
    alone = room.fits(max(0, count - len(old)), old)
    if requested in ("auto", "blue-green"):
        if together is None:
            return Layout("blue-green", "both revisions fit together", _take(room, old, count))
        if requested == "blue-green":
            remedy = "rolling" if one_more is None else "recreate"
            raise _impossible(f"blue-green does not fit: {together}", remedy)
    if requested in ("auto", "rolling"):
        if one_more is None and _rolls(room, old, count):
            reason = "one more replica fits" + (f", {together}" if together else "")
            return Layout("rolling", reason, _rolling_devices(room, old, count))
        if requested == "rolling":
            raise _impossible(f"rolling does not fit: {one_more or alone}", "recreate")
        raise _impossible(
            f"neither two revisions nor one more replica fit: {one_more or alone}", "recreate"
        )
    devices: tuple[Devices, ...] = _take(room, (), count)
    reason = f"requested; {together}" if together else "requested, although both would fit"
    return Layout("recreate", reason, devices)


def _take(room: Room, old: Sequence[Member], count: int) -> tuple[Devices, ...]:
    if room.sets is None:
        return (None,) * count
    free = room.free_sets(old)
    if len(free) < count:
        raise _impossible(f"for {_replicas(count)} there are only {len(free)} sets of GPUs", None)
    return tuple(free[:count])


def _rolls(room: Room, old: Sequence[Member], count: int) -> bool:
    """True where replacing one after the other ends with `count` replicas."""
    return room.sets is None or len(room.sets) >= count + (1 if count >= len(old) else 0)


def _rolling_devices(room: Room, old: Sequence[Member], count: int) -> tuple[Devices, ...]:
    """The first new replica takes a free set, each further one a set that became free."""
    if room.sets is None:
        return (None,) * count
    devices: list[Devices] = []
    remaining = list(old)
    for _ in range(count):
        taken = [Member("", "", 0, gpus=one) for one in devices]
        free = room.free_sets([*remaining, *taken])
        devices.append(free[0])
        if remaining:
            remaining.pop(0)
    return tuple(devices)


def _verb(count: int) -> str:
    return "does" if count == 1 else "do"


def _replicas(count: int) -> str:
    return f"{count} replica{'' if count == 1 else 's'}"


def _impossible(message: str, strategy: str | None) -> DeployError:
    remedy = "fewer replicas, or more devices in `service.gpus`"
    if strategy == "recreate":
        remedy = "`--strategy recreate` stops the old replicas first: nothing serves until the new"
        remedy += " ones are ready; `deploy --dry-run --strategy recreate` shows for how long"
    elif strategy is not None:
        remedy = f"`--strategy {strategy}`"
    return PreconditionError.of("strategy-impossible", message, "service.strategy", remedy)
