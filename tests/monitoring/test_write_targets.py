"""The program that writes Prometheus' targets, on what `status --json` may print."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.scenes import MONITORING
from tests.support import ROOT
from tests.support.decoded import JsonDict
from tests.support.ports import free_port


@contextmanager
def keeper(metrics: str) -> Iterator[str]:
    """The URL of an endpoint with these metrics."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(metrics.encode())

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Bench:
    """A folder of targets, and an `ernie-deploy` that prints what a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "targets"
        self.command = folder / "ernie-deploy"
        self.errors = ""

    def prints(self, text: str, code: int = 0) -> None:
        (self.command.parent / "output").write_text(text)
        output = self.command.parent / "output"
        self.command.write_text(f"#!/bin/sh\ncat {output}\nexit {code}\n")
        self.command.chmod(0o755)

    def run(self, *instances: JsonDict, arguments: tuple[str, ...] = ()) -> int:
        if instances:
            self.prints(json.dumps({"data": {"instances": instances}}) + "\n", 1)
        done = subprocess.run(
            [sys.executable, str(MONITORING / "write_targets.py"), str(self.folder), *arguments,
             "--command", str(self.command)],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        self.errors = done.stderr
        return done.returncode

    def read(self, name: str) -> list[JsonDict]:
        groups: list[JsonDict] = json.loads((self.folder / f"{name}.json").read_text())
        return groups


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def one(name: str, state: str, url: str | None) -> JsonDict:
    return {"name": name, "state": state, **({"admin_url": url} if url is not None else {})}


def target(address: str, **labels: str) -> JsonDict:
    return {"targets": [address], "labels": labels}


def test_the_keeper_and_the_engine_of_what_runs(bench: Bench) -> None:
    info = 'ernie_deploy_engine_metrics_info{instance="a",url="http://127.0.0.1:8181/m"} 1\n'
    with keeper(f"# HELP x y\n{info}") as url:
        assert bench.run(one("a", "ready", url)) == 0
    assert bench.read("keepers") == [target(url.removeprefix("http://"), instance="a")]
    expected = target("127.0.0.1:8181", instance="a", __metrics_path__="/m")
    assert bench.read("engines") == [expected]


def test_an_ended_instance_stays_until_it_is_taken_down(bench: Bench) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    rows = [one(state, state, url) for state in ("failed", "died", "lost", "stopped", "damaged")]
    assert bench.run(*rows) == 0
    address = url.removeprefix("http://")
    assert bench.read("keepers") == [
        target(address, instance=state, ended=state) for state in ("failed", "died", "lost")
    ]
    assert bench.read("engines") == []


def test_a_port_that_another_instance_has_now_is_scraped_once(bench: Bench) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert bench.run(one("old", "failed", url), one("new", "loading", url)) == 0
    assert bench.read("keepers") == [
        target("ended.invalid:9", instance="old", ended="failed"),
        target(url.removeprefix("http://"), instance="new"),
    ]


def test_a_service_is_a_target_by_its_name_with_its_condition(bench: Bench) -> None:
    door = {"name": "shop-door", "state": "ready", "ports": {"api": 8180, "stats": 8181}}
    services = [
        {"name": "shop", "condition": "degraded"}, {"name": "calm", "condition": "stopped"},
        {"name": "gone", "condition": "down"},
    ]  # fmt: skip
    bench.prints(json.dumps({"data": {"instances": [door], "services": services}}) + "\n", 1)
    assert bench.run() == 0
    gone = target("ended.invalid:9", instance="gone", condition="down")
    shop = target("127.0.0.1:8181", instance="shop", condition="degraded")
    assert bench.read("doors") == [shop, gone]
    assert bench.run(arguments=("--address", "gpu7")) == 0
    labels = {"instance": "shop", "condition": "degraded", "unscraped": "true"}
    assert bench.read("doors")[0] == target("ended.invalid:9", **labels)


def test_without_services_there_is_no_front_door(bench: Bench) -> None:
    assert bench.run(one("a", "ready", None)) == 0
    assert bench.read("doors") == []


def test_a_keeper_that_does_not_answer_is_a_target(bench: Bench) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert bench.run(one("a", "ready", url)) == 0
    assert bench.read("keepers") == [target(url.removeprefix("http://"), instance="a")]
    assert bench.read("engines") == []


def test_what_cannot_be_scraped_is_named(bench: Bench) -> None:
    assert bench.run(one("a", "ready", "unix:/x/admin.sock"), one("b", "ready", "")) == 0
    assert bench.read("keepers") == []
    assert "a cannot be scraped: its endpoint is a Unix socket" in bench.errors
    assert "b cannot be scraped: it has no endpoint" in bench.errors
    assert bench.run(one("a", "failed", "unix:/x/admin.sock")) == 0
    assert bench.read("keepers") == [target("ended.invalid:9", instance="a", ended="failed")]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("", "127.0.0.1:{}"), ("gpu7.example", "gpu7.example:{}"), ("fd00::7", "[fd00::7]:{}")],
)
def test_the_address_can_be_that_of_the_machine(bench: Bench, address: str, expected: str) -> None:
    port = free_port()
    rows = [one("a", "ready", f"http://127.0.0.1:{port}")]
    assert bench.run(*rows, arguments=("--address", address)) == 0
    assert bench.read("keepers") == [target(expected.format(port), instance="a")]


def test_the_files_can_be_read_and_are_new_each_time(bench: Bench) -> None:
    row = one("a", "failed", f"http://127.0.0.1:{free_port()}")
    assert bench.run(row) == 0
    for name in ("keepers.json", "engines.json", "doors.json"):
        assert stat.S_IMODE((bench.folder / name).stat().st_mode) == 0o644
        os.utime(bench.folder / name, (1, 1))
    assert bench.run(row) == 0
    assert all(path.stat().st_mtime > 1 for path in bench.folder.iterdir())
    assert sorted(os.listdir(bench.folder)) == ["doors.json", "engines.json", "keepers.json"]


@pytest.mark.parametrize("output", ["", "not JSON\n", "[]\n", '{"data": null}\n', "{}\n"])
def test_a_command_that_does_not_work_leaves_the_files_as_they_were(
    bench: Bench, output: str
) -> None:
    assert bench.run(one("a", "failed", f"http://127.0.0.1:{free_port()}")) == 0
    before = bench.read("keepers")
    bench.prints(output, 3)
    assert bench.run() == 1
    assert "status --json` did not work: exit code 3" in bench.errors
    assert "Traceback" not in bench.errors
    assert bench.read("keepers") == before


def test_a_command_that_is_missing_is_named(bench: Bench) -> None:
    assert bench.run() == 1
    assert str(bench.command) in bench.errors
    assert "Traceback" not in bench.errors


def test_the_timer_starts_the_program_where_the_page_says() -> None:
    unit = (MONITORING / "ernie-deploy-targets.service").read_text()
    page = (ROOT / "docs" / "monitoring.md").read_text()
    start = unit.partition("ExecStart=")[2].partition("\n")[0]
    program, folder = start.split()
    assert Path(program).name == "write_targets.py"
    assert program in page
    assert folder == f"{Path(program).parent}/targets"
