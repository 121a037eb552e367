"""Every flag of every release: a right value is taken, a wrong one refused before the start."""

import json
from typing import Any

import pytest

from launcher.engines.fastdeploy import checks
from launcher.engines.fastdeploy.catalogue import late_choices, lines_with, table, where_else
from launcher.engines.fastdeploy.release_data import LINES
from launcher.engines.options import Option
from launcher.profile.model import Profile
from tests.engines import making, rebuilt
from tests.support.decoded import JsonDict

TOP = {"served-model-name", "revision", "max-model-len", "max-num-seqs", "tensor-parallel-size",
       "quantization", "reasoning-parser", "tool-call-parser"}  # fmt: skip

RIGHT: dict[str, object] = {
    "override-pooler-config": {},  # anything else is pasted unquoted into a shell (2.3, 2.4)
    "speculative-config": {"method": "mtp", "num_speculative_tokens": 1},
    "quantization": "wint8",
    "ips": "10.0.0.1",
    "pod-ips": "10.0.0.1",
    "max-num-batched-tokens": 4096,
    "max-num-seqs": 16,
    "data-parallel-size": 1,
    "nnode": 1,
    "gpu-memory-utilization": 0.8,
    "kv-cache-ratio": 0.5,
    "max-long-partial-prefills": 1,
    "max-num-partial-prefills": 1,
    "long-prefill-token-threshold": 100,
    "max-model-len": 32768,
    "reasoning-parser": "qwen3",
    "tool-call-parser": "ernie-x1",
    "block-size": 64,
}

CASES = [(line, option.name) for line in LINES for option in table(line) if option.action != "help"]
SETTABLE = [case for case in CASES if case[1] not in checks.OWNED_FLAGS]


def right(option: Option, line: str) -> Any:
    if option.name in RIGHT:
        return RIGHT[option.name]
    if option.name in late_choices(line):
        return late_choices(line)[option.name][0]
    if option.action in ("switch", "boolean"):
        return True
    if option.choices:
        return option.choices[0]
    by_kind = {"int": 1, "float": 0.5, "json": {"a": 1}, "json-or-word": "word", "bool": True,
               "int-list": [1], "str-list": ["a"]}  # fmt: skip
    return by_kind.get(option.kind, "word")


def wrong(option: Option) -> Any:
    if option.action in ("switch", "boolean"):
        return "perhaps"
    by_kind = {"int": "many", "float": "much", "json": '{"a": ', "json-or-word": [1],
               "bool": "perhaps", "int-list": "1,two", "str-list": ["a,b"]}  # fmt: skip
    return by_kind.get(option.kind, {"a": "mapping"})


def profile(name: str, value: Any) -> Profile:
    return making.profile(engine_args={name: value})


@pytest.mark.parametrize(("line", "name"), SETTABLE)
def test_a_right_value_is_taken_and_reaches_the_command_line(line: str, name: str) -> None:
    option = table(line).options[name]
    value = right(option, line)
    one_profile = profile(name, value)
    assert making.problems(one_profile, line) == []
    parsed = vars(rebuilt.parse(line, making.command_words(making.plan(one_profile, line))))
    dest = next(o["dest"] for o in _raw(line) if option.flag in o["flags"])
    expected = value
    if option.kind in ("str-list", "int-list") and not isinstance(value, list):
        expected = [value]
    if option.kind == "json-or-word":
        expected = {"quantization": value}
    if option.kind == "bool" and option.action == "store":
        expected = "True"
    if option.repeatable:
        expected = [value]
    if name == "tool-call-parser" and line in ("2.1", "2.2"):
        expected = "ernie_x1"
    assert parsed[dest] == expected


@pytest.mark.parametrize(("line", "name"), SETTABLE)
def test_a_wrong_value_is_refused_at_its_line(line: str, name: str) -> None:
    one_profile = profile(name, wrong(table(line).options[name]))
    problems = making.problems(one_profile, line)
    assert [p.where for p in problems if p.where == "p.yaml:4:3"], problems
    assert {p.code for p in problems} & {"wrong-value", "unknown-parser"}


@pytest.mark.parametrize(("line", "name"), [c for c in CASES if c[1] in checks.OWNED_FLAGS])
def test_what_the_launcher_decides_is_refused_with_what_to_write(line: str, name: str) -> None:
    problems = making.problems(profile(name, right(table(line).options[name], line)), line)
    assert [(p.code, p.remedy) for p in problems] == [("reserved-flag", checks.OWNED_FLAGS[name])]


@pytest.mark.parametrize("line", LINES)
def test_flags_of_other_releases_are_refused_with_the_release_that_has_them(line: str) -> None:
    second_names = {name for one in LINES for name in table(one).options} - set(table(line).options)
    for name in sorted(second_names):
        releases = where_else(name, line)
        assert releases is not None
        problems = making.problems(profile(name, True), line)
        messages = [p.message for p in problems if p.code in ("unknown-flag", "reserved-flag")]
        assert messages, name
        if problems[0].code == "unknown-flag":
            assert messages[0].endswith(releases)
            assert any(one in releases for one in lines_with(name) + LINES)


@pytest.mark.parametrize("line", LINES)
def test_a_misspelt_flag_is_refused_with_the_nearest(line: str) -> None:
    (problem,) = making.problems(profile("gpu-memory-utilisation", 0.8), line)
    assert (problem.code, problem.where) == ("unknown-flag", "p.yaml:4:3")
    assert problem.remedy == "did you mean `gpu-memory-utilization`?"


@pytest.mark.parametrize("line", LINES)
def test_words_that_the_release_checks_after_the_download(line: str) -> None:
    for name, choices in late_choices(line).items():
        near = choices[0][:-1] + "x"
        problems = making.problems(profile(name, near), line)
        (problem,) = [p for p in problems if p.code == "wrong-value"]
        assert f"knows no {name}" in problem.message
        assert problem.remedy == f"one of: {', '.join(choices)}"


def test_a_flag_is_removed_or_comes_later() -> None:
    assert where_else("innode-prefill-ports", "2.4") == "it was removed in 2.4"
    assert where_else("router", "2.2") == "it exists from 2.3"
    assert where_else("load-choices", "2.0") == "it exists from 2.1"
    assert where_else("load-choices", "2.3") is None
    assert where_else("no-such-option", "2.3") is None


@pytest.mark.parametrize(("line", "flag"), [("2.2", "--load_choices"), ("2.3", "--load-choices")])
@pytest.mark.parametrize("key", ["load-choices", "load_choices"])
def test_load_choices_is_spelled_as_the_release_does(line: str, flag: str, key: str) -> None:
    plan = making.plan(profile(key, "default_v1"), line)
    assert flag in plan.argv
    notes = [n for n in plan.notes if "is spelled" in n]
    assert notes == ([] if flag[2:] == key else [f"engine-args.{key}: the flag is spelled {flag} "
                                                f"in {line}"])  # fmt: skip


def test_the_dumps_name_their_source() -> None:
    for line in LINES:
        header = json.loads((checks_data() / f"flags-{line}.json").read_text())["header"]
        assert header["option_count"] == len(_raw(line)) == len(table(line).options)
        assert len(header["source"]["commit"]) == 40


def checks_data() -> Any:
    from launcher.engines.fastdeploy.release_data import DATA

    return DATA


def _raw(line: str) -> list[JsonDict]:
    options: list[JsonDict] = json.loads((checks_data() / f"flags-{line}.json").read_text())[
        "options"
    ]
    return options
