"""The rendered units under a real systemd: start, credentials, hardening, watchdog, stop, reboot.

The machine is booted in systemd-nspawn. Long, because its root file system is made first (about
80 s) and the watchdog needs its 30 s; the short checks of the units are in `test_systemd.py`.
"""

import os
import re
import shutil
import site
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.instance.systemd_unit import WATCHDOG
from tests.support import ROOT
from tests.support.nspawn import Machine, needs_nspawn
from tests.support.rig import Rig, rig
from tests.support.waiting import Clock, wait_for

__all__ = ["rig"]
UNIT, TARGET = "ernie-deploy-one@1.service", "ernie-deploy-one.target"
NEEDED = (
    "click",
    "yaml",
    "requests",
    "urllib3",
    "packaging",
    "charset_normalizer",
    "idna",
    "certifi",
)
"""Libraries of the command line; the machine's own Python is of the same minor version."""


@pytest.fixture
def machine(rig: Rig) -> Iterator[Machine]:
    """It is off before the rig looks for processes that were left."""
    needs_nspawn()
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the machine is Debian 12, whose Python is 3.11")
    machine = Machine(())
    try:
        machine.make()
        yield machine
    finally:
        machine.close()


def install(machine: Machine, rig: Rig) -> None:
    """ernie-deploy, the scripted engine and the rendered files, as an operator installs them."""
    profile = rig.profile(
        python="/usr/bin/python3", env={"HF_TOKEN": "env:HF_TOKEN"}, stop={"grace": "10s"},
        liveness={"interval": "1s"},
    )  # fmt: skip
    units = rig.folder / "units"
    ran = rig.run("render", "systemd", profile, "--engine-version", "1.0", "-o", str(units))
    assert ran.rc == 0, ran.output()
    library = machine.root / "opt" / "ernie-deploy" / "lib"
    ignore = shutil.ignore_patterns("__pycache__", "twin", "checkpoint")
    for name in ("launcher", "tests", "profiles", "deploy"):
        shutil.copytree(ROOT / name, library / name, ignore=ignore)
    for name in NEEDED:
        shutil.copytree(Path(site.getsitepackages()[0], name), library / name, ignore=ignore)
    for part in str(rig.env["PYTHONPATH"]).split(os.pathsep):
        for folder in Path(part).glob("*.dist-info"):
            shutil.copytree(folder, library / folder.name)
    # By this distribution the scripted engine is known in an interpreter.
    packages = machine.root / "usr" / "local" / "lib" / "python3.11" / "dist-packages"
    for folder in Path(site.getsitepackages()[0]).glob("pytest-[0-9]*.dist-info"):
        shutil.copytree(folder, packages / folder.name)
    program = machine.root / "opt" / "ernie-deploy" / "bin" / "ernie-deploy"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nexport PYTHONPATH=/opt/ernie-deploy/lib\nexec python3 -m launcher "$@"\n'
    )
    program.chmod(0o755)
    secrets = machine.root / "etc" / "ernie-deploy" / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    (secrets / "HF_TOKEN").write_text("correct-horse\n")
    (secrets / "HF_TOKEN").chmod(0o600)
    for path in units.iterdir():
        target = "etc/ernie-deploy" if path.suffix == ".yaml" else "etc/systemd/system"
        shutil.copy(path, machine.root / target)


def show(machine: Machine, field: str, unit: str = UNIT) -> str:
    return machine.run("systemctl", "show", unit, f"--property={field}", "--value").strip()


def keeper(machine: Machine) -> str:
    return show(machine, "MainPID")


def journal(machine: Machine) -> str:
    return machine.run("journalctl", "--no-pager", "-n", "60", "-u", UNIT)


def wait_active(machine: Machine) -> None:
    """Active means ready: the keeper says so after a completion."""
    wait_for(
        lambda: show(machine, "ActiveState") in ("active", "failed"), "the start",
        deadline=180, interval=0.2,
    )  # fmt: skip
    assert show(machine, "ActiveState") == "active", journal(machine)


def engine(machine: Machine) -> str:
    (pid,) = machine.run("pgrep", "-f", "fake_server.py").split()
    return pid


@pytest.mark.soak
def test_the_units_under_a_real_systemd(machine: Machine, rig: Rig) -> None:
    install(machine, rig)
    clock = Clock()
    machine.boot()
    clock.step("boot")

    # Start: ready when systemd says active.
    assert "Created symlink" in machine.run("systemctl", "enable", TARGET)
    machine.run("systemctl", "start", "--no-block", TARGET)
    wait_active(machine)
    clock.step("start, until ready")

    # A user of its own, which the system does not have, and which may not write elsewhere.
    status = machine.run("cat", f"/proc/{engine(machine)}/status")
    (user,) = re.findall(r"^Uid:\t(\d+)", status, re.MULTILINE)
    assert 61184 <= int(user) <= 65519, "the range of dynamic users"
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
    mounts = machine.run("cat", f"/proc/{engine(machine)}/mounts")
    (options,) = re.findall(r"^\S+ / \S+ (\S+)", mounts, re.MULTILINE)[-1:]
    assert options.startswith("ro"), "ProtectSystem=strict"

    # The key reached the engine by a credential, and nothing else shows it.
    environment = machine.run("cat", f"/proc/{engine(machine)}/environ")
    assert "HF_TOKEN=correct-horse" in environment
    assert "correct-horse" not in machine.run("cat", f"/proc/{keeper(machine)}/environ")
    assert "correct-horse" not in machine.run("systemctl", "show", UNIT) + journal(machine)

    # A killed keeper is replaced, and its engine with it.
    clock = Clock()
    first, first_engine = keeper(machine), engine(machine)
    machine.run("kill", "-KILL", first)
    wait_for(lambda: keeper(machine) not in ("0", first), "a new keeper", deadline=120)
    wait_active(machine)
    assert engine(machine) != first_engine
    clock.step("killed keeper, until ready again")

    # A keeper that hangs misses its watchdog.
    second = keeper(machine)
    machine.run("kill", "-STOP", second)
    wait_for(
        lambda: keeper(machine) not in ("0", second), "the watchdog", deadline=WATCHDOG + 120,
        interval=0.5,
    )  # fmt: skip
    assert "Watchdog timeout" in journal(machine)
    wait_active(machine)
    clock.step("stopped keeper, until the watchdog has replaced it and it is ready")

    # Stop: nothing is left.
    machine.run("systemctl", "stop", TARGET)
    wait_for(
        lambda: show(machine, "ActiveState") in ("inactive", "failed"), "the stop",
        deadline=180, interval=0.2,
    )  # fmt: skip
    assert show(machine, "Result") == "success", journal(machine)
    assert machine.run("pgrep", "-f", "launcher|fake_server").strip() == ""
    clock.step("stop")

    # A reboot: it comes back by itself.
    machine.reboot()
    wait_active(machine)
    clock.step("reboot, until ready")
    assert engine(machine)
