"""Whether the memory of an engine's GPUs has been released after its end.

The driver frees the memory of a process a moment after it has gone. An engine that starts before
that finds its GPU full, and its next log line says that the model does not fit.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from launcher.keeper.loop import Loop
from launcher.plan.model import LaunchPlan

if TYPE_CHECKING:
    from launcher.host.gpus import GpuMemory

GIB = 1024**3
IDLE_BYTES, IDLE_SHARE = 256 * 1024**2, 0.02
"""A GPU with no more than this, or this share of its memory in use, is empty: the driver's own."""
STEADY = 3.0
"""Seconds without a change after which what is in use is another program's."""
NOISE = 16 * 1024**2
"""Bytes by which the driver's figure varies."""
LONGEST = 30.0
"""Seconds after which an engine is started whatever its GPUs hold."""
LOOK = 0.5
"""Seconds between two questions to the driver."""


def settled(looks: Sequence[tuple[float, Mapping[str, GpuMemory]]]) -> bool:
    """True where the GPUs are empty, or nothing has changed for a while.

    `looks` are times in seconds with the memory of each GPU, oldest first.
    """
    if not looks:
        return False
    now, last = looks[-1]
    if not any(in_use(one) for one in last.values()):
        return True
    steady_since = now
    for time_of, look in reversed(looks):
        if look.keys() != last.keys() or any(
            abs(look[card].used - last[card].used) > NOISE for card in last
        ):
            break
        steady_since = time_of
    return now - steady_since >= STEADY


def in_use(memory: GpuMemory) -> bool:
    """True where more than the driver's own is in use."""
    return memory.used > max(IDLE_BYTES, IDLE_SHARE * memory.total)


class GpuRelease:
    """Asks nvidia-smi in a thread until the GPUs of a plan have settled."""

    def __init__(self, loop: Loop, plan: LaunchPlan) -> None:
        """Begin to ask, where the plan uses GPUs and the driver's tool is there."""
        self._loop = loop
        self._note = ""
        self.settled = True
        """True once the engine may be started, as far as its GPUs are concerned."""
        if plan.gpu_ranks or plan.gpus:
            from launcher.preparation.gpus import cards

            chosen = cards(plan, os.environ)
            if chosen:
                self.settled = False
                threading.Thread(target=self._ask, args=(chosen,), daemon=True).start()

    def note(self) -> str:
        """What is still in use on a GPU, or that this is not known; empty where all is well."""
        return self._note

    def _ask(self, chosen: tuple[str, ...]) -> None:
        note = ""
        try:
            note = _watch(chosen)
        except Exception as error:  # an engine is not kept down by a driver's tool
            note = f"the memory of the GPUs is not known: {error!r}"
        self._loop.call_soon(functools.partial(self._done, note))

    def _done(self, note: str) -> None:
        self.settled, self._note = True, note


def _watch(chosen: tuple[str, ...]) -> str:
    """Return when the GPUs have settled, with what is to be told of that."""
    from launcher.host.gpus import memory_of

    end = time.monotonic() + LONGEST
    looks: list[tuple[float, Mapping[str, GpuMemory]]] = []
    while True:
        memory = memory_of(chosen)
        if memory is None:
            return ""
        looks.append((time.monotonic(), memory))
        if settled(looks) or time.monotonic() >= end:
            break
        time.sleep(LOOK)
    in_use_texts = [
        f"GPU {card}: {one.used / GIB:.1f} of {one.total / GIB:.1f} GiB"
        for card, one in memory.items()
        if in_use(one)
    ]
    return f"memory in use before the restart: {', '.join(in_use_texts)}" if in_use_texts else ""
