"""`ernie-deploy compare`: side by side, against a baseline, with its cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from launcher.cli.main import group
from launcher.smoke.comparison.cost import cost, list_price, prices
from launcher.smoke.comparison.toolset import PromptResult, agreement, counted
from tests.report.ant_schema import violations
from tests.smoke.defects import DEFECTS
from tests.smoke.servers import Defect, RouteAnswer, Server, serve

PROMPTS = {
    "prompts": [
        {"prompt": "How 's the weather in Beijing today?", "call": "get_weather"},
        {"prompt": "Hello!", "call": None},
    ]
}


@pytest.fixture
def prompts(tmp_path: Path) -> list[str]:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(PROMPTS))
    return ["--prompts", str(path)]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["compare", *arguments], standalone_mode=False)


def test_two_servers_side_by_side(prompts: list[str]) -> None:
    with serve() as working, serve(DEFECTS["tool-enum-ignored"]) as broken:
        done = run(working.url, broken.url, "--check", "tool-call", "--json", *prompts)
    data = json.loads(done.stdout)["data"]
    (row,) = [r for r in data["checks"] if r["check"] == "tool-call"]
    assert row["verdicts"][0] == "pass"
    assert not row["equal"]
    assert [t["tools"]["trigger_rate"] for t in data["targets"]] == [0.5, 0.5]
    assert [t["tools"]["schema_accuracy"] for t in data["targets"]] == [1.0, 0.0]
    assert data["targets"][1]["tools"]["agreement"] == 1.0
    assert done.return_value == 0


def test_a_target_that_is_not_there_is_exit_code_3(prompts: list[str], free_port: int) -> None:
    with serve() as server:
        done = run(server.url, f"http://127.0.0.1:{free_port}", "--check", "chat", *prompts)
    assert done.return_value == 3
    assert "B  could not be checked: " in done.stdout
    assert "connection refused" in done.stdout


def test_the_same_target_twice_is_a_usage_error(prompts: list[str]) -> None:
    with serve() as server:
        done = run(server.url, server.url, "--check", "chat", *prompts)
    assert done.return_value == 2


def test_worse_than_the_baseline_is_exit_code_1(prompts: list[str], tmp_path: Path) -> None:
    stored = tmp_path / "baseline.json"
    with serve() as server:
        arguments = (server.url, "--check", "tool-call", "--check", "chat", *prompts)
        assert run(*arguments, "--save-baseline", str(stored)).return_value == 0
        assert run(*arguments, "--baseline", str(stored)).return_value == 0
        server.defect = DEFECTS["tool-call-as-text"]
        done = run(*arguments, "--baseline", str(stored))
    assert done.return_value == 1
    assert "tool-call was pass, is fail" in done.stdout
    assert "trigger_rate was 0.5, is 0.0" in done.stdout


def test_what_the_run_leaves_out_is_worse_than_the_baseline(
    prompts: list[str], tmp_path: Path
) -> None:
    stored = tmp_path / "baseline.json"
    with serve() as server:
        both = (server.url, "--check", "chat", "--check", "usage", *prompts)
        run(*both, "--save-baseline", str(stored))
        done = run(server.url, "--check", "chat", *prompts, "--baseline", str(stored))
    assert done.return_value == 1
    assert "usage was pass, is not run" in done.stdout


def test_a_file_that_is_no_baseline_is_refused_before_anything_runs(tmp_path: Path) -> None:
    wrong = tmp_path / "baseline.json"
    wrong.write_text("{}")
    with serve() as server:
        done = run(server.url, "--baseline", str(wrong))
        assert server.counters["requests_total"] == 0
    assert done.return_value == 2
    assert "not a baseline" in done.stderr


def test_a_baseline_that_cannot_be_stored_is_said_before_anything_runs(tmp_path: Path) -> None:
    with serve() as server:
        done = run(server.url, "--save-baseline", str(tmp_path / "missing" / "baseline.json"))
        assert server.counters["requests_total"] == 0
    assert done.return_value == 3
    assert "the baseline cannot be written: No such file or directory" in done.stderr


def test_a_baseline_that_cannot_be_stored_afterwards_does_not_hide_the_comparison(
    prompts: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "baselines"
    folder.mkdir()

    def take_away(
        server: Server, method: str, path: str, data: bytes, headers: object
    ) -> RouteAnswer | None:
        if method == "POST" and folder.exists():
            folder.rmdir()
        return None

    with serve(Defect("takes-away", "chat", route=take_away)) as server:
        arguments = (server.url, "--check", "chat", "--save-baseline", str(folder / "b.json"))
        done = run(*arguments, *prompts, "--json")
    envelope = json.loads(done.stdout)
    assert (done.return_value, envelope["exit_code"]) == (3, 3)
    assert [e["code"] for e in envelope["errors"]] == ["baseline-not-written"]
    assert envelope["data"]["saved"] is None
    assert envelope["data"]["checks"] == [
        {"check": "chat", "verdicts": ["pass"], "outcomes": ["pass"], "equal": True}
    ]


def test_cost_comes_with_its_formula(prompts: list[str]) -> None:
    with serve() as server:
        done = run(server.url, "--check", "chat", "--gpu-hour", "2.5", "--gpus", "2", *prompts)
    assert done.return_value == 0
    assert "gpu-hour x GPUs / (tokens per second x 3600) x 1,000,000" in done.stdout
    assert "2.5 x 2 / (" in done.stdout


def test_the_figures_of_the_cost() -> None:
    row = cost(3.6, 1, {"tokens_per_second": 1000.0})
    assert row.per_million == 1.0


def test_the_shipped_price_list_has_the_hosted_price() -> None:
    entry = list_price("baidu/ernie-4.5-21b-a3b-thinking", prices())
    assert entry is not None
    assert (entry.input, entry.output) == (0.07, 0.28)
    assert list_price("other", prices()) is None


def test_rates() -> None:
    rows = [
        PromptResult(as_expected=True, calls=2, valid=1),
        PromptResult(as_expected=True),
        PromptResult("HTTP 500"),
    ]
    rates = counted(rows)
    assert (rates.trigger_rate, rates.schema_accuracy) == (0.5, 0.5)
    assert rates.triggered == (True, False, None)
    assert agreement([True, False, None], [True, True, True]) == 0.5


def test_reports_of_a_comparison(prompts: list[str], tmp_path: Path) -> None:
    files = {kind: tmp_path / kind for kind in ("html", "junit", "markdown")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    with serve() as working, serve(DEFECTS["tool-enum-ignored"]) as broken:
        arguments = (working.url, broken.url, "--check", "tool-call", "--check", "chat", *options)
        done = run(*arguments, *prompts)
    assert done.return_value == 0
    junit = files["junit"].read_text()
    assert violations(junit) == []
    assert junit.count("<testsuite ") == 2
    assert junit.count("<failure ") == 1
    assert "| tool-call | PASS | FAIL |" in files["markdown"].read_text()
    page = files["html"].read_text()
    assert "curl --silent" in page
    assert "checks that differ: 1" in page


def test_a_report_that_cannot_be_written_is_said_before_the_targets_are_asked(
    tmp_path: Path, free_port: int
) -> None:
    done = run(f"http://127.0.0.1:{free_port}", "--html", str(tmp_path / "no" / "r.html"))
    assert done.return_value == 3
    assert "the html report cannot be written" in done.stderr
