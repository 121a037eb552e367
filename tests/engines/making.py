"""Profiles and plan contexts for tests of the engines."""

from pathlib import Path
from typing import Any, NamedTuple

from launcher import engines
from launcher.engines.base import PlanContext
from launcher.errors import Problem
from launcher.json_values import JsonValue
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Origin, Profile, SecretRef
from launcher.profile.schema import neutral_keys
from tests.support.decoded import JsonDict


class Parsers(NamedTuple):
    """The values of `parsers.reasoning` and `parsers.tool-call`."""

    reasoning: str | None = None
    tool_call: str | None = None


PORTS = {
    "api": 8180, "metrics": 8181, "engine-worker-queue": 8182, "cache-queue": 8183,
    "controller": 8190, "pd-comm": 8200, "rdma-comm": 8210,
}  # fmt: skip

CARD: JsonDict = {
    "model": "baidu/ERNIE-4.5-21B-A3B-Thinking",
    "ports": {"api": 8180, "metrics": 8181, "engine-worker-queue": 8182},
    "tensor_parallel_size": 1,
    "max_model_len": 131072,
    "max_num_seqs": 32,
    "parsers": Parsers("ernie_x1", "ernie_x1"),
    "engine_args": {"load-choices": "default_v1"},
}
"""The model card's command as a profile's values."""


def profile(engine: str = "fastdeploy", **values: Any) -> Profile:
    """A profile with a hub model; every key has a place in `p.yaml`."""
    keys = {"model": "someone/some-model", **values}
    origins = {"": Origin("p.yaml", 1, 1)}
    for line, key in enumerate(_keys(keys), start=2):
        origins[key] = Origin("p.yaml", line, 3)
    settings = _settings(keys)
    return Profile(
        name="t", engine=engine, path="p.yaml", origins=origins, settings=settings, **keys
    )


def _settings(keys: JsonDict) -> dict[str, JsonValue]:
    """The neutral keys, taken out of `keys`."""
    values = {name.replace("_", "-"): value for name, value in keys.items()}
    parsers = values.pop("parsers", Parsers())
    values |= {"parsers.reasoning": parsers.reasoning, "parsers.tool-call": parsers.tool_call}
    for name in ("parsers", *(key.replace("-", "_") for key in neutral_keys())):
        keys.pop(name, None)
    return {
        key: value.text() if isinstance(value, SecretRef) else value
        for key in neutral_keys()
        if (value := values.get(key)) is not None
    }


def _keys(values: dict[str, object]) -> list[str]:
    keys = []
    for name, value in values.items():
        key = name.replace("_", "-")
        keys.append(key)
        if isinstance(value, Parsers):
            keys += ["parsers.reasoning", "parsers.tool-call"]
        elif isinstance(value, dict):
            keys += [f"{key}.{inner}" for inner in value]
    return keys


def context(engine: str, version: str, distributions: dict[str, str] | None = None) -> PlanContext:
    """A context with every port and folders that need not exist."""
    return PlanContext(
        python="/venv/bin/python",
        release=engines.get(engine).release(version),
        ports=PORTS,
        log_folder=Path("/state/instances/t/logs/engine"),
        temporary_folder=Path("/tmp/ed-12345678"),
        distributions=distributions or {},
    )


def plan(loaded: Profile, version: str, distributions: dict[str, str] | None = None) -> LaunchPlan:
    """The plan of a profile for a version of its engine."""
    return engines.get(loaded.engine).plan(loaded, context(loaded.engine, version, distributions))


def problems(loaded: Profile, version: str | None) -> list[Problem]:
    """What is wrong with a profile for a version, or for all it admits."""
    engine = engines.get(loaded.engine)
    return engine.validate(loaded, engine.release(version) if version else None)


def command_words(launch_plan: LaunchPlan) -> tuple[str, ...]:
    """The command line after `python -m module`."""
    return launch_plan.argv[1 + len(launch_plan.module) :]
