"""What is wrong with a profile's model for a FastDeploy release, and with its parsers."""

from __future__ import annotations

from launcher.engines.common import problem
from launcher.engines.fastdeploy import vocabulary
from launcher.engines.fastdeploy.catalogue import table
from launcher.engines.fastdeploy.models import ModelFacts, model_facts
from launcher.engines.fastdeploy.release_data import at_least
from launcher.engines.fastdeploy.requested import Requested
from launcher.errors import Problem
from launcher.nearest import did_you_mean
from launcher.profile.model import Profile


def check(profile: Profile, line: str) -> list[Problem]:
    """Parsers the release does not have or the model does not need, and models it cannot load."""
    return [*_parsers(profile, line), *_model(profile, line)]


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
        message = f"FastDeploy {line} has no {kind} parser {name!r}"
        if lines:
            message += f"; it is in {', '.join(lines)}"
        else:
            message += did_you_mean(name, vocabulary.registered(kind, line))
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
    ]


def _weights(profile: Profile, requested: Requested, model: ModelFacts, line: str) -> list[Problem]:
    if model.first_line and not at_least(line, model.first_line):
        return [
            problem(profile, "model", "model-not-supported",
                    f"{model.repo} needs FastDeploy {model.first_line} or later, not {line}",
                    "set `engine-version` accordingly")
        ]  # fmt: skip
    if not model.torch:
        return []
    first = "2.3" if model.vision else "2.2"
    if not at_least(line, first):
        return [
            problem(profile, "model", "model-not-supported",
                    f"{model.repo} has weights in Hugging Face's layout, which FastDeploy loads "
                    f"from {first} on; {line} ends in a TypeError",
                    f"use the -Paddle weights, or FastDeploy {first} or later")
        ]  # fmt: skip
    option = table(line).get("load-choices")
    choice = requested.value("load-choices") or (option.default if option else "default_v1")
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
