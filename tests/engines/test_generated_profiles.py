"""2,000 generated profiles, written as YAML and read back: none is ignored, none is a traceback.

A profile either ends in problems at its lines, or in a plan on which every key it gives can be
found again; FastDeploy's plans are then given to the release's own parser.
"""

import dataclasses
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher import engines
from launcher import profile as profiles
from launcher.engines.fastdeploy import checks as fastdeploy_checks
from launcher.engines.fastdeploy.catalogue import late_choices, table
from launcher.engines.fastdeploy.release_data import LINES
from launcher.engines.options import OptionTable, canonical
from launcher.engines.transformers import checks as transformers_checks
from launcher.engines.transformers.catalogue import releases, serve_of
from launcher.engines.vllm import checks as vllm_checks
from launcher.engines.vllm import flags
from launcher.errors import DeployError, ExitCode, ProfileError
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile
from tests.engines import making, rebuilt
from tests.support.decoded import JsonDict

EXAMPLES = {"fastdeploy": 1200, "vllm": 400, "transformers": 400}
VERSIONS = {
    "fastdeploy": LINES,
    "vllm": ("0.32.0", "0.12.0"),
    "transformers": tuple(s.version for s in releases()),
}

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 70000), st.floats(allow_nan=True), TEXT,
    st.sampled_from(["-1", "1.5", "{", '{"a": 1}', "a b", "$(id)", "--port", "wint8", "", "1,2"]),
)  # fmt: skip
ANYTHING = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from("abc"), SCALARS)
)
SECRETS = ["env:KEY", "env:KEY", "file:/etc/key", "cmd:pass show key", "plain"]


@cache
def options(engine: str, version: str) -> OptionTable:
    if engine == "fastdeploy":
        return table(version)
    return flags.table(flags.shipped()) if engine == "vllm" else serve_of(version).options


OWNED = {
    "fastdeploy": fastdeploy_checks.OWNED_FLAGS,
    "vllm": vllm_checks.OWNED_FLAGS,
    "transformers": transformers_checks.OWNED_FLAGS,
}


def sensible(engine: str, version: str, name: str) -> st.SearchStrategy[Any]:
    """Mostly values of the option's own kind."""
    option = options(engine, version).options[name]
    if option.action in ("switch", "boolean"):
        return st.booleans()
    late = late_choices(version).get(name) if engine == "fastdeploy" else None
    if option.choices or late:
        return st.sampled_from(tuple(option.choices or late or ()))
    kinds: dict[str, st.SearchStrategy[object]] = {
        "int": st.integers(1, 4096),
        "float": st.floats(0.1, 0.9),
        "bool": st.booleans(),
        "json": st.dictionaries(st.sampled_from(["method", "a"]), st.sampled_from(["mtp", 1])),
        "json-or-word": st.sampled_from(["wint8", {"quantization": "wint4"}]),
        "int-list": st.lists(st.integers(1, 9), min_size=1, max_size=2),
        "str-list": st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2),
    }
    return kinds.get(option.kind, st.sampled_from(["word", "other-word"]))


@st.composite
def engine_args(draw: st.DrawFn, engine: str, version: str) -> JsonDict:
    every = sorted(options(engine, version).options)
    free = [name for name in every if name not in OWNED[engine]]
    names = draw(st.lists(st.sampled_from(free), max_size=3))
    arguments = {}
    for name in names:
        wild = draw(st.integers(0, 19))
        if wild == 0:
            name = draw(st.sampled_from([*OWNED[engine], f"{name}x", "not a flag"]))
        spelled = name.replace("-", "_") if wild == 1 else name
        right = name in options(engine, version) and wild != 2
        arguments[spelled] = draw(sensible(engine, version, name) if right else ANYTHING)
    return arguments


@st.composite
def documents(draw: st.DrawFn, engine: str, version: str) -> tuple[JsonDict, str]:
    """A profile as a mapping, and the version it is for; rarely with a key of the wrong type."""
    keys: dict[str, st.SearchStrategy[Any]] = {
        "served-model-name": st.sampled_from(["ernie", "a b", "x" * 50]),
        "revision": st.sampled_from(["main", "v1"]),
        "cache-dir": st.sampled_from(["/data/models", "/data/my models"]),
        "host": st.sampled_from(["127.0.0.1", "0.0.0.0", "::1"]),
        "ports": st.dictionaries(
            st.sampled_from(["api", "metrics", "engine-worker-queue", "cache-queue", "grpc"]),
            st.one_of(st.just("auto"), st.integers(1024, 65535)), max_size=3,
        ),
        "gpus": st.sampled_from([["0"], ["0"], ["3"], ["0", "1"], ["GPU-1"], []]),
        "max-model-len": st.integers(1000, 200000),
        "max-num-seqs": st.integers(8, 260),
        "tensor-parallel-size": st.sampled_from([1, 1, 1, 2, 4]),
        "quantization": st.sampled_from(["wint4", "wint8", "wint8", "bnb-8bit", "no'pe"]),
        "parsers": st.fixed_dictionaries({}, optional={
            "reasoning": st.sampled_from(["ernie-x1", "ernie_x1", "qwen3", "nope"]),
            "tool-call": st.sampled_from(["ernie-x1", "ernie45", "hermes"]),
        }),
        "api-key": st.sampled_from(SECRETS),
        "env": st.dictionaries(
            st.sampled_from(["HF_TOKEN", "FD_SAMPLING_CLASS", "FD_LOG_DIR", "MY_SETTING", "X"]),
            st.sampled_from(["1", "env:TOKEN", "a b", "$(id)"]), max_size=2,
        ),
        "stop": st.fixed_dictionaries({"drain": st.sampled_from([0, 10, 10, 2.5])}),
        "health": st.fixed_dictionaries({}, optional={
            "startup-timeout": st.sampled_from(["20m", 90, "soon"]),
            "no-progress-timeout": st.sampled_from(["2m", 30]),
            "allow-differences": st.just(["max-model-len"]),
        }),
        "restart": st.fixed_dictionaries({}, optional={
            "policy": st.sampled_from(["never", "on-failure", "always", "sometimes"]),
            "max-restarts": st.integers(0, 5),
            "window": st.sampled_from(["10m", 30]),
            "first-delay": st.sampled_from(["1s", 2]),
            "max-delay": st.sampled_from(["1m", 90.5]),
            "on-stall": st.sampled_from(["restart", "report"]),
        }),
        "logs": st.fixed_dictionaries({}, optional={
            "max-size": st.sampled_from(["1MiB", "2 GB", 4096]),
            "keep": st.integers(0, 3),
            "engine-max-size": st.sampled_from(["1GiB", "much"]),
        }),
        "engine-args": engine_args(engine, version),
    }  # fmt: skip
    models = ["baidu/ERNIE-4.5-21B-A3B-Thinking", "baidu/ERNIE-4.5-0.3B-Paddle", "someone/model",
              "someone/model-2", "someone/model_3", "someone/4", "someone/my model"]  # fmt: skip
    document = {"name": "generated", "engine": engine, "model": draw(st.sampled_from(models))}
    for key in draw(st.lists(st.sampled_from(sorted(keys)), unique=True, max_size=4)):
        wild = draw(st.integers(0, 24)) == 0
        document[key] = draw(ANYTHING if wild else keys[key])
    return document, version


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated") / "profile.yaml"


@pytest.fixture(scope="module", autouse=True)
def outcomes() -> Iterator[dict[str, int]]:
    """Both ends must really be reached: a generator of rubbish would prove nothing."""
    counted: dict[str, int] = {}
    yield counted
    for engine in {key.split()[0] for key in counted}:
        assert counted.get(f"{engine} plan", 0) > 40, counted
        assert counted.get(f"{engine} refused", 0) > 40, counted


@pytest.mark.parametrize("engine", EXAMPLES)
def test_a_profile_is_refused_at_its_lines_or_found_again_in_the_plan(
    engine: str, file: Path, outcomes: dict[str, int]
) -> None:
    @settings(
        max_examples=EXAMPLES[engine],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.sampled_from(VERSIONS[engine]).flatmap(lambda v: documents(engine, v)))
    def run(drawn: tuple[JsonDict, str]) -> None:
        document, version = drawn
        file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        try:
            profile = profiles.load(str(file))
            plan = engines.get(engine).plan(profile, making.context(engine, version))
        except DeployError as error:
            refused_at_its_lines(error)
            outcomes[f"{engine} refused"] = outcomes.get(f"{engine} refused", 0) + 1
            return
        outcomes[f"{engine} plan"] = outcomes.get(f"{engine} plan", 0) + 1
        nothing_is_ignored(profile, plan)
        no_secret_in_sight(profile, plan)
        if engine == "fastdeploy":
            the_release_takes_it(profile, plan, version)

    run()


def refused_at_its_lines(error: DeployError) -> None:
    assert isinstance(error, ProfileError), error
    assert error.exit_code == ExitCode.USAGE
    assert error.problems
    assert all(p.message and p.where for p in error.problems), error.problems


def nothing_is_ignored(profile: Profile, plan: LaunchPlan) -> None:
    keys = {flag.key for flag in plan.flags}
    env = {variable.name: variable.value for variable in plan.env}
    for key, value in profile.engine_args.items():
        said_by_silence = value is False or value is None
        assert f"engine-args.{key}" in keys or said_by_silence, key
    for key, value in profile.settings.items():
        if key in ("api-key", "cache-dir"):
            continue
        if key == "revision" and profile.engine == "transformers":
            assert any(f"@{value}" in word for word in plan.argv)
            continue
        assert key in keys, key
    if profile.api_key is not None:
        assert profile.api_key.text() in plan.secrets.values()
    if profile.cache_dir is not None:
        assert profile.cache_dir in (*plan.argv, *env.values())
    if profile.gpus is not None:
        assert env["CUDA_VISIBLE_DEVICES"] == ",".join(profile.gpus)
    for name, value in profile.env.items():
        assert env.get(name) == value or plan.secrets.get(name) == value, name
    assert set(profile.ports) <= {use.name for use in plan.ports}
    assert profile.host in plan.argv
    assert plan.stop.drain == profile.stop.drain
    health, restart, logs = profile.health, profile.restart, profile.logs
    assert plan.deadlines.startup == health.startup_timeout
    assert plan.deadlines.no_progress == health.no_progress_timeout
    assert plan.allow_differences == health.allow_differences
    for field in dataclasses.fields(restart):
        assert getattr(plan.restart, field.name) == getattr(restart, field.name)
    assert (plan.log_max_size, plan.log_keep) == (logs.max_size, logs.keep)
    assert plan.engine_log_max_size == logs.engine_max_size


def no_secret_in_sight(profile: Profile, plan: LaunchPlan) -> None:
    for name in plan.secrets:
        assert name not in {variable.name for variable in plan.env}
    if profile.api_key is not None:
        assert not any("api-key" in word for word in plan.argv)


def the_release_takes_it(profile: Profile, plan: LaunchPlan, line: str) -> None:
    parsed = vars(rebuilt.parse(line, making.command_words(plan)))
    assert parsed["model"] == profile.model
    assert parsed["host"] == profile.host
    if profile.max_model_len is not None:
        assert parsed["max_model_len"] == profile.max_model_len
    for key, value in profile.engine_args.items():
        option = table(line).options[canonical(key)]
        got = parsed[option.flag.lstrip("-").replace("-", "_")]
        if isinstance(value, bool) and option.kind == "bool" and option.action != "store":
            assert got is value, key
        elif option.kind == "int":
            assert got == int(str(value)), key
        elif option.kind == "json" and isinstance(value, dict):
            assert got == json.loads(json.dumps(value)), key
