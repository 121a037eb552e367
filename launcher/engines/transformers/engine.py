"""The engine object of `transformers serve`: a profile in, a launch plan out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from packaging.version import Version

from launcher.engines.base import (
    Capability,
    Engine,
    Installed,
    PlanContext,
    PortNeed,
    Release,
    Signature,
)
from launcher.engines.doctor_checks import Needs
from launcher.engines.downloads import hugging_face
from launcher.engines.options import canonical
from launcher.engines.plan_parts import (
    argv_of,
    common_env,
    common_parts,
    offline_env,
    option_flags,
    split_env,
)
from launcher.engines.rules import book, failure_rules, noise
from launcher.engines.transformers import checks, watching
from launcher.engines.transformers.catalogue import OLDEST, Serve, serve_of
from launcher.engines.transformers.neutral import KEYS
from launcher.engines.versions import parse_version
from launcher.errors import PreconditionError, Problem, ProfileError
from launcher.json_values import JsonValue, at
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

START = 8.0
"""Seconds a start takes with nothing to load: imports, measured on 2 cores."""

YEAR = "31536000"
"""Seconds; releases before 5.10 unload a model that was idle for 300 s, and 0 means at once."""


class Transformers(Engine):
    """`transformers serve`, as the Protocol `launcher.engines.base.Engine`."""

    name = "transformers"
    title = "transformers serve"
    data = Path(__file__).parent / "data"
    pulled_as = "cache"
    signature = Signature(route="/load_model")
    sized = False
    distributions = ("transformers", "torch", "fastapi", "uvicorn")

    def installed(
        self, python: str, python_version: str, distributions: Mapping[str, str]
    ) -> Installed:
        """Judge what an interpreter has; `transformers` without its server is a problem."""
        version = distributions.get("transformers")
        if version is None:
            return Installed(python, python_version, None, distributions)
        lacking = [d for d in ("torch", "fastapi", "uvicorn") if d not in distributions]
        if lacking:
            return Installed(
                python, python_version, None, distributions,
                Problem("incomplete-engine",
                        f"{python} has transformers {version} without {', '.join(lacking)}",
                        "python", f"{python} -m pip install 'transformers[serving]' torch"),
            )  # fmt: skip
        try:
            release = self.release(version)
        except PreconditionError as error:
            return Installed(python, python_version, None, distributions, error.problems[0])
        return Installed(python, python_version, release, distributions)

    def release(self, version: str) -> Release:
        """The release of a transformers version.

        Raises:
            PreconditionError: it is not a version, or older than 4.54.
        """
        parsed = parse_version(version, "transformers")
        if parsed.release[:2] < Version(OLDEST).release[:2]:
            raise PreconditionError.of(
                "unknown-release",
                f"transformers {version} has no server for chat; it exists from {OLDEST}",
                remedy="ernie-deploy engine install transformers",
            )
        return Release(version, f"{parsed.release[0]}.{(*parsed.release, 0)[1]}")

    def ports(self, profile: Profile, release: Release | None) -> tuple[PortNeed, ...]:
        """The one port of the API."""
        return (PortNeed("api", shown_as="API"),)

    def validate(self, profile: Profile, release: Release | None) -> list[Problem]:
        """Everything wrong with the profile; see `Engine.validate`."""
        return checks.validate(profile, release)

    def needs(self, profile: Profile, release: Release | None) -> Needs:
        """What the server needs of the machine."""
        return Needs(
            cpu=profile.engine_args.get("device") == "cpu",
            start=START,
            asks_key=profile.api_key is not None,
            download=hugging_face(profile),
        )

    def capabilities(self, profile: Profile, release: Release | None) -> frozenset[Capability]:
        """What was measured on 5.23; less on older releases.

        Reasoning and tool calls are split by a response template in the checkpoint: promised where
        the model is a local folder that has one.
        """
        promised = {"health", "chat", "stream", "max-tokens", "unknown-model-error"}
        version = Version(release.version).release[:2] if release else (5, 23)
        if version < (5, 0):
            # Answers are streamed whatever the request says, without usage.
            health = {"health"} if version >= (4, 57) else set()
            return frozenset({"stream", "max-tokens"} | health)
        promised |= {"usage", "stop", "seed", "penalties", "thinking-switch", "stream-usage"}
        if version >= (5, 10):
            promised |= {"completions"}
        if _response_template(profile):
            promised |= {"reasoning", "tools", "tools-stream"}
        else:
            promised.discard("thinking-switch")
        return frozenset(promised)

    def plan(self, profile: Profile, context: PlanContext) -> LaunchPlan:
        """The launch plan.

        Raises:
            ProfileError: `validate` has problems.
        """
        problems = self.validate(profile, context.release)
        if problems:
            raise ProfileError(problems)
        server = serve_of(context.release.version)
        model = _model(profile)
        flags = _flags(profile, context, server, model)
        plain, secrets = split_env(profile)
        env = (*_env(profile, context), *plain)
        module = ("-m", server.module, "serve")
        return LaunchPlan(
            argv=argv_of(context.python, module, flags),
            module=module,
            flags=flags,
            env=env,
            secrets=secrets,
            folders=_folders(env),
            ports=(PortUse("api", context.ports["api"], profile.host, "API"),),
            served_model=model,
            phases=watching.PHASES,
            phase_rules=watching.PHASE_RULES,
            failure_rules=failure_rules(self.name),
            noise=noise(self.name),
            log_rules=book(self.name).log_rules(),
            readiness=_readiness(profile, server, model),
            stop=StopPolicy(
                loading=(StopStage("SIGTERM", "main", profile.stop.grace),),
                ready=(StopStage("SIGTERM", "main", profile.stop.grace),),
            ),
            notes=_notes(profile, server),
            gpu_ranks=0 if profile.engine_args.get("device") == "cpu" else 1,
            **common_parts(profile, context),
        )


def _model(profile: Profile) -> str:
    if profile.revision and not profile.model_is_path:
        return f"{profile.model}@{profile.revision}"
    return profile.model


def _flags(profile: Profile, context: PlanContext, server: Serve, model: str) -> tuple[Flag, ...]:
    flags = []
    reason = "the model every request is answered with"
    if server.model_flag is None:
        flags.append(Flag(model, (), reason, profile.where("model"), "model"))
    else:
        flags.append(Flag(server.model_flag, (model,), reason, profile.where("model"), "model"))
    flags.append(
        Flag("--host", (profile.host,), "the profile's `host`", profile.where("host"), "host")
    )
    flags.append(
        Flag("--port", (str(context.ports["api"]),), "the API's port", profile.where("ports.api"),
             "ports.api")
    )  # fmt: skip
    for key, name in KEYS.options.items():
        value, option = profile.setting(key), server.options.get(name)
        if value is not None and option is not None:
            flags += option_flags(option, value, f"the profile's `{key}`", profile.where(key), key)
    for key, value in profile.engine_args.items():
        option = server.options.get(key)
        if option is None:
            raise AssertionError(f"engine-args.{key} was not validated")
        path = f"engine-args.{key}"
        flags += option_flags(option, value, option.meaning, profile.where(path), path)
    if "model-timeout" not in {canonical(key) for key in profile.engine_args} and (
        Version(server.version) < Version("5.10")
    ):
        flags.append(Flag("--model-timeout", (YEAR,), "this release unloads an idle model"))
    return tuple(flags)


def _env(profile: Profile, context: PlanContext) -> tuple[EnvVar, ...]:
    env = [*common_env(profile, context), *offline_env(profile)]
    home = context.temporary_folder / "huggingface"
    if profile.model_is_path and "HF_HOME" not in profile.env:
        env.append(
            EnvVar("HF_HOME", str(home), "the model list fails with 500 where its hub folder is "
                   "missing; nothing of the caller's cache is shown")
        )  # fmt: skip
    elif profile.hub_cache:
        env.append(EnvVar("HF_HUB_CACHE", profile.hub_cache, "the model was pulled into it"))
    elif profile.cache_dir:
        env.append(
            EnvVar("HF_HUB_CACHE", profile.cache_dir, "the profile's `cache-dir`",
                   profile.where("cache-dir"))
        )  # fmt: skip
    return tuple(variable for variable in env if variable.name not in profile.env)


def _folders(env: tuple[EnvVar, ...]) -> tuple[str, ...]:
    return tuple(f"{v.value}/hub" for v in env if v.name == "HF_HOME" and v.origin is None)


def _readiness(profile: Profile, server: Serve, model: str) -> Readiness:
    completion: dict[str, JsonValue] = {
        "model": model,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 8,
    }
    return Readiness(
        address=profile.host,
        health_path="/health" if server.health else "/openapi.json",
        # Releases before 5 list a fixed set of other people's models, and ask the hub for it.
        models_path="/v1/models" if server.version.startswith("5") else None,
        model=None,
        completion=completion if profile.health.completion else {},
        settings_unknown="transformers serve does not tell its settings",
        probe_timeout=profile.health.probe_timeout,
    )


def _notes(profile: Profile, server: Serve) -> tuple[str, ...]:
    notes = [f"requests must name the model as {_model(profile)!r} or leave it out"]
    if not server.health:
        release = server.options.version
        notes.append(f"transformers {release} has no /health; /openapi.json is asked")
    if not server.preloads:
        notes.append("this release loads the model with the first request, the readiness probe's")
    return tuple(notes)


def _response_template(profile: Profile) -> bool:
    if not profile.model_is_path:
        return False
    try:
        text = (Path(profile.model) / "tokenizer_config.json").read_text(encoding="utf-8")
        return bool(at(json.loads(text), "response_template"))
    except (OSError, ValueError):
        return False


ENGINE = Transformers()
