"""The engine object of FastDeploy's router: a profile of `fastdeploy.groups` in, a plan out.

There are two: `python -m fastdeploy.router.launch` and the Go program `fd-router` (2.5 and later).
Neither has a health route that says more than that it runs, so both are asked for
`/registered_number`: the router is ready when all instances of its group are registered and a
completion came back through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from launcher.engines.base import Capability, Engine, Installed, PlanContext, PortNeed, Release
from launcher.engines.doctor_checks import Check, Needs
from launcher.engines.fastdeploy.engine import ENGINE as FASTDEPLOY
from launcher.engines.fastdeploy.readiness import completion
from launcher.engines.fastdeploy.surroundings import folders
from launcher.engines.fastdeploy_router import checks, doctor_checks
from launcher.engines.plan_parts import argv_of, common_env, common_parts, split_env
from launcher.engines.rules import book_of, failure_rules, noise
from launcher.errors import Problem, ProfileError
from launcher.json_values import texts_at
from launcher.plan.model import (
    EnvVar,
    Flag,
    LaunchPlan,
    LogSource,
    Phase,
    PhaseRule,
    PortUse,
    Readiness,
    StopPolicy,
    StopStage,
)
from launcher.profile.model import Profile

MODULE = ("-m", "fastdeploy.router.launch")
EVERYWHERE = "0.0.0.0"  # noqa: S104 - where the Go router listens, not where we do
KEY = "FD_API_KEY"
"""The variable in which the key for our own completion is kept; the router reads none."""
PHASES = (Phase("start", "start the router"), Phase("register", "wait for its instances"))
PHASE_RULES = (
    PhaseRule("register", r"Uvicorn running on http"),
    PhaseRule("register", r"Starting server on :\d+"),
    PhaseRule("register", r"Starting server on :\d+", "router"),
)
STOP_WAIT = 5.0
"""Seconds beside the profile's grace: uvicorn ends open connections first."""


class FastDeployRouter(Engine):
    """FastDeploy's router, as the Protocol `launcher.engines.base.Engine`."""

    name = "fastdeploy-router"
    title = "FastDeploy's router"
    lines = FASTDEPLOY.lines
    distributions = FASTDEPLOY.distributions
    sized = True
    data = Path(__file__).parent / "data"
    answers_of = "fastdeploy"

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """The router is part of FastDeploy's package."""
        return FASTDEPLOY.installed(python, python_version, distributions)

    def release(self, version: str) -> Release:
        """The release of FastDeploy that the router belongs to.

        Raises:
            PreconditionError: it is not known.
        """
        return FASTDEPLOY.release(version)

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """One port; the Go router has it on every address."""
        address = EVERYWHERE if checks.is_go(profile) else None
        return (PortNeed("api", address=address, shown_as="router"),)

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Everything wrong with the profile; see `Engine.validate`."""
        return checks.validate(profile)

    def needs(self, profile: Profile, release: Release | None) -> Needs:
        """What the router needs of the machine."""
        return Needs(cpu=True, ranks=0)

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """What its instances promise and it passes on."""
        return frozenset(texts_at(profile.engine_args, "capabilities"))

    def environment_names(self, has_gpu: object) -> tuple[str, ...]:
        """Those of FastDeploy."""
        return (FASTDEPLOY.name,)

    def doctor_checks(self) -> tuple[Check, ...]:
        """Its program, its address."""
        return doctor_checks.CHECKS

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan.

        Raises:
            ProfileError: `validate` has problems.
        """
        problems = self.validate(profile, context.release)
        if problems:
            raise ProfileError(problems)
        go = checks.is_go(profile)
        flags = _flags(profile, context)
        program, module = (checks.program(profile), ()) if go else (context.python, MODULE)
        variables, secrets = split_env(profile)
        if profile.api_key is not None:
            secrets[KEY] = profile.api_key.text()
        parts = common_parts(profile, context)
        # Its work is its instances' work, which are watched themselves.
        parts["liveness"] = replace(parts["liveness"], canary=False)
        parts["cwd"] = str(context.log_folder)
        grace = profile.stop.grace
        stages = (StopStage("SIGTERM", "main", grace + STOP_WAIT),)
        rules = book_of(self.name, self.data)
        address = EVERYWHERE if go else profile.host
        return LaunchPlan(
            argv=argv_of(program, module, flags),
            module=module,
            flags=flags,
            env=(*_env(profile, context), *variables),
            folders=_folders(profile, context),
            secrets=secrets,
            ports=(PortUse("api", context.ports["api"], address, "router"),),
            served_model=profile.served_model_name,
            log_sources=(
                LogSource("engine"), LogSource("router", "logs/router.log" if go else "router.log"),
            ),
            phases=PHASES,
            phase_rules=PHASE_RULES,
            failure_rules=failure_rules(rules),
            noise=noise(rules),
            log_rules=rules.log_rules(),
            readiness=Readiness(
                address=profile.host,
                health_path="/registered_number",
                health_minimum=checks.expected(profile),
                peers=tuple(
                    str(context.log_folder.parents[2] / name) for name in checks.peers(profile)
                ),
                models_path=None,
                completion=completion(profile),
                settings_unknown="a router does not tell the settings of its instances",
                auth_secret=KEY if profile.api_key is not None else None,
                probe_timeout=profile.health.probe_timeout,
            ),
            stop=StopPolicy(loading=stages, ready=stages),
            notes=_notes(profile),
            **parts,
        )  # fmt: skip


def _flags(profile: Profile, context: PlanContext) -> tuple[Flag, ...]:
    port = Flag("--port", (str(context.ports["api"]),), "the router's port", None, "ports.api")
    split = Flag("--splitwise", (), "pairs of prefill and decode instead of mixed instances")
    if checks.is_go(profile):
        return (port, split)
    return (
        Flag("--host", (profile.host,), "only the front door and the group reach it", None, "host"),
        port,
        split,
        Flag(
            "--request-timeout-secs", (str(checks.request_timeout(profile)),),
            "as long as the front door waits", profile.where("service.front-door"),
            "service.front-door.response-timeout",
        ),
    )  # fmt: skip


def _env(profile: Profile, context: PlanContext) -> tuple[EnvVar, ...]:
    return (
        *common_env(profile, context),
        EnvVar("FD_LOG_DIR", str(context.log_folder), "its log names users' requests"),
        *(
            EnvVar(
                "PROMETHEUS_MULTIPROC_DIR", folder,
                "otherwise every start of the Python package leaves a folder in /tmp",
            )
            for folder in _folders(profile, context)
        ),
    )  # fmt: skip


def _folders(profile: Profile, context: PlanContext) -> tuple[str, ...]:
    """Those of the Python package, which the Go router does without."""
    return () if checks.is_go(profile) else folders(context)


def _notes(profile: Profile) -> tuple[str, ...]:
    notes = []
    if checks.is_go(profile):
        notes.append(f"the Go router listens on {EVERYWHERE}: close its port in the firewall")
    else:
        notes.append("the Python router forwards no headers: request ids end at it")
    if profile.restart.policy == "never":
        notes.append(
            "a router that ends is not started again: instances of this release register once, when"
            " they start; `ernie-deploy deploy PROFILE` starts the group anew"
        )
    return tuple(notes)


ENGINE = FastDeployRouter()
