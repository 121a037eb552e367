"""What is wrong with a profile for the gateway; `launcher.door` writes these, not a person."""

from __future__ import annotations

from launcher.engines.common import check_env, check_ports, in_file_order, problem
from launcher.engines.neutral import NeutralKeys, check_keys
from launcher.errors import Problem
from launcher.profile.model import Profile

TITLE = "the gateway"
KEY_ENV = "LITELLM_MASTER_KEY"
"""The key that clients send and that the replicas want: a secret reference in `env`."""
UNGUARDED_ENV = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"
"""LiteLLM's own name for: start without a key, or with a short one."""
OWNED_ENV = {"TMPDIR": "it is the instance's private folder"}
LOOPBACK = "127.0.0.1"


def config_path(profile: Profile) -> str:
    """The path of the configuration; empty where the profile names none."""
    value = profile.engine_args.get("config")
    return value if isinstance(value, str) else ""


def validate(profile: Profile) -> list[Problem]:
    """Everything wrong with the profile, at the profile's lines."""
    problems = check_keys(profile, TITLE, NeutralKeys({}))
    problems += check_ports(profile, TITLE, ("api",))
    problems += check_env(profile, OWNED_ENV)
    if profile.host != LOOPBACK:
        problems.append(
            problem(profile, "host", "wrong-value", f"`host` is {profile.host!r}",
                    f"only the front door reaches the gateway: write {LOOPBACK}")
        )  # fmt: skip
    for key in profile.engine_args:
        if key != "config":
            problems.append(
                problem(profile, f"engine-args.{key}", "unknown-flag",
                        f"{TITLE} takes no `{key}` here", "one of: config")
            )  # fmt: skip
    if not config_path(profile).startswith("/"):
        problems.append(
            problem(profile, "engine-args", "missing-key", "the gateway needs a configuration",
                    "`engine-args: {config: PATH}`, the absolute path of a file")
        )  # fmt: skip
    return in_file_order(problems)
