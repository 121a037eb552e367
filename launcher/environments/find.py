"""Which interpreter a profile's engine runs in."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from launcher.engines.common import specifier
from launcher.environments import store
from launcher.errors import PreconditionError, Problem, UsageError
from launcher.profile.model import Profile

if TYPE_CHECKING:
    from launcher.engines.base import Engine, Installed


def constraint(text: str | None) -> SpecifierSet:
    """A version constraint as it is written in a profile: `2.3.2`, `2.3` or `>=2.2,<2.4`.

    A bare version admits its patch releases: `2.3` is `==2.3.*`, `2.3.2` is `==2.3.2`.

    Raises:
        UsageError: `text` is not a constraint.
    """
    try:
        return specifier(text)
    except InvalidSpecifier as error:
        raise UsageError(
            Problem(
                "bad-version",
                f"{text!r} is not a version constraint",
                "engine-version",
                "write it like 2.3.2, or >=2.2,<2.4",
            )
        ) from error


def environment_names(engine: Engine) -> tuple[str, ...]:
    """Names under which environments of `engine` are installed on this machine, best first."""
    return engine.environment_names(_has_gpu)


def find(engine: Engine, profile: Profile, *, version: str | None = None) -> Installed:
    """The interpreter `profile` will run in, with the engine's release in it.

    `python:` in the profile wins; else the newest environment that satisfies the profile's
    `engine-version`, and `version` where one is given. For an engine that is a program: that of
    this machine, else the newest environment that has it; `python:` is its path.

    Raises:
        PreconditionError: `missing-engine`, `wrong-engine-version`, `wrong-interpreter`, or the
            engine's own problem with what is installed.
        UsageError: a version constraint cannot be read.
    """
    specifiers = [constraint(profile.engine_version), constraint(version)]
    stated = " and ".join(text for text in (profile.engine_version, version) if text)
    if engine.program is not None:
        from launcher.environments.programs import find_program

        return find_program(engine, engine.program, profile, specifiers)
    if profile.python:
        installed = _look(engine, profile, profile.python)
        if installed.release and not _admits(specifiers, installed.release.version):
            raise PreconditionError(
                Problem(
                    "wrong-engine-version",
                    f"{profile.python} has {engine.name} {installed.release.version}, "
                    f"but {stated} is asked for",
                    profile.where("python"),
                    "name another python, or change engine-version",
                )
            )
        return installed
    names = environment_names(engine)
    environments = [e for name in names for e in store.complete(name)]
    if not environments:
        remains = [str(folder) for name in names for folder in store.unfinished(name)]
        note = f" ({', '.join(remains)} was never finished)" if remains else ""
        raise PreconditionError(
            Problem(
                "missing-engine",
                f"no environment of {names[0]} is installed{note}",
                profile.where("engine"),
                f"ernie-deploy engine install {_quoted(names[0], specifiers)}",
            )
        )
    for environment in environments:
        if _admits(specifiers, str(environment.version)):
            return _look(engine, profile, environment.python)
    have = ", ".join(f"{e.name} {e.version}" for e in environments)
    raise PreconditionError(
        Problem(
            "wrong-engine-version",
            f"{stated} of {engine.name} is asked for, installed is {have}",
            profile.where("engine-version"),
            f"ernie-deploy engine install {_quoted(names[0], specifiers)}",
        )
    )


def _look(engine: Engine, profile: Profile, python: str) -> Installed:
    # Imported here: most profiles are judged without a look into an interpreter.
    from launcher.host.interpreter import inspect

    try:
        details = inspect(python, engine.distributions, pythonpath=profile.env.get("PYTHONPATH"))
    except PreconditionError as error:
        location = profile.where("python")
        raise PreconditionError(
            dataclasses.replace(problem, where=location) for problem in error.problems
        ) from error
    installed = engine.installed(details.python, details.python_version, details.distributions)
    if installed.problem is not None:
        raise PreconditionError(installed.problem)
    if installed.release is None:
        raise PreconditionError(
            Problem(
                "missing-engine",
                f"{details.python} (Python {details.python_version}) has none of "
                f"{', '.join(engine.distributions)}",
                profile.where("python"),
                f"ernie-deploy engine install {environment_names(engine)[0]}",
            )
        )
    return installed


def _admits(specifiers: list[SpecifierSet], version: str) -> bool:
    # Pre-releases were asked for by installing them.
    return all(one.contains(version, prereleases=True) for one in specifiers)


def _quoted(name: str, specifiers: list[SpecifierSet]) -> str:
    specifier = ",".join(str(one) for one in specifiers if str(one))
    return f"'{name}{specifier}'" if specifier else name


def _has_gpu() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    from launcher.host import gpus

    return bool(gpus.query().gpus)
