"""The parts of a launch plan that are the same for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypedDict

from launcher.codec import decode
from launcher.engines.base import PlanContext
from launcher.engines.common import REFERENCE
from launcher.engines.options import Option, option_arguments
from launcher.json_values import JsonValue
from launcher.liveness.policy import LivenessPolicy
from launcher.plan.environment import PASS_ENV
from launcher.plan.model import Deadlines, EnvVar, Flag, NotifyTarget
from launcher.plan.restart import RestartPolicy
from launcher.profile.model import Profile


def split_env(profile: Profile) -> tuple[tuple[EnvVar, ...], dict[str, str]]:
    """The profile's variables, and those that are references to secrets, apart."""
    plain, secrets = [], {}
    for name, value in profile.env.items():
        if REFERENCE.match(value):
            secrets[name] = value
        else:
            plain.append(EnvVar(name, value, "the profile's", profile.where(f"env.{name}")))
    return tuple(plain), secrets


def option_flags(
    option: Option, value: JsonValue, reason: str, origin: str | None, key: str
) -> list[Flag]:
    """`value` as a flag of a plan; empty if nothing goes on the command line."""
    arguments = option_arguments(option, value)
    return [Flag(arguments[0], arguments[1:], reason, origin, key)] if arguments else []


def argv_of(python: str, module: Sequence[str], flags: Iterable[Flag]) -> tuple[str, ...]:
    """The whole command line."""
    return (python, *module, *(word for flag in flags for word in (flag.flag, *flag.values)))


def base_url(host: str, port: int) -> str:
    """What a client on this machine is given: the API's root."""
    client_host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    if ":" in client_host and not client_host.startswith("["):
        client_host = f"[{client_host}]"
    return f"http://{client_host}:{port}/v1"


class CommonParts(TypedDict):
    """The fields of a launch plan that are the same for every engine."""

    instance: str
    engine: str
    release: str | None
    cwd: str
    log_folder: str
    temporary_folder: str
    pass_env: tuple[str, ...]
    gpus: tuple[str, ...] | None
    model: str
    base_url: str
    deadlines: Deadlines
    liveness: LivenessPolicy
    restart: RestartPolicy
    memory_max: int | None
    log_max_size: int
    log_keep: int
    engine_log_max_size: int
    allow_differences: tuple[str, ...]
    notify: tuple[NotifyTarget, ...]


QUICKEST_LOOK = 1.0
"""Seconds between two looks at a server with which something is wrong, at most."""


def liveness_policy(profile: Profile, facts: LivenessPolicy) -> LivenessPolicy:
    """What the profile asks for, with what an engine's `facts` say of its metrics and workers."""
    policy = profile.liveness
    return replace(
        facts,
        interval=policy.interval,
        suspect_interval=min(QUICKEST_LOOK, policy.interval),
        stall_after=policy.stall_after,
        compute_stall_after=policy.compute_stall_after,
        canary=policy.canary and profile.health.completion,
        canary_interval=policy.canary_interval,
        canary_deadline=policy.canary_deadline,
    )


def common_parts(
    profile: Profile, context: PlanContext, liveness: LivenessPolicy | None = None
) -> CommonParts:
    """The fields of a launch plan that are the same for every engine.

    `liveness` is what the engine knows of its metrics and workers; None: health and completions.
    """
    return {
        "instance": profile.name,
        "engine": profile.engine,
        "release": context.release.version,
        "cwd": str(context.temporary_folder),
        "log_folder": str(context.log_folder),
        "temporary_folder": str(context.temporary_folder),
        "pass_env": tuple(
            name
            for name in PASS_ENV
            if not (name == "CUDA_VISIBLE_DEVICES" and profile.gpus is not None)
        ),
        "gpus": profile.gpus,
        "model": profile.model,
        "base_url": base_url(profile.host, context.ports["api"]),
        "deadlines": Deadlines(
            startup=profile.health.startup_timeout,
            no_progress=profile.health.no_progress_timeout,
            grace=profile.stop.grace,
        ),
        "liveness": liveness_policy(profile, liveness or LivenessPolicy()),
        "restart": RestartPolicy(
            policy=profile.restart.policy,
            max_restarts=profile.restart.max_restarts,
            window=profile.restart.window,
            first_delay=profile.restart.first_delay,
            max_delay=max(profile.restart.first_delay, profile.restart.max_delay),
            on_stall=profile.restart.on_stall,
        ),
        "memory_max": profile.memory_max,
        "log_max_size": profile.logs.max_size,
        "log_keep": profile.logs.keep,
        "engine_log_max_size": profile.logs.engine_max_size,
        "allow_differences": profile.health.allow_differences,
        "notify": tuple(
            decode(NotifyTarget, one, "notify", tolerant=True) for one in profile.notify
        ),
    }


def common_env(profile: Profile, context: PlanContext) -> tuple[EnvVar, ...]:
    """Variables every engine gets."""
    variables = [
        EnvVar("PYTHONUNBUFFERED", "1", "lines reach the keeper when they are printed"),
        EnvVar("TMPDIR", str(context.temporary_folder), "temporary files are private and go away"),
    ]
    if profile.gpus is not None:
        variables.append(
            EnvVar("CUDA_VISIBLE_DEVICES", ",".join(profile.gpus), "the profile's `gpus`",
                   profile.where("gpus"))
        )  # fmt: skip
    return tuple(variables)


def offline_env(profile: Profile) -> tuple[EnvVar, ...]:
    """Hub libraries kept off the network: nothing is downloaded for a model that lies here."""
    variables = [
        EnvVar("HF_HUB_DISABLE_TELEMETRY", "1", "no usage statistics leave the machine"),
        EnvVar("HF_HUB_DISABLE_UPDATE_CHECK", "1", "no look-up of newer versions at start"),
        EnvVar("DO_NOT_TRACK", "1", "no usage statistics leave the machine"),
    ]
    if profile.model_is_here:
        why = "the model is a local folder" if profile.model_is_path else "the model was pulled"
        variables.append(EnvVar("HF_HUB_OFFLINE", "1", why))
        variables.append(EnvVar("TRANSFORMERS_OFFLINE", "1", why))
    return tuple(variables)
