"""What engines share: checks of a profile against what a server has.

Nothing of a plan is imported here: `validate` is asked again and again, and needs none.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from launcher.engines.options import Option, OptionTable, canonical, wrong_value
from launcher.errors import Problem
from launcher.json_values import JsonValue
from launcher.profile.model import KEEPER_PORT, Profile
from launcher.redact import NO_SECRETS, is_secret_name

HAVE_PORT: Mapping[str, tuple[str, ...]] = {
    "api": ("fastdeploy", "vllm", "transformers"),
    "metrics": ("fastdeploy",),
    "engine-worker-queue": ("fastdeploy",),
    "cache-queue": ("fastdeploy",),
    "controller": ("fastdeploy",),
    "pd-comm": ("fastdeploy",),
    "rdma-comm": ("fastdeploy",),
}
"""Which engines have a port of that name, for the message where another one is asked for it."""

REFERENCE = re.compile(r"^(env:[A-Za-z_]\w*|file:(?!//).+|cmd:.+)$", re.DOTALL)
"""A value of `env` that refers to a secret."""
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def problem(
    profile: Profile, key: str, code: str, message: str, remedy: str | None = None
) -> Problem:
    """A problem at the place of `key` in the profile."""
    return Problem(code, message, profile.where(key), remedy)


def check_ports(profile: Profile, title: str, allowed: Iterable[str]) -> list[Problem]:
    """Ports the engine does not have, and numbers given twice."""
    problems = []
    names = tuple(allowed)
    taken: dict[int, str] = {}
    for name, number in profile.ports.items():
        path = f"ports.{name}"
        if name != KEEPER_PORT and name not in names:
            have = HAVE_PORT.get(name)
            who = f"engines that have it: {', '.join(have)}" if have else "no engine has it"
            problems.append(
                problem(profile, path, "port-not-supported",
                        f"{title} has no port `{name}` ({who}); its ports: {', '.join(names)}")
            )  # fmt: skip
        elif isinstance(number, int):
            if number in taken:
                problems.append(
                    problem(profile, path, "duplicate-port",
                            f"ports.{taken[number]} and ports.{name} are both {number}",
                            "give one of them another number, or `auto`")
                )  # fmt: skip
            taken[number] = name
    if profile.ports.get(KEEPER_PORT) == "unix" and "admin-host" in profile.resolved:
        problems.append(
            problem(profile, "admin-host", "impossible-combination",
                    "`admin-host` is an address, but `ports.admin` is a Unix socket",
                    "remove `admin-host`, or give `ports.admin` a number or `auto`")
        )  # fmt: skip
    return problems


def check_hub_keys(profile: Profile) -> list[Problem]:
    """Keys that steer a download, where the model is a local folder and nothing is downloaded."""
    if not profile.model_is_path:
        return []
    return [
        problem(profile, key, "impossible-combination",
                f"`{key}` steers a download, but the model is the local folder {profile.model}",
                f"remove `{key}`, or name a hub id as `model`")
        for key in ("revision", "cache-dir")
        if profile.setting(key) is not None
    ]  # fmt: skip


def check_env(profile: Profile, owned: Mapping[str, str]) -> list[Problem]:
    """Variables that are ours to set, that cannot be names, or that hold a secret in clear."""
    problems = []
    for name, value in profile.env.items():
        path = f"env.{name}"
        if not _VARIABLE.match(name):
            problems.append(
                problem(profile, path, "bad-variable", f"{name!r} is not a variable name")
            )
        elif "\0" in value:
            problems.append(problem(profile, path, "bad-variable", f"{name} holds a NUL character"))
        elif name in owned:
            problems.append(
                problem(
                    profile,
                    path,
                    "reserved-variable",
                    f"{name} is set by ernie-deploy",
                    owned[name],
                )
            )
        elif is_secret_name(name) and value not in NO_SECRETS and not REFERENCE.match(value):
            problems.append(
                problem(profile, path, "secret-in-clear",
                        f"{name} looks like a secret and stands in the profile in clear",
                        f"write a reference: `{name}: env:{name}`, `file:PATH` or `cmd:COMMAND`")
            )  # fmt: skip
    return problems


def check_options(
    profile: Profile,
    table: OptionTable,
    owned: Mapping[str, str],
    *,
    elsewhere: Callable[[str], str | None] | None = None,
) -> list[Problem]:
    """`engine-args` against a release's options.

    `owned` maps an option's name to what to write instead; `elsewhere` gives,
    for an unknown option's name, the sentence that says in which release it works.
    """
    problems: list[Problem] = []
    keys_by_option: dict[str, str] = {}
    for key, value in profile.engine_args.items():
        path = f"engine-args.{key}"
        name = canonical(key)
        if name in keys_by_option:
            problems.append(
                problem(
                    profile,
                    path,
                    "duplicate-flag",
                    f"`{keys_by_option[name]}` and `{key}` are the same flag",
                    "keep one of them",
                )
            )
            continue
        keys_by_option[name] = key
        if name in owned:
            problems.append(problem(profile, path, "reserved-flag",
                                 f"--{name} is decided by ernie-deploy", owned[name]))  # fmt: skip
            continue
        option = table.get(key)
        if option is None or option.action == "help":
            problems.append(_unknown(profile, table, key, elsewhere(name) if elsewhere else None))
            continue
        problems += check_value(profile, path, option, value)
    return problems


def check_value(profile: Profile, path: str, option: Option, value: JsonValue) -> list[Problem]:
    """The problem with a value that an option does not take; none where it does."""
    reason = wrong_value(option, value)
    if not reason:
        return []
    return [
        problem(profile, path, "wrong-value", f"{option.flag}: {reason}",
                f"it takes {option.expects}")
    ]  # fmt: skip


def _unknown(profile: Profile, table: OptionTable, key: str, where: str | None) -> Problem:
    message = f"{table.engine} {table.version} has no flag --{canonical(key)}"
    near = table.nearest(key)
    if where:
        message += f": {where}"
    remedy = f"did you mean `{near}`?" if near else None
    return problem(profile, f"engine-args.{key}", "unknown-flag", message, remedy)


def admitted(engine_version: str | None, versions: Sequence[str]) -> tuple[str, ...]:
    """Those of `versions` that a profile's `engine-version` admits.

    A line (`2.3`) is admitted by every constraint that one of its releases can satisfy; which
    patch releases exist is not known, so 0 to 9 are tried.

    Raises:
        InvalidSpecifier: the constraint cannot be read.
    """
    required = specifier(engine_version)
    return tuple(
        version
        for version in versions
        if any(required.contains(one, prereleases=True) for one in _patches(version))
    )


def specifier(text: str | None) -> SpecifierSet:
    """A constraint as profiles write it: `2.3` admits its patch releases, `2.3.2` only itself.

    Raises:
        InvalidSpecifier: it cannot be read.
    """
    if not text or not text.strip():
        return SpecifierSet()
    stripped = text.strip()
    if stripped[0].isdigit():
        try:
            parts = len(Version(stripped).release)
        except InvalidVersion as error:
            raise InvalidSpecifier(str(error)) from error
        return SpecifierSet(f"=={stripped}" if parts > 2 else f"=={stripped}.*")
    return SpecifierSet(stripped)


def _patches(version: str) -> list[str]:
    if len(Version(version).release) > 2:
        return [version]
    return [f"{version}.{patch}" for patch in range(10)]


def merged(by_release: Mapping[str, Sequence[Problem]]) -> list[Problem]:
    """The problems of several releases, each said once with the releases it holds for."""
    holds: dict[tuple[str, str | None, str], list[str]] = {}
    unique: dict[tuple[str, str | None, str], Problem] = {}
    for version, problems in by_release.items():
        for one in problems:
            key = (one.code, one.where, one.message.replace(version, _GAP))
            holds.setdefault(key, []).append(version)
            unique[key] = one
    result = []
    for key, versions in holds.items():
        message = key[2]
        if _GAP not in message and len(versions) < len(by_release):
            message += f" [in {_span(versions, list(by_release))}]"
        message = message.replace(_GAP, _span(versions, list(by_release)))
        result.append(dataclasses.replace(unique[key], message=message))
    return in_file_order(result)


def in_every(by_release: Mapping[str, Sequence[Problem]]) -> list[Problem]:
    """The problems of places that are wrong in every release, each said once."""
    places = [{problem.where for problem in problems} for problems in by_release.values()]
    return [p for p in merged(by_release) if all(p.where in one for one in places)]


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems as a reader goes through the file; those without a place come first."""
    return sorted(problems, key=lambda one: _sort_key(one.where))


_GAP = "\0"


def _span(versions: Sequence[str], every: Sequence[str]) -> str:
    first, last = every.index(versions[0]), every.index(versions[-1])
    if len(versions) > 2 and last - first == len(versions) - 1:
        return f"{versions[0]} to {versions[-1]}"
    return ", ".join(versions)


def _sort_key(where: str | None) -> tuple[str, int, int]:
    match = re.match(r"(?P<file>.*):(?P<line>\d+):(?P<column>\d+)$", where or "")
    if match is None:
        return ("", 0, 0)
    return (match["file"], int(match["line"]), int(match["column"]))
