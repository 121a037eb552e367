"""The runs of a card: given, or the last that were kept; an old one is shown and judges nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher.bench.result import BenchRun, encode_run
from launcher.card import runs
from launcher.errors import UsageError
from launcher.smoke.run import record
from tests.report.results import check, smoke_result
from tests.support.bench_runs import bench_run


def keep_smoke(folder: Path, at: float, name: str = "passes") -> None:
    folder.mkdir(exist_ok=True)
    record.keep(folder, smoke_result(check(name)).payload, at)


def keep_bench(home: Path, folder: str, run: BenchRun) -> None:
    path = home / "bench" / folder
    path.mkdir(parents=True)
    (path / "result.json").write_text(json.dumps(encode_run(run)))


def test_without_a_run_it_says_how_to_get_one(home: Path, tmp_path: Path) -> None:
    smoke, note = runs.kept_smoke("one", [tmp_path], None)
    assert smoke is None
    assert note is not None
    assert "`ernie-deploy smoke one`" in note
    bench, note = runs.kept_bench("one", None)
    assert bench is None
    assert note is not None
    assert "`ernie-deploy bench one`" in note


def test_of_a_service_and_its_replicas_the_newest_run_counts(tmp_path: Path) -> None:
    keep_smoke(tmp_path / "service", 10.0, "older")
    keep_smoke(tmp_path / "replica", 20.0, "newer")
    smoke, _ = runs.kept_smoke("one", [tmp_path / "service", tmp_path / "replica"], 5.0)
    assert smoke is not None
    assert [one.name for one in smoke.run.checks] == ["newer"]
    assert smoke.outdated is None


def test_a_run_from_before_the_start_is_outdated(tmp_path: Path) -> None:
    keep_smoke(tmp_path, 10.0)
    smoke, _ = runs.kept_smoke("one", [tmp_path], 11.0)
    assert smoke is not None
    assert smoke.outdated == "it was made before what runs now was started"


def test_a_damaged_record_is_said(tmp_path: Path) -> None:
    (tmp_path / record.FILE).write_text("{")
    smoke, note = runs.kept_smoke("one", [tmp_path], None)
    assert smoke is None
    assert note is not None
    assert "cannot be read" in note


def test_the_last_bench_of_this_deployment_is_found(home: Path) -> None:
    name = "ernie-tiny-cpu"
    keep_bench(home, f"{name}-20261128-100000", bench_run(seconds=1.0))
    keep_bench(home, f"{name}-20261128-100000-2", bench_run(seconds=3.0))
    keep_bench(home, f"{name}-other-20261129-100000", bench_run(seconds=9.0))
    (home / "bench" / f"{name}-20261130-100000").mkdir()  # goes on, or was interrupted
    bench, _ = runs.kept_bench(name, None)
    assert bench is not None
    assert bench.run.seconds == 3.0
    late, _ = runs.kept_bench(name, 4e9)
    assert late is not None
    assert late.outdated is not None


def test_a_bench_of_an_address_is_not_the_instances(home: Path) -> None:
    run = bench_run()
    url = run.target.__class__(run.target.name, "url", run.target.url, run.target.model)
    keep_bench(home, f"{run.target.name}-20261128-100000", bench_run(target=url))
    assert runs.kept_bench(run.target.name, None)[0] is None


def test_given_files_are_read(tmp_path: Path) -> None:
    smoke, bench = tmp_path / "smoke.json", tmp_path / "bench.json"
    result = smoke_result(check("passes"))
    smoke.write_text(json.dumps(result.envelope()))
    assert runs.given_smoke(str(smoke)).run == result.payload
    bench.write_text(json.dumps(encode_run(bench_run())))
    assert runs.given_bench(str(bench)).run == bench_run()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"command": "doctor"}', "\udcff"])
def test_a_file_that_is_something_else_is_one_clear_message(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for read, option in ((runs.given_smoke, "--smoke"), (runs.given_bench, "--bench")):
        with pytest.raises(UsageError) as raised:
            read(str(path))
        (problem,) = raised.value.problems
        assert (problem.code, problem.where) == ("unreadable-run", option)
        assert str(path) in problem.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        runs.given_smoke(str(tmp_path / "gone.json"))
