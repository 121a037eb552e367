"""`enable` and `disable`: the unit, what systemd says of it, and that nothing else is touched.

systemctl is stood in for by a script that notes its arguments; units are checked by the real
`systemd-analyze` where it is installed.
"""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher import profile as profiles
from launcher.errors import DeployError, PreconditionError
from launcher.instance import boot, systemd_unit
from launcher.instance.boot import Boot, disable, enable
from launcher.instance.instance_status import InstanceStatus
from launcher.instance.status import describe
from launcher.instance.store import instance_dir
from launcher.instance.systemd_unit import quoted, unit_name
from launcher.profile.model import Profile
from tests.support.rig import Rig

STAND_IN = """#!/bin/sh
echo "$@" >> "$SYSTEMCTL_CALLS"
[ ! -e "$SYSTEMCTL_CALLS.$2$3" ]
"""
SYSTEM = "/etc/systemd/system"


class Machine:
    """A machine with systemd; units are in `units`, what systemctl was asked is in `calls`."""

    def __init__(self, folder: Path, rig: Rig) -> None:
        self.units = folder / "config" / "systemd" / "user"
        self.calls_file = folder / "calls"
        self.rig = rig

    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def profile(self, name: str = "one", **keys: Any) -> Profile:
        return profiles.load(self.rig.profile(name, **keys))

    def enable(self, name: str = "one", **keys: Any) -> Boot:
        return enable(self.profile(name, **keys), system=False).payload

    def unit(self, name: str = "one") -> str:
        return (self.units / unit_name(name)).read_text()

    def fails(self, command: str) -> None:
        """From now on systemctl fails for these words."""
        Path(f"{self.calls_file}.{command}").touch()


@pytest.fixture
def machine(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path, rig)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "systemctl").write_text(STAND_IN)
    (bin_folder / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SYSTEMCTL_CALLS", str(machine.calls_file))
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(rig.home))
    for part in str(rig.env["PYTHONPATH"]).split(os.pathsep):
        monkeypatch.syspath_prepend(part)
    monkeypatch.setattr(boot, "BOOTED", str(tmp_path))
    return machine


def analyzed(path: Path, *options: str) -> str:
    """What the real systemd says of a unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    runtime = path.parent / "runtime"
    runtime.mkdir(exist_ok=True, mode=0o700)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    ran = subprocess.run(
        ["systemd-analyze", *options, "verify", "--man=no", str(path)],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    return "\n".join(line for line in ran.stderr.splitlines() if path.name in line)


def test_enable_writes_a_unit_and_lets_systemd_start_it(machine: Machine) -> None:
    result_of_enable = machine.enable(stop={"grace": 40})
    text = machine.unit()
    assert result_of_enable.path == str(machine.units / unit_name("one"))
    assert machine.calls() == ["--user daemon-reload", "--user enable ernie-deploy-one.service"]
    for line in (
        "Type=notify", "NotifyAccess=main", "WatchdogSec=30", "KillMode=mixed", "Delegate=yes",
        "Restart=on-abnormal", "RestartForceExitStatus=3 70", "WantedBy=default.target",
        "After=network-online.target", f"TimeoutStartSec={3600 + 60}",
    ):  # fmt: skip
        assert f"{line}\n" in text
    (stop,) = [line for line in text.splitlines() if line.startswith("TimeoutStopSec=")]
    assert int(stop.partition("=")[2]) >= 40 + 40
    assert f'"{machine.rig.home}/boot/one.yaml" "--foreground"' in text


@pytest.mark.parametrize("system", [True, False])
def test_systemd_accepts_the_unit(machine: Machine, system: bool, tmp_path: Path) -> None:
    machine.enable("first")
    machine.enable("one", api_key="env:KEY")
    text = machine.unit()
    if system:
        text = text.replace("default.target", "multi-user.target")
    path = tmp_path / unit_name("one")
    path.write_text(text)
    assert analyzed(path, *([] if system else ["--user"])) == ""


def test_systemd_analyze_finds_a_wrong_line(machine: Machine, tmp_path: Path) -> None:
    machine.enable()
    path = tmp_path / unit_name("one")
    path.write_text(machine.unit().replace("Type=notify", "Type=nothing"))
    assert "service type" in analyzed(path)


def test_what_is_kept_is_the_profile_as_it_is_now(machine: Machine) -> None:
    profile = machine.profile(script={"model": "a $${b} $c"})
    enable(profile, system=False)
    kept = machine.rig.home / "boot" / "one.yaml"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert profiles.load(str(kept)).resolved == profile.resolved


def test_instances_start_in_the_order_in_which_they_were_enabled(machine: Machine) -> None:
    machine.enable("one")
    machine.enable("two")
    assert machine.enable("three").after == (unit_name("one"), unit_name("two"))
    assert machine.enable("two").after == (unit_name("one"),), "enabled again, it keeps its place"
    disable("one", system=False)
    assert machine.enable("three").after == (unit_name("two"),)
    assert machine.enable("one").after == (unit_name("two"), unit_name("three"))
    assert f"After=network-online.target {unit_name('two')} {unit_name('three')}\n" in (
        machine.unit("one")
    )


def test_no_secret_is_in_the_unit_and_what_is_needed_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "correct-horse")
    result_of_enable = machine.enable(api_key="env:KEY")
    kept = (machine.rig.home / "boot" / "one.yaml").read_text()
    assert "correct-horse" not in machine.unit() + kept + json.dumps(result_of_enable.notes)
    assert f"EnvironmentFile=-{machine.rig.home}/boot/one.env\n" in machine.unit()
    assert any("KEY" in note and "one.env" in note for note in result_of_enable.notes)


def test_disable_removes_what_enable_wrote_and_nothing_else(machine: Machine) -> None:
    machine.enable("one")
    machine.enable("two")
    foreign_unit = machine.units / "ernie-deploy-mine.service"
    foreign_unit.write_text("[Service]\nExecStart=/bin/true\n")
    before = {p for p in machine.units.parent.parent.rglob("*") if p.is_file()}
    assert not disable("one", system=False).payload.enabled
    after = {p for p in machine.units.parent.parent.rglob("*") if p.is_file()}
    assert before - after == {machine.units / unit_name("one")}
    assert sorted(p.name for p in (machine.rig.home / "boot").iterdir()) == ["two.yaml"]
    assert machine.calls()[-2:] == ["--user disable ernie-deploy-one.service",
                                    "--user daemon-reload"]  # fmt: skip
    assert disable("one", system=False).exit_code == 0, "it is done already"


def test_a_unit_of_another_hand_is_left_alone(machine: Machine) -> None:
    machine.units.mkdir(parents=True)
    unit = machine.units / unit_name("one")
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    for act in (lambda: machine.enable(), lambda: disable("one", system=False)):
        with pytest.raises(PreconditionError) as caught:
            act()
        assert caught.value.problems[0].code == "unit-not-ours"
    assert unit.read_text() == "[Service]\nExecStart=/bin/true\n"
    assert machine.calls() == []


def test_a_unit_of_another_state_directory_is_left_alone(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.enable()
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(tmp_path / "other"))
    with pytest.raises(PreconditionError, match="another state directory"):
        disable("one", system=False)


def test_what_systemctl_refuses_is_undone(machine: Machine) -> None:
    machine.fails("enableernie-deploy-one.service")
    with pytest.raises(PreconditionError) as caught:
        machine.enable()
    assert caught.value.problems[0].code == "systemctl-failed"
    assert not (machine.units / unit_name("one")).exists()
    assert not (machine.rig.home / "boot" / "one.yaml").exists()


def test_what_cannot_start_is_not_enabled(machine: Machine) -> None:
    with pytest.raises(DeployError):
        machine.enable(python="/nowhere/python")
    assert machine.calls() == []


def test_status_says_that_it_is_enabled(machine: Machine) -> None:
    def enabled() -> InstanceStatus:
        return describe(instance_dir("one"))

    machine.enable()
    assert enabled().enabled is None, "systemctl made no link"
    wants = machine.units / "default.target.wants"
    wants.mkdir()
    (wants / unit_name("one")).symlink_to(machine.units / unit_name("one"))
    assert enabled().enabled == "user"
    (machine.units / unit_name("one")).write_text("[Service]\n")
    assert enabled().enabled is None


def test_without_systemd_it_is_refused(rig: Rig) -> None:
    if os.path.isdir(boot.BOOTED):
        pytest.skip("this machine was booted with systemd")
    for line in (["enable", rig.profile()], ["disable", "one"]):
        ran = rig.run(*line, "--json")
        assert (ran.rc, rig.errors(ran)) == (3, ["no-systemd"])
        assert ran.json["errors"][0]["remedy"]


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("a b", '"a b"'), ("50%", '"50%%"'), ("$HOME", '"$$HOME"'), ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'), ("a\nb", '"a\\nb"'),
    ],
)  # fmt: skip
def test_a_word_of_a_command_is_taken_as_it_is(word: str, written: str) -> None:
    assert quoted(word) == written


def test_the_folders_of_units() -> None:
    system, user = systemd_unit.places({"XDG_CONFIG_HOME": "/c"})
    assert (str(system.folder), system.target) == (SYSTEM, "multi-user.target")
    assert (str(user.folder), user.target) == ("/c/systemd/user", "default.target")


def test_the_command_of_the_unit_starts_the_instance(machine: Machine) -> None:
    machine.enable()
    lines = machine.unit().splitlines()
    (start,) = [line.partition("=")[2] for line in lines if line.startswith("ExecStart=")]
    environment = [line.partition("=")[2] for line in lines if line.startswith("Environment=")]
    env = dict(shlex.split(one)[0].split("=", 1) for one in environment)
    env["PYTHONPATH"] = f"{env['PYTHONPATH']}:{machine.rig.env['PYTHONPATH']}"
    keeper = subprocess.Popen(shlex.split(start), env=env, cwd="/", stderr=subprocess.PIPE)
    try:
        machine.rig.wait_for_state("ready")
        assert machine.rig.keeper() == keeper.pid
        machine.rig.down()
        assert keeper.wait(60) == 0
    finally:
        keeper.kill()
        keeper.communicate()
