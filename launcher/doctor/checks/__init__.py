"""Every check there is, in the order in which they are shown."""

from __future__ import annotations

from launcher.doctor.checks import (
    disk,
    exposure,
    gpu,
    hosted,
    kernel,
    leftovers,
    memory,
    model,
    network,
    software,
    time,
)
from launcher.doctor.model import Check

REGISTRY: tuple[Check, ...] = (
    *software.CHECKS,
    *model.CHECKS,
    *gpu.CHECKS,
    *memory.CHECKS,
    *kernel.CHECKS,
    *network.CHECKS,
    *leftovers.CHECKS,
    *disk.CHECKS,
    *time.CHECKS,
    *hosted.CHECKS,
    *exposure.CHECKS,
)
