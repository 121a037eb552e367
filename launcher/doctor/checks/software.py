"""The right software, in versions that go together."""

from __future__ import annotations

import re
import shutil

from launcher import engines
from launcher.doctor.model import Check, Outcome, Subject, engine_of, fail, ok, unknown, warn
from launcher.environments import recipes
from launcher.errors import Problem


def profile(subject: Subject) -> Outcome | None:
    """The engine's own validation, for the release that is installed."""
    if subject.profile is None:
        return None
    if subject.profile_problems:
        return fail(
            "; ".join(p.text() for p in subject.profile_problems),
            f"correct it; `ernie-deploy validate {subject.profile.path}` says when it is right",
        )
    name = subject.profile.engine
    kind = engine_of(subject)
    if kind is not None and not kind.local:
        return ok("right for an endpoint that a third party runs")
    release = subject.installed.release if subject.installed else None
    if release is None:
        return ok(f"right for every release of {name} that it admits")
    return ok(f"right for {name} {release.version}")


def engine(subject: Subject) -> Outcome | None:
    """An interpreter with the right distribution, and nothing that hides it."""
    if subject.engine_problems:
        first: Problem = subject.engine_problems[0]
        return fail("; ".join(p.message for p in subject.engine_problems), first.remedy or "")
    installed = subject.installed
    if installed is None or installed.release is None:
        return fail("no interpreter with the engine was found", _install(subject))
    return ok(f"{installed.release.version} in {installed.python}")


def python_version(subject: Subject) -> Outcome | None:
    """The interpreter's version."""
    installed = subject.installed
    recipe = _recipe(subject)
    if installed is None or recipe is None:
        return None
    pythons = sorted(tuple(map(int, text.split("."))) for text in recipe.pythons)
    low, high = pythons[0], pythons[-1]
    numbers = tuple(int(n) for n in re.findall(r"\d+", installed.python_version)[:2])
    if not numbers:
        return unknown(f"{installed.python} did not tell its version")
    supported = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
    if low <= numbers <= high:
        return ok(f"Python {installed.python_version}; {recipe.name} is installed for {supported}")
    summary = f"Python {installed.python_version}; {recipe.name} is installed for {supported}"
    if "architectures" in recipe.data:
        # Its wheels are compiled for these and no other.
        return fail(summary, _install(subject))
    return warn(f"{summary}, others are not tried", _install(subject))


def compiler(subject: Subject) -> Outcome | None:
    """Whether the engine can compile what it compiles at start-up."""
    need = subject.needs.compiler
    if need is None:
        return None
    if not need.needed:
        return ok(need.reason)
    path = next(filter(None, (shutil.which(name) for name in ("cc", "gcc", "clang"))), None)
    if path is not None:
        return ok(path)
    return fail(f"no C compiler is on PATH, and {need.reason}", need.remedy)


def _recipe(subject: Subject) -> recipes.Recipe | None:
    """How `engine install` makes this engine's environment: the one place of such facts."""
    kind = engine_of(subject)
    if kind is None or subject.installed is None:
        return None
    have = [d for d in kind.distributions if d in subject.installed.distributions]
    every = [recipes.get(name) for name in recipes.NAMES]
    # The CPU build of an engine is another distribution, with a recipe of its own.
    own = [one for d in have for one in every if one.distribution == d]
    own += [one for one in every if one.name == kind.name]
    return own[0] if own else None


def _install(subject: Subject) -> str:
    name = subject.profile.engine if subject.profile else engines.DEFAULT
    return f"ernie-deploy engine install {name}, or name its interpreter as `python:`"


CHECKS = (
    Check(
        "profile",
        "the profile is right for the engine's release",
        "FastDeploy finds most mistakes only after minutes, and some never",
        profile,
        "software",
        runs="anywhere",
    ),
    Check(
        "engine",
        "the engine is installed, and it is the right package",
        "nothing starts without it",
        engine,
        "software",
    ),
    Check(
        "python-version",
        "the interpreter's version is one the engine is published for",
        "compiled wheels exist for few Python versions only",
        python_version,
        "software",
    ),
    Check(
        "compiler",
        "what is compiled at start-up can be compiled",
        "without a compiler such an engine fails minutes into its start",
        compiler,
        "software",
    ),
)
