"""A Debian with systemd as its first process, in systemd-nspawn: a machine to boot and to reboot.

Needs root, mmdebstrap and systemd-container, and about a minute for the root file system. That is
0.4 GB and is removed at the end: pytest's folder, which keeps those of three runs, has none of it.
The folders of this machine that are shared are seen read-only at their own paths.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.waiting import wait_for

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
}
PACKAGES = "systemd,systemd-sysv,dbus,procps,python3,ca-certificates"
RELEASE = "bookworm"


def needs_nspawn() -> None:
    """Skip where a machine cannot be made."""
    missing = [package for name, package in PROGRAMS.items() if shutil.which(name) is None]
    if missing:
        pytest.skip(f"apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("systemd-nspawn needs root")


class Machine:
    """The machine; `root` is its file system, `shared` are folders that it sees read-only."""

    def __init__(self, shared: tuple[str, ...]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ednspawn-", dir="/tmp"))
        # Its last part is the machine's name, of which Linux takes 64 characters.
        self.root = self._folder / "machine"
        self.shared = shared
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make the root file system."""
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", RELEASE,
             str(self.root)],
            check=True, timeout=900,
        )  # fmt: skip

    def boot(self) -> None:
        """Boot, and wait until systemd has started what it starts."""
        binds = [f"--bind-ro={path}" for path in self.shared]
        with (self.root.parent / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
                 "--console=pipe", f"--directory={self.root}", *binds],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.wait_until_up()

    def reboot(self) -> None:
        """Reboot by the machine's own command: with --keep-unit nspawn ends, to be started anew."""
        assert self._process is not None
        self.run("systemctl", "reboot")
        self._process.wait(180)
        self.boot()

    def wait_until_up(self) -> None:
        """Wait until the boot is over; degraded means that a unit of Debian's own has failed."""
        wait_for(
            lambda: self.run("systemctl", "is-system-running").strip() in ("running", "degraded"),
            "the boot", deadline=180, interval=0.5,
        )  # fmt: skip

    @property
    def leader(self) -> int:
        """The pid of the machine's first process, as this machine sees it; 0 between two boots."""
        assert self._process is not None
        pid = self._process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return 0
        for child in children:
            try:
                # The stub that prepares the machine has our namespace still.
                if len(_pids(int(child))) > 1:
                    return int(child)
            except OSError:
                continue
        return 0

    def run(self, *argv: str) -> str:
        """What a command in the machine prints; empty while the machine is not there."""
        leader = self.leader
        if not leader:
            return ""
        ran = subprocess.run(
            ["nsenter", f"--target={leader}", "--all", "--", *argv],
            capture_output=True, text=True, timeout=300, env={"PATH": "/usr/sbin:/usr/bin"},
        )  # fmt: skip
        return ran.stdout + ran.stderr

    def close(self) -> None:
        """Power off, and remove the file system; what is not off after a minute is killed."""
        try:
            self._power_off()
        finally:
            shutil.rmtree(self._folder)

    def _power_off(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self.run("systemctl", "poweroff")
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _pids(pid: int) -> list[str]:
    """The numbers of a process in each namespace it is in."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return line.split()[1:]
    return []
