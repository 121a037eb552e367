"""What is wrong with a profile on this machine: its GPUs, and what is installed beside the engine.

An engine judges a profile alone (`Engine.validate`); these are the problems that end a load on one
machine and not on another (`Engine.check_machine`).
"""

from __future__ import annotations

from collections.abc import Callable

from launcher import engines
from launcher.engines.base import Installed
from launcher.errors import Problem
from launcher.host import gpus
from launcher.host.gpus import GpuReport
from launcher.profile.model import Profile


def check_machine(
    profile: Profile, installed: Installed, query: Callable[[], GpuReport] = gpus.query
) -> list[Problem]:
    """Every problem of `profile` with this machine; GPUs are asked only if it matters."""
    return engines.get(profile.engine).check_machine(profile, installed, query)
