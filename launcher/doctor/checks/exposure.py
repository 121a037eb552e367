"""What of this server others can reach and read, and how to close it."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

from launcher import paths
from launcher.doctor.model import Check, Outcome, Subject, fail, ok, warn
from launcher.engines.exposure import describe, firewall, is_public
from launcher.redact import holds_secret


def api(subject: Subject) -> Outcome | None:
    """An API on a public address without a key."""
    profile = subject.profile
    if profile is None:
        return None
    if not is_public(profile.host):
        return ok(f"the API listens on {profile.host} only")
    if not subject.needs.asks_key:
        return warn(
            f"the API listens on {profile.host} and asks for no key",
            "set `api-key: env:NAME` in the profile, or `host: 127.0.0.1` behind a proxy",
        )
    return ok(f"the API listens on {profile.host} and asks for a key under /v1")


def admin(subject: Subject) -> Outcome | None:
    """The keeper's endpoint on a public address: it asks for no key, by design."""
    use = subject.plan.admin if subject.plan is not None else None
    if use is None:
        return None
    if use.socket is not None:
        return ok(f"the keeper's endpoint is the Unix socket {use.socket}, for this user only")
    if not is_public(use.address):
        return ok(f"the keeper's endpoint listens on {use.address} only")
    return warn(
        f"the keeper's endpoint {describe(subject, use)} answers anyone: state, versions, model,"
        " ports",
        firewall(subject, [use]),
    )


def argv(subject: Subject) -> Outcome | None:
    """A command line is readable by every user of the machine."""
    plan = subject.plan
    if plan is None:
        return None
    if any(word.startswith("--api-key") or holds_secret(word) for word in plan.argv):
        return fail(
            "a key or password would stand in the command line, which `ps` shows to everyone",
            "give it as `api-key: env:NAME`; FastDeploy before 2.3 has no other way: leave it out",
        )
    return ok("no secret in the command line")


def logs(subject: Subject) -> Outcome | None:
    """An engine may write its environment and every prompt into files that others can read.

    What it prints is captured beside its log folder, and is as private: FastDeploy 2.6 can print
    every line of its logs.
    """
    plan = subject.plan
    if plan is None:
        return None
    folder = Path(plan.log_folder)
    closed = None
    for path in (folder, *sorted(folder.parent.glob(f"{paths.CONSOLE}*"))):
        if not path.exists():
            continue
        within = [path, *(one for one in path.parents if one.is_relative_to(paths.home()))]
        closed = next((one for one in within if _mode(one) & 0o077 == 0), None)
        if closed is None:
            return fail(
                f"{path} has mode {_mode(path):04o}: others can read prompts and the environment",
                f"chmod {'700' if path.is_dir() else '600'} {shlex.quote(str(path))}",
            )
    if closed is None:
        return ok(f"{folder} will be made with mode 0700; it holds prompts and settings in clear")
    return ok(
        f"prompts and settings in {folder} and in the captured console are behind {closed}, mode"
        f" {_mode(closed):04o}"
    )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


CHECKS = (
    Check(
        "exposed-api",
        "the API is private or asks for a key",
        "anyone who reaches it can use the GPU",
        api,
        "exposure",
    ),
    Check(
        "exposed-admin",
        "the keeper's own endpoint can be reached from this machine only",
        "it asks for no key, and tells which model and release run here and how they are",
        admin,
        "exposure",
    ),
    Check(
        "exposed-key",
        "no secret stands in the command line",
        "`ps` and /proc show command lines to every user",
        argv,
        "exposure",
    ),
    Check(
        "exposed-logs",
        "prompts and settings in the logs are private",
        "FastDeploy writes its whole environment and every prompt into files of mode 0644",
        logs,
        "exposure",
    ),
)
