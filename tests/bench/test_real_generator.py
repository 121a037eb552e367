"""The real generator: against a server that knows its delays, and against the tiny ERNIE."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from launcher.bench.result import BenchRun, Trial, decode_run
from launcher.bench.search import next_settings
from tests.support import engines
from tests.support.cli import RunCli
from tests.support.decoded import JsonDict
from tests.support.known_server import serving

pytestmark = [pytest.mark.soak, pytest.mark.engine("bench")]
PROFILE = "profiles/ernie-tiny-cpu.yaml"


@pytest.fixture(autouse=True)
def generator(home: Path) -> None:
    """The installed generator, in the test's own state directory."""
    folder = Path(engines.require("bench")).parents[1]
    (home / "engines").mkdir(exist_ok=True)
    (home / "engines" / folder.name).symlink_to(folder)


def result_of(path: Path) -> BenchRun:
    return decode_run(json.loads(path.read_text()))


@pytest.mark.parametrize("mode", ["plain", "several", "reasoning", "buffered"])
def test_figures_are_those_that_the_server_recorded(
    run_cli: RunCli, tmp_path: Path, mode: str
) -> None:
    """The bias is that of a machine at work; alone it is below 2 ms (docs/bench.md)."""
    record, output = tmp_path / "record.jsonl", tmp_path / "run.json"
    with serving(record, "--mode", mode, "--first", "0.2", "--gap", "0.02") as url:
        done = run_cli(
            "bench", url, "--concurrency", "2", "--requests", "20", "--repetitions", "1",
            "--output", str(output),
        )  # fmt: skip
    assert done.rc == 0, done.output()
    (level,) = result_of(output).levels
    lines: list[JsonDict] = [json.loads(line) for line in record.read_text().splitlines()]
    lines = lines[level.counts.warm_up :]
    assert level.counts.succeeded == len(lines) == 20
    first = statistics.median(line["chunks"][0][0] - line["read"] for line in lines)
    answer = statistics.median(
        next(at for at, kind, _ in line["chunks"] if kind == "content") - line["read"]
        for line in lines
    )
    assert level.latencies.ttft is not None
    assert level.latencies.ttfa is not None
    assert level.latencies.output_tokens is not None
    assert -0.001 < level.latencies.ttft.p50.value - first < 0.02
    assert -0.001 < level.latencies.ttfa.p50.value - answer < 0.02
    assert level.latencies.output_tokens.mean.value == lines[0]["tokens"]


def test_an_open_level_arrives_at_its_rate(run_cli: RunCli, tmp_path: Path) -> None:
    output = tmp_path / "run.json"
    with serving(tmp_path / "record.jsonl", "--tokens", "4") as url:
        done = run_cli(
            "bench", url, "--scenario", "arrivals", "--rate", "20", "--requests", "100",
            "--repetitions", "1", "--output", str(output),
        )  # fmt: skip
    assert done.rc == 0, done.output()
    (level,) = result_of(output).levels
    assert level.rates.requests.value == pytest.approx(20, rel=0.35)


@pytest.mark.engine("transformers")
def test_the_tiny_ernie_passes_a_gate_and_misses_one(run_cli: RunCli, tmp_path: Path) -> None:
    python = engines.require("transformers")
    output = tmp_path / "run.json"
    profile = tmp_path / "tiny.yaml"

    def write(limit: str) -> None:
        model = Path(PROFILE).resolve().parent / "tiny-ernie"
        text = Path(PROFILE).read_text().replace("./tiny-ernie", str(model))
        text += (
            f"python: {python}\nslo: {{concurrency: 2, ttft: {{p50: {limit}}}, error-rate: 1%}}\n"
        )
        profile.write_text(text)

    write("60s")
    up = run_cli("up", str(profile))
    assert up.rc == 0, up.output()
    load = ("--concurrency", "2", "--requests", "8", "--repetitions", "1", "--duration", "5m")
    try:
        met = run_cli("bench", str(profile), *load, "--output", str(output))
        write("1ms")
        missed = run_cli("bench", str(profile), *load, "--json")
    finally:
        run_cli("down", "ernie-tiny-cpu")
    run = result_of(output)
    verdicts = {gate.name: gate.verdict for gate in run.gates}
    assert verdicts["error_rate"] == "met", met.output()
    # A machine at work may give no verdict on latencies, but never a wrong one.
    assert verdicts["ttft.p50"] in ("met", "refused"), met.output()
    assert met.rc == (0 if verdicts["ttft.p50"] == "met" else 3)
    (gate,) = [one for one in missed.json["data"]["gates"] if one["name"] == "ttft.p50"]
    assert gate["verdict"] in ("missed", "refused")
    assert run.levels[0].counts.failed == 0
    assert run.profile["model"]
    assert any(sample.server_memory for sample in run.timeline)
    assert "transformers" in run.versions


def test_its_search_finds_the_better_half_of_a_large_space() -> None:
    """A hill with its top at 300 of 400 values, and a setting that does not start."""
    space = {"max-num-seqs": tuple(range(400)), "engine-args.x": ("a", "b", "c")}
    done = [Trial(0, {}, 0.0, None, None, 1.0)]
    python = engines.require("bench")
    while (choice := next_settings(space, done, 24, python, 1)) is not None:
        assert choice.note is None, "it was asked and answered"
        height = 400.0 - abs(300 - int(str(choice.settings["max-num-seqs"])))
        fails = choice.settings["engine-args.x"] == "c"
        score, problem = (None, "it does not start") if fails else (height, None)
        done.append(Trial(len(done), choice.settings, score, problem, None, 1.0))
    tried = [one for one in done[1:] if one.score is not None]
    assert max(one.score or 0 for one in tried) > 350
    late = [int(str(one.settings["max-num-seqs"])) for one in done[13:]]
    assert sum(abs(300 - value) < 100 for value in late) >= len(late) / 2, late
    failed = sum(one.score is None for one in done[13:])
    assert failed < len(late) / 2, "it comes back to what does not start"
