"""From a profile to a launch plan: asks the machine, decides the ports, calls the pure function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import engines, environments, paths
from launcher.engines.base import Engine, Installed, PlanContext, Release
from launcher.engines.common import in_file_order
from launcher.environments import question
from launcher.environments.suitability import check_machine
from launcher.errors import PreconditionError, ProfileError
from launcher.plan.model import ADMIN, LaunchPlan
from launcher.preparation import admin, gpus, leases
from launcher.preparation.leases import Leases
from launcher.profile.model import Profile

DRY_TEMPORARY = "/tmp/ed-XXXXXXXX"  # noqa: S108 - shown by `plan`, never made


@dataclass(frozen=True)
class Prepared:
    """A plan and what it stands on; `leases` are held until released or handed to a keeper."""

    profile: Profile
    engine: Engine
    installed: Installed
    plan: LaunchPlan
    leases: Leases


def local_engine(profile: Profile) -> Engine:
    """The profile's engine.

    Raises:
        PreconditionError: a third party runs it.
    """
    engine = engines.get(profile.engine)
    if not engine.local:
        raise PreconditionError.of(
            "hosted", f"profile {profile.name} describes an endpoint that a third party runs",
            profile.where("engine"), "`ernie-deploy smoke` and `compare` take it; `up` cannot",
        )  # fmt: skip
    return engine


def engine_of(profile: Profile) -> tuple[Engine, Installed, Release]:
    """The profile's engine, its interpreter and its release, the profile checked against it.

    Raises:
        PreconditionError: the engine or its interpreter is missing or wrong.
        ProfileError: the profile is wrong for this release.
    """
    engine = local_engine(profile)
    try:
        installed, release = _installed(engine, profile)
    except PreconditionError as error:
        problems = engine.validate(profile, None)
        if problems:
            raise ProfileError(in_file_order([*error.problems, *problems])) from error
        raise
    question.ask(engine, installed)
    check(engine, profile, release)
    problems = check_machine(profile, installed)
    if problems:
        raise ProfileError(problems)
    return engine, installed, release


def _installed(engine: Engine, profile: Profile) -> tuple[Installed, Release]:
    installed = environments.find(engine, profile)
    if installed.problem is not None:
        raise PreconditionError(installed.problem)
    if installed.release is None:
        raise PreconditionError.of(
            "missing-engine", f"{installed.python} has no {engine.title}", profile.where("python")
        )
    return installed, installed.release


def check(engine: Engine, profile: Profile, release: Release | None) -> None:
    """Judge the profile for this release.

    Raises:
        ProfileError: every problem at once.
    """
    problems = engine.validate(profile, release)
    if problems:
        raise ProfileError(problems)


def prepare(
    profile: Profile,
    *,
    temporary: str = DRY_TEMPORARY,
    preferred: Mapping[str, int] | None = None,
    assume: str | None = None,
    running: bool = False,
) -> Prepared:
    """The launch plan of `profile` on this machine, its ports and those of its GPUs leased
    that no other process holds.

    `preferred` are ports an `auto` should get again if they are free. `assume` plans for a
    version that need not be installed (`plan --engine-version`). `running` says that the instance
    itself holds those ports now: the plan is made to be looked at.

    Raises:
        DeployError: a precondition failed or the profile is wrong; nothing is leased then.
    """
    if assume is None:
        engine, installed, release = engine_of(profile)
    else:
        engine = engines.get(profile.engine)
        release = engine.release(assume)
        installed = Installed(profile.python or "python3", "", release)
        check(engine, profile, release)
    admin.check_address(profile)
    taken = leases.take(
        profile.name, (*engine.ports(profile, release), *admin.needs(profile)), profile.ports,
        profile.host, preferred or {}, tuple((preferred or {}).values()) if running else (),
    )  # fmt: skip
    try:
        folder = paths.instances() / profile.name
        context = PlanContext(
            python=installed.python,
            release=release,
            ports={name: number for name, number in taken.ports.items() if name != ADMIN},
            log_folder=folder / "logs" / "engine",
            temporary_folder=Path(temporary),
            cpu_count=os.cpu_count() or 1,
            distributions=installed.distributions,
        )
        plan = admin.with_admin(engine.plan(profile, context), profile, taken.ports, folder)
        if assume is None and not running:
            gpus.take(gpus.cards(plan, os.environ), taken)
    except BaseException:
        taken.release()
        raise
    return Prepared(profile, engine, installed, plan, taken)
