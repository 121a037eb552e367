"""The engine object of the gateway: a profile that `launcher.door` writes in, a launch plan out.

LiteLLM's proxy translates Anthropic's Messages dialect into chat completions. It listens on
loopback, sends everything to the front door's inner port, and gets its key by the environment.
Facts of LiteLLM are of 1.108.7, read in its source and measured: it starts only with a master key
or with the variable that permits none, and it fetches price lists and headers from the network
unless variables forbid that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.version import Version

from launcher.engines.base import (
    Capability,
    Engine,
    Installed,
    PlanContext,
    PortNeed,
    Release,
)
from launcher.engines.doctor_checks import Check, Needs
from launcher.engines.gateway import checks, doctor_checks
from launcher.engines.plan_parts import argv_of, common_env, common_parts, split_env
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
    StopPolicy,
    StopStage,
)
from launcher.profile.model import Profile

OLDEST = "1.80"
"""The oldest release whose variables and routes are these; the pinned one is the measured one."""
MODULE = ("-m", "litellm.proxy.proxy_cli")
HOOKS_FOLDER = Path(__file__).parent / "hooks"
HEALTH_PATH = "/health/liveliness"
START = 5.3
"""Seconds a start takes: its imports, measured on 2 quiet cores."""
KEEP_ALIVE = 75
"""Seconds for an idle connection of the front door, longer than HAProxy keeps one (20 s)."""
PHASES = (Phase("import", "import LiteLLM"), Phase("serve", "open the port"))
PHASE_RULES = (PhaseRule("serve", r"Started server process \[\d{1,10}\]"),)
TOLD_TO_STOP = (r"^INFO: {5}Shutting down$",)


class Gateway(Engine):
    """LiteLLM's proxy, as the Protocol `launcher.engines.base.Engine`."""

    name = "gateway"
    title = "the gateway (LiteLLM)"
    data = Path(__file__).parent / "data"
    sized = False
    distributions = ("litellm", "fastapi", "uvicorn")

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Judge what an interpreter has; LiteLLM without its server is a problem."""
        version = distributions.get("litellm")
        if version is None:
            return Installed(python, python_version, None, distributions)
        lacking = [name for name in ("fastapi", "uvicorn") if name not in distributions]
        if lacking:
            return Installed(
                python, python_version, None, distributions,
                Problem("incomplete-engine",
                        f"{python} has LiteLLM {version} without {', '.join(lacking)}", "python",
                        "ernie-deploy engine install gateway"),
            )  # fmt: skip
        try:
            release = self.release(version)
        except PreconditionError as error:
            return Installed(python, python_version, None, distributions, error.problems[0])
        return Installed(python, python_version, release, distributions)

    def release(self, version: str) -> Release:
        """The release of a LiteLLM version.

        Raises:
            PreconditionError: it is not a version, or older than 1.80.
        """
        parsed = parse_version(version, "LiteLLM")
        if parsed < Version(OLDEST):
            raise PreconditionError.of(
                "unknown-release", f"LiteLLM {version} is too old: {OLDEST} or later is needed",
                remedy="ernie-deploy engine install gateway",
            )  # fmt: skip
        return Release(version, ".".join(str(part) for part in (*parsed.release, 0)[:2]))

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """The port that the front door sends Anthropic's dialect to."""
        return (PortNeed("api", address=checks.LOOPBACK, shown_as="gateway"),)

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Everything wrong with the profile; see `Engine.validate`."""
        return checks.validate(profile)

    def needs(self, profile: Profile, release: Release | None) -> Needs:
        """What the server needs of the machine."""
        return Needs(cpu=True, start=START)

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """What it adds to the promises of the replicas behind it."""
        return frozenset({"anthropic", "count-tokens"})

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
        # Only the replicas behind it can answer a completion: its own health is watched.
        parts["liveness"] = replace(parts["liveness"], canary=False)
        return LaunchPlan(
            argv=argv_of(context.python, MODULE, flags),
            module=MODULE,
            flags=flags,
            env=(*_env(profile, context, secrets), *variables),
            secrets=secrets,
            ports=(PortUse("api", context.ports["api"], checks.LOOPBACK, "gateway"),),
            phases=PHASES,
            phase_rules=PHASE_RULES,
            failure_rules=failure_rules(self.name),
            noise=noise(self.name),
            log_rules=book(self.name).log_rules(),
            told_to_stop=TOLD_TO_STOP,
            readiness=Readiness(
                address=checks.LOOPBACK,
                health_path=HEALTH_PATH,
                models_path=None,
                settings_unknown="LiteLLM does not tell its settings without its database",
                probe_timeout=profile.health.probe_timeout,
            ),
            stop=StopPolicy(
                loading=(StopStage("SIGTERM", "main", profile.stop.grace),),
                # After SIGTERM it ends the running requests first.
                ready=(StopStage("SIGTERM", "main", profile.stop.drain + profile.stop.grace),),
                drain=profile.stop.drain,
            ),
            **parts,
        )

    def doctor_checks(self) -> tuple[Check, ...]:
        """The measured release."""
        return doctor_checks.CHECKS

    def environment_names(self, has_gpu: Callable[[], bool]) -> tuple[str, ...]:
        """The environment of the recipe `gateway`."""
        return (self.name,)


def _flags(profile: Profile, context: PlanContext) -> tuple[Flag, ...]:
    where = profile.where("engine-args.config")
    return (
        Flag("--config", (checks.config_path(profile),), "models, upstream, limits", where,
             "engine-args.config"),
        Flag("--host", (checks.LOOPBACK,), "only the front door reaches it"),
        Flag("--port", (str(context.ports["api"]),), "where the front door reaches it",
             profile.where("ports.api"), "ports.api"),
        Flag("--num_workers", ("1",), "one process: its memory is counted once"),
        Flag("--keepalive_timeout", (str(KEEP_ALIVE),), "longer than the front door keeps one"),
    )  # fmt: skip


def _env(profile: Profile, context: PlanContext, secrets: Mapping[str, str]) -> tuple[EnvVar, ...]:
    quiet = "no usage statistics leave the machine"
    local = "the copy in the package is read instead of the network's"
    env = [
        *common_env(profile, context),
        EnvVar("HOME", str(context.temporary_folder), "nothing of a person's settings is read"),
        EnvVar("PYTHONPATH", str(HOOKS_FOLDER), "the module that `callbacks` names"),
        EnvVar("LITELLM_MODE", "PRODUCTION", "no .env file is read"),
        EnvVar("LITELLM_TELEMETRY", "False", quiet),
        EnvVar("DO_NOT_TRACK", "1", quiet),
        EnvVar("LITELLM_LOCAL_MODEL_COST_MAP", "True", local),
        EnvVar("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True", local),
        EnvVar("LITELLM_LOCAL_BLOG_POSTS", "True", local),
        EnvVar("HF_HUB_OFFLINE", "1", "tokens are counted with the tokenizer in the package"),
        EnvVar("NO_PROXY", f"{checks.LOOPBACK},localhost", "the front door is on this machine"),
        EnvVar("NO_DOCS", "True", "no pages, only the API"),
        EnvVar("DISABLE_ADMIN_UI", "True", "no pages, only the API"),
    ]
    if checks.KEY_ENV in secrets:
        reason = "the key is the replicas' own: its length is not judged here"
    else:
        reason = "the replicas have no key, so it has none"
    env.append(EnvVar(checks.UNGUARDED_ENV, "true", reason))
    return tuple(variable for variable in env if variable.name not in profile.env)


ENGINE = Gateway()
