"""The neutral keys of a profile, and how an engine answers them.

`reference.yaml` lists the keys (`flag: some`). Each engine has one table of them, `KEYS` in its
`neutral.py`: the option behind a key, or that the engine serves it in another way. All else is
derived: the command line, what is checked against the release's options, and the refusal of a key
that the engine does not have.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

from launcher.engines import BUILT_IN
from launcher.engines.common import check_value, problem
from launcher.engines.options import OptionTable, canonical
from launcher.errors import Problem
from launcher.json_values import JsonValue
from launcher.profile.model import Profile


@dataclass(frozen=True)
class NeutralKeys:
    """An engine's table.

    `options` maps a key's path to the engine's option, in the order of the command line; `special`
    are keys that the engine serves in another way (a variable, another flag). `missing` says, for
    keys that it has not, what holds instead.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    special: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    def has(self, key: str) -> bool:
        """Whether the engine serves the key."""
        return key in self.options or key in self.special

    def key_of(self, option: str) -> str | None:
        """The key that stands for an option, None where there is none."""
        return next((key for key, name in self.options.items() if name == option), None)

    def requested(self, profile: Profile, option: str) -> JsonValue:
        """An option's value as the profile gives it, by its key or in `engine-args`; else None."""
        key = self.key_of(option)
        value = profile.setting(key) if key else None
        if value is not None:
            return value
        return next((v for k, v in profile.engine_args.items() if canonical(k) == option), None)


def engines_with(key: str) -> tuple[str, ...]:
    """Those of our engines that have a neutral key."""
    # An engine that takes no flags has no such module: a hosted endpoint.
    tables: dict[str, NeutralKeys] = {
        name: importlib.import_module(f"{module}.neutral").KEYS
        for name, module in BUILT_IN.items()
        if find_spec(f"{module}.neutral")
    }
    return tuple(name for name, keys in tables.items() if keys.has(key))


def check_keys(profile: Profile, title: str, keys: NeutralKeys) -> list[Problem]:
    """A problem for every neutral key of the profile that the engine does not have.

    An engine that serves by groups (`Engine.groups`) judges the instances of a group instead.
    """
    grouped = profile.service is not None and profile.service.group is not None
    groups = [
        problem(profile, "service.group", "key-not-supported",
                f"{title} does not serve by groups of prefill and decode instances",
                "remove `service.group`, or use `engine: fastdeploy` (2.4 and later)")
    ]  # fmt: skip
    return (groups if grouped else []) + [
        problem(profile, key, "key-not-supported", f"{title} has no `{key}`{_why(key, keys)}",
                f"remove `{key}`")
        for key in profile.settings
        if not keys.has(key)
    ]  # fmt: skip


def check_values(
    profile: Profile,
    keys: NeutralKeys,
    table: OptionTable,
    lacking: Callable[[str, str], Problem],
) -> list[Problem]:
    """The neutral keys against a release's options, and the same option given twice.

    `lacking` gets a key of the profile and the option behind it, which the release does not have,
    and makes the problem.
    """
    problems = []
    for key, name in keys.options.items():
        value, option = profile.setting(key), table.get(name)
        if value is None:
            continue
        if option is None:
            problems.append(lacking(key, name))
            continue
        problems += check_value(profile, key, option, value)
        twice = [k for k in profile.engine_args if canonical(k) == name]
        if twice:
            problems.append(
                problem(profile, f"engine-args.{twice[0]}", "duplicate-flag",
                        f"{option.flag} is given by `{key}` already", "keep one of them")
            )  # fmt: skip
    return problems


def _why(key: str, keys: NeutralKeys) -> str:
    reason = keys.missing.get(key)
    have = engines_with(key)
    if not have:
        return f": {reason}" if reason else ""
    who = f"{' and '.join(have)} {'has' if len(have) == 1 else 'have'} it"
    return f": {reason} ({who})" if reason else f": {who}"
