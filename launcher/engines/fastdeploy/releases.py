"""What an upgrade changes for a profile: the catalogue of two releases, side by side."""

from __future__ import annotations

from typing import Any

from launcher.engines.fastdeploy import checks, upgrades, vocabulary
from launcher.engines.fastdeploy.catalogue import environment, environment_default, history, table
from launcher.engines.fastdeploy.neutral import KEYS
from launcher.engines.fastdeploy.release_data import LINES, at_least
from launcher.engines.fastdeploy.requested import Requested, batched_tokens, v1_scheduler
from launcher.engines.options import Option, canonical
from launcher.errors import UsageError
from launcher.profile.model import Profile


def diff(profile: Profile, old: str, new: str) -> dict[str, Any]:
    """What changes for `profile` from release `old` to `new` (`2.2`, or `2.2.1`).

    `gone` are flags and keys of the profile that `new` lacks, `added` those that only `new` has,
    `defaults` what moves although the profile does not say it, `renamed` names that are spelled
    differently, `behaviour` what the server itself does in another way, `notes` everything
    else. Every entry is a sentence.

    Raises:
        UsageError: a release is not known.
    """
    one, new_line = _line(old), _line(new)
    before = {p.message for p in checks.for_line(profile, one)}
    notes = [
        f"{p.where or 'profile'}: {p.message}"
        for p in checks.for_line(profile, new_line)
        if p.message.replace(new_line, one) not in before and p.code != "unknown-flag"
    ]
    return {
        "old": one,
        "new": new_line,
        "gone": _only(profile, one, new_line),
        "added": _only(profile, new_line, one),
        "defaults": [*_defaults(profile, one, new_line), *_variables(profile, one, new_line)],
        "renamed": _renamed(profile, one, new_line),
        "behaviour": upgrades.between(Requested(profile), one, new_line),
        "notes": [*notes, *_resolved(profile, one, new_line)],
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


def _explicit_options(profile: Profile) -> dict[str, str]:
    """Every option the profile gives, to the key that gives it."""
    explicit = {canonical(key): f"engine-args.{key}" for key in profile.engine_args}
    for key, name in KEYS.options.items():
        if profile.setting(key) is not None:
            explicit.setdefault(name, key)
    if profile.stop.drain:
        explicit["timeout-graceful-shutdown"] = "stop.drain"
    if profile.api_key is not None:
        explicit["api-key"] = "api-key"
    return explicit


def _only(profile: Profile, here: str, there: str) -> list[str]:
    """What the profile asks that release `here` has and `there` lacks."""
    changes = []
    for name, key in _explicit_options(profile).items():
        option = table(here).get(name)
        if option is not None and name not in table(there):
            changes.append(f"{key}: {option.flag} is not in {there} ({history(name, there)})")
    for name in profile.env:
        entry = environment().get(name)
        if entry and here in entry.lines and there not in entry.lines:
            changes.append(f"env.{name}: {there} does not read it")
    return changes


def _defaults(profile: Profile, old: str, new: str) -> list[str]:
    explicit = _explicit_options(profile)
    changes = []
    for option in table(old):
        new_option = table(new).get(option.name)
        if new_option is None or option.name in explicit or option.name in checks.OWNED_FLAGS:
            continue
        if (option.default, option.effective_default) != (
            new_option.default,
            new_option.effective_default,
        ):
            changes.append(
                f"{new_option.flag}: {_default(option)} in {old}, {_default(new_option)} in {new}"
            )
    return changes


def _default(option: Option) -> str:
    plain = "unset" if option.default is None else repr(option.default)
    if option.action in ("switch", "boolean"):
        plain = "on" if option.default else "off"
    return f"{plain} ({option.effective_default})" if option.effective_default else plain


def _variables(profile: Profile, old: str, new: str) -> list[str]:
    changes = []
    for name, entry in environment().items():
        if name in profile.env or name in checks.OWNED_ENV:
            continue
        if old not in entry.lines or new not in entry.lines:
            continue
        one, new_default = environment_default(name, old), environment_default(name, new)
        if one != new_default:
            changes.append(f"{name}: {one!r} in {old}, {new_default!r} in {new} ({entry.meaning})")
    return changes


def _renamed(profile: Profile, old: str, new: str) -> list[str]:
    changes = []
    for name, key in _explicit_options(profile).items():
        one, new_option = table(old).get(name), table(new).get(name)
        if one and new_option and one.flag != new_option.flag:
            changes.append(f"{key}: {one.flag} in {old}, {new_option.flag} in {new}")
    requested = Requested(profile)
    for option, kind in (("reasoning-parser", "reasoning"), ("tool-call-parser", "tool")):
        value = requested.value(option)
        if not isinstance(value, str):
            continue
        called = vocabulary.parser(value, kind, old), vocabulary.parser(value, kind, new)
        if all(called) and called[0] != called[1]:
            changes.append(f"{requested.key(option)}: {called[0]} in {old}, {called[1]} in {new}")
    return changes


def _resolved(profile: Profile, old: str, new: str) -> list[str]:
    """Effects of moved defaults that the profile will feel."""
    requested = Requested(profile)
    changes = []
    if v1_scheduler(requested, old) != v1_scheduler(requested, new):
        state = "on" if v1_scheduler(requested, new) else "off"
        changes.append(
            f"the V1 KV-cache scheduler is {state} in {new}; "
            "`env: {ENABLE_V1_KVCACHE_SCHEDULER: ...}` decides"
        )
    one, new_tokens = batched_tokens(requested, old), batched_tokens(requested, new)
    if one != new_tokens:
        changes.append(f"max-num-batched-tokens becomes {new_tokens} (was {one} in {old})")
    if not at_least(old, "2.3") and at_least(new, "2.3"):
        changes.append(f"{new} tells its effective settings: `up` compares them with the profile")
    return changes
