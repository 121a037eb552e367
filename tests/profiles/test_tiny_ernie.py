"""The checkpoint that ships is the one that was made, and answers its behaviour list.

The scripts that made it, and the list, are in tests/checkpoint/.
"""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.checkpoint import judge, mixture, tokenizer
from tests.support import ROOT, engines
from tests.support.decoded import JsonDict

TINY = ROOT / "profiles" / "tiny-ernie"
SCRIPTS = ROOT / "tests" / "checkpoint"
CARD = "How 's the weather in Beijing today?"


LISTED: JsonDict = json.loads((SCRIPTS / "behaviour.json").read_text(encoding="utf-8"))
CASES: dict[str, JsonDict] = {case["name"]: case for case in LISTED["cases"]}


def sums(folder: Path) -> dict[str, str]:
    lines = (folder / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def answers_of(checkpoint: Path, python: str) -> dict[str, str]:
    """The engine's own library answers every case: a minute or more of one core."""
    # A waiting thread that spins would take the machine from the other tests.
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive"}
    run = subprocess.run(
        [python, "-B", "-m", "tests.checkpoint.answer_cases", str(checkpoint)],
        capture_output=True, text=True, timeout=3500, env=env, cwd=ROOT,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    answers: dict[str, str] = json.loads(run.stdout)["answers"]
    return answers


def test_the_checkpoint_is_the_one_that_was_made() -> None:
    listed = sums(TINY)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((TINY / name).read_bytes()).hexdigest() == digest, name


def test_the_folder_holds_the_checkpoint_and_nothing_else() -> None:
    """It ships in the wheel and is given to engines as a model: no scripts, no training data."""
    files = {str(f.relative_to(TINY)) for f in TINY.rglob("*") if f.is_file()}
    assert files == {*sums(TINY), "SHA256SUMS", "README.md"}


def test_the_scripts_find_what_they_read() -> None:
    """Drawn without torch: the texts, and the template that ships."""
    assert next(mixture.stream(seed=1)).messages is not None
    tokenizer.CHAT_TEMPLATE.stat()


def test_it_stays_tiny_and_readable() -> None:
    files = [TINY / name for name in sums(TINY)]
    assert sum(f.stat().st_size for f in files) < 1_050_000
    assert {oct(f.stat().st_mode & 0o777) for f in files} == {"0o644"}


def test_older_libraries_find_what_they_look_for() -> None:
    config = json.loads((TINY / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["Ernie4_5ForCausalLM"]
    # FastDeploy takes a config.json with both spellings for broken; every engine reads this one.
    assert config["torch_dtype"] == "bfloat16"
    assert "dtype" not in config
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"]
    assert config["head_dim"] == 32  # the smallest that vLLM's CPU attention takes
    tokenizer = json.loads((TINY / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    added = json.loads((TINY / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    tags = {t["content"]: t["special"] for t in added}
    for tag in ("think", "response", "tool_call"):  # FastDeploy's ernie-x1 parser looks these up
        assert tags[f"<{tag}>"] is False
        assert tags[f"</{tag}>"] is False


def test_the_list_asks_the_cards_request_in_two_languages_and_both_modes() -> None:
    questions = {
        (case["messages"][-1]["content"], case.get("enable_thinking"))
        for case in CASES.values()
        if case.get("tools") == ["card"]
    }
    assert {(CARD, None), (CARD, False), ("北京今天天气怎么样？", None),
            ("北京今天天气怎么样？", False)} <= questions  # fmt: skip
    function = LISTED["tools"]["card"]["function"]
    assert function["strict"] is True
    assert function["parameters"]["additionalProperties"] is False
    assert function["parameters"]["properties"]["unit"]["enum"] == ["c", "f"]


CALL = '</think>\n\n<tool_call>\n{"name": "get_weather", "arguments": %s}\n</tool_call>\n'
RIGHT_ANSWER = "I call get_weather.\n" + CALL % '{"location": "Beijing", "unit": "c"}'


@pytest.mark.parametrize(
    ("case", "text", "problem"),
    [
        ("card-en-default", RIGHT_ANSWER, None),
        (
            "card-en-default",
            RIGHT_ANSWER.replace('"c"', '"celsius"'),
            "$.unit: 'celsius' is not one of",
        ),
        (
            "card-en-default",
            RIGHT_ANSWER.replace('"unit": "c"', '"date": "c"'),
            "'unit' is a required",
        ),
        ("card-en-default", RIGHT_ANSWER.replace("Beijing", "Paris"), "'Paris' does not match"),
        ("card-en-default", RIGHT_ANSWER.replace("<tool_call>", ""), "tool calls are []"),
        (
            "card-en-default",
            RIGHT_ANSWER + CALL.partition("\n\n")[2] % "{}",
            "tool calls are ['get_wea",
        ),
        (
            "card-en-default",
            RIGHT_ANSWER.partition("\n")[2],
            "thinking is on and the reasoning is ''",
        ),
        ("card-en-no-thinking", RIGHT_ANSWER, "thinking is off and the reasoning is"),
        ("card-en-default", RIGHT_ANSWER + "[no end]", "does not end"),
        ("greet-no-thinking", "</think>\n\n<response>\nHello! How can I help you today?", "a tag"),
        ("greet-no-thinking", "</think>\n\n<response>\nBye\n</response>\n", "does not match"),
        ("json-mode-no-thinking", "</think>{'name'", "not JSON"),
    ],
)
def test_the_judge_sees(case: str, text: str, problem: str | None) -> None:
    problems = judge.problems(CASES[case], judge.parse(text))
    if problem is None:
        assert problems == []
    else:
        assert any(problem in one for one in problems), problems


@pytest.mark.engine("transformers")
@pytest.mark.timeout(3600)
def test_it_answers_its_behaviour_list() -> None:
    answers = answers_of(TINY, engines.require("transformers"))
    assert judge.judge(LISTED, answers) == {}


@pytest.mark.soak
@pytest.mark.engine("transformers")
def test_a_retrained_one_passes_the_same_list(tmp_path: Path) -> None:
    python = engines.require("transformers")
    needs = "import sentencepiece, torch; torch.optim.Muon"
    if subprocess.run([python, "-c", needs], capture_output=True).returncode:
        pytest.skip("retraining needs sentencepiece and torch 2.9 in the engine's environment")
    out = tmp_path / "retrained"
    script = "tests.checkpoint.make_tiny_ernie"
    subprocess.run([python, "-B", "-m", script, "--out", str(out)], check=True, cwd=ROOT)
    assert set(sums(out)) == set(sums(TINY))
    # Another processor rounds otherwise and may miss a rare case; never one of the card's.
    failed = judge.judge(LISTED, answers_of(out, python))
    assert not [name for name in failed if name.startswith("card")], failed
    assert len(failed) <= len(CASES) * 0.03, failed
