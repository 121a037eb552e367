"""The rules of a profile's `smoke:` section: all problems at once, with their location.

Also used by `validate`, `plan` and `up`: a section that is wrong must not be found after the model
was loaded. So nothing here, nor in the checks' modules, imports an HTTP client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from launcher.engines.base import CAPABILITIES
from launcher.engines.common import in_file_order
from launcher.errors import DeployError, Problem, ProfileError
from launcher.json_values import JsonObject, JsonValue, is_list, list_at, number_at
from launcher.nearest import did_you_mean
from launcher.profile.model import Profile
from launcher.smoke.judgement.schema import unknown_words
from launcher.smoke.section.limits import LIMITS, rate, seconds
from launcher.smoke.tags import TAGS

if TYPE_CHECKING:
    from launcher.smoke.check import Check

KEYS = frozenset(
    [
        "checks",
        "tags",
        "expect",
        "thresholds",
        "custom",
        "repeat",
        "timeout",
        "request-timeout",
        "budget",
        "liveness-timeout",
        "promises",
        "not-promised",
        "max-tokens",
        "needle-tokens",
    ]
)
EXPECTATIONS = frozenset(
    [
        "matches",
        "status",
        "reasoning",
        "finish-reason",
        "tool",
        "json-schema",
        "latency",
        "first-token",
        "tokens-per-second",
        "longest-gap",
        "tail",
    ]
)
CUSTOM_KEYS = frozenset(["name", "purpose", "tags", "needs", "request", "stream", "expect"])

Wrong = Callable[[str, str], None]
"""Notes what is wrong at a key's path."""


def validate(profile: Profile) -> None:
    """Judge a profile's section as far as the profile's schema cannot.

    Raises:
        ProfileError: every problem at once, in file order.
    """
    error = problems_of(profile)
    if error:
        raise ProfileError(error)


def problems_of(profile: Profile) -> list[Problem]:
    """What is wrong in a profile's section, in file order.

    Raises:
        PreconditionError: a third party's checks cannot be loaded.
    """
    if not profile.smoke:
        return []
    from launcher.smoke.check import all_checks  # the checks import the clients: only if needed

    return problems(profile.smoke, all_checks(), profile.where)


def problems(
    section: JsonObject, checks: Sequence[Check], where: Callable[[str], str | None]
) -> list[Problem]:
    """What is wrong in a section; `where` tells the place of a key's path."""
    all_problems: list[Problem] = []

    def wrong(path: str, message: str) -> None:
        location = where(path)
        all_problems.append(
            Problem(
                "bad-smoke-section",
                f"{path}: {message}",
                f"--set {path}" if location == "--set" else location,
            )
        )

    for key in sorted(set(section) - KEYS):
        wrong(f"smoke.{key}", f"unknown key{did_you_mean(key, KEYS)}")
    for key in ("promises", "not-promised"):
        _check_names(section.get(key), f"smoke.{key}", "capability", CAPABILITIES, wrong)
    own = _custom(section.get("custom"), {c.name for c in checks}, wrong)
    names = {c.name for c in checks} | {str(c["name"]) for c in own if "name" in c}
    tags = {*TAGS, *(t for c in checks for t in c.tags)}
    if own:
        tags |= {"custom", *(str(t) for c in own for t in list_at(c, "tags"))}
    _check_names(section.get("checks"), "smoke.checks", "check", names, wrong)
    _check_names(section.get("tags"), "smoke.tags", "tag", tags, wrong)
    for key in ("expect", "thresholds"):
        _by_check(section.get(key), f"smoke.{key}", names, wrong)
    lengths = section.get("needle-tokens")
    if lengths is not None and not (
        is_list(lengths) and all(type(n) is int and n > 0 for n in lengths)
    ):
        wrong("smoke.needle-tokens", f"a list of numbers of tokens is needed, not {lengths!r}")
    return in_file_order(all_problems)


def _check_names(
    value: JsonValue, path: str, what: str, allowed: Iterable[str], wrong: Wrong
) -> None:
    if value is None:
        return
    if not is_list(value):
        wrong(path, f"a list is needed, not {value!r}")
        return
    for position, word in enumerate(value):
        if not isinstance(word, str) or word not in allowed:
            wrong(f"{path}.{position}", f"unknown {what} {word!r}{did_you_mean(word, allowed)}")


def _by_check(value: JsonValue, path: str, names: Iterable[str], wrong: Wrong) -> None:
    """Expectations or thresholds, which stand under the name of the check that they are of."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        wrong(path, "a mapping of checks is needed")
        return
    for name, item in value.items():
        here = f"{path}.{name}"
        if path.endswith(".thresholds") and name == "pass-rate":
            share = number_at(item)
            if share is None or not 0 < share <= 1:
                wrong(here, "a number above 0, at most 1, is needed")
            continue
        if name not in names:
            wrong(here, f"unknown check {name!r}{did_you_mean(name, names)}")
        _expectations(item, here, _judged_for(name), wrong)


def _custom(value: JsonValue, taken: Iterable[str], wrong: Wrong) -> list[JsonObject]:
    """Judge the checks of the profile's own, and return those that are mappings."""
    if value is not None and not is_list(value):
        wrong("smoke.custom", "a list of checks is needed")
    own = []
    names = set(taken)
    for position, item in enumerate(list_at(value)):
        here = f"smoke.custom.{position}"
        if not isinstance(item, Mapping):
            wrong(here, "a check is a mapping with name, request and expect")
            continue
        own.append(item)
        _one_custom(item, here, wrong)
        name = item.get("name")
        if isinstance(name, str):
            if name in names:
                wrong(f"{here}.name", f"there is a check {name!r} already")
            names.add(name)
    return own


def _one_custom(item: JsonObject, here: str, wrong: Wrong) -> None:
    for key in sorted(set(item) - CUSTOM_KEYS):
        wrong(f"{here}.{key}", f"unknown key{did_you_mean(key, CUSTOM_KEYS)}")
    if not isinstance(item.get("name"), str) or not item["name"]:
        wrong(f"{here}.name", "a check needs a name")
    request = item.get("request")
    if not isinstance(request, Mapping) or not is_list(request.get("messages")):
        wrong(f"{here}.request", "a check needs request.messages, a list")
    if not isinstance(item.get("stream", False), bool):
        wrong(f"{here}.stream", f"true or false is needed, not {item['stream']!r}")
    if not is_list(item.get("tags", [])):
        wrong(f"{here}.tags", f"a list is needed, not {item['tags']!r}")
    _check_names(item.get("needs"), f"{here}.needs", "capability", CAPABILITIES, wrong)
    if not item.get("expect"):
        wrong(f"{here}.expect", "a check that expects nothing cannot fail: it needs `expect`")
    else:
        _expectations(item["expect"], f"{here}.expect", EXPECTATIONS, wrong)


def _judged_for(name: str) -> frozenset[str]:
    """What a section can expect of a check that has a request of its own."""
    return frozenset(["matches", *LIMITS, *(["prompt"] if name == "chat" else [])])


def _expectations(item: JsonValue, here: str, allowed: frozenset[str], wrong: Wrong) -> None:
    if not isinstance(item, Mapping):
        wrong(here, "expectations are a mapping")
        return
    for key in sorted(set(item) - allowed):
        if key in EXPECTATIONS:
            wrong(f"{here}.{key}", "this is judged in checks of `smoke.custom` only")
        else:
            wrong(f"{here}.{key}", f"unknown key{did_you_mean(key, allowed)}")
    for message in unknown_words(item["json-schema"]) if "json-schema" in item else []:
        wrong(f"{here}.json-schema", message)
    for key in ("matches", "reasoning"):
        try:
            re.compile(str(item.get(key, "")))
        except re.error as error:
            wrong(f"{here}.{key}", f"this is not a regular expression: {error}")
    if type(item.get("status", 200)) is not int:
        wrong(f"{here}.status", f"an HTTP status is needed, not {item['status']!r}")
    for key, (_, above) in LIMITS.items():
        try:
            if key in item:
                _ = seconds(item[key]) if above else rate(item[key])
        except ValueError as error:
            wrong(f"{here}.{key}", str(error))


def with_section(wrong: DeployError | None, profile: Profile) -> DeployError | None:
    """`wrong` with what is wrong in the `smoke:` section: it must not be found after the load."""
    more = problems_of(profile)
    if not more:
        return wrong
    both = ProfileError(in_file_order([*(wrong.problems if wrong else ()), *more]))
    both.partial = profile
    return both
