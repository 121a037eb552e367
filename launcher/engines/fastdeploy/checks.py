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
    in_every,
    in_file_order,
    merged,
    problem,
)
from launcher.engines.fastdeploy import (
    combinations,
    groups,
    model_checks,
    models_on_release,
    shell,
    vocabulary,
)
from launcher.engines.fastdeploy.catalogue import (
    catalogue_key,
    comma_lists,
    environment,
    history,
    late_choices,
    lines_with,
    reads_variable,
    table,
    where_else,
)
from launcher.engines.fastdeploy.neutral import KEYS
from launcher.engines.fastdeploy.release_data import LINES, at_least, is_catalogued, nearest_line
from launcher.engines.fastdeploy.requested import Requested
from launcher.engines.neutral import check_keys, check_values
from launcher.errors import Problem
from launcher.json_values import list_at, text_at
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

WITHOUT = {
    "served-model-name": "a client names the model's path",
    "parsers.tool-call": "tool calls stay text in the answer",
    "revision": "the newest one is loaded",
    "api-key": "anyone who can connect is served",
    "stop.drain": "streams are cut when it stops",
}
"""Key of the profile to what happens in a release without its option."""


def validate(profile: Profile, release: Release | None) -> list[Problem]:
    """Everything wrong for `release`; with None, for the releases the profile admits."""
    if release is not None:
        return for_line(profile, catalogue_key(release))
    try:
        lines = admitted(profile.engine_version, LINES)
    except InvalidSpecifier:
        wrong = problem(profile, "engine-version", "bad-version",
                        f"{profile.engine_version!r} is not a version constraint",
                        "write it like 2.3.2, or >=2.2,<2.7")  # fmt: skip
    else:
        if lines:
            return merged({line: for_line(profile, line) for line in lines})
        if newer_admitted(profile.engine_version):
            # What the newest release lacks may be in that one: only its package can tell.
            return [p for p in for_line(profile, LINES[-1]) if p.code not in OF_A_RELEASE]
        wrong = problem(profile, "engine-version", "unknown-release",
                        f"no known FastDeploy release satisfies {profile.engine_version!r}",
                        f"known: {', '.join(LINES)}")  # fmt: skip
    return in_file_order([wrong, *in_every({line: for_line(profile, line) for line in LINES})])


OF_A_RELEASE = (
    "unknown-flag", "unknown-variable", "key-not-supported", "wrong-value", "unknown-parser",
    "out-of-range", "impossible-combination", "model-not-supported",
)  # fmt: skip
"""Codes of problems that another release may not have."""


def newer_admitted(engine_version: str | None) -> bool:
    """Whether the constraint admits a release after the newest catalogued one."""
    major, minor = (int(part) for part in LINES[-1].split("."))
    newer = [f"{major}.{minor + step}" for step in range(1, 10)] + [f"{major + 1}.0"]
    return bool(admitted(engine_version, newer))


def for_line(profile: Profile, line: str) -> list[Problem]:
    """Everything wrong with the profile for release line `line`."""
    if groups.is_grouped(profile):
        return groups.check(profile, line, for_line)
    problems = check_ports(profile, "FastDeploy", PORTS)
    problems += check_hub_keys(profile)
    problems += check_env(profile, OWNED_ENV)
    problems += _variables(profile, line)
    problems += _newer_keys(profile, line)
    problems += check_options(
        profile, table(line), OWNED_FLAGS, elsewhere=lambda name: where_else(name, line)
    )
    problems += check_keys(profile, "FastDeploy", KEYS)
    problems += check_values(
        profile, KEYS, table(line), lambda key, option: _lacking(profile, key, option, line)
    )
    problems += _chunked_off(profile, line)
    typed = {p.where for p in problems}
    problems += [p for p in _late(profile, line) if p.where is None or p.where not in typed]
    problems += model_checks.check(profile, line)
    problems += models_on_release.check(profile, line)
    problems += combinations.check(profile, line)
    problems += shell.check(profile, line)
    return in_file_order(dict.fromkeys(problems))


def _variables(profile: Profile, line: str) -> list[Problem]:
    """FastDeploy's variables that this release does not read: they would be ignored."""
    problems = []
    for name in profile.env:
        entry = environment().get(name)
        if reads_variable(name, line):
            continue
        if entry is None:
            ours = name.startswith("FD_")
            if name in OWNED_ENV or _outside(name):
                continue
            # Any variable may be meant for a library; one letter off FastDeploy's is a slip.
            near = nearest(name, environment(), cutoff=0.6 if ours else 0.92)
            if ours or near:
                problems.append(
                    problem(profile, f"env.{name}", "unknown-variable",
                            f"no FastDeploy release reads {name}" if is_catalogued(line) else
                            f"FastDeploy {line} does not read {name}",
                            f"did you mean {near}?" if near else None)
                )  # fmt: skip
        else:
            problems.append(
                problem(profile, f"env.{name}", "unknown-variable",
                        f"FastDeploy {line} does not read {name}: it exists in "
                        f"{', '.join(entry.lines)}")
            )  # fmt: skip
    return problems


def _outside(name: str) -> bool:
    from launcher.engines.fastdeploy.release_data import load

    entries = list_at(load("environment.json"), "outside_envs_py")
    return any(name in text_at(entry, "name") for entry in entries)


def _newer_keys(profile: Profile, line: str) -> list[Problem]:
    """Keys that are not options, in a release that does not have what is behind them."""
    problems = []
    for key, option, value in (
        ("api-key", "api-key", profile.api_key),
        ("stop.drain", "timeout-graceful-shutdown", profile.stop.drain),
    ):
        if value and option not in table(line):
            problems.append(_lacking(profile, key, option, line))
    if profile.stop.drain and profile.stop.drain != int(profile.stop.drain):
        problems.append(problem(profile, "stop.drain", "wrong-value",
                             "FastDeploy drains for whole seconds"))  # fmt: skip
    if nearest_line(line) == "2.0" and profile.cache_dir and profile.env.get("FD_MODEL_SOURCE"):
        problems.append(problem(profile, "env.FD_MODEL_SOURCE", "unknown-variable",
                             "FastDeploy 2.0 downloads from AI Studio only"))  # fmt: skip
    return problems


def _lacking(profile: Profile, key: str, option: str, line: str) -> Problem:
    """The problem with a key whose option the release does not have."""
    otherwise = f": {WITHOUT[key]}" if key in WITHOUT else ""
    have = lines_with(option)
    remedy = f"remove `{key}`"
    if have and have[0] > line:
        remedy += f", or use FastDeploy {have[0]} or later"
    return problem(profile, key, "key-not-supported",
                   f"FastDeploy {line} has no `{key}`, {history(option, line)}{otherwise}",
                   remedy)  # fmt: skip


def _chunked_off(profile: Profile, line: str) -> list[Problem]:
    """Chunked prefill that no flag turns off: without a word it would stay on."""
    requested = Requested(profile)
    name = "enable-chunked-prefill"
    if requested.value(name) is not False or name not in table(line) or not at_least(line, "2.2"):
        return []
    if nearest_line(line) == "2.2":
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


def notes(profile: Profile, line: str) -> tuple[str, ...]:
    """Names that were translated, and flags that this release takes and ignores."""
    requested = Requested(profile)
    all_notes = list(models_on_release.notes(profile, line))
    for name, kind in (("reasoning-parser", "reasoning"), ("tool-call-parser", "tool")):
        value = requested.value(name)
        called = vocabulary.parser(value, kind, line) if isinstance(value, str) else None
        if called and called != value:
            how = "is taken for" if vocabulary.folds_underscores(line) else "is called"
            all_notes.append(f"{requested.key(name)}: {value} {how} {called} in {line}")
    for key in profile.engine_args:
        option = table(line).get(key)
        if option is None:
            continue
        if option.flag.lstrip("-") != key.lstrip("-"):
            all_notes.append(f"engine-args.{key}: the flag is spelled {option.flag} in {line}")
        if option.deprecated:
            all_notes.append(f"{option.flag} is deprecated in {line}: {option.deprecation_note}")
    return tuple(all_notes)
