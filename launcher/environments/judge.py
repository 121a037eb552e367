"""Judges a profile against a release: the one named, the one installed, or all it admits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher import engines
from launcher.codec import decode
from launcher.engines.common import in_every, in_file_order
from launcher.environments.payloads import Checked, ReleaseChanges, Validation
from launcher.errors import DeployError, PreconditionError, Problem, ProfileError, UsageError
from launcher.profile.model import Profile

if TYPE_CHECKING:
    from launcher.engines.base import Engine, Installed, Release

OF_ONE_KEY = frozenset({
    "bad-model-path", "model-not-supported", "unknown-capability", "wrong-parser",
    "duplicate-flag", "key-not-supported", "out-of-range", "reserved-flag", "reserved-variable",
    "port-not-supported", "unknown-flag", "unknown-parser", "unknown-release", "unknown-variable",
    "unsafe-for-shell", "wrong-value",
})  # fmt: skip
"""Problems that a key has whatever the others say, or with keys that are right."""
NO_ENGINE = {
    "port-not-supported": "none has a port of this name",
    "unknown-flag": "none has this flag",
    "unknown-parser": "none has this parser",
}
"""Code to what it means where it holds for every engine."""


def judge(profile: Profile, version: str | None = None) -> Validation:
    """What was checked and what there is to say.

    Raises:
        ProfileError: with every problem.
        PreconditionError: `version` is not known, or the interpreter named cannot be used.
    """
    engine = engines.get(profile.engine)
    try:
        release, how, installed = _release(engine, profile, version)
    except PreconditionError as error:
        # Without the release: what is wrong in every one that can be meant.
        problems = _without_release(engine, profile, version)
        raise _joined(error, problems) if problems else error from None
    problems = engine.validate(profile, release)
    if installed is not None:
        from launcher.environments.suitability import check_machine

        problems = in_file_order([*problems, *check_machine(profile, installed)])
    if problems:
        raise ProfileError(problems)
    return Validation(
        profile=profile.path,
        name=profile.name,
        engine=engine.name,
        release=release.version if release else None,
        engine_version=profile.engine_version,
        checked_against=how,
        checked=Checked(len(profile.resolved), len(profile.engine_args), len(profile.env)),
        notes=(
            *(note.text() for note in profile.notes),
            *engine.notes(profile, release),
        ),
    )


def completed(error: DeployError, version: str | None = None) -> DeployError:
    """`error` of reading a profile, with what the engine finds wrong in the keys that were right.

    So that the operator fixes everything at once. A combination is not judged: the key that was
    wrong may be its other half. Where the engine or its release is what is wrong, only that is said
    which holds for every engine, or every release.
    """
    profile: Profile | None = error.partial
    if profile is None:
        return error
    # A missing key is said at the beginning of the file, where another key can be.
    places = {problem.where for problem in error.problems if problem.code != "missing-key"}
    more = [p for p in _of_its_keys(profile, version) if p.where is None or p.where not in places]
    return _joined(error, more) if more else error


def _joined(error: DeployError, problems: list[Problem]) -> ProfileError:
    return ProfileError(in_file_order([*error.problems, *problems]))


def _without_release(engine: Engine, profile: Profile, version: str | None) -> list[Problem]:
    """What is wrong with a profile whose engine's release could not be found out."""
    if version is not None:
        return _in_every_release(engine, profile)
    return engine.validate(profile, None)


def _of_its_keys(profile: Profile, version: str | None) -> list[Problem]:
    """What is wrong with single keys of a profile of which others could not be read."""
    if not profile.engine:
        return _wrong_everywhere(profile)
    engine = engines.get(profile.engine)
    if "engine-version" in profile.origins and profile.engine_version is None:
        return [*_of_interpreter(engine, profile), *_in_every_release(engine, profile)]
    try:
        release, _, _ = _release(engine, profile, version)
    except DeployError as error:
        problems = [p for p in _without_release(engine, profile, version) if p.code in OF_ONE_KEY]
        return [*error.problems, *problems]
    return _of_one_key(engine, profile, release)


def _of_one_key(engine: Engine, profile: Profile, release: Release | None) -> list[Problem]:
    return [p for p in engine.validate(profile, release) if p.code in OF_ONE_KEY]


def _in_every_release(engine: Engine, profile: Profile) -> list[Problem]:
    """What is wrong with a key whatever the engine's release is."""
    profile = replace(profile, engine=engine.name, engine_version=None)
    if not engine.lines:
        return _of_one_key(engine, profile, None)
    return in_every(
        {line: _of_one_key(engine, profile, engine.release(line)) for line in engine.lines}
    )


def _of_interpreter(engine: Engine, profile: Profile) -> list[Problem]:
    """What is wrong with the interpreter that the profile names, whatever should be in it."""
    if profile.python is None:
        return []
    from launcher.environments import find

    try:
        find(engine, profile)
    except PreconditionError as error:
        return [problem for problem in error.problems if problem.code == "wrong-interpreter"]
    return []


def _wrong_everywhere(profile: Profile) -> list[Problem]:
    """What no engine of ours takes, where the profile does not say which one is meant."""
    able = [engine for engine in map(engines.get, engines.BUILT_IN) if engine.local]
    by_engine = [
        {p.where: p for p in (*_of_interpreter(one, profile), *_in_every_release(one, profile))}
        for one in able
    ]
    keys = {profile.where(key): key for key in profile.origins}
    result = []
    for where in by_engine[0]:
        problems = [one[where] for one in by_engine if where in one]
        if len(problems) < len(by_engine):
            continue
        codes, remedies = {p.code for p in problems}, {p.remedy for p in problems}
        reason = NO_ENGINE.get(problems[0].code) if len(codes) == 1 else None
        reason = reason or "; ".join(dict.fromkeys(p.message for p in problems))
        remedy = problems[0].remedy if len(remedies) == 1 else None
        message = f"{keys.get(where, '')}: wrong for every engine: {reason}".removeprefix(": ")
        result.append(Problem(problems[0].code, message, where, remedy))
    return result


def compare_releases(profile: Profile, old: str, new: str) -> ReleaseChanges:
    """What changes for the profile between two releases of its engine.

    Raises:
        UsageError: the engine's releases cannot be compared, or one of them is not known.
    """
    changes = engines.get(profile.engine).diff(profile, old, new)
    if changes is None:
        raise UsageError.of(
            "not-fastdeploy",
            f"releases are compared for FastDeploy, this profile's engine is {profile.engine}",
            profile.where("engine"),
            "another profile, or --set engine=fastdeploy",
        )
    return decode(ReleaseChanges, changes, "diff", tolerant=True)


def _release(
    engine: Engine, profile: Profile, version: str | None
) -> tuple[Release | None, str, Installed | None]:
    """The release to judge for, how it was chosen, and where it is installed here."""
    if version is not None:
        return engine.release(version), "the release named by --engine-version", None
    if not engine.local:
        return None, "an endpoint that a third party runs", None
    from launcher.environments import find

    try:
        installed = find(engine, profile)
    except PreconditionError as error:
        if any(problem.code != "missing-engine" for problem in error.problems):
            raise
        constraint_text = profile.engine_version
        admitted = f" that {constraint_text} admits" if constraint_text else ""
        return None, f"not installed: every known release{admitted}", None
    from launcher.environments.question import ask

    ask(engine, installed)
    return installed.release, f"the release installed in {installed.python}", installed
