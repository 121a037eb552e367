"""What is wrong with a profile for HAProxy; `launcher.door` writes these, not a person."""

from __future__ import annotations

from launcher.engines.common import check_env, check_ports, in_file_order, problem
from launcher.engines.neutral import NeutralKeys, check_keys
from launcher.errors import Problem
from launcher.profile.model import Profile

TITLE = "HAProxy"

OWNED_ENV = {
    "TMPDIR": "it is the instance's private folder",
    "DOOR_BIND": "write it as `host` and `ports: {api: NUMBER}`",
    "DOOR_STATS_BIND": "write it as `ports: {stats: NUMBER}`",
    "DOOR_INNER_BIND": "its port is chosen automatically",
}
ARGUMENTS = {
    "config": "the absolute path of a configuration file",
    "max-connections": "a whole number above 0: the open connections that the configuration allows",
    "tls": "true or false: whether clients use https",
    "keys": "true or false: whether clients need a key",
    "usage": "the absolute path of a folder, for the requests of each key",
}


def config_path(profile: Profile) -> str:
    """The path of the configuration; empty where the profile names none."""
    value = profile.engine_args.get("config")
    return value if isinstance(value, str) else ""


def max_connections(profile: Profile) -> int | None:
    """Open connections that the configuration allows, None where the profile does not say."""
    value = profile.engine_args.get("max-connections")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def uses_tls(profile: Profile) -> bool:
    """Whether clients use https."""
    return profile.engine_args.get("tls") is True


def asks_keys(profile: Profile) -> bool:
    """Whether clients need a key."""
    return profile.engine_args.get("keys") is True


def usage_folder(profile: Profile) -> str | None:
    """Where the keeper adds up the requests of each key; None where the profile does not say."""
    value = profile.engine_args.get("usage")
    return value if isinstance(value, str) else None


def validate(profile: Profile) -> list[Problem]:
    """Everything wrong with the profile, at the profile's lines."""
    problems = check_keys(profile, TITLE, NeutralKeys({}))
    problems += check_ports(profile, TITLE, ("api", "stats", "inner"))
    problems += check_env(profile, OWNED_ENV)
    for key, value in profile.engine_args.items():
        path = f"engine-args.{key}"
        if key not in ARGUMENTS:
            problems.append(
                problem(profile, path, "unknown-flag", f"{TITLE} takes no `{key}` here",
                        f"one of: {', '.join(ARGUMENTS)}")
            )  # fmt: skip
        elif not _fits(key, value):
            problems.append(
                problem(profile, path, "wrong-value", f"`{key}` is {value!r}",
                        f"it takes {ARGUMENTS[key]}")
            )  # fmt: skip
    if "config" not in profile.engine_args:
        problems.append(
            problem(profile, "engine-args", "missing-key", "HAProxy needs a configuration",
                    f"`engine-args: {{config: PATH}}`, {ARGUMENTS['config']}")
        )  # fmt: skip
    return in_file_order(problems)


def _fits(key: str, value: object) -> bool:
    if key in ("config", "usage"):
        return isinstance(value, str) and value.startswith("/")
    if key in ("tls", "keys"):
        return isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
