"""A Slurm cluster of two nodes on this machine: munged, slurmctld and two slurmd, no systemd.

Everything lies in one folder and listens on loopback. The folder is not pytest's: munge distrusts a
socket below a folder that only root may enter, and a socket of Slurm's has a path of up to 80
characters more, of the 107 that there are. Debian's packages are enough; root is needed, because
slurmd starts jobs as their owner.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support import ports
from tests.support.packages import needs_package
from tests.support.waiting import wait_for

NODES = ("node1", "node2")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={controller}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
MailProg=/bin/true
ReturnToService=0
KillWait=30
SchedulerParameters=bf_interval=5,sched_interval=5,sched_min_interval=0
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={first} CPUs=4 State=UNKNOWN
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={second} CPUs=4 State=UNKNOWN
PartitionName=all Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP LLN=YES
"""


def needs_slurm() -> None:
    """Skip where Slurm is not installed (in CI: fail), or cannot be started."""
    needs_package("slurm-wlm")
    needs_package("munge")
    if os.geteuid() != 0:
        pytest.skip("slurmd starts jobs as their owner, which only root may")


class Cluster:
    """The running cluster; `folder` is shared by both nodes and is where jobs are submitted."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="edsl-", dir="/tmp"))
        self.folder.chmod(0o755)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        """Start all daemons and wait until both nodes take jobs."""
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        controller, first, second = (ports.free_port() for _ in range(3))
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                folder=self.folder, controller=controller, first=first, second=second
            )
        )
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self._spawn(
            "munged", "--foreground", "--force", f"--key-file={key}",
            f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munge.pid",
            f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed",
            "--num-threads=2",
        )  # fmt: skip
        wait_for(lambda: (self.folder / "munge.socket").exists(), "munge")
        self._spawn("slurmctld", "-D")
        for node in NODES:
            self._spawn("slurmd", "-D", "-N", node)
        wait_for(
            lambda: self.run("sinfo", "--noheader", "--format=%T %D").split() == ["idle", "2"],
            "two idle nodes",
        )

    def run(self, *argv: str, check: bool = True) -> str:
        """What one of Slurm's commands prints."""
        ran = subprocess.run(
            argv, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        if check and ran.returncode:
            raise AssertionError(f"{argv}: {ran.stdout}{ran.stderr}")
        return ran.stdout

    def jobs(self) -> dict[str, tuple[str, str]]:
        """State and node of each task of an array, by its number."""
        lines = self.run("squeue", "--noheader", "--array", "--format=%K %T %N").splitlines()
        rows = (line.split(" ") for line in lines)
        return {row[0]: (row[1], row[2] if len(row) > 2 else "") for row in rows}

    def logs(self) -> str:
        """The end of every log, for the message of a test that failed."""
        paths = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in paths)

    def close(self) -> None:
        """End jobs and daemons."""
        if (self.folder / "slurm.conf").exists():
            self.run("scancel", "--user=root", "--quiet", check=False)
            wait_for(
                lambda: not self.run("squeue", "--noheader", check=False), "the end of the jobs"
            )
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self._processes):
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    def _spawn(self, *argv: str) -> None:
        log = (self.folder / f"{argv[0]}-{len(self._processes)}.log").open("wb")
        with log:
            self._processes.append(
                subprocess.Popen(
                    argv, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                    stdout=log, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
