"""`ernie-deploy smoke`: the verb, its files and its exit codes."""

from __future__ import annotations

import json
import signal
import socket
from dataclasses import replace
from email.message import Message
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from launcher.cli.main import group
from launcher.smoke.check import all_checks
from launcher.smoke.tags import TAGS
from tests.smoke.defects import DEFECTS
from tests.smoke.servers import Defect, RouteAnswer, Server, serve
from tests.support import cli
from tests.support.rig import Rig


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["smoke", *arguments], standalone_mode=False)


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
    assert envelope["schema"] == "ernie-deploy/2"
    assert envelope["command"] == "smoke"
    assert envelope["exit_code"] == done.return_value == 1
    assert [(e["code"], e["message"]) for e in envelope["errors"]] == [
        ("checks-failed", "fail: usage")
    ]
    (check,) = envelope["data"]["checks"]
    assert (check["name"], check["verdict"]) == ("usage", "fail")
    assert check["evidence"][0]["request"]["messages"][0]["content"] == "Hello!"


def test_a_key_is_a_reference_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOKE_TEST_KEY", "sk-smoke-test-key")
    with serve(key="sk-smoke-test-key") as server:
        done = run(server.url, "--api-key", "env:SMOKE_TEST_KEY", "--check", "auth", "--json")
        plain = run(server.url, "--api-key", "sk-smoke-test-key")
    assert done.return_value == 0
    assert "sk-smoke-test-key" not in done.output
    assert plain.return_value == 2
    assert "sk-smoke-test-key" not in plain.output


@pytest.mark.parametrize("kind", ["junit", "html", "markdown"])
def test_a_report_that_cannot_be_written_is_said_before_anything_is_asked(
    kind: str, tmp_path: Path
) -> None:
    requests: list[str] = []

    def note(server: Server, method: str, path: str, data: bytes, headers: object) -> None:
        requests.append(path)

    missing = tmp_path / "missing" / "report"
    with serve(Defect("notes", "health", route=note)) as server:
        done = run(server.url, f"--{kind}", str(missing))
    assert (done.return_value, requests) == (3, [])
    assert f"--{kind} {missing}: the {kind} report cannot be written" in done.stderr


@pytest.mark.parametrize(("broken", "code"), [(None, 3), ("usage-missing", 1)])
def test_a_report_that_cannot_be_written_afterwards_does_not_hide_the_run(
    broken: str | None, code: int, tmp_path: Path
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    honest = Defect("honest", "usage")
    defect = DEFECTS[broken] if broken else honest

    def take_away(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        if folder.exists():
            folder.rmdir()
        return defect.route(server, method, path, data, headers) if defect.route else None

    with serve(replace(defect, route=take_away)) as server:
        done = run(server.url, "--check", "usage", "--junit", str(folder / "x.xml"))
    assert done.return_value == code
    assert ("PASS: 1 passed" if code == 3 else "FAIL: ") in done.stdout
    assert "the junit report cannot be written: No such file or directory" in done.stderr


def test_an_unknown_check_is_a_usage_error() -> None:
    with serve() as server:
        done = run(server.url, "--check", "helth")
    assert done.return_value == 2
    assert "did you mean 'health'" in done.stderr


def test_that_nobody_is_there_is_said_once(free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    done = run(url)
    assert done.return_value == 3
    assert done.stdout.count("connection refused") == 1
    assert f"cannot connect to {url}: connection refused (" in done.stdout
    assert "model list" not in done.output
    assert done.stdout.splitlines()[-1].startswith("COULD NOT CHECK: ")


@pytest.mark.parametrize("address", ["localhost:8180", "127.0.0.1:8180/v1", "[::1]:8180"])
def test_an_address_without_its_scheme_is_completed_in_the_hint(address: str) -> None:
    done = run(address)
    assert done.return_value == 2
    assert f"did you mean http://{address}?" in done.stderr


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
            stdout, stderr = process.communicate(timeout=600)
    envelope = json.loads(stdout)
    assert (process.returncode, envelope["exit_code"]) == (130, 130), stderr
    assert (envelope["command"], envelope["errors"][0]["code"]) == ("smoke", "interrupted")


def test_an_instance_that_does_not_run_is_not_judged_by_who_has_its_port(
    rig: Rig, free_port: int
) -> None:
    profile = rig.profile(ports={"api": free_port})
    never = rig.run("smoke", profile, "--json")
    assert (never.rc, rig.errors(never)) == (3, ["instance-not-ready"])
    assert "nothing runs under the name one" in never.json["errors"][0]["message"]
    assert rig.run("up", profile).rc == 0
    smoke = rig.run("smoke", "one", "--check", "health", "--json")
    assert smoke.rc == 0, smoke.output()
    rig.down()
    with serve(port=free_port):
        for target in ("one", profile):
            ran = rig.run("smoke", target, "--json")
            assert (ran.rc, rig.errors(ran)) == (3, ["instance-not-ready"])
            (error,) = ran.json["errors"]
            assert error["message"] == "one is stopped"
            assert "`ernie-deploy up " in error["remedy"]


def test_of_an_instance_that_loads_or_failed_its_state_is_said(rig: Rig) -> None:
    go = rig.path("go")
    starting = rig.spawn("up", rig.profile(script={"before": [{"wait": go}, {"exit": 3}]}))
    rig.wait_for_state("loading")
    loading = rig.run("smoke", "one")
    Path(go).touch()
    assert starting.wait(600) == 4
    failed = rig.run("smoke", "one")
    assert (loading.rc, failed.rc) == (3, 3)
    assert "one is loading" in loading.stderr
    assert "waits until it is ready" in loading.stderr
    assert "one has failed" in failed.stderr


def test_a_port_that_is_not_the_instances_own_is_not_asked(rig: Rig) -> None:
    rig.up()
    plan = rig.instance() / "plan.json"
    kept = plan.read_text()
    with socket.socket() as listener, rig.paused_keeper():
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        changed = json.loads(kept)
        (use,) = [one for one in changed["ports"] if one["name"] == "api"]
        use["number"] = listener.getsockname()[1]
        plan.write_text(json.dumps(changed))
        ran = rig.run("smoke", "one", "--json")
        plan.write_text(kept)
    assert (ran.rc, rig.errors(ran)) == (3, ["port-not-ours"])
    assert f"port {use['number']}: pid " in ran.json["errors"][0]["message"]
    rig.down()


def test_checks_and_tags_can_be_listed() -> None:
    done = run("--list")
    assert done.return_value == 0
    for check in all_checks():
        assert f"  {check.name} " in done.stdout
        assert check.purpose in done.stdout
    for tag, meaning in TAGS.items():
        assert f"  {tag} " in done.stdout
        assert meaning in done.stdout


def test_the_list_as_json_and_of_one_tag() -> None:
    data = json.loads(run("--list", "--json").stdout)["data"]
    by_name = {c["name"]: c for c in data["checks"]}
    assert len(by_name) == len(all_checks())
    assert by_name["health"] == {
        "name": "health",
        "purpose": "GET /health is exactly 200",
        "kind": "protocol",
        "tags": ["full", "quick"],
        "requires": ["health"],
    }
    assert set(TAGS) <= set(data["tags"])
    tools = json.loads(run("--list", "--tag", "tools", "--json").stdout)["data"]["checks"]
    assert {c["name"] for c in tools} == {n for n, c in by_name.items() if "tools" in c["tags"]}
    assert run("--list", "--tag", "tols").return_value == 2


@pytest.mark.parametrize("arguments", [(), ("--list", "http://127.0.0.1:9")])
def test_without_a_target_there_is_a_list_or_nothing(arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.return_value == 2
    assert "TARGET" in ran.stderr
