"""Finds an engine that is a program: on PATH, else in an environment of `engine install`."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.specifiers import SpecifierSet

from launcher import subprocesses
from launcher.engines.base import Engine, Installed, Program
from launcher.environments import store
from launcher.errors import PreconditionError, Problem
from launcher.profile.model import Profile

DEADLINE = 10.0
"""Seconds a program may take to print its version; HAProxy takes 5 ms."""
LONGEST_ANSWER = 64 * 1024


def find_program(
    engine: Engine, program: Program, profile: Profile, specifiers: Sequence[SpecifierSet]
) -> Installed:
    """The first program that `specifiers` admit: the profile's, this machine's, an environment's.

    Raises:
        PreconditionError: `missing-engine`, `wrong-engine-version`, `wrong-program`, or the
            engine's own problem with what is installed.
    """
    refused: list[Problem] = []
    for path in _candidates(engine, program, profile):
        installed = _inspect(engine, program, profile, path)
        if installed.problem is not None:
            refused.append(installed.problem)
        elif installed.release is not None:
            version = installed.release.version
            if all(one.contains(version, prereleases=True) for one in specifiers):
                return installed
            stated = " and ".join(str(one) for one in specifiers if str(one))
            refused.append(
                Problem(
                    "wrong-engine-version",
                    f"{path} is {engine.title} {version}, but {stated} is asked for",
                    profile.where("engine-version"),
                    f"ernie-deploy engine install '{engine.name}{stated}'",
                )
            )
    if refused:
        raise PreconditionError(refused[:1])
    raise PreconditionError(
        Problem(
            "missing-engine",
            f"no {program.name} is on PATH or in {', '.join(program.folders)}, and no environment "
            f"of {engine.name} is installed",
            profile.where("engine"),
            f"`apt-get install {program.package}`, or without root `ernie-deploy engine install"
            f" {engine.name}`",
        )
    )


def _candidates(engine: Engine, program: Program, profile: Profile) -> Iterator[str]:
    """Paths in the order in which they are tried."""
    if profile.python:
        yield os.path.abspath(os.path.expanduser(profile.python))
        return
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *program.folders))
    path = shutil.which(program.name, path=folders)
    if path is not None:
        yield os.path.abspath(path)
    for environment in store.complete(engine.name):
        yield from map(str, sorted(environment.folder.glob(program.path))[:1])


def _inspect(engine: Engine, program: Program, profile: Profile, path: str) -> Installed:
    """What the program at `path` says of itself."""
    where = profile.where("python") if profile.python else None
    try:
        output = subprocesses.run(
            [path, *program.arguments], deadline=DEADLINE, limit=LONGEST_ANSWER, cwd="/"
        )
    except OSError as error:
        problem = Problem(
            "wrong-program", f"{path} cannot be started: {error.strerror or error}", where
        )
        return Installed(path, "", None, {}, problem)
    match = re.search(program.pattern, output.text, re.MULTILINE)
    if output.returncode != 0 or match is None:
        what = output.complaint or f"exit code {output.returncode}"
        problem = Problem(
            "wrong-program",
            f"`{Path(path).name} {' '.join(program.arguments)}` does not print a version of "
            f"{engine.title}: {what}",
            where or path,
        )
        return Installed(path, "", None, {}, problem)
    return engine.installed(path, "", {program.name: match["version"]})
