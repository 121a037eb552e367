"""What is examined, put together from a profile without starting or leasing anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import engines, environments, paths
from launcher.doctor.model import Host, Subject
from launcher.engines.base import Engine, Installed, PlanContext, Release
from launcher.environments.suitability import check_machine
from launcher.errors import DeployError, Problem
from launcher.plan.model import ADMIN
from launcher.preparation import admin
from launcher.profile.model import Profile

if TYPE_CHECKING:
    from launcher.plan.model import LaunchPlan
    from launcher.preparation.prepare import Prepared

PLACEHOLDER = 20000
"""First number shown for ports that are chosen at the start."""


def machine() -> Subject:
    """Only the machine, no profile."""
    return Subject(host=Host())


def of_prepared(prepared: Prepared, keeper: int | None = None) -> Subject:
    """What `up` has prepared: ports are leased, and nothing runs unless there is a `keeper`."""
    return Subject(
        host=Host(),
        profile=prepared.profile,
        installed=prepared.installed,
        plan=prepared.plan,
        running=keeper is not None,
        keeper=keeper,
        needs=prepared.engine.needs(prepared.profile, prepared.installed.release),
    )


def of_profile(profile: Profile, *, keeper: int | None = None) -> Subject:
    """A profile as far as this machine lets it come; what stands in the way is part of it.

    `keeper` is the pid of the keeper where an instance of this name is at work: its ports, GPUs
    and memory are then its own.

    Raises:
        UsageError: the engine does not exist.
    """
    engine = engines.get(profile.engine)
    installed = None
    engine_problems: tuple[Problem, ...] = ()
    try:
        installed = environments.find(engine, profile)
        if installed.problem is not None:
            engine_problems = (installed.problem,)
    except DeployError as error:
        engine_problems = error.problems
    release = installed.release if installed else None
    profile_problems = tuple(engine.validate(profile, release))
    if installed is not None:
        profile_problems += tuple(check_machine(profile, installed))
    plan, auto = None, frozenset[str]()
    if installed is not None and release is not None and not profile_problems:
        try:
            plan, auto = _plan(profile, engine, installed, release)
        except DeployError as error:
            profile_problems = error.problems
    return Subject(
        Host(),
        profile,
        installed,
        plan,
        engine_problems,
        profile_problems,
        auto,
        running=keeper is not None,
        keeper=keeper,
        needs=engine.needs(profile, release),
    )


def _plan(
    profile: Profile, engine: Engine, installed: Installed, release: Release
) -> tuple[LaunchPlan, frozenset[str]]:
    """The launch plan with the ports that the profile fixes; the others are placeholders."""
    numbers, auto = {}, set()
    for index, need in enumerate((*engine.ports(profile, release), *admin.needs(profile))):
        requested = profile.ports.get(need.name, need.default)
        numbers[need.name] = requested if isinstance(requested, int) else PLACEHOLDER + 16 * index
        if not isinstance(requested, int):
            auto.add(need.name)
    folder = paths.instances() / profile.name
    context = PlanContext(
        python=installed.python,
        release=release,
        ports={name: number for name, number in numbers.items() if name != ADMIN},
        log_folder=folder / "logs" / "engine",
        temporary_folder=Path("/tmp/ed-XXXXXXXX"),  # noqa: S108 - shown, never made
        cpu_count=os.cpu_count() or 1,
        distributions=installed.distributions,
    )
    plan = admin.with_admin(engine.plan(profile, context), profile, numbers, folder)
    return plan, frozenset(auto)
