"""`ernie-deploy doctor` as a user runs it, and what `up` does with its answers."""

import json
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from launcher import doctor
from launcher.doctor.runner import gate
from launcher.errors import PreconditionError, UsageError
from tests.doctor.conftest import make_model
from tests.support.cli import Ran
from tests.support.ports import free_port
from tests.support.rig import Rig
from tests.twin.interpreter import make_interpreter


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., str]:
    """`profile(ports={...})`: a profile that is in order but for what is given."""
    python = make_interpreter(tmp_path / "env", "2.4")
    model = make_model(tmp_path / "model")

    def write(**keys: object) -> str:
        path = tmp_path / "profile.yaml"
        values = {"name": "doc", "engine": "fastdeploy", "python": str(python), "model": str(model)}
        path.write_text(yaml.safe_dump(values | keys))
        return str(path)

    return write


def test_the_machine_alone(run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("doctor", "--json")
    assert ran.rc in (0, 1), ran.output()
    findings = {f["check"]: f for f in ran.json["data"]["findings"]}
    assert {"host-memory", "shm-size", "open-files", "disk-state"} <= set(findings)
    assert "ports" not in findings
    failed = any(f["status"] == "FAIL" for f in findings.values())
    assert ran.rc == int(failed)


def test_a_profile_with_a_taken_port(
    run_cli: Callable[..., Ran], profile: Callable[..., str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        file = profile(ports={"api": port})
        (error,) = run_cli("doctor", "--fast", file, "--json").json["errors"]
        ran = run_cli("doctor", "--fast", file)
    assert ran.rc == 1, ran.output()
    assert error["code"] == "doctor-failed"
    assert "ports" in error["message"]
    line = next(line for line in ran.stdout.splitlines() if line.startswith("FAIL"))
    assert line.split()[1] == "ports"
    assert f":{port}: address already in use" in line
    assert "why: " in ran.stdout
    assert "do:  " in ran.stdout


def test_the_fast_checks_ask_neither_network_nor_gpus(
    run_cli: Callable[..., Ran], profile: Callable[..., str]
) -> None:
    ran = run_cli("doctor", "--fast", "--json", profile())
    assert ran.rc == 0, ran.output()
    checks = {f["check"] for f in ran.json["data"]["findings"]}
    assert not checks & {"hub", "driver", "gpu-count", "gpu-memory", "memory-plan"}
    assert all(f["fast"] for f in ran.json["data"]["findings"])


def few_files() -> None:
    """A shell in which too few files can be open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))


def test_up_refuses_on_fail_and_force_is_recorded(rig: Rig) -> None:
    refused = rig.spawn("up", rig.profile(), "--json", preexec_fn=few_files)
    output, _ = refused.communicate(timeout=600)
    assert refused.returncode == 3, output
    (error,) = json.loads(output.splitlines()[-1])["errors"]
    assert error["code"] == "open-files"
    assert "--force open-files" in error["remedy"]
    assert not rig.instance().exists()
    started = rig.spawn("up", rig.profile(), "--force", "open-files", preexec_fn=few_files)
    output, _ = started.communicate(timeout=600)
    assert started.returncode == 0, output
    assert rig.stored()["forced"] == ["open-files"]
    status = rig.run("status", "one")
    assert "started past the check open-files" in status.stdout
    rig.down()


def test_the_gate_names_what_it_refuses(profile: Callable[..., str], home: Path) -> None:
    from launcher import profile as profiles

    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        subject = doctor.of_profile(profiles.load(profile(ports={"api": port})))
        with pytest.raises(PreconditionError) as refused:
            gate(subject, ())
        assert [p.code for p in refused.value.problems] == ["ports"]
        assert "--force ports" in (refused.value.problems[0].remedy or "")
        assert gate(subject, ("ports",)) == ("ports",)
        with pytest.raises(UsageError, match="did you mean 'ports'"):
            gate(subject, ("port",))
    assert gate(doctor.of_profile(profiles.load(profile())), ()) == ()
