"""`ernie-deploy bench`, run as a user runs it: a known server, and a generator with a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.bench.result import decode_run
from launcher.smoke.target import TargetFacts
from tests.report.ant_schema import violations
from tests.support import stub_generator
from tests.support.cli import RunCli
from tests.support.known_server import serving

SLOW = {"ttft": 4.0, "gap": 0.05, "spread": 0.02, "pause": 5.0}
"""Latencies against which a busy machine of the test does not matter."""
QUICK = ("--concurrency", "2", "--requests", "8", "--repetitions", "3")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "record.jsonl") as address:
        yield address


def test_a_run_is_shown_written_and_kept(
    run_cli: RunCli, home: Path, tmp_path: Path, url: str
) -> None:
    stub_generator.install(home, SLOW)
    files = {name: tmp_path / f"out.{name}" for name in ("json", "csv", "xml", "md")}
    done = run_cli(
        "bench", url, *QUICK, "--gpu-hour", "2", "--output", str(files["json"]), "--csv",
        str(files["csv"]), "--junit", str(files["xml"]), "--markdown", str(files["md"]),
    )  # fmt: skip
    assert done.rc == 0, done.output()
    assert "2 at a time, pass 3 of 3" in done.stderr
    assert "24" in done.stdout
    assert "formulas:" in done.stdout
    assert "tpot           (last chunk - first chunk) / (output tokens - 1)" in done.stdout
    assert "per million output tokens" in done.stdout
    run = decode_run(json.loads(files["json"].read_text()))
    (level,) = run.levels
    assert (level.key, level.counts.succeeded, level.counts.warm_up) == ("c2", 24, 12)
    assert len(level.repetitions) == 3
    assert Path(run.files[0]).is_relative_to(home / "bench")
    assert files["csv"].read_text().splitlines()[1].startswith(",c2,ttft,mean,s,")
    assert violations(files["xml"].read_text()) == []
    assert "| 2 at a time | 24 |" in files["md"].read_text()


def test_bench_run_is_the_long_form(run_cli: RunCli, home: Path, url: str) -> None:
    stub_generator.install(home, SLOW)
    done = run_cli("bench", "run", url, *QUICK, "--json")
    assert done.rc == 0, done.output()
    assert done.json["command"] == "bench"


def test_a_baseline_that_is_held_and_one_that_is_missed_for_the_right_reason(
    run_cli: RunCli, home: Path, tmp_path: Path, url: str
) -> None:
    slower = {**SLOW, "ttft": 6.0}
    stub_generator.install(home, SLOW, SLOW, SLOW, SLOW, SLOW, SLOW, slower)
    base = str(tmp_path / "base.json")
    assert run_cli("bench", url, *QUICK, "--output", base).rc == 0
    compared = run_cli("bench", url, *QUICK, "--baseline", base)
    assert compared.rc == 0, compared.output()
    assert "PASS  baseline ttft.p50 at c2" in compared.stdout
    missed = run_cli("bench", url, *QUICK, "--baseline", base, "--json")
    assert missed.rc == 1, missed.output()
    assert {error["code"] for error in missed.json["errors"]} == {"bench-regression"}
    (first,) = [one for one in missed.json["data"]["gates"] if one["name"] == "ttft.p50"]
    assert "worse by more than the noise" in first["reason"]


def test_overload_ends_the_climb(run_cli: RunCli, home: Path, url: str) -> None:
    failing = {**SLOW, "failed": 8}
    stub_generator.install(home, SLOW, failing, SLOW)
    done = run_cli(
        "bench", url, "--concurrency", "1,2,4", "--requests", "8", "--repetitions", "2", "--json"
    )
    assert done.rc == 0, done.output()
    levels = {f"{one['value']:g}": one for one in done.json["data"]["levels"]}
    assert set(levels) == {"1", "2"}
    assert "failed" in done.json["data"]["stopped"]
    assert levels["2"]["errors"] == {"HTTP 500": 8}


def test_two_servers_are_compared_in_turns(run_cli: RunCli, home: Path, url: str) -> None:
    faster = {**SLOW, "ttft": 3.0}
    # A B, B A, A B
    stub_generator.install(home, SLOW, faster, faster, SLOW, SLOW, faster)
    done = run_cli("bench", "compare", url, url, *QUICK, "--json")
    assert done.rc == 0, done.output()
    figures = {one["metric"]: one for one in done.json["data"]["figures"]}
    assert figures["ttft.p50"]["verdict"] == "better"
    assert figures["ttft.p50"]["change"]["value"] == pytest.approx(-0.25, abs=0.03)
    assert figures["tpot.p50"]["verdict"] == "no difference shown"


def test_a_key_is_in_no_file_and_no_output(
    run_cli: RunCli, home: Path, url: str, tmp_path: Path
) -> None:
    folder = stub_generator.install(home, {"exit": 1})
    done = run_cli("bench", url, *QUICK, "--api-key", "env:KEY", env={"KEY": "sk-very-secret"})
    assert done.rc == 3
    assert "sk-very-secret" not in done.stdout + done.stderr
    assert stub_generator.starts(folder)[0]["env"]["ERNIE_DEPLOY_BENCH_KEY"] == "sk-very-secret"
    for path in (home / "bench").rglob("*"):
        if path.is_file() and path.name != "generator.log":
            assert "sk-very-secret" not in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "rc"),
    [
        (("--scenario", "moon"), "bad-scenario", 2),
        (("--baseline", "/nonexistent"), "bad-bench-baseline", 2),
        (("--concurrency", "x"), "usage", 2),
        ((), "missing-generator", 3),
    ],
)
def test_what_is_missing_or_wrong_is_one_message(
    run_cli: RunCli, url: str, arguments: tuple[str, ...], code: str, rc: int
) -> None:
    done = run_cli("bench", url, *arguments, "--json")
    assert done.rc == rc, done.output()
    assert [error["code"] for error in done.json["errors"]] == [code]


def test_the_objectives_of_a_profile_are_held(
    run_cli: RunCli, home: Path, tmp_path: Path, url: str
) -> None:
    """A hosted profile is a server with objectives that needs no start."""
    stub_generator.install(home, SLOW)
    profile = tmp_path / "p.yaml"

    def run(limit: str) -> Any:
        profile.write_text(
            f"name: known\nengine: hosted\nmodel: known\nbase-url: {url}\n"
            f"slo:\n  concurrency: 3\n  ttft: {{p50: {limit}}}\n  request: {{ttft: 5s}}\n"
        )
        return run_cli("bench", str(profile), *QUICK, "--json")

    met, missed = run("5s"), run("1s")
    assert met.rc == 0, met.output()
    assert missed.rc == 1, missed.output()
    (gate,) = missed.json["data"]["gates"]
    assert (gate["level"], gate["verdict"], gate["unit"]) == ("c3", "missed", "s")
    assert gate["source"].startswith(f"{profile}:5")
    assert missed.json["errors"][0]["code"] == "slo-missed"
    share = met.json["data"]["levels"][0]["rates"]["goodput_share"]["value"]
    assert share == 1.0
    assert TargetFacts(**met.json["data"]["target"]).name == "known"
