"""What is wrong with a profile for vLLM."""

from __future__ import annotations

from dataclasses import dataclass

from launcher import paths
from launcher.engines.base import Release
from launcher.engines.common import (
    check_env,
    check_hub_keys,
    check_options,
    check_ports,
    in_file_order,
    problem,
)
from launcher.engines.fastdeploy.models import model_facts
from launcher.engines.model_checks import check_gguf, check_heads, check_layout, heads_of
from launcher.engines.neutral import check_keys, check_values
from launcher.engines.options import OptionTable
from launcher.engines.vllm import flags
from launcher.engines.vllm.neutral import KEYS
from launcher.errors import Problem
from launcher.json_values import JsonObject, JsonValue, integer_at, list_at, object_at
from launcher.nearest import did_you_mean
from launcher.profile.model import Profile

PARSERS = ("parsers.reasoning", "parsers.tool-call")
"""Keys whose values are neutral names that vLLM spells in its own way."""

PARSER_NAMES = {"ernie-x1": "ernie45"}
"""Neutral parser name to vLLM's; names that are not here are vLLM's own."""

OWNED_FLAGS = {
    "model": "write it as `model` at the top",
    "host": "write it as `host` at the top",
    "port": "write it as `ports: {api: NUMBER}`",
    "api-key": "write it as `api-key: env:NAME` at the top: on the command line every user of the "
    "machine can read it",
    "download-dir": "write it as `cache-dir` at the top",
    "shutdown-timeout": "write it as `stop: {drain: SECONDS}`",
    "config": "write its settings into the profile",
    "uds": "the launcher proves readiness on a port",
    "ssl-keyfile": "the launcher speaks plain HTTP to the server: put a proxy in front",
    "ssl-certfile": "the launcher speaks plain HTTP to the server: put a proxy in front",
    "root-path": "the launcher asks /health and /v1 at the root: put a proxy in front",
    "headless": "the launcher proves readiness on a port",
}

OWNED_ENV = {
    "VLLM_API_KEY": "write it as `api-key: env:NAME` at the top",
    "TMPDIR": "it is the instance's private folder",
    "PYTHONUNBUFFERED": "the keeper needs lines when they are printed",
    "CUDA_VISIBLE_DEVICES": "write it as `gpus` at the top",
    "SPT_NOENV": "the keeper recognises its processes by their environment",
    "HF_HUB_OFFLINE": "it follows from `model`: a local folder is served offline",
    "TRANSFORMERS_OFFLINE": "it follows from `model`: a local folder is served offline",
}


@dataclass(frozen=True)
class Catalogue:
    """A version's options. `exact` is False where that version's parser has not been asked yet."""

    table: OptionTable
    parsers: JsonObject
    exact: bool


def catalogue(release: Release | None) -> Catalogue:
    """The options of `release`: asked and cached, shipped, or those of the shipped version."""
    answer = flags.cached_answer(release.version, paths.cache()) if release else None
    exact = answer is not None or release is None
    release_flags = answer or flags.shipped()
    return Catalogue(flags.table(release_flags), object_at(release_flags, "parsers"), exact)


def parser_name(name: str) -> str:
    """What vLLM calls a parser that a profile names neutrally."""
    return PARSER_NAMES.get(name.replace("_", "-"), name)


def engine_arg(profile: Profile, option: str) -> JsonValue:
    """An option's value from the top of the profile or its `engine-args`, None if not given."""
    return KEYS.requested(profile, option)


def validate(profile: Profile, release: Release | None) -> list[Problem]:
    """Everything wrong with the profile for vLLM."""
    release_flags = catalogue(release)
    problems = check_keys(profile, "vLLM", KEYS)
    problems += check_ports(profile, "vLLM", ("api",))
    problems += check_hub_keys(profile)
    problems += check_env(profile, OWNED_ENV)
    options = check_options(profile, release_flags.table, OWNED_FLAGS)
    problems += [p for p in options if release_flags.exact or p.code != "unknown-flag"]
    problems += _values(profile, release_flags)
    problems += _parsers(profile, release_flags)
    problems += _ranges(profile)
    if profile.model.startswith("-") or not profile.model.strip():
        problems.append(problem(profile, "model", "bad-model", f"{profile.model!r} is not a model"))
    problems += check_gguf(profile, "vLLM")
    problems += check_layout(profile, "vLLM")
    size = engine_arg(profile, "tensor-parallel-size")
    if isinstance(size, int) and not isinstance(size, bool):
        facts = model_facts(profile)
        heads = heads_of(profile) or (facts.all_heads if facts else None)
        problems += check_heads(profile, _key(profile, "tensor-parallel-size"), size, heads)
    if profile.stop.drain and "shutdown-timeout" not in release_flags.table:
        problems.append(
            problem(profile, "stop.drain", "key-not-supported",
                    f"vLLM {release_flags.table.version} has no --shutdown-timeout: it cuts "
                    "streams when it stops", "remove `stop.drain`")
        )  # fmt: skip
    elif profile.stop.drain != int(profile.stop.drain):
        problems.append(
            problem(profile, "stop.drain", "wrong-value", "vLLM drains for whole seconds")
        )
    return in_file_order(problems)


def _values(profile: Profile, release_flags: Catalogue) -> list[Problem]:
    version = release_flags.table.version

    def lacking(key: str, option: str) -> Problem:
        return problem(profile, key, "key-not-supported",
                       f"vLLM {version} has no `{key}`: its parser has no --{option}",
                       f"remove `{key}`")  # fmt: skip

    problems = check_values(profile, KEYS, release_flags.table, lacking)
    # A version whose parser has not been asked yet may have it: vLLM itself will judge it.
    return [p for p in problems if release_flags.exact or p.code != "key-not-supported"]


def _parsers(profile: Profile, release_flags: Catalogue) -> list[Problem]:
    problems = []
    for option, kind in (("reasoning-parser", "reasoning"), ("tool-call-parser", "tool")):
        name, names = (
            engine_arg(profile, option),
            [str(n) for n in list_at(release_flags.parsers, kind)],
        )
        plugin = engine_arg(profile, f"{option.replace('-call', '')}-plugin")
        if not isinstance(name, str) or not names or plugin or not release_flags.exact:
            continue
        called = parser_name(name)
        if called in names:
            continue
        meant = did_you_mean(called, names)
        key = _key(profile, option)
        problems.append(
            problem(profile, key, "unknown-parser",
                    f"vLLM {release_flags.table.version} has no {kind} parser {called!r}{meant}",
                    f"known: {', '.join(names)}")
        )  # fmt: skip
    return problems


def _key(profile: Profile, option: str) -> str:
    """The key that gives a neutral option."""
    key = KEYS.key_of(option)
    return key if key and profile.setting(key) is not None else f"engine-args.{option}"


def _ranges(profile: Profile) -> list[Problem]:
    problems = []
    least = (("max-num-seqs", 1), ("tensor-parallel-size", 1), ("max-model-len", 1))
    for option, limit in least:
        value = integer_at(engine_arg(profile, option))
        is_automatic = option == "max-model-len" and value == -1
        if value is not None and value < limit and not is_automatic:
            problems.append(
                problem(profile, option, "out-of-range", f"{option} is {value}; at least {limit}")
            )
    ranks = gpu_ranks(profile)
    if profile.gpus and len(profile.gpus) != ranks:
        problems.append(
            problem(profile, "gpus", "impossible-combination",
                    f"`gpus` names {len(profile.gpus)}, but the parallel sizes need {ranks}",
                    "name one GPU for each rank, or change tensor-parallel-size")
        )  # fmt: skip
    if profile.gpus and len(set(profile.gpus)) != len(profile.gpus):
        problems.append(problem(profile, "gpus", "wrong-value", "a GPU is named twice"))
    return problems


def gpu_ranks(profile: Profile) -> int:
    """How many GPUs of this host the parallel sizes come to."""
    ranks = 1
    for name in ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"):
        ranks *= max(integer_at(engine_arg(profile, name)) or 1, 1)
    return ranks
