"""The checks that only a router has: that its program can be run, and who can reach it."""

from __future__ import annotations

import os

from launcher.engines.doctor_checks import Check, Outcome, Subject, fail, ok, warn
from launcher.engines.exposure import describe, firewall, is_public
from launcher.engines.fastdeploy_router.checks import is_go, program


def runs(subject: Subject) -> Outcome | None:
    """The Go program exists and may be executed; the Python router is part of the package."""
    if subject.profile is None:
        return None
    if not is_go(subject.profile):
        return ok("the Python router is part of the installed FastDeploy")
    path = program(subject.profile)
    if os.access(path, os.X_OK) and os.path.isfile(path):
        return ok(f"the Go router is {path}")
    return fail(
        f"{path} is not a program that can be run",
        "copy /usr/local/bin/fd-router from FastDeploy's image, or `chmod +x` it",
    )


def exposed(subject: Subject) -> Outcome | None:
    """The Go router listens on every address, and anyone may register an instance with it."""
    plan = subject.plan
    use = next((p for p in plan.ports if p.name == "api"), None) if plan is not None else None
    if use is None:
        return None
    if not is_public(use.address):
        return ok(f"it listens on {use.address}")
    return warn(
        f"{describe(subject, use)} lets anyone register an instance, which then gets requests",
        firewall(subject, [use]),
    )


CHECKS = (
    Check("router-program", "the router can be run", "without it no instance of the group answers",
          runs, "software"),
    Check("exposed-router", "the router cannot be reached from other machines",
          "an instance that is registered gets users' prompts", exposed, "exposure"),
)  # fmt: skip
