"""`plan` of a profile whose replicas are groups: what each instance of one would run."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from launcher import engines
from launcher.errors import ExitCode, PreconditionError
from launcher.instance.memory_lessons import catch_up
from launcher.instance.show import PlanOutput, show_plan
from launcher.plan.memory import MemoryPlan
from launcher.preparation import prepare
from launcher.preparation.memory import memory_plan
from launcher.profile.model import Profile
from launcher.result import Result
from launcher.service import groups
from launcher.service.examination import example_member


def show(profile: Profile, assume: str | None) -> Result[PlanOutput | MemoryPlan]:
    """The launch plans of a group's instances, for the installed release or for `assume`.

    Raises:
        DeployError: what would keep one of them from starting, as far as it can be known now.
    """
    release = engines.get(profile.engine).release(assume) if assume is not None else None
    member = example_member(profile)
    router, *parts = groups.profiles_of(profile, member, release)
    outputs = [
        replace(show_plan(one, assume).payload, role=part.role)
        for part, one in zip(member.parts, parts, strict=True)
    ]
    first = show_plan(router, assume).payload
    return Result("plan", replace(first, role="router", group=tuple(outputs)), profile.name)


def memory(
    profile: Profile, *, version: str | None, gpu: str | None, largest: bool
) -> Result[PlanOutput | MemoryPlan]:
    """Does an instance of each role fit; see `launcher.preparation.memory.memory_plan`.

    Raises:
        DeployError: as `memory_plan`.
    """
    catch_up(profile.name)
    if version is None:
        with contextlib.suppress(PreconditionError):  # not installed: the newest that is admitted
            version = prepare.engine_of(profile)[2].version
    results = [
        (role, memory_plan(one, version=version, gpu=gpu, largest=largest))
        for role, one in groups.memory_profiles(profile)
    ]
    plans = [replace(result.payload, role=role.split()[0]) for role, result in results]
    errors = tuple(problem for _, result in results for problem in result.errors)
    code = ExitCode.NEGATIVE if errors else ExitCode.DONE
    return Result("plan", replace(plans[0], others=tuple(plans[1:])), profile.name, code, errors)
