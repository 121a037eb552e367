"""What there is: installed environments, unfinished ones, and what can be installed."""

from __future__ import annotations

from launcher import engines, paths
from launcher.environments import recipes, store
from launcher.environments.find import environment_names
from launcher.environments.payloads import (
    AvailableEngine,
    EngineEnvironment,
    EngineList,
    PlannedInstall,
)
from launcher.environments.steps import InstallPlan
from launcher.environments.store import Environment
from launcher.errors import PreconditionError, Problem
from launcher.json_values import JsonObject, at, integer_at, number_at, object_at, text_at


def listing() -> EngineList:
    """Everything `engine list` shows."""
    available = [
        AvailableEngine(
            name=name,
            distribution=recipe.distribution,
            default=recipe.default,
            supported=str(recipe.supported),
            about=text_at(recipe.data, "about"),
        )
        for name, recipe in ((name, recipes.get(name)) for name in recipes.NAMES)
    ]
    return EngineList(
        folder=str(paths.engines()),
        installed=tuple(described(environment) for environment in store.complete()),
        unfinished=tuple(str(folder) for folder in store.unfinished()),
        available=tuple(available),
    )


def described(environment: Environment) -> EngineEnvironment:
    """One environment: where it is, and what its marker says."""
    facts = environment.facts
    verified = at(facts, "verified")
    return EngineEnvironment(
        name=environment.name,
        version=str(environment.version),
        folder=str(environment.folder),
        python=environment.python,
        base_python=text_at(facts, "base_python") or None,
        python_version=text_at(facts, "python_version") or None,
        distributions=_texts(facts, "distributions"),
        removed=_texts(facts, "removed"),
        verified=verified if isinstance(verified, bool) else None,
        installed_at=text_at(facts, "installed_at") or None,
        seconds=number_at(facts, "seconds"),
        size_bytes=integer_at(facts, "size_bytes"),
        log=text_at(facts, "log") or None,
        arch=text_at(facts, "arch") or None,
    )


def _texts(facts: JsonObject, key: str) -> dict[str, str] | None:
    """The texts below `key` of a marker; None where it has no such key."""
    if key not in facts:
        return None
    return {name: str(value) for name, value in object_at(facts, key).items()}


def planned(plan: InstallPlan) -> PlannedInstall:
    """What an install would do."""
    return PlannedInstall(
        name=plan.recipe.name,
        version=plan.version,
        folder=str(plan.folder),
        base_python=plan.base.python,
        python_version=plan.base.version,
        disk_bytes=plan.disk,
        commands=tuple(step.shell() for step in (*plan.steps, *plan.verify)),
        notes=tuple(plan.notes),
        arch=plan.facts.get("arch"),
    )


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
