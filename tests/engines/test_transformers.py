"""`transformers serve`: command lines from 4.54 to 5.23, and what it does not have."""

import ast
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher import engines
from launcher import profile as profiles
from launcher.engines.options import option_arguments, wrong_value
from launcher.engines.transformers.catalogue import releases, serve_of
from launcher.engines.transformers.checks import OWNED_FLAGS
from launcher.errors import PreconditionError
from launcher.plan.model import LaunchPlan
from launcher.profile.model import Profile, SecretRef, Stop
from tests.engines import making
from tests.engines.making import Parsers
from tests.support.decoded import JsonDict
from tests.support.engines import require

SHIPPED = Path(__file__).parents[2] / "profiles"
FIVE = "/venv/bin/python -m transformers.cli.transformers serve"
FOUR = "/venv/bin/python -m transformers.commands.transformers_cli serve"


def make_profile(**values: object) -> Profile:
    return making.profile("transformers", **values)


def judged(version: str | None = "5.23.0", **values: object) -> list[tuple[str, str | None]]:
    return [(p.code, p.where) for p in making.problems(make_profile(**values), version)]


def shipped(name: str, version: str) -> LaunchPlan:
    return making.plan(profiles.load(str(SHIPPED / f"{name}.yaml")), version)


TINY = f"{SHIPPED}/tiny-ernie"
COMMANDS = [
    ("5.23.0", f"{FIVE} {TINY} --host 127.0.0.1 --port 8180 --device cpu"),
    ("5.10.2", f"{FIVE} {TINY} --host 127.0.0.1 --port 8180 --device cpu"),
    ("5.0.0", f"{FIVE} --force-model {TINY} --host 127.0.0.1 --port 8180 --device cpu "
     "--model-timeout 31536000"),
    ("4.54.1", f"{FOUR} --force-model {TINY} --host 127.0.0.1 --port 8180 --device cpu "
     "--model-timeout 31536000"),
]  # fmt: skip


@pytest.mark.parametrize(("version", "command"), COMMANDS)
def test_the_embedded_default_on_every_kind_of_release(version: str, command: str) -> None:
    assert " ".join(shipped("ernie-tiny-cpu", version).argv) == command


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("ernie-4.5-21b-a3b-thinking-transformers", "baidu/ERNIE-4.5-21B-A3B-Thinking"),
        ("ernie-4.5-21b-a3b-transformers", "baidu/ERNIE-4.5-21B-A3B-PT"),
        ("ernie-4.5-0.3b-transformers", "baidu/ERNIE-4.5-0.3B-PT"),
    ],
)
def test_shipped_profiles_on_a_gpu(name: str, model: str) -> None:
    plan = shipped(name, "5.23.0")
    assert " ".join(plan.argv) == f"{FIVE} {model} --host 127.0.0.1 --port 8180"
    assert "HF_HUB_OFFLINE" not in {v.name for v in plan.env}


def test_a_local_model_gets_a_hub_folder_of_its_own_and_no_network() -> None:
    plan = shipped("ernie-tiny-cpu", "5.23.0")
    env = {v.name: v.value for v in plan.env}
    assert env["HF_HUB_OFFLINE"] == env["HF_HUB_DISABLE_UPDATE_CHECK"] == "1"
    assert plan.folders == (f"{env['HF_HOME']}/hub",)
    assert env["HF_HOME"].startswith(plan.temporary_folder)


def test_readiness_names_the_model_as_the_server_wants_it() -> None:
    plan = making.plan(make_profile(revision="v2"), "5.23.0")
    assert plan.argv[4] == "someone/some-model@v2"
    assert plan.readiness.completion["model"] == "someone/some-model@v2"
    assert (plan.readiness.models_path, plan.readiness.model) == ("/v1/models", None)


@pytest.mark.parametrize(
    ("version", "health", "models"),
    [("4.56.2", "/openapi.json", None), ("4.57.6", "/health", None),
     ("5.0.0", "/health", "/v1/models")],
)  # fmt: skip
def test_old_releases_are_asked_what_they_can_answer(
    version: str, health: str, models: str | None
) -> None:
    ready = making.plan(make_profile(), version).readiness
    assert (ready.health_path, ready.models_path) == (health, models)


LACKING: list[dict[str, object]] = [
    {"served_model_name": "x"}, {"max_model_len": 1}, {"max_num_seqs": 1},
    {"tensor_parallel_size": 1}, {"api_key": SecretRef("env", "K")},
    {"parsers": Parsers("ernie-x1", "ernie-x1")},
]  # fmt: skip


@pytest.mark.parametrize("values", LACKING, ids=lambda v: next(iter(v)))
def test_what_it_does_not_have_names_the_engines_that_do(values: dict[str, object]) -> None:
    problems = making.problems(make_profile(**values), "5.23.0")
    assert {p.code for p in problems} == {"key-not-supported"}
    assert all("vllm" in p.message for p in problems)


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({"ports": {"metrics": 1}}, "port-not-supported", "p.yaml:4:3"),
        ({"engine_args": {"devise": "cpu"}}, "unknown-flag", "p.yaml:4:3"),
        ({"engine_args": {"reasoning": "maybe"}}, "wrong-value", "p.yaml:4:3"),
        ({"engine_args": {"model-timeout": "long"}}, "wrong-value", "p.yaml:4:3"),
        ({"engine_args": {"compile": "yes"}}, "wrong-value", "p.yaml:4:3"),
        ({"engine_args": {"port": 1}}, "reserved-flag", "p.yaml:4:3"),
        ({"quantization": "wint4"}, "wrong-value", "p.yaml:3:3"),
        ({"model": "/models/a@b"}, "bad-model-path", "p.yaml:2:3"),
        ({"stop": Stop(drain=3)}, "key-not-supported", "p.yaml:3:3"),
        ({"env": {"HF_HUB_OFFLINE": "0"}}, "reserved-variable", "p.yaml:4:3"),
    ],
)
def test_what_is_wrong_is_found_at_its_line(values: JsonDict, code: str, where: str) -> None:
    assert judged(**values) == [(code, where)]


def test_flags_of_other_releases_name_the_release() -> None:
    (problem,) = making.problems(make_profile(engine_args={"reasoning": "on"}), "5.4.0")
    assert problem.message == "transformers 5.4 has no flag --reasoning: it exists from 5.10"
    (problem,) = making.problems(make_profile(engine_args={"load-in-8bit": True}), "5.4.0")
    assert problem.message.endswith("it is gone since 5.0")
    (problem,) = making.problems(make_profile(quantization="bnb-8bit"), "4.57.6")
    assert "it exists from 5.0" in problem.message


def test_without_a_release_every_admitted_one_is_judged() -> None:
    values = {"engine_args": {"reasoning": "on"}}
    (problem,) = making.problems(make_profile(**values), None)
    assert problem.message.startswith("transformers 4.54 to 5.4 has no flag --reasoning")
    assert judged(None, engine_version=">=5.10", **values) == []


@pytest.mark.parametrize("server", releases(), ids=lambda s: s.version)
def test_every_flag_takes_a_right_value_and_refuses_a_wrong_one(server: Any) -> None:
    rights: JsonDict = {"int": 1, "float": 0.5, "str": "word", "bool": True, "json": {"a": 1}}
    wrongs: JsonDict = {"int": "x", "float": "x", "str": [1], "bool": "perhaps", "json": "{"}
    for option in server.options:
        right = option.choices[0] if option.choices else rights[option.kind]
        assert wrong_value(option, right) is None, option
        assert option_arguments(option, right)[0] in option.flags
        assert wrong_value(option, wrongs[option.kind]), option
        if option.name not in OWNED_FLAGS and option.name != "quantization":
            assert judged(server.version, engine_args={option.name: wrongs[option.kind]})


@pytest.mark.parametrize("version", ["4.53.3", "3.0", "new"])
def test_versions_without_a_chat_server_are_refused(version: str) -> None:
    with pytest.raises(PreconditionError):
        engines.get("transformers").release(version)


def test_an_environment_without_the_server_is_incomplete() -> None:
    transformers = engines.get("transformers")
    installed = transformers.installed(
        "/p", "3.11.7", {"transformers": "5.23.0", "torch": "2.13.0"}
    )
    assert installed.problem is not None
    assert (installed.problem.code, "fastapi, uvicorn" in installed.problem.message) == (
        "incomplete-engine", True)  # fmt: skip
    assert transformers.installed("/p", "3.11.7", {}).problem is None


def test_reasoning_is_promised_where_the_checkpoint_has_a_response_template(
    tmp_path: Path,
) -> None:
    transformers = engines.get("transformers")
    release = transformers.release("5.23.0")
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"response_template": {}}))
    local = make_profile(model=str(tmp_path))
    assert "reasoning" not in transformers.capabilities(local, release)
    config.write_text(json.dumps({"response_template": {"fields": {"content": {}}}}))
    assert {"reasoning", "tools"} <= transformers.capabilities(local, release)
    assert "reasoning" not in transformers.capabilities(make_profile(), release)


PHASES = [
    ("[transformers] Loading /models/tiny@main", "load weights", None),
    ("Loading weights:  50%|#####     | 10/20", "load weights", "50"),
    ("INFO:     Started server process [9046]", "serve", None),
    ("INFO:     Uvicorn running on http://127.0.0.1:18231 (Press CTRL+C)", "first answer", None),
]


@pytest.mark.parametrize(("line", "phase", "percent"), PHASES)
def test_phases_are_known_by_recorded_lines(line: str, phase: str, percent: str | None) -> None:
    rules = making.plan(make_profile(), "5.23.0").phase_rules
    hits = [(r.phase, match) for r in rules if (match := re.search(r.pattern, line))]
    assert hits[0][0] == phase
    assert hits[0][1].groupdict().get("percent") == percent


@pytest.mark.engine("transformers")
def test_the_data_are_the_installed_server_s_signature() -> None:
    """Read from the source of the installed release; nothing heavy is imported."""
    python = require("transformers")
    where = subprocess.run(
        [python, "-c", "import importlib.metadata as m; d = m.distribution('transformers');"
         "print(d.version); print(d.locate_file('transformers/cli/serve.py'))"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    version, path = where
    tree = ast.parse(Path(path).read_text())
    serve = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Serve")
    init = next(n for n in serve.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    names = {a.arg.replace("_", "-") for a in init.args.args} - {"self", "non-blocking"}
    server = serve_of(version)
    if server.model_flag is None:
        names.discard("force-model")
    assert names == set(server.options.options)
