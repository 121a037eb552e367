"""An error hides no other one, wherever they are: every section, every file, every option."""

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from launcher.cli.main import group

RIGHT = {"name": "a", "engine": "fastdeploy", "model": "owner/name"}
ERRORS: dict[str, tuple[str, str]] = {
    "max-num-sqes": ("3", "unknown-key"),
    "max-model-len": ("long", "wrong-type"),
    "max-num-seqs": ("999", "out-of-range"),
    "tensor-parallel-size": ("0", "out-of-range"),
    "ports": ("{api: 8180, nope: 1}", "port-not-supported"),
    "parsers": ("{reasoning: nope}", "unknown-parser"),
    "env": ("{BAIDU_AK: abc123}", "secret-in-clear"),
    "api-key": ("sk-abc123", "secret-in-clear"),
    "engine-args": ("{max-modle-len: 3}", "unknown-flag"),
    "health": ("{startup-timeout: soon}", "wrong-type"),
    "stop": ("{grace: 60, drian: 3}", "unknown-key"),
    "restart": ("{policy: sometimes}", "unknown-value"),
    "logs": ("{max-size: much}", "wrong-type"),
    "smoke": ("{checks: [helth]}", "bad-smoke-section"),
    "gpus": ("[0, 0]", "duplicate-gpu"),
    "dialect": ("openai", "impossible-combination"),
    "description": ("${NOT_SET_AT_ALL}", "unset-variable"),
    "revision": ("!!binary x", "tag"),
    "extends": ("gone.yaml", "missing-extends"),
    "python": ("/no/such/python", "wrong-interpreter"),
}
"""Key to a wrong value and the code of what is wrong with it, whatever the release is."""
OF_FASTDEPLOY = {"max-num-seqs"}
"""Keys whose error an engine alone knows: where the engine is not known, they are right."""
HEADS: dict[str, tuple[dict[str, str], str | None]] = {
    "nothing wrong above": ({}, None),
    "an unknown engine": ({"engine": "fastdeply"}, "unknown-engine"),
    "no engine": ({"engine": ""}, "missing-key"),
    "a bad name": ({"name": "Bad Name"}, "bad-name"),
    "no name": ({"name": ""}, "missing-key"),
    "no model": ({"model": ""}, "missing-key"),
    "a model that is not there": ({"model": "./gone"}, "missing-model"),
    "a version that is none": ({"engine-version": "newest"}, "bad-version"),
    "a release that is not known": ({"engine-version": "'9.9'"}, "unknown-release"),
}


def problems_of(
    files: list[dict[str, str]], folder: Path, *options: str, verb: str = "validate"
) -> list[tuple[str, str]]:
    """(code, key at the top) of what a verb finds in a profile and the overlays after it."""
    paths: list[str] = []
    lines: dict[str, str] = {}
    for number, keys in enumerate(files):
        path = folder / f"{number}.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()))
        paths.append(str(path))
        lines |= {f"{path}:{line}": key for line, key in enumerate(keys, 1)}
    overlays = [word for path in paths[1:] for word in ("--overlay", path)]
    done = CliRunner().invoke(
        group, [verb, paths[0], *overlays, *options, "--json"],
        standalone_mode=False, catch_exceptions=False,
    )  # fmt: skip
    assert "abc123" not in done.stdout, "a secret is not repeated"
    result = []
    for error in json.loads(done.stdout)["errors"]:
        where = error["where"] or ""
        key = lines.get(where.rpartition(":")[0], where)
        result.append((error["code"], "" if error["code"] == "missing-key" else key))
    return result


def wrong(keys: tuple[str, ...]) -> dict[str, str]:
    return {key: ERRORS[key][0] for key in keys}


def expected(keys: tuple[str, ...]) -> set[tuple[str, str]]:
    return {(ERRORS[key][1], key) for key in keys}


@pytest.mark.parametrize("first", [True, False], ids=["head first", "head last"])
@pytest.mark.parametrize("head", HEADS)
def test_all_of_them_at_once(head: str, first: bool, tmp_path: Path) -> None:
    changes, code = HEADS[head]
    above = {key: value for key, value in {**RIGHT, **changes}.items() if value}
    below = wrong(tuple(ERRORS))
    document = {**above, **below} if first else {**below, **above}
    got = problems_of([document], tmp_path)
    unjudged = OF_FASTDEPLOY if "engine" in changes else set()
    assert expected(tuple(set(ERRORS) - unjudged)) <= set(got)
    assert code is None or code in [each[0] for each in got]


@pytest.mark.parametrize("head", [h for h in HEADS if h not in ("an unknown engine", "no engine")])
@pytest.mark.parametrize("key", [k for k in ERRORS if k != "extends"])
def test_an_error_above_hides_none_below(head: str, key: str, tmp_path: Path) -> None:
    changes, code = HEADS[head]
    above = {name: value for name, value in {**RIGHT, **changes}.items() if value}
    for document in ({**above, **wrong((key,))}, {**wrong((key,)), **above}):
        got = problems_of([document], tmp_path)
        assert expected((key,)) <= set(got)
        assert code is None or code in [each[0] for each in got]


def test_no_two_hide_each_other(tmp_path: Path) -> None:
    lost = {
        pair: missing
        for pair in itertools.combinations(ERRORS, 2)
        if (missing := expected(pair) - set(problems_of([{**RIGHT, **wrong(pair)}], tmp_path)))
    }
    assert lost == {}


def test_errors_of_overlays_and_options_come_with_those_of_the_profile(tmp_path: Path) -> None:
    keys = tuple(key for key in ERRORS if key != "extends")
    files = [{**RIGHT, **wrong(keys[:6])}, wrong(keys[6:12]), wrong(keys[12:])]
    got = problems_of(
        files, tmp_path, "--name", "Bad Name", "--set", "host=a b", "--set", "nonsense",
        "--overlay", str(tmp_path / "gone.yaml"),
    )  # fmt: skip
    assert expected(keys) <= set(got)
    assert {
        ("bad-name", "--name"),
        ("bad-host", "--set host"),
        ("bad-set", "--set"),
        ("missing-profile", str(tmp_path / "gone.yaml")),
    } <= set(got)


def test_a_named_release_that_is_not_known_hides_nothing(tmp_path: Path) -> None:
    keys = ("ports", "parsers", "engine-args")
    got = problems_of([{**RIGHT, **wrong(keys)}], tmp_path, "--engine-version", "1.0")
    assert expected(keys) <= set(got)
    assert "unknown-release" in [code for code, _ in got]


@pytest.mark.parametrize("verb", ["plan", "up"])
@pytest.mark.parametrize("engine", ["fastdeploy", "vllm", "transformers"])
def test_an_interpreter_that_is_not_there_hides_nothing_from_other_verbs(
    verb: str, engine: str, tmp_path: Path
) -> None:
    keys = ("ports", "engine-args", "python")
    got = problems_of([{**RIGHT, "engine": engine, **wrong(keys)}], tmp_path, verb=verb)
    assert expected(keys) <= set(got)


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"engine": "hosted", "base-url": "https://x.example/v1", "promises": "[chatt]"},
         ("unknown-capability", "promises")),
        ({"model": "baidu/ERNIE-4.5-0.3B-Paddle", "engine-version": "2.4",
          "parsers": "{reasoning: ernie-x1}"},
         ("wrong-parser", "parsers")),
        ({"model": "baidu/ERNIE-4.5-VL-28B-A3B-Thinking", "engine-version": "2.2"},
         ("model-not-supported", "model")),
        ({"engine": "transformers", "model": "./a@b"}, ("bad-model-path", "model")),
    ],
)  # fmt: skip
def test_what_only_an_engine_knows_of_its_keys_is_said_beside_a_wrong_one(
    keys: dict[str, str], error: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a@b").mkdir()
    assert problems_of([{**RIGHT, **keys}], tmp_path) == [error]
    got = problems_of([{**RIGHT, **keys, **wrong(("max-model-len",))}], tmp_path)
    assert {error, *expected(("max-model-len",))} == set(got)
