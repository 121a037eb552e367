"""`ernie-deploy smoke`: the verb, its files and its exit codes."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from xml.etree import ElementTree

from click.testing import CliRunner, Result

from launcher.cli.main import group
from tests.smoke.defects import DEFECTS
from tests.smoke.servers import serve
from tests.support import cli


def run(*words: str) -> Result:
    return CliRunner().invoke(group, ["smoke", *words], standalone_mode=False)


def test_a_good_server_passes_and_all_reports_are_written(tmp_path: Path) -> None:
    names = {k: tmp_path / f"report.{k}" for k in ("junit", "html", "markdown")}
    options = [word for kind, path in names.items() for word in (f"--{kind}", str(path))]
    with serve() as server:
        done = run(server.url, *options)
    assert done.return_value == 0
    assert done.stdout.splitlines()[-1].startswith("PASS: ")
    assert ElementTree.fromstring(names["junit"].read_text()).tag == "testsuites"
    assert names["html"].read_text().startswith("<!doctype html>")
    assert names["markdown"].read_text().startswith("# Smoke: ")


def test_json_is_one_envelope() -> None:
    with serve(DEFECTS["usage-missing"]) as server:
        done = run(server.url, "--check", "usage", "--json")
    envelope = json.loads(done.stdout)
    assert envelope["schema"] == "ernie-deploy/1"
    assert envelope["command"] == "smoke"
    assert envelope["exit_code"] == done.return_value == 1
    assert [(e["code"], e["message"]) for e in envelope["errors"]] == [
        ("checks-failed", "fail: usage")
    ]
    (found,) = envelope["data"]["checks"]
    assert (found["name"], found["verdict"]) == ("usage", "fail")
    assert found["evidence"][0]["request"]["messages"][0]["content"] == "Hello!"


def test_a_key_is_a_reference_and_never_shown(monkeypatch) -> None:
    monkeypatch.setenv("SMOKE_TEST_KEY", "sk-smoke-test-key")
    with serve(key="sk-smoke-test-key") as server:
        done = run(server.url, "--api-key", "env:SMOKE_TEST_KEY", "--check", "auth", "--json")
        plain = run(server.url, "--api-key", "sk-smoke-test-key")
    assert done.return_value == 0
    assert "sk-smoke-test-key" not in done.output
    assert plain.return_value == 2
    assert "sk-smoke-test-key" not in plain.output


def test_an_unknown_check_is_a_usage_error() -> None:
    with serve() as server:
        done = run(server.url, "--check", "helth")
    assert done.return_value == 2
    assert "did you mean 'health'" in done.stderr


def test_an_unknown_instance_is_a_usage_error() -> None:
    done = run("no-such-instance")
    assert done.return_value == 2
    assert "no-such-instance" in done.stderr


def test_an_interrupt_is_told_as_json_too(tmp_path: Path) -> None:
    """The server takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = cli.spawn("smoke", url, "--json", home=tmp_path)
        connection, _ = server.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=120)
    envelope = json.loads(stdout)
    assert (process.returncode, envelope["exit_code"]) == (130, 130), stderr
    assert (envelope["command"], envelope["errors"][0]["code"]) == ("smoke", "interrupted")
