"""What there is: installed environments, unfinished ones, and what can be installed."""

from __future__ import annotations

from typing import Any

from launcher import engines, paths
from launcher.environments import recipes, store
from launcher.environments.find import environment_names
from launcher.environments.steps import InstallPlan
from launcher.environments.store import Environment
from launcher.errors import PreconditionError, Problem


def listing() -> dict[str, Any]:
    """Everything `engine list` shows."""
    available = []
    for name in recipes.NAMES:
        recipe = recipes.get(name)
        available.append(
            {
                "name": name,
                "distribution": recipe.distribution,
                "default": recipe.default,
                "supported": str(recipe.supported),
                "about": recipe.data["about"],
            }
        )
    return {
        "folder": str(paths.engines()),
        "installed": [described(environment) for environment in store.complete()],
        "unfinished": [str(folder) for folder in store.unfinished()],
        "available": available,
    }


def described(environment: Environment) -> dict[str, Any]:
    """One environment in plain JSON types: what its marker says, and where it is."""
    facts = {k: v for k, v in environment.facts.items() if k not in ("schema", "name", "version")}
    return {
        "name": environment.name,
        "version": str(environment.version),
        "folder": str(environment.folder),
        "python": environment.python,
        **facts,
    }


def planned(plan: InstallPlan) -> dict[str, Any]:
    """What an install would do, in plain JSON types."""
    return {
        "name": plan.recipe.name,
        "version": plan.version,
        "folder": str(plan.folder),
        "base_python": plan.base.python,
        "python_version": plan.base.version,
        "disk_bytes": plan.disk,
        "commands": [step.shell() for step in (*plan.steps, *plan.verify)],
        "notes": list(plan.notes),
        "dry_run": True,
        **plan.facts,
    }


def engine_named(name: str) -> str:
    """The name of an engine that a profile can ask for.

    Raises:
        UsageError: there is none; names the nearest.
    """
    return engines.get(name).name


def pick(requirement: str) -> Environment:
    """The newest installed environment that `NAME[CONSTRAINT]` admits.

    Raises:
        UsageError: the request cannot be read.
        PreconditionError: `missing-engine`: there is none.
    """
    request = recipes.parse(requirement)
    name = request.recipe.name
    own = [engine for engine in engines.every() if engine.name == name]
    others = [other for engine in own for other in environment_names(engine)]
    for candidate in dict.fromkeys((name, *others)):
        for environment in store.complete(candidate):
            if request.specifier.contains(environment.version, prereleases=True):
                return environment
    have = ", ".join(str(e.version) for e in store.complete(name))
    raise PreconditionError(
        Problem(
            "missing-engine",
            f"{request.text()} is not installed" + (f" (installed: {have})" if have else ""),
            remedy=f"ernie-deploy engine install {request.text()}",
        )
    )
