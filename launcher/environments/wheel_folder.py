"""The wheels of an engine in a folder, for `bundle create`: what an install elsewhere needs."""

from __future__ import annotations

from pathlib import Path

from launcher.environments import recipes
from launcher.environments.commands import run
from launcher.environments.install import Options, check, prepare, with_pip
from launcher.environments.progress import Progress
from launcher.environments.steps import InstallPlan, Sources, Step, install_step, to_wheels


def collect_wheels(
    requirement: str, options: Options, folder: Path, log: Path, progress: Progress
) -> InstallPlan:
    """Put every wheel that an install of `requirement` takes into `folder`; returns its plan.

    They are for this machine's processor and for the interpreter of the plan.

    Raises:
        UsageError: the request cannot be read.
        PreconditionError: interpreter, GPU or index stand in the way; `install-failed`.
    """
    plan = prepare(recipes.parse(requirement), options, progress)
    with with_pip(plan.base.python) as python:
        for step in plan.steps:
            wheels = to_wheels(step, python, folder)
            if wheels is not None:
                _run(wheels, log, progress)
    return plan


def collect_dependencies(
    wheel: Path, python: str, sources: Sources, log: Path, progress: Progress
) -> None:
    """Put what `wheel` depends on beside it.

    Raises:
        PreconditionError: `install-failed`.
    """
    title = "installing what ernie-deploy itself needs"
    with with_pip(python) as asker:
        step = to_wheels(install_step(title, asker, sources, (str(wheel),)), asker, wheel.parent)
        if step is not None:
            _run(step, log, progress)


def _run(step: Step, log: Path, progress: Progress) -> None:
    progress.stage(step.title)
    check(run(list(step.argv), log=log, progress=progress, env=step.env), step, log)
