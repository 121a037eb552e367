"""One file is documentation, example and schema; the JSON Schema and the loader agree."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from launcher import paths, profile
from launcher.errors import DeployError
from launcher.profile import json_schema, schema, types
from tests.support import ROOT
from tests.support.decoded import JsonDict

VALIDATOR = jsonschema.Draft202012Validator(json_schema.json_schema())
SHIPPED = sorted((ROOT / "profiles").glob("*.yaml"))
HEAD = {"name": "a", "engine": "vllm", "model": "a/b"}
HOSTED = {**HEAD, "engine": "hosted", "base-url": "https://x.example/v1"}


def agree(text: str, path: Path) -> tuple[bool, bool]:
    """Whether the JSON Schema and the loader take a profile's text."""
    path.write_text(text)
    by_schema = not list(VALIDATOR.iter_errors(yaml.safe_load(text)))
    try:
        profile.load(path, environ={"X": "8"}, need_model=False)
    except DeployError:
        return by_schema, False
    return by_schema, True


def example(keys: Any, engine: str) -> JsonDict:
    """A profile of all examples in the reference."""
    document = {}
    for name, key in keys.items():
        value = key.elsewhere if engine == "hosted" and key.only == "hosted" else key.example
        if key.belongs(engine) and (key.keys or value is not None):
            document[name] = example(key.keys, engine) if key.keys else value
    return document


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema.json_schema())


def test_the_shipped_schema_is_current() -> None:
    shipped = paths.shipped("profiles", json_schema.ID).read_text(encoding="utf-8")
    assert shipped == json_schema.text(), (
        "run: ernie-deploy profiles schema > profiles/profile.schema.json"
    )


def test_every_key_has_a_meaning_an_example_and_a_known_type() -> None:
    for path, key in schema.paths():
        assert key.meaning.endswith("."), path
        if not key.keys:
            assert key.example is not None or key.elsewhere is not None, path
        assert types.TYPES[key.type].name == key.type, path


@pytest.mark.parametrize("engine", ["fastdeploy", "hosted"])
def test_the_reference_is_a_profile(engine: str, tmp_path: Path) -> None:
    document = {**example(schema.schema(), engine), "engine": engine}
    assert agree(yaml.safe_dump(document), tmp_path / "p.yaml") == (True, True)
    loaded = profile.load(tmp_path / "p.yaml", environ={})
    for path, key in schema.paths():
        if key.belongs(engine) and path.partition(".")[0] in document and key.type != "files":
            assert path in loaded.origins, f"{path} of the reference did not reach the profile"


def test_every_default_of_the_reference_is_the_model_s_own(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(HEAD))
    loaded = profile.load(path, environ={})
    plain = type(loaded)(name="a", engine="vllm", model="a/b")
    for part in ("host", "health", "restart", "stop", "logs"):
        assert getattr(loaded, part) == getattr(plain, part)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_profiles_are_right_and_name_the_schema(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./profile.schema.json\n")
    errors = [e.message for e in VALIDATOR.iter_errors(yaml.safe_load(text))]
    assert errors == []
    loaded = profile.load(path, environ={})
    assert loaded.name == path.stem
    assert loaded.description


def _wrong() -> Iterator[Any]:
    changes: list[JsonDict] = [
        {"name": None},
        {"engine": None},
        {"model": None},
        {"name": "Not A Name"},
        {"unknown": 1},
        {"max_model_len": 8},
        {"max-model-len": 0},
        {"max-model-len": 1.5},
        {"max-model-len": "8192"},
        {"max-model-len": [1]},
        {"ports": 8180},
        {"ports": {"api": 0}},
        {"ports": {"api": "some"}},
        {"ports": {"API": 1}},
        {"gpus": -1},
        {"gpus": {"a": 1}},
        {"gpus": "one"},
        {"gpus": ["0,1"]},
        {"gpus": [0, 0]},
        {"api-key": "sk-123"},
        {"api-key": 5},
        {"env": ["A=1"]},
        {"env": {"A": [1]}},
        {"env": {"1A": "x"}},
        {"engine-args": ["--x"]},
        {"health": {"startup-timeout": "soon"}},
        {"health": {"startup-timeout": -1}},
        {"health": {"timeout": 5}},
        {"health": 5},
        {"restart": {"policy": "sometimes"}},
        {"restart": {"delay": 5}},
        {"restart": {"on-stall": "ignore"}},
        {"logs": {"max-size": "64 potatoes"}},
        {"parsers": "ernie-x1"},
        {"smoke": {"check": []}},
        {"smoke": {"repeat": 0}},
        {"host": "http://x"},
        {"extends": {"a": 1}},
        {"dialect": "openai"},
    ]
    yield from ({**HEAD, **change} for change in changes)
    yield {**HOSTED, "base-url": None, "gpus": 0}
    yield {**HOSTED, "base-url": "ftp://x"}
    yield {**HOSTED, "dialect": "gemini"}
    yield {**HOSTED, "ports": {"api": 1}}


@pytest.mark.parametrize("data", list(_wrong()), ids=lambda d: json.dumps(d)[-60:])
def test_the_schema_and_the_loader_refuse_the_same(data: object, tmp_path: Path) -> None:
    assert agree(json.dumps(data), tmp_path / "p.yaml") == (False, False)


@pytest.mark.parametrize(
    "change",
    [
        {"engine-version": 2.3},
        {"engine-version": "2.10"},
        {"max-model-len": "${X}"},
        {"max-model-len": None},
        {"ports": {"api": "${X}", "metrics": None}},
        {"gpus": "0,1"},
        {"gpus": ["${X}", 1]},
        {"host": "${NO:-0.0.0.0}"},
        {"api-key": "env:${NO:-KEY}"},
        {"name": "a-${X}"},
        {"env": {"A": 1, "B": True, "C": None, "D": 1.5}},
        {"health": {"startup-timeout": "90s", "probe-timeout": 1.5, "no-progress-timeout": None}},
        {"logs": {"max-size": "1.5GiB", "keep": 0}},
        {"smoke": {"tags": "quick", "expect": {"chat": 1}}},
        {"engine-args": {"a": None, "b": {"c": [1, None]}}},
        {"description": True},
    ],
    ids=json.dumps,
)
def test_the_schema_and_the_loader_take_the_same(change: Any, tmp_path: Path) -> None:
    assert agree(json.dumps({**HEAD, **change}), tmp_path / "p.yaml") == (True, True)
