"""Judges a profile against a release: the one named, the one installed, or all it admits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher import engines
from launcher.engines.common import in_file_order
from launcher.errors import DeployError, PreconditionError, ProfileError, UsageError
from launcher.profile.model import Profile

if TYPE_CHECKING:
    from launcher.engines.base import Engine, Release

OF_ONE_KEY = frozenset({
    "flag-twice", "key-not-supported", "out-of-range", "owned-flag", "owned-variable",
    "port-not-supported", "unknown-flag", "unknown-parser", "unknown-variable",
    "unsafe-for-shell", "wrong-value",
})  # fmt: skip
"""Problems that a key has whatever the others say."""


def judge(profile: Profile, version: str | None = None) -> dict[str, Any]:
    """What was checked and what there is to say; JSON types only.

    Raises:
        ProfileError: with every problem.
        PreconditionError: `version` is not known, or the interpreter named cannot be used.
    """
    engine = engines.get(profile.engine)
    release, how = _release(engine, profile, version)
    problems = engine.validate(profile, release)
    if problems:
        raise ProfileError(problems)
    tell = getattr(engine, "notes", None)
    return {
        "profile": profile.path,
        "name": profile.name,
        "engine": engine.name,
        "release": release.version if release else None,
        "engine_version": profile.engine_version,
        "judged": how,
        "checked": {
            "keys": len(profile.resolved),
            "flags": len(profile.engine_args),
            "variables": len(profile.env),
        },
        "notes": [
            *(note.text() for note in profile.notes),
            *(tell(profile, release) if tell else ()),
        ],
    }


def completed(error: DeployError, version: str | None = None) -> DeployError:
    """`error` of reading a profile, with what the engine finds wrong in the keys that were right.

    So that the operator mends everything at once. A combination is not judged: the key that was
    wrong may be its other half.
    """
    profile: Profile | None = error.partial
    if profile is None:
        return error
    engine = engines.get(profile.engine)
    try:
        release, _ = _release(engine, profile, version)
    except DeployError:
        return error
    problem_paths = {problem.where for problem in error.problems}
    more = [
        problem
        for problem in engine.validate(profile, release)
        if problem.code in OF_ONE_KEY and problem.where not in problem_paths
    ]
    return ProfileError(in_file_order([*error.problems, *more])) if more else error


def compare_releases(profile: Profile, old: str, new: str) -> dict[str, Any]:
    """What changes for the profile between two releases of its engine.

    Raises:
        UsageError: the engine's releases cannot be compared, or one of them is not known.
    """
    diff = getattr(engines.get(profile.engine), "diff", None)
    if diff is None:
        raise UsageError.of(
            "not-fastdeploy",
            f"releases are compared for FastDeploy, this profile's engine is {profile.engine}",
            profile.where("engine"),
            "another profile, or --set engine=fastdeploy",
        )
    changes: dict[str, Any] = diff(profile, old, new)
    return changes


def _release(engine: Engine, profile: Profile, version: str | None) -> tuple[Release | None, str]:
    if version is not None:
        return engine.release(version), "the release named by --engine-version"
    if engine.name == "hosted":
        return None, "an endpoint that a third party runs"
    from launcher.environments import find

    try:
        installed = find(engine, profile)
    except PreconditionError as error:
        if any(problem.code != "missing-engine" for problem in error.problems):
            raise
        constraint_text = profile.engine_version
        admitted = f" that {constraint_text} admits" if constraint_text else ""
        return None, f"not installed: every known release{admitted}"
    from launcher.environments.question import ask

    ask(engine, installed)
    return installed.release, f"the release installed in {installed.python}"
