"""What an upgrade changes for a profile: the catalogue of two releases, side by side."""

from __future__ import annotations

from typing import Any

from launcher.engines.fastdeploy import checks, vocabulary
from launcher.engines.fastdeploy.asked import Asked, batched_tokens, v1_scheduler
from launcher.engines.fastdeploy.catalogue import (
    LINES,
    environment,
    environment_default,
    history,
    table,
)
from launcher.engines.options import Option, canonical
from launcher.errors import UsageError
from launcher.profile.model import Profile


def diff(profile: Profile, old: str, new: str) -> dict[str, Any]:
    """What changes for `profile` from release `old` to `new` (`2.2`, or `2.2.1`).

    `gone` are flags and keys of the profile that `new` lacks, `added` those that only `new` has,
    `defaults` what moves although the profile does not say it, `renamed` names that are spelled
    differently, `notes` everything else. Every entry is a sentence.

    Raises:
        UsageError: a release is not known.
    """
    one, other = _line(old), _line(new)
    before = {p.message for p in checks.for_line(profile, one)}
    notes = [
        f"{p.where or 'profile'}: {p.message}"
        for p in checks.for_line(profile, other)
        if p.message.replace(other, one) not in before and p.code != "unknown-flag"
    ]
    return {
        "old": one,
        "new": other,
        "gone": _only(profile, one, other),
        "added": _only(profile, other, one),
        "defaults": [*_defaults(profile, one, other), *_variables(profile, one, other)],
        "renamed": _renamed(profile, one, other),
        "notes": [*notes, *_resolved(profile, one, other)],
    }


def _line(release: str) -> str:
    line = ".".join(release.split(".")[:2])
    if line not in LINES:
        raise UsageError.of(
            "unknown-release",
            f"FastDeploy {release!r} is not known",
            remedy=f"known: {', '.join(LINES)}",
        )
    return line


def _given(profile: Profile) -> dict[str, str]:
    """Every option the profile gives, to the key that gives it."""
    given = {canonical(key): f"engine-args.{key}" for key in profile.engine_args}
    asked = Asked(profile)
    for name in (
        "served-model-name", "revision", "max-model-len", "max-num-seqs", "tensor-parallel-size",
        "quantization", "reasoning-parser", "tool-call-parser",
    ):  # fmt: skip
        if asked.value(name) is not None:
            given[name] = asked.key(name)
    if profile.stop.drain:
        given["timeout-graceful-shutdown"] = "stop.drain"
    if profile.api_key is not None:
        given["api-key"] = "api-key"
    return given


def _only(profile: Profile, here: str, there: str) -> list[str]:
    """What the profile asks that release `here` has and `there` lacks."""
    said = []
    for name, key in _given(profile).items():
        option = table(here).get(name)
        if option is not None and name not in table(there):
            said.append(f"{key}: {option.flag} is not in {there} ({history(name, there)})")
    for name in profile.env:
        entry = environment().get(name)
        if entry and here in entry["in"] and there not in entry["in"]:
            said.append(f"env.{name}: {there} does not read it")
    return said


def _defaults(profile: Profile, old: str, new: str) -> list[str]:
    given = _given(profile)
    said = []
    for option in table(old):
        other = table(new).get(option.name)
        if other is None or option.name in given or option.name in checks.OWNED_FLAGS:
            continue
        if (option.default, option.effective_default) != (other.default, other.effective_default):
            said.append(f"{other.flag}: {_default(option)} in {old}, {_default(other)} in {new}")
    return said


def _default(option: Option) -> str:
    plain = "unset" if option.default is None else repr(option.default)
    if option.action in ("switch", "boolean"):
        plain = "on" if option.default else "off"
    return f"{plain} ({option.effective_default})" if option.effective_default else plain


def _variables(profile: Profile, old: str, new: str) -> list[str]:
    said = []
    for name, entry in environment().items():
        if name in profile.env or name in checks.OWNED_ENV:
            continue
        if old not in entry["in"] or new not in entry["in"]:
            continue
        one, other = environment_default(name, old), environment_default(name, new)
        if one != other:
            said.append(f"{name}: {one!r} in {old}, {other!r} in {new} ({entry['meaning']})")
    return said


def _renamed(profile: Profile, old: str, new: str) -> list[str]:
    said = []
    for name, key in _given(profile).items():
        one, other = table(old).get(name), table(new).get(name)
        if one and other and one.flag != other.flag:
            said.append(f"{key}: {one.flag} in {old}, {other.flag} in {new}")
    asked = Asked(profile)
    for option, kind in (("reasoning-parser", "reasoning"), ("tool-call-parser", "tool")):
        value = asked.value(option)
        if not isinstance(value, str):
            continue
        called = vocabulary.parser(value, kind, old), vocabulary.parser(value, kind, new)
        if all(called) and called[0] != called[1]:
            said.append(f"{asked.key(option)}: {called[0]} in {old}, {called[1]} in {new}")
    return said


def _resolved(profile: Profile, old: str, new: str) -> list[str]:
    """Effects of moved defaults that the profile will feel."""
    asked = Asked(profile)
    said = []
    if v1_scheduler(asked, old) != v1_scheduler(asked, new):
        state = "on" if v1_scheduler(asked, new) else "off"
        said.append(
            f"the V1 KV-cache scheduler is {state} in {new}; "
            "`env: {ENABLE_V1_KVCACHE_SCHEDULER: ...}` decides"
        )
    one, other = batched_tokens(asked, old), batched_tokens(asked, new)
    if one != other:
        said.append(f"max-num-batched-tokens becomes {other} (was {one} in {old})")
    if old < "2.3" <= new:
        said.append(f"{new} tells its effective settings: `up` compares them with the profile")
    return said
