"""`extends`, overlays and `--set`: what wins, and where it is said to come from."""

from pathlib import Path
from typing import Any

import pytest

from launcher import profile
from launcher.errors import DeployError, ProfileError
from tests.profile.conftest import Load, Write

BASE = """\
name: base
engine: fastdeploy
model: a/b
max-num-seqs: 8
gpus: [0, 1]
engine-args:
  one: 1
  two: 2
  json: {a: 1, b: 2}
"""


def problems(path: str, **options: Any) -> list[tuple[str, str | None]]:
    with pytest.raises(DeployError) as caught:
        profile.load(path, environ={}, **options)
    return [(p.code, p.where) for p in caught.value.problems]


def test_maps_merge_lists_replace_null_deletes(write: Write) -> None:
    write(BASE, "base.yaml")
    path = write(
        """\
        extends: base.yaml
        name: above
        gpus: [2]
        max-num-seqs: null
        engine-args:
          two: null
          three: 3
          json: {b: null, c: 3}
        """
    )
    got = profile.load(path, environ={})
    assert got.name == "above"
    assert got.gpus == ("2",)
    assert got.max_num_seqs is None
    assert "max-num-seqs" not in got.resolved
    assert got.engine_args == {"one": 1, "three": 3, "json": {"a": 1, "c": 3}}


def test_a_chain_and_a_list_of_bases_from_left_to_right(write: Write) -> None:
    write(BASE, "base.yaml")
    write("extends: base\nmax-num-seqs: 16\nmax-model-len: 16\n", "mid.yaml")
    write("max-model-len: 32\nhost: 0.0.0.0\n", "net.yaml")
    path = write("extends: [mid.yaml, ./net.yaml]\nname: x\n")
    got = profile.load(path, environ={})
    assert (got.max_num_seqs, got.max_model_len, got.host) == (16, 32, "0.0.0.0")
    folder = path.removesuffix("p.yaml")
    assert got.where("max-num-seqs") == f"{folder}mid.yaml:2:1"
    assert got.where("max-model-len") == f"{folder}./net.yaml:1:1"
    assert got.where("engine-args.json.b") == f"{folder}base.yaml:9:16"


def test_a_null_between_deletes_what_another_base_gave(write: Write) -> None:
    write("name: a\nengine: vllm\nmodel: a/b\nmax-num-seqs: 8\n", "a.yaml")
    write("max-num-seqs: null\n", "b.yaml")
    assert profile.load(write("extends: [a.yaml, b.yaml]\n"), environ={}).max_num_seqs is None
    assert profile.load(write("extends: [b.yaml, a.yaml]\n"), environ={}).max_num_seqs == 8


def test_a_shipped_profile_is_extended_by_its_name(write: Write) -> None:
    path = write("extends: ernie-4.5-21b-a3b-thinking\nname: mine\nmax-num-seqs: 4\n")
    got = profile.load(path, environ={})
    assert (got.model, got.max_num_seqs) == ("baidu/ERNIE-4.5-21B-A3B-Thinking", 4)


def test_paths_start_at_the_file_that_says_them(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base" / "weights").mkdir(parents=True)
    write("name: a\nengine: vllm\nmodel: ./weights\ncache-dir: c\n", "base/base.yaml")
    path = write("extends: base/base.yaml\npython: env/bin/python\napi-key: file:key\n")
    got = profile.load(path, environ={})
    assert got.model == str(tmp_path / "base" / "weights")
    assert got.model_is_path
    assert got.cache_dir == str(tmp_path / "base" / "c")
    assert got.python == str(tmp_path / "env/bin/python")
    assert got.api_key is not None
    assert got.api_key.text() == f"file:{tmp_path}/key"
    monkeypatch.chdir(tmp_path / "base")
    got = profile.load(path, environ={}, sets=["python=./python", "model=weights"])
    assert got.python == str(tmp_path / "base" / "python")
    assert got.model == str(tmp_path / "base" / "weights")


def test_what_exists_beside_the_profile_is_a_folder(write: Write, tmp_path: Path) -> None:
    path = write("name: a\nengine: vllm\nmodel: baidu/ERNIE\n")
    assert profile.load(path, environ={}).model == "baidu/ERNIE"
    (tmp_path / "baidu" / "ERNIE").mkdir(parents=True)
    assert profile.load(path, environ={}).model == str(tmp_path / "baidu" / "ERNIE")


def test_a_bare_interpreter_is_left_to_the_path(load: Load) -> None:
    text = "name: a\nengine: vllm\nmodel: a/b\npython: python3.12\n"
    assert load(text).python == "python3.12"


def test_loops(write: Write, tmp_path: Path) -> None:
    path = write("extends: q.yaml\nname: a\nengine: vllm\nmodel: a/b\n")
    write("extends: p.yaml\n", "q.yaml")
    with pytest.raises(ProfileError) as caught:
        profile.load(path, environ={})
    (problem,) = caught.value.problems
    assert problem.code == "circular-extends"
    assert problem.message == "extends goes round in a circle: p.yaml -> q.yaml -> p.yaml"
    assert problem.where == f"{tmp_path}/q.yaml:1:10"
    assert problems(write("extends: p.yaml\nname: a\nengine: vllm\nmodel: a/b\n"))[0][0] == (
        "circular-extends"
    )


def test_bases_that_multiply_are_read_once(write: Write) -> None:
    write(BASE, "x0.yaml")
    for i in range(1, 30):
        write(f"extends: [x{i - 1}, x{i - 1}]\n", f"x{i}.yaml")
    assert profile.load(write("extends: x29\nname: a\n"), environ={}).max_num_seqs == 8


def test_missing_and_wrong_bases_are_all_said(write: Write) -> None:
    write(BASE, "base.yaml")
    path = write(
        "name: a\nengine: vllm\nmodel: a/b\n"
        "extends: [bsae.yaml, [x], '${HOME}/x.yaml']\nmax-num-seqs: no\n"
    )
    with pytest.raises(ProfileError) as caught:
        profile.load(path, environ={})
    assert [(p.code, p.where) for p in caught.value.problems] == [
        ("missing-extends", f"{path}:4:11"),
        ("wrong-type", f"{path}:4:22"),
        ("bad-extends", f"{path}:4:27"),
        ("wrong-type", f"{path}:5:15"),
    ]
    assert caught.value.problems[0].remedy == "did you mean 'base.yaml'?"


def test_an_error_in_a_base_is_said_there(write: Write, tmp_path: Path) -> None:
    write(BASE + "max-model-len: many\n", "base.yaml")
    assert problems(write("extends: base.yaml\nname: a\n")) == [
        ("wrong-type", f"{tmp_path}/base.yaml:10:16")
    ]


def test_the_order_profile_overlay_variable_set(write: Write) -> None:
    path = write(BASE, "base.yaml")
    one = write("max-num-seqs: ${SEQS}\nhost: 0.0.0.0\n", "one.yaml")
    two = write("host: 10.0.0.1\nengine-args: {one: null}\n", "two.yaml")
    got = profile.load(
        path, overlays=[one, two], sets=["engine-args.two=5"], environ={"SEQS": "64"}, name="named"
    )
    assert (got.name, got.max_num_seqs, got.host) == ("named", 64, "10.0.0.1")
    assert got.engine_args == {"two": 5, "json": {"a": 1, "b": 2}}
    assert got.where("name") == "--name"
    assert got.where("engine-args.two") == "--set"
    assert got.origins["max-num-seqs"].note == "variable SEQS"


def test_overlays_that_cannot_be(write: Write) -> None:
    path = write(BASE, "base.yaml")
    over = write("extends: base.yaml\n", "over.yaml")
    assert problems(path, overlays=[over, "/nowhere.yaml"]) == [
        ("extends-in-overlay", f"{over}:1:1"),
        ("missing-profile", "/nowhere.yaml"),
    ]


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("max-num-seqs=4", "max-num-seqs", 4),
        ("engine-version=2.10", "engine-version", "2.10"),
        ("gpus=[4, 5]", "gpus", ["4", "5"]),
        ("gpus=", "gpus", None),
        ("gpus=null", "gpus", None),
        ("ports.api=9000", "ports", {"api": 9000}),
        ("env.A=b=c", "env", {"A": "b=c"}),
        ("env.PRICE=$5 ${X}", "env", {"PRICE": "$5 ${X}"}),
        ("engine-args.json.b=7", "engine-args", {"one": 1, "two": 2, "json": {"a": 1, "b": 7}}),
        ("engine-args={one: 9}", "engine-args", {"one": 9, "two": 2, "json": {"a": 1, "b": 2}}),
        ("engine-args.'a.b'=1", "engine-args",
         {"one": 1, "two": 2, "json": {"a": 1, "b": 2}, "a.b": 1}),
        ('engine-args."x=y"=1', "engine-args",
         {"one": 1, "two": 2, "json": {"a": 1, "b": 2}, "x=y": 1}),
    ],
)  # fmt: skip
def test_set(write: Write, option: str, key: str, value: Any) -> None:
    got = profile.load(write(BASE), sets=[option], environ={})
    assert got.resolved.get(key) == value


def test_set_finds_the_longest_key_that_exists(write: Write) -> None:
    path = write(BASE + "  a.b: 1\n")
    got = profile.load(path, sets=["engine-args.a.b=2"], environ={})
    assert got.engine_args["a.b"] == 2
    assert "a" not in got.engine_args


@pytest.mark.parametrize(
    ("option", "code", "where"),
    [
        ("max-num-seqs", "bad-set", "--set"),
        ("=1", "bad-set", "--set"),
        ("a..b=1", "bad-set", "--set"),
        ("gpus=[1", "yaml", "--set gpus"),
        ("env={A: 1, A: 2}", "duplicate-key", "--set env"),
        ("max-num-seqs=many", "wrong-type", "--set max-num-seqs"),
        ("max-num-sequ=1", "unknown-key", "--set max-num-sequ"),
        ("host.x=1", "wrong-type", "--set host"),
        ("api-key=sk-verysecret", "secret-in-clear", "--set api-key"),
    ],
)
def test_a_wrong_set(write: Write, option: str, code: str, where: str) -> None:
    assert problems(write(BASE), sets=[option]) == [(code, where)]


def test_the_name_of_a_profile_that_is_wrong_otherwise(write: Write) -> None:
    path = write("name: ${N:-mine}\nengine: nonsense\nmodel: ./gone\nhost: ${UNSET}\n")
    assert profile.instance_name(path) == "mine"
    assert profile.instance_name(path, "other") == "other"
    for text in ("engine: vllm\n", "name: Not A Name\n", "name: [a]\n"):
        with pytest.raises(ProfileError) as caught:
            profile.instance_name(write(text))
        assert str(caught.value.problems[0].where).endswith(("p.yaml:1:1", "p.yaml:1:7"))
