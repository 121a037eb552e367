"""`ernie-deploy validate`: right and wrong profiles, for one release and for all it admits."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from launcher.cli.main import group
from tests.support.cli import Ran
from tests.support.decoded import JsonDict

CARD = """\
name: card
engine: fastdeploy
engine-version: ">=2.2,<2.5"
model: baidu/ERNIE-4.5-21B-A3B-Thinking
max-model-len: 131072
max-num-seqs: 32
parsers: {reasoning: ernie_x1, tool-call: ernie_x1}
engine-args:
  load-choices: default_v1
"""


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.yaml"
    path.write_text(CARD)
    return path


def validate(*arguments: str) -> tuple[int, JsonDict]:
    done = CliRunner().invoke(
        group, ["validate", *arguments, "--json"], standalone_mode=False, catch_exceptions=False
    )
    return int(done.return_value), json.loads(done.stdout)


def test_a_right_profile_is_judged_against_every_release_it_admits(card: Path) -> None:
    code, data = validate(str(card))
    assert (code, data["errors"]) == (0, [])
    assert data["data"]["engine"] == "fastdeploy"
    assert data["data"]["release"] is None
    assert data["data"]["checked_against"].startswith(
        "not installed: every known release that >=2.2"
    )


def test_one_release_can_be_named_and_translations_are_told(card: Path) -> None:
    code, data = validate(str(card), "--engine-version", "2.2")
    assert (code, data["data"]["release"]) == (0, "2.2")
    assert data["data"]["notes"] == [
        "engine-args.load-choices: the flag is spelled --load_choices in 2.2"
    ]


def test_every_problem_comes_at_once_at_its_place(card: Path) -> None:
    wrong = CARD.replace("load-choices: default_v1", "load-choises: default_v1\n  max-wait: 3")
    card.write_text(wrong.replace("max-num-seqs: 32", "max-num-seqs: 999"))
    code, data = validate(str(card), "--engine-version", "2.4")
    assert code == 2
    assert [(e["code"], e["where"].removeprefix(str(card))) for e in data["errors"]] == [
        ("out-of-range", ":6:1"),
        ("unknown-flag", ":9:3"),
        ("unknown-flag", ":10:3"),
    ]
    assert data["errors"][1]["remedy"] == "did you mean `load-choices`?"


def test_a_wrong_type_does_not_hide_what_the_engine_knows(card: Path) -> None:
    wrong = CARD.replace("load-choices: default_v1", "load-choises: default_v1\n  max-wait: 3")
    card.write_text(wrong.replace("max-num-seqs: 32", "max-num-seqs: many"))
    code, data = validate(str(card), "--engine-version", "2.4")
    assert code == 2
    assert [(e["code"], e["where"].removeprefix(str(card))) for e in data["errors"]] == [
        ("wrong-type", ":6:15"),
        ("unknown-flag", ":9:3"),
        ("unknown-flag", ":10:3"),
    ]


def test_a_wrong_key_makes_no_combination_wrong(card: Path) -> None:
    """Two GPUs are right for the two ranks that were meant."""
    meant = "gpus: [0, 1]\ntensor-parallel-size: two\nmax-model-len: 100\nmax-num-seqs: 8\n"
    card.write_text(CARD.replace("max-model-len: 131072\nmax-num-seqs: 32\n", meant))
    _, data = validate(str(card), "--engine-version", "2.4")
    assert [e["code"] for e in data["errors"]] == ["wrong-type"]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('engine-version: ">=2.2,<2.5"', "engine-version: newest"),
        ("engine: fastdeploy", "engine: fastdeplyo"),
    ],
)
def test_an_unknown_engine_or_release_hides_only_what_depends_on_it(
    card: Path, line: str, wrong: str
) -> None:
    card.write_text(CARD.replace(line, wrong))
    _, data = validate(str(card))
    assert len(data["errors"]) == 1, "its flags are right for one engine"
    card.write_text(CARD.replace(line, wrong).replace("load-choices", "load-choises"))
    _, data = validate(str(card))
    assert [e["code"] for e in data["errors"]][1:] == ["unknown-flag"], "no engine has this one"


BELOW = """ports: {api: 8180, nope: 1}
parsers: {reasoning: nope}
engine-args: {max-modle-len: 3, host: x}
env: {BAIDU_AK: abc123}
"""


@pytest.mark.parametrize(
    "head",
    [
        "name: a\nengine: fastdeply\nmodel: baidu/x\n",
        "name: a\nmodel: baidu/x\n",
        "name: a\nengine: fastdeploy\n",
        "name: a\nengine: fastdeploy\nengine-version: 9..2\nmodel: baidu/x\n",
        "name: a\nengine: fastdeploy\nmodle: x\nmodel: baidu/x\n",
        "name: a\nengine: vllm\nmodle: x\nmodel: baidu/x\n",
        "name: Bad Name\nengine: transformers\nmodel: baidu/x\n",
    ],
)
def test_one_error_hides_no_other(tmp_path: Path, head: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(head + BELOW)
    code, data = validate(str(path))
    assert code == 2
    first = head.count("\n") + 1
    lines = [int(error["where"].split(":")[1]) for error in data["errors"]]
    assert set(range(first, first + 4)) <= set(lines), data["errors"]
    assert min(lines) < first, "what is wrong above is told too"
    assert [e["code"] for e in data["errors"]].count("secret-in-clear") == 1
    assert "abc123" not in json.dumps(data)


def test_a_missing_model_and_a_wrong_flag_are_said_together(card: Path) -> None:
    text = CARD.replace("baidu/ERNIE-4.5-21B-A3B-Thinking", "./weights")
    card.write_text(text)
    assert validate(str(card))[0] == 3
    card.write_text(text.replace("load-choices", "load-choises"))
    code, data = validate(str(card))
    assert (code, [e["code"] for e in data["errors"]]) == (2, ["missing-model", "unknown-flag"])


def test_overlays_and_settings_take_part(card: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "more.yaml"
    overlay.write_text("engine-args: {router: 'host:1'}\n")
    code, data = validate(str(card), "--overlay", str(overlay), "--engine-version", "2.2")
    assert (code, data["errors"][0]["where"]) == (2, f"{overlay}:1:15")
    assert "it exists from 2.3" in data["errors"][0]["message"]
    code, data = validate(str(card), "--set", "max-num-seqs=0", "--engine-version", "2.4")
    assert (code, data["errors"][0]["where"]) == (2, "--set max-num-seqs")


@pytest.mark.parametrize("version", ["1.9", "new"])
def test_an_unknown_release_is_said(card: Path, version: str) -> None:
    code, data = validate(str(card), "--engine-version", version)
    assert (code, data["errors"][0]["code"]) == (3, "unknown-release")


def test_a_release_that_nobody_catalogued_is_judged_by_the_nearest(card: Path) -> None:
    code, data = validate(str(card), "--engine-version", "9.9")
    assert code == 0
    assert "9.9 is not in the catalogue" in str(data)


def test_the_text_says_ok_and_what_was_checked(card: Path) -> None:
    done = CliRunner().invoke(group, ["validate", str(card)], standalone_mode=False)
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{card}: OK for fastdeploy")
    assert "1 flag," in f"{second},"


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "profiles").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_shipped_profile_is_right_for_all_it_admits(path: Path) -> None:
    code, data = validate(str(path))
    assert (code, data["errors"]) == (0, [])


def test_a_shipped_profile_by_the_name_it_has_in_the_checkout(
    run_cli: Callable[..., Ran], tmp_path: Path
) -> None:
    """README's commands work elsewhere too; which file is used is said."""
    ran = run_cli("validate", "profiles/ernie-4.5-21b-a3b-thinking.yaml", cwd=tmp_path)
    assert ran.rc == 0, ran.output()
    assert "ernie-4.5-21b-a3b-thinking.yaml, which ships with ernie-deploy" in ran.stderr
    own = tmp_path / "profiles" / "mine.yaml"
    own.parent.mkdir()
    own.write_text("extends: profiles/ernie-4.5-21b-a3b-thinking.yaml\n")
    ran = run_cli("validate", "profiles/mine.yaml", cwd=tmp_path)
    assert ran.rc == 0, ran.output()
    assert "which ships" not in ran.stderr
