"""What is wrong with a profile for a router; `fastdeploy.groups` writes these, not a person."""

from __future__ import annotations

from launcher.engines.common import check_env, check_ports, in_file_order, problem
from launcher.errors import Problem
from launcher.json_values import integer_at, number_at, text_at, texts_at
from launcher.profile.model import Profile

TITLE = "FastDeploy's router"
OWNED_ENV = {
    "FD_LOG_DIR": "the log folder belongs to the instance",
    "TMPDIR": "it is the instance's private folder",
    "PYTHONUNBUFFERED": "the keeper needs lines when they are printed",
}
ARGUMENTS = (
    "kind", "program", "prefill", "decode", "peers", "request-timeout", "capabilities",
)  # fmt: skip


def is_go(profile: Profile) -> bool:
    """Whether the router is the Go program."""
    return text_at(profile.engine_args, "kind") == "go"


def program(profile: Profile) -> str:
    """The path of the Go program; empty for the Python router."""
    return text_at(profile.engine_args, "program")


def expected(profile: Profile) -> dict[str, int]:
    """How many instances of each role have to be registered."""
    counts = ((role, integer_at(profile.engine_args, role)) for role in ("prefill", "decode"))
    return {role: count for role, count in counts if count is not None}


def peers(profile: Profile) -> tuple[str, ...]:
    """The names of the instances behind the router."""
    return texts_at(profile.engine_args, "peers")


def request_timeout(profile: Profile) -> int:
    """Seconds for which the Python router waits for an answer."""
    return int(number_at(profile.engine_args, "request-timeout") or 1800)


def validate(profile: Profile) -> list[Problem]:
    """Everything wrong with the profile, at the profile's lines."""
    problems = check_ports(profile, TITLE, ("api",))
    problems += check_env(profile, OWNED_ENV)
    for key in profile.engine_args:
        if key not in ARGUMENTS:
            problems.append(
                problem(profile, f"engine-args.{key}", "unknown-flag",
                        f"{TITLE} takes no `{key}` here", f"one of: {', '.join(ARGUMENTS)}")
            )  # fmt: skip
    kind = text_at(profile.engine_args, "kind")
    if kind not in ("python", "go"):
        problems.append(
            problem(profile, "engine-args.kind", "wrong-value", f"`kind` is {kind!r}",
                    "python or go")
        )  # fmt: skip
    if is_go(profile) and not program(profile).startswith("/"):
        problems.append(
            problem(profile, "engine-args.program", "missing-key",
                    "the Go router needs the path of its program", "an absolute path")
        )  # fmt: skip
    for role in ("prefill", "decode"):
        if (integer_at(profile.engine_args, role) or 0) < 1:
            problems.append(
                problem(profile, f"engine-args.{role}", "wrong-value",
                        f"`{role}` is not a number of instances", "a whole number above 0")
            )  # fmt: skip
    return in_file_order(problems)
