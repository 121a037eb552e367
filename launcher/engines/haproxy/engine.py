"""The engine object of HAProxy: a configuration in, a launch plan out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from packaging.version import InvalidVersion, Version

from launcher.engines.base import Engine, Installed, PlanContext, PortNeed, Release
from launcher.engines.plan_parts import argv_of, common_env, common_parts
from launcher.engines.rules import book, failure_rules, noise
from launcher.errors import PreconditionError, Problem
from launcher.plan.model import (
    Flag,
    LaunchPlan,
    Phase,
    PhaseRule,
    PortUse,
    Readiness,
    StopPolicy,
    StopStage,
)
from launcher.profile.model import Profile

OLDEST = "2.6"
"""`add server` without the experimental mode, and `show proc` as it is read here."""
MASTER_SOCKET = "master.sock"
"""In the plan's temporary folder, whose path is short: a socket's has 107 characters."""


class HaProxy(Engine):
    """HAProxy in master-worker mode, as the Protocol `launcher.engines.base.Engine`.

    The profile's `engine-args` hold the path of the configuration as `config`.
    """

    name = "haproxy"
    title = "HAProxy"
    data = Path(__file__).parent / "data"
    sized = False
    program = "haproxy"

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Judge a program; its version is the only distribution."""
        version = distributions.get(self.name)
        release = self.release(version) if version else None
        return Installed(python, python_version, release, distributions)

    def release(self, version: str) -> Release:
        """The release a version belongs to.

        Raises:
            PreconditionError: it is older than 2.6.
        """
        try:
            known = Version(version) >= Version(OLDEST)
        except InvalidVersion:
            known = False
        if not known:
            raise PreconditionError.of(
                "wrong-engine-version", f"HAProxy {version} is too old: {OLDEST} and later work",
                None, "`ernie-deploy engine install haproxy`",
            )  # fmt: skip
        return Release(version, ".".join(version.split(".")[:2]))

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """The public port, and one on loopback for health and metrics."""
        return (
            PortNeed("api", shown_as="front door"),
            PortNeed("stats", address="127.0.0.1", shown_as="/healthz, /metrics of HAProxy"),
        )

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Nothing: its profile is made by us."""
        return []

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan; the configuration is written by the caller, before the start."""
        config = str(profile.engine_args["config"])
        flags = (
            Flag("-W", (), "a master that hands over to new workers without closing the port"),
            Flag("-db", (), "stays in the foreground, the keeper's child"),
            Flag("-f", (config,), "who gets requests"),
            Flag("-S", (f"{context.temporary_folder / MASTER_SOCKET},mode,600",),
                 "where the master is told to reload"),
        )  # fmt: skip
        drain = profile.stop.drain
        addresses = {"stats": "127.0.0.1"}
        shown = {need.name: need.shown_as for need in self.ports(profile, context.release)}
        scheme = "https" if profile.engine_args.get("tls") else "http"
        parts = common_parts(profile, context)
        rules = book(self.name)
        url = parts["base_url"].replace("http", scheme, 1)
        plan = LaunchPlan(
            **parts,
            argv=argv_of(context.python, (), flags),
            flags=flags,
            env=common_env(profile, context),
            ports=tuple(
                PortUse(name, number, addresses.get(name, profile.host), shown.get(name, ""))
                for name, number in context.ports.items()
            ),
            phases=(Phase("configuration", "read the configuration"), Phase("serve", "serve")),
            phase_rules=(PhaseRule("serve", r"New worker \(\d+\) forked"),),
            failure_rules=failure_rules(rules),
            noise=noise(rules),
            readiness=Readiness(
                address="127.0.0.1" if profile.host in ("0.0.0.0", "") else profile.host,  # noqa: S104
                health_path="/healthz",
                health_port="stats",
                models_path=None,
                completion={},
            ),
            stop=StopPolicy(
                loading=(StopStage("SIGTERM", "main", 5.0),),
                # A soft stop closes the port and ends when the last request has.
                ready=(
                    StopStage("SIGUSR1", "main", max(drain, 0.1)),
                    StopStage("SIGTERM", "main", 5.0),
                ),
                drain=drain,
            ),
        )
        # It dies or it serves: there is no completion to ask for, and the replicas are checked.
        return replace(plan, liveness=None, base_url=url)


ENGINE = HaProxy()
