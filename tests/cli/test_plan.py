"""`plan`: what would be run, and nothing is."""

import os
import signal
import subprocess

from tests.support import ports
from tests.support.rig import Rig
from tests.support.waiting import wait_for


def test_the_argv_is_what_up_runs(rig: Rig, free_port: int) -> None:
    profile = rig.profile(ports={"api": free_port})
    planned = rig.run("plan", profile, "--json").json["data"]["plan"]
    assert not rig.instance().exists(), "nothing is made"
    rig.up(ports={"api": free_port})
    assert rig.stored(file="plan.json")["argv"] == planned["argv"]
    with open(f"/proc/{rig.engine()}/cmdline", "rb") as file:
        assert file.read().decode().split("\0")[:-1] == planned["argv"]
    rig.down()


def test_the_plan_of_what_runs_has_the_ports_it_has(rig: Rig, free_port: int) -> None:
    for port in (free_port, "auto"):
        rig.up(ports={"api": port})
        ran = rig.run("plan", rig.profile(ports={"api": port}), "--json")
        assert ran.rc == 0, ran.output()
        assert ran.json["data"]["plan"]["ports"] == rig.stored(file="plan.json")["ports"]
        assert ran.json["data"]["running"]["differences"] == []
        output = rig.run("plan", rig.profile(ports={"api": port})).stdout
        assert "it is ready with this very configuration: `up` would change nothing" in output
        rig.down()


def test_the_plan_of_another_configuration_shows_the_difference(rig: Rig, free_port: int) -> None:
    rig.up()
    changed = rig.profile(ports={"api": free_port}, max_model_len=4096)
    data = rig.run("plan", changed, "--json").json["data"]
    assert data["plan"]["ports"][0]["number"] == free_port
    assert "max-model-len: runs not set, asked 4096" in data["running"]["differences"]
    assert "with another configuration, `restart` replaces it" in rig.run("plan", changed).stdout
    rig.down()


def test_the_line_for_a_shell_starts_the_server(rig: Rig) -> None:
    plan = rig.run("plan", rig.profile(), "--json").json["data"]
    env = {**os.environ, "TMPDIR": str(rig.folder)}
    process = subprocess.Popen(["sh", "-c", plan["shell"]], env=env, start_new_session=True)
    try:
        port = plan["plan"]["ports"][0]["number"]
        wait_for(lambda: not ports.is_free(port), "the pasted server")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_secret_is_shown_as_its_reference(rig: Rig) -> None:
    rig.env["MY_KEY"] = "correct-horse"
    for arguments in (["plan"], ["plan", "--json"]):
        ran = rig.run(arguments[0], rig.profile(api_key="env:MY_KEY"), *arguments[1:])
        assert ran.rc == 0, ran.output()
        assert "MY_KEY" in ran.stdout
        assert "correct-horse" not in ran.stdout + ran.stderr


def test_of_what_runs_its_own_ports_are_no_obstacle(rig: Rig, free_port: int) -> None:
    rig.up(ports={"api": free_port})
    ran = rig.run("plan", rig.profile(ports={"api": free_port}), "--json")
    assert ran.rc == 0, ran.output()
    assert ran.json["data"]["plan"]["argv"] == rig.stored(file="plan.json")["argv"]
    second = rig.run("plan", rig.profile("two", ports={"api": free_port}), "--json")
    assert (second.rc, rig.errors(second)) == (3, ["port-leased"])
    rig.down()
    rig.up()
    ran = rig.run("plan", rig.profile(), "--json")
    assert ran.json["data"]["plan"]["ports"] == rig.stored(file="plan.json")["ports"]
    rig.down()
