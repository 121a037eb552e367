"""What is wrong with a profile for a FastDeploy release; nothing is run and no model is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier

from launcher.engines.common import (
    admitted,
    check_env,
    check_hub_keys,
    check_options,
    check_ports,
    in_file_order,
    merged,
    neutral,
    problem,
)
from launcher.engines.fastdeploy import combinations, shell, vocabulary
from launcher.engines.fastdeploy.catalogue import (
    LINES,
    comma_lists,
    environment,
    late_choices,
    lines_with,
    table,
    where_else,
)
from launcher.engines.fastdeploy.models import ModelFacts, model_facts
from launcher.engines.fastdeploy.requested import TOP, Requested
from launcher.engines.options import canonical, wrong_value
from launcher.errors import Problem
from launcher.nearest import did_you_mean, nearest
from launcher.profile.model import Profile

if TYPE_CHECKING:
    from launcher.engines.base import Release

PORTS = (
    "api",
    "metrics",
    "engine-worker-queue",
    "cache-queue",
    "controller",
    "pd-comm",
    "rdma-comm",
)

OWNED_FLAGS = {
    "model": "write it as `model` at the top",
    "host": "write it as `host` at the top",
    "port": "write it as `ports: {api: NUMBER}`",
    "metrics-port": "write it as `ports: {metrics: NUMBER}`",
    "engine-worker-queue-port": "write it as `ports: {engine-worker-queue: NUMBER}`",
    "cache-queue-port": "write it as `ports: {cache-queue: NUMBER}`",
    "controller-port": "write it as `ports: {controller: NUMBER}`",
    "pd-comm-port": "write it as `ports: {pd-comm: NUMBER}`",
    "rdma-comm-ports": "write it as `ports: {rdma-comm: NUMBER}`",
    "api-key": "write it as `api-key: env:NAME` at the top: on the command line every user of the "
    "machine can read it",
    "timeout-graceful-shutdown": "write it as `stop: {drain: SECONDS}`",
    "scheduler-password": "FastDeploy takes it on the command line only, where every user of the "
    "machine can read it: use a Redis without a password on a private network",
    "config": "write its settings into the profile: FastDeploy ignores what it does not know in "
    "such a file",
}
"""Options that are never given by `engine-args`, and what to write instead."""

OWNED_ENV = {
    "FD_LOG_DIR": "the log folder belongs to the instance; `logs:` bounds it",
    "FD_API_KEY": "write it as `api-key: env:NAME` at the top",
    "FD_MODEL_CACHE": "write it as `cache-dir` at the top",
    "CUDA_VISIBLE_DEVICES": "write it as `gpus` at the top",
    "TMPDIR": "it is the instance's private folder",
    "PROMETHEUS_MULTIPROC_DIR": "it is in the instance's private folder",
    "PYTHONUNBUFFERED": "the keeper needs lines when they are printed",
    "SPT_NOENV": "the keeper recognises its processes by their environment",
    "INFERENCE_MSG_QUEUE_ID": "FastDeploy overwrites it with the queue port",
}
"""Variables that are ours to set."""

SINCE = {
    "served-model-name": ("served-model-name", "a client names the model's path"),
    "parsers.tool-call": ("tool-call-parser", "tool calls stay text in the answer"),
    "revision": ("revision", "the newest one is loaded"),
    "api-key": ("api-key", "anyone who can connect is served"),
    "stop.drain": ("timeout-graceful-shutdown", "streams are cut when it stops"),
}
"""Key of the profile to the option it needs, and what happens in a release without it."""


def validate(profile: Profile, release: Release | None) -> list[Problem]:
    """Everything wrong for `release`; with None, for the releases the profile admits."""
    if release is not None:
        return for_line(profile, release.line)
    try:
        lines = admitted(profile.engine_version, LINES)
    except InvalidSpecifier:
        return [
            problem(profile, "engine-version", "bad-version",
                    f"{profile.engine_version!r} is not a version constraint",
                    "write it like 2.3.2, or >=2.2,<2.5")
        ]  # fmt: skip
    if not lines:
        return [
            problem(profile, "engine-version", "unknown-release",
                    f"no known FastDeploy release satisfies {profile.engine_version!r}",
                    f"known: {', '.join(LINES)}")
        ]  # fmt: skip
    return merged({line: for_line(profile, line) for line in lines})


def for_line(profile: Profile, line: str) -> list[Problem]:
    """Everything wrong with the profile for release line `line`."""
    problems = check_ports(profile, "FastDeploy", PORTS)
    problems += check_hub_keys(profile)
    problems += check_env(profile, OWNED_ENV)
    problems += _variables(profile, line)
    problems += _newer_keys(profile, line)
    problems += check_options(
        profile, table(line), OWNED_FLAGS, elsewhere=lambda name: where_else(name, line)
    )
    problems += _top_values(profile, line)
    typed = {p.where for p in problems}
    problems += [p for p in _late(profile, line) if p.where is None or p.where not in typed]
    problems += _parsers(profile, line)
    problems += _model(profile, line)
    problems += combinations.check(profile, line)
    problems += shell.check(profile, line)
    return in_file_order(dict.fromkeys(problems))


def _variables(profile: Profile, line: str) -> list[Problem]:
    """FastDeploy's variables that this release does not read: they would be ignored."""
    problems = []
    for name in profile.env:
        entry = environment().get(name)
        if entry is None:
            ours = name.startswith("FD_")
            if name in OWNED_ENV or _outside(name):
                continue
            # Any variable may be meant for a library; one letter off FastDeploy's is a slip.
            near = nearest(name, environment(), cutoff=0.6 if ours else 0.92)
            if ours or near:
                problems.append(
                    problem(profile, f"env.{name}", "unknown-variable",
                            f"no FastDeploy release reads {name}",
                            f"did you mean {near}?" if near else None)
                )  # fmt: skip
        elif line not in entry["in"]:
            problems.append(
                problem(profile, f"env.{name}", "unknown-variable",
                        f"FastDeploy {line} does not read {name}: it exists in "
                        f"{', '.join(entry['in'])}")
            )  # fmt: skip
    return problems


def _outside(name: str) -> bool:
    from launcher.engines.fastdeploy.catalogue import load

    return any(name in entry["name"] for entry in load("environment.json")["outside_envs_py"])


def _newer_keys(profile: Profile, line: str) -> list[Problem]:
    problems = []
    for key, (option, otherwise) in SINCE.items():
        value = profile.stop.drain if key == "stop.drain" else neutral(profile, key)
        if not value or option in table(line):
            continue
        first = lines_with(option)[0]
        problems.append(
            problem(profile, key, "key-not-supported",
                    f"FastDeploy {line} has no `{key}`, it exists from {first}: {otherwise}",
                    f"remove `{key}`, or use FastDeploy {first} or later")
        )  # fmt: skip
    if profile.stop.drain and profile.stop.drain != int(profile.stop.drain):
        problems.append(problem(profile, "stop.drain", "wrong-value",
                             "FastDeploy drains for whole seconds"))  # fmt: skip
    if line == "2.0" and profile.cache_dir and profile.env.get("FD_MODEL_SOURCE"):
        problems.append(problem(profile, "env.FD_MODEL_SOURCE", "unknown-variable",
                             "FastDeploy 2.0 downloads from AI Studio only"))  # fmt: skip
    return problems


def _top_values(profile: Profile, line: str) -> list[Problem]:
    """Top-level keys against the release's own option, and the same option given twice."""
    problems = []
    for name, (key, _) in TOP.items():
        option = table(line).get(name)
        at_top = neutral(profile, key)
        if at_top is None or option is None:
            continue
        reason = wrong_value(option, at_top)
        if reason:
            problems.append(problem(profile, key, "wrong-value", f"{option.flag}: {reason}",
                                 f"it takes {option.expects}"))  # fmt: skip
        twice = [k for k in profile.engine_args if canonical(k) == name]
        if twice:
            problems.append(
                problem(profile, f"engine-args.{twice[0]}", "duplicate-flag",
                        f"{option.flag} is given by `{key}` already", "keep one of them")
            )  # fmt: skip
    problems += _chunked_off(profile, line)
    return problems


def _chunked_off(profile: Profile, line: str) -> list[Problem]:
    """Chunked prefill that no flag turns off: without a word it would stay on."""
    requested = Requested(profile)
    name = "enable-chunked-prefill"
    if requested.value(name) is not False or name not in table(line) or line in ("2.0", "2.1"):
        return []
    if line == "2.2":
        return [
            problem(profile, requested.key(name), "wrong-value",
                    "chunked prefill is always on in 2.2, no flag turns it off",
                    "remove it, or use another release")
        ]  # fmt: skip
    if requested.role != "mixed" or requested.variable("FD_DISABLE_CHUNKED_PREFILL", line) == "1":
        return []
    return [
        problem(profile, requested.key(name), "wrong-value",
                f"FastDeploy {line} turns chunked prefill on by itself, no flag turns it off",
                'write `env: {FD_DISABLE_CHUNKED_PREFILL: "1"}`')
    ]  # fmt: skip


def _late(profile: Profile, line: str) -> list[Problem]:
    requested = Requested(profile)
    problems = []
    for name, choices in late_choices(line).items():
        value = requested.value(name)
        if value is None or name not in table(line):
            continue
        for word in _words_of(requested, name, value):
            if word in choices:
                continue
            meant = did_you_mean(word, choices)
            problems.append(
                problem(profile, requested.key(name), "wrong-value",
                        f"FastDeploy {line} knows no {name} {word!r}{meant}",
                        f"one of: {', '.join(choices)}")
            )  # fmt: skip
    return problems


def _words_of(requested: Requested, name: str, value: object) -> list[str]:
    if name in comma_lists():
        return requested.items(name)
    if name == "quantization":
        settings = requested.mapping(name)
        if settings is not None:
            # From 2.3 on a JSON object may name the method, or be a checkpoint's own settings.
            named = settings.get("quantization")
            return [str(named)] if isinstance(named, str) else []
    return [str(value)]


def _parsers(profile: Profile, line: str) -> list[Problem]:
    requested = Requested(profile)
    problems = []
    plugin = requested.value("tool-parser-plugin")
    for option, kind in (("reasoning-parser", "reasoning"), ("tool-call-parser", "tool")):
        name = requested.value(option)
        if not isinstance(name, str) or option not in table(line):
            continue
        if vocabulary.parser(name, kind, line) or (kind == "tool" and plugin):
            continue
        lines = vocabulary.parser_lines(name, kind)
        near = vocabulary.nearest_parser(name, kind, line)
        message = f"FastDeploy {line} has no {kind} parser {name!r}"
        if lines:
            message += f"; it is in {', '.join(lines)}"
        elif near:
            message += f"; did you mean {near!r}?"
        known_names = ", ".join(vocabulary.registered(kind, line)) or "none"
        problems.append(
            problem(
                profile, requested.key(option), "unknown-parser", message, f"known: {known_names}"
            )
        )
    return problems


def _model(profile: Profile, line: str) -> list[Problem]:
    problems = []
    if profile.model.startswith("-") or not profile.model.strip():
        problems.append(problem(profile, "model", "bad-model", f"{profile.model!r} is not a model"))
    model = model_facts(profile)
    if model is None:
        return problems
    requested = Requested(profile)
    return [
        *problems,
        *_weights(profile, requested, model, line),
        *_thinking(profile, requested, model, line),
        *_heads(profile, requested, model),
    ]


def _weights(profile: Profile, requested: Requested, model: ModelFacts, line: str) -> list[Problem]:
    if model.first_line and line < model.first_line:
        return [
            problem(profile, "model", "model-not-supported",
                    f"{model.repo} needs FastDeploy {model.first_line} or later, not {line}",
                    "set `engine-version` accordingly")
        ]  # fmt: skip
    if not model.torch:
        return []
    first = "2.3" if model.vision else "2.2"
    if line < first:
        return [
            problem(profile, "model", "model-not-supported",
                    f"{model.repo} has weights in Hugging Face's layout, which FastDeploy loads "
                    f"from {first} on; {line} ends in a TypeError",
                    f"use the -Paddle weights, or FastDeploy {first} or later")
        ]  # fmt: skip
    choice = requested.value("load-choices") or table(line).options["load-choices"].default
    if choice != "default_v1":
        return [
            problem(
                profile,
                requested.key("load-choices") if requested.value("load-choices") else "model",
                "impossible-combination",
                f"{model.repo} has weights in Hugging Face's layout, which FastDeploy {line} "
                f"loads with load-choices default_v1 only, not {choice}",
                "set `engine-args: {load-choices: default_v1}`",
            )
        ]
    return []


def _thinking(
    profile: Profile, requested: Requested, model: ModelFacts, line: str
) -> list[Problem]:
    problems = []
    reasoning, tool = requested.value("reasoning-parser"), requested.value("tool-call-parser")
    for option, name, right in (
        ("reasoning-parser", reasoning, model.reasoning),
        ("tool-call-parser", tool, model.tool),
    ):
        kind = "reasoning" if option == "reasoning-parser" else "tool"
        if not isinstance(name, str) or not vocabulary.parser_lines(name, kind):
            continue
        what = "does not think" if option == "reasoning-parser" else "does not call tools"
        if right is None:
            problems.append(
                problem(profile, requested.key(option), "wrong-parser",
                        f"{model.repo} {what}: with a {option} it does not start, or its answers "
                        "are cut up wrongly", f"remove `{requested.key(option)}`")
            )  # fmt: skip
        elif name.replace("_", "-") != right and not requested.value("tool-parser-plugin"):
            problems.append(
                problem(profile, requested.key(option), "wrong-parser",
                        f"{model.repo} needs the {option} {right!r}, not {name!r}",
                        f"write {right!r}")
            )  # fmt: skip
    if tool and not reasoning and model.always_thinks:
        problems.append(
            problem(profile, requested.key("tool-call-parser"), "impossible-combination",
                    f"{model.repo} always thinks: without a reasoning parser its thoughts stay in "
                    "the answer and hide the tool call",
                    f"set `parsers: {{reasoning: {model.reasoning}}}`")
        )  # fmt: skip
    return problems


def _heads(profile: Profile, requested: Requested, model: ModelFacts) -> list[Problem]:
    size = requested.tensor_parallel
    if size < 1 or model.heads is None or model.heads % size == 0:
        return []
    return [
        problem(profile, requested.key("tensor-parallel-size"), "impossible-combination",
                f"{model.id} has {model.heads} attention heads, which cannot be shared by {size} "
                "GPUs")
    ]  # fmt: skip


def notes(profile: Profile, line: str) -> tuple[str, ...]:
    """Names that were translated, and flags that this release takes and ignores."""
    requested = Requested(profile)
    notes_ = []
    for name, kind in (("reasoning-parser", "reasoning"), ("tool-call-parser", "tool")):
        value = requested.value(name)
        called = vocabulary.parser(value, kind, line) if isinstance(value, str) else None
        if called and called != value:
            how = "is taken for" if vocabulary.folds_underscores(line) else "is called"
            notes_.append(f"{requested.key(name)}: {value} {how} {called} in {line}")
    for key in profile.engine_args:
        option = table(line).get(key)
        if option is None:
            continue
        if option.flag.lstrip("-") != key.lstrip("-"):
            notes_.append(f"engine-args.{key}: the flag is spelled {option.flag} in {line}")
        if option.deprecated:
            notes_.append(f"{option.flag} is deprecated in {line}: {option.deprecation_note}")
    return tuple(notes_)
