"""Which checks there are, and in which order they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from launcher import engines
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
from launcher.doctor.model import Check, Subject, engine_of
from launcher.engines.doctor_checks import Group

COMMON: tuple[Check, ...] = (
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
"""Checks of every engine; each engine has its own beside them (`Engine.doctor_checks`)."""

_GROUPS: tuple[str, ...] = get_args(Group)


def checks_of(subject: Subject) -> tuple[Check, ...]:
    """The checks that apply to a subject, in the order in which they are shown."""
    engine = engine_of(subject)
    own = engine.doctor_checks() if engine is not None else ()
    return _sorted(check for check in (*COMMON, *own) if _applies(check, subject))


def every_check() -> tuple[Check, ...]:
    """Every check that some engine has, each once; what `explain` and `--force` know."""
    every_engine = (*engines.every(), *map(engines.get, engines.INTERNAL))
    own = (check for engine in every_engine for check in engine.doctor_checks())
    return _sorted({check.id: check for check in (*own, *COMMON)}.values())


def _sorted(checks: Iterable[Check]) -> tuple[Check, ...]:
    return tuple(sorted(checks, key=lambda check: _GROUPS.index(check.group)))


def _applies(check: Check, subject: Subject) -> bool:
    if subject.profile is None:
        return not check.needs_profile
    engine = engine_of(subject)
    here = engine is None or engine.local
    return check.runs == "anywhere" or (check.runs == "here") == here
