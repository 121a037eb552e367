"""A new key needs a line in the reference and one in an engine's table; the rest follows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import jsonschema
import pytest

from launcher import engines
from launcher.cli import completing
from launcher.engines.fastdeploy.neutral import KEYS as FASTDEPLOY
from launcher.engines.neutral import NeutralKeys
from launcher.engines.transformers.neutral import KEYS as TRANSFORMERS
from launcher.engines.vllm.neutral import KEYS as VLLM
from launcher.json_values import object_at
from launcher.profile import catalogue, json_schema, schema
from launcher.profile.build import build
from launcher.profile.model import Profile
from tests.engines.making import context, plan

NEW = """
window:
  type: count
  flag: some
  only: local
  meaning: Tokens of one block. More are slower.
  example: 32
"""
VERSIONS = {"fastdeploy": "2.4.0", "vllm": "0.32.0", "transformers": "5.24.0"}
TABLES: dict[str, tuple[NeutralKeys, str]] = {
    "fastdeploy": (FASTDEPLOY, "block-size"),
    "vllm": (VLLM, "block-size"),
    "transformers": (TRANSFORMERS, "model-timeout"),
}
"""Engine to its table, and one of its options that no key stands for."""
HEAD = "name: a\nengine: {}\nmodel: owner/name\n"


@pytest.fixture(autouse=True)
def reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The reference with one key more."""
    path = tmp_path / "reference.yaml"
    path.write_text(schema.REFERENCE.read_text(encoding="utf-8") + NEW)
    monkeypatch.setattr(schema, "REFERENCE", path)
    schema.schema.cache_clear()
    yield
    schema.schema.cache_clear()


@pytest.fixture(params=TABLES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An engine whose table got one line more."""
    name: str = request.param
    table, option = TABLES[name]
    assert isinstance(table.options, dict)
    monkeypatch.setitem(table.options, "window", option)
    return name


@pytest.mark.usefixtures("engine")
def test_it_is_read_merged_and_judged_by_its_type(
    load: Callable[..., Profile], refused: Callable[..., list[tuple[str, ...]]],
    write: Callable[..., str],
) -> None:  # fmt: skip
    text = HEAD.format("vllm") + "window: 8\n"
    assert load(text).setting("window") == 8
    assert load(text, overlays=[write("window: 16\n", "over.yaml")]).setting("window") == 16
    assert load(text, sets=["window=64"]).setting("window") == 64
    assert load(text, sets=["window=null"]).setting("window") is None
    assert load(text.replace("8", "${W}"), {"W": "9"}).setting("window") == 9
    assert [p[:3] for p in refused(text.replace("8", "much"))] == [
        ("wrong-type", "p.yaml:4:9", "window: 'much' is not a whole number")
    ]
    (problem,) = refused(text.replace("window", "windwo"))
    assert problem[3] == "did you mean `window`?"
    (problem,) = refused(text + "engine-args: {window: 9}\n")
    assert problem[0] == "duplicate-setting"
    hosted = HEAD.format("hosted") + "base-url: https://x.example/v1\nwindow: 8\n"
    assert [p[0] for p in refused(hosted)] == ["impossible-combination"]


def test_the_engine_is_given_it_with_the_place_it_came_from(
    load: Callable[..., Profile], engine: str
) -> None:
    loaded = load(HEAD.format(engine) + "window: 64\n")
    option = TABLES[engine][1]
    (flag,) = [flag for flag in plan(loaded, VERSIONS[engine]).flags if flag.key == "window"]
    assert (flag.flag, flag.values) == (f"--{option}", ("64",))
    assert flag.origin == f"{loaded.path}:4:1"


def test_the_engine_judges_it_by_its_option(load: Callable[..., Profile], engine: str) -> None:
    option = TABLES[engine][1]
    loaded = load(HEAD.format(engine) + f"window: 64\nengine-args: {{{option}: 32}}\n")
    release = context(engine, VERSIONS[engine]).release
    (problem,) = engines.get(engine).validate(loaded, release)
    assert (problem.code, problem.where) == ("duplicate-flag", f"{loaded.path}:5:15")
    assert "is given by `window` already" in problem.message


def test_engines_that_do_not_have_it_refuse_it_and_say_who_has(
    load: Callable[..., Profile], engine: str
) -> None:
    for second in set(TABLES) - {engine}:
        loaded = load(HEAD.format(second) + "window: 64\n")
        release = context(second, VERSIONS[second]).release
        (problem,) = engines.get(second).validate(loaded, release)
        assert problem.code == "key-not-supported"
        assert problem.message == f"{engines.get(second).title} has no `window`: {engine} has it"
        assert (problem.where, problem.remedy) == (f"{loaded.path}:4:1", "remove `window`")


def test_a_release_without_the_option_refuses_it(
    load: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(FASTDEPLOY.options, dict)
    monkeypatch.setitem(FASTDEPLOY.options, "window", "router")
    loaded = load(HEAD.format("fastdeploy") + "window: 64\n")
    release = context("fastdeploy", "2.2.0").release
    (problem,) = engines.get("fastdeploy").validate(loaded, release)
    assert problem.message == "FastDeploy 2.2 has no `window`, it exists from 2.3"


def test_a_key_that_no_engine_has_is_refused_by_all(load: Callable[..., Profile]) -> None:
    for name in TABLES:
        loaded = load(HEAD.format(name) + "window: 64\n")
        (problem,) = engines.get(name).validate(loaded, context(name, VERSIONS[name]).release)
        assert problem.message == f"{engines.get(name).title} has no `window`"


def test_manual_schema_and_completion_have_it() -> None:
    schema = json_schema.json_schema()
    assert object_at(schema, "properties", "window")["description"] == (
        "Tokens of one block. More are slower."
    )
    validator = jsonschema.Draft202012Validator(schema)
    document = {"name": "a", "engine": "vllm", "model": "a/b", "window": 8}
    assert validator.is_valid(document)
    assert not validator.is_valid({**document, "window": 0})
    assert "#window: 32\n" in catalogue.starter("fastdeploy", None, "a")
    parameter = click.Option(["--set"])
    (item,) = completing.settings(click.Context(click.Command("plan")), parameter, "win")
    assert (item.value, item.help) == ("window=", "Tokens of one block.")


def test_the_profile_kept_with_an_instance_has_it(load: Callable[..., Profile]) -> None:
    loaded = load(HEAD.format("vllm") + "window: 8\n")
    assert build(loaded.resolved, "kept.json").setting("window") == 8
