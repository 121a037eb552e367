"""An engine that hangs: its stacks are kept before it is ended, and the end waits a moment only."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.host.processes import children
from launcher.json_values import JsonObject
from launcher.keeper import incident
from launcher.keeper.incidents import IncidentWriter
from launcher.keeper.loop import Loop
from launcher.keeper.record import Record
from launcher.keeper.stack_dump import LONGEST, find_py_spy
from launcher.keeper.tree import Tree
from launcher.lifecycle import InstanceState
from launcher.liveness.sample import Answer, ProcessSample, Sample
from launcher.plan.model import LaunchPlan
from tests.support.subreaper import adopts_orphans
from tests.support.waiting import wait_for

SPINS = "import threading, time\nthreading.Thread(target=time.sleep, args=(999,)).start()"
PY_SPY = """#!/bin/sh
echo "Thread $4 (idle): stuck_in_a_kernel (engine.py:7)"
"""
HANGS = "#!/bin/sh\nexec sleep 1000\n"
REFUSED = "#!/bin/sh\necho 'Error: Permission denied: try running as root' >&2\nexit 1\n"
FLOODS = "#!/bin/sh\nexec yes 'a frame without an end'\n"
FORKS = "#!/bin/sh\nsleep 1000 &\nsleep 1000\n"


class Bench:
    """A writer of incidents with a process that hangs, and no keeper around them."""

    def __init__(self, folder: Path, py_spy: str | None) -> None:
        self.folder = folder / "one"
        (self.folder / "logs").mkdir(parents=True)
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        if py_spy is not None:
            (bin_folder / "py-spy").write_text(py_spy)
            (bin_folder / "py-spy").chmod(0o700)
        self.plan = LaunchPlan(
            instance="one", engine="scripted", release="1", argv=("/bin/true",), cwd="/",
            log_folder=str(self.folder / "logs"), temporary_folder=str(self.folder),
        )  # fmt: skip
        self.loop = Loop()
        self.tree = Tree(self.loop, lambda process: None)
        self.tree.helpers |= set(children(os.getpid()))  # those of other tests
        self.record = Record(self.folder, self.plan, "one:token", self.tree, ())
        self.samples: list[Sample] = []
        self.writer = IncidentWriter(
            self.loop, self.tree, self.folder, self.plan, self.record,
            secrets={}, environ={"PATH": f"{bin_folder}:{os.defpath}"},
            samples=lambda: self.samples,
        )  # fmt: skip
        self.engine = subprocess.Popen([sys.executable, "-c", SPINS])
        wait_for(lambda: len(os.listdir(f"/proc/{self.engine.pid}/task")) == 2, "its threads")
        self.tree.discover()
        self.record.state.state = InstanceState.READY
        self.record.state.ready_at = time.time()

    def stall(self) -> Path:
        """The folder of the incident that a stall opens."""
        since = time.time() - 30
        reasons = ["2 requests are in work or waiting, no progress for 30 s"]
        self.record.event(
            "liveness", verdict="stalled", previous="busy", since=since, reasons=reasons
        )
        (folder,) = incident.folders(self.folder)
        return folder

    def close(self) -> None:
        self.writer.close(time.monotonic() + 5)
        self.engine.kill()
        self.engine.wait()


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """With the py-spy that the test asks for."""
    with adopts_orphans(True):
        stall_bench = Bench(tmp_path, getattr(request, "param", None))
        yield stall_bench
        stall_bench.close()


@pytest.mark.parametrize("bench", [PY_SPY], indirect=True)
def test_the_stacks_of_a_stalled_engine_are_kept(bench: Bench) -> None:
    bench.samples = [
        Sample(time.monotonic() - 9, health=Answer(None, "timed out")),
        Sample(time.monotonic(), processes=(ProcessSample(7, "python", "main", "R"),)),
    ]
    folder = bench.stall()
    bench.writer.wait_for_stacks()

    one = incident.read(folder)
    assert (one.kind, one.code, one.verdict) == ("stall", "engine-stalled", "stalled")
    assert one.reasons == ("2 requests are in work or waiting, no progress for 30 s",)
    assert 29 < one.time - one.since < 60
    pid = bench.engine.pid
    assert "stuck_in_a_kernel" in (folder / f"stacks-{pid}.txt").read_text()
    threads = (folder / "threads.txt").read_text()
    assert threads.startswith(f"process {pid} (")
    assert threads.count("waits in") == 2
    first, second = (folder / "samples.jsonl").read_text().splitlines()
    assert '"timed out"' in first
    assert '"state": "R"' in second
    assert one.notes == ()


@pytest.mark.parametrize("bench", [HANGS, FORKS], indirect=True)
def test_the_end_of_the_engine_waits_for_its_stacks_for_a_moment_only(bench: Bench) -> None:
    begun = time.monotonic()
    folder = bench.stall()
    called = time.monotonic() - begun
    bench.writer.wait_for_stacks()
    waited = time.monotonic() - begun
    assert called < LONGEST, "the call itself returns at once"
    assert LONGEST * 0.9 < waited < LONGEST + 60
    late = "it did not end within"
    assert bench.loop.run_until(lambda: late in " ".join(incident.read(folder).notes), 60)
    assert bench.tree.pids == [bench.engine.pid], "none of it counts as the engine's"


@pytest.mark.parametrize("bench", [REFUSED], indirect=True)
def test_where_py_spy_may_not_look_the_reason_and_the_threads_are_kept(bench: Bench) -> None:
    folder = bench.stall()
    bench.writer.wait_for_stacks()
    (note,) = incident.read(folder).notes
    assert note.endswith("Permission denied: try running as root")
    assert (folder / "threads.txt").exists()


@pytest.mark.parametrize("bench", [FLOODS], indirect=True)
def test_stacks_have_a_bound(bench: Bench) -> None:
    folder = bench.stall()
    bench.writer.wait_for_stacks()
    bench.loop.run_until(lambda: bool(incident.read(folder).notes), 60)
    assert incident.size(folder) < 1024 * 1024


def test_without_py_spy_the_kernels_view_is_kept(bench: Bench) -> None:
    folder = bench.stall()
    bench.writer.wait_for_stacks()
    notes = incident.read(folder).notes
    if find_py_spy("", {"PATH": ""}) is None:
        assert notes == (
            "py-spy is not installed: threads.txt shows where the threads wait in the kernel",
        )
    assert "system call" in (folder / "threads.txt").read_text()


def test_a_server_that_goes_on_closes_its_incident(bench: Bench) -> None:
    folder = bench.stall()
    bench.record.event("liveness", verdict="stalled", previous="stalled", since=0, reasons=[])
    assert len(incident.folders(bench.folder)) == 1, "one stall is one incident"
    bench.record.event("liveness", verdict="busy", previous="stalled", since=0, reasons=[])
    one = incident.read(folder)
    assert one.action == "reported"
    assert one.away is not None
    assert one.away >= 30
    bench.record.event(
        "liveness", verdict="stalled", previous="busy", since=time.time(), reasons=[]
    )
    assert len(incident.folders(bench.folder)) == 2


def test_a_stall_that_is_a_failure_is_one_incident(bench: Bench) -> None:
    folder = bench.stall()
    bench.record.event("failure", code="engine-stalled", message="no progress for 30 s")
    error: JsonObject = {
        "code": "engine-stalled",
        "message": "no progress for 30 s: why",
        "retry": True,
    }
    bench.record.event("state", state="died", error=error, receipt={}, exit_code=6)
    assert incident.read(folder).action == "given-up"
    bench.record.event("restart", number=1, delay=2.5, cause="engine-stalled")
    bench.record.state.restarts = 1
    bench.record.event("state", state="ready")
    assert incident.folders(bench.folder) == [folder]
    one = incident.read(folder)
    assert (one.kind, one.action, one.number, one.delay) == ("stall", "restarted", 1, 2.5)
    assert one.message == "no progress for 30 s: why"
    assert one.away is not None


def test_a_restart_without_a_failure_is_an_incident_too(bench: Bench) -> None:
    bench.record.event("restart", number=1, delay=0.0, cause="the engine ended with exit code 0")
    (folder,) = incident.folders(bench.folder)
    one = incident.read(folder)
    assert (one.kind, one.action) == ("restart", "restarted")
    assert one.message.endswith("the engine ended with exit code 0")


def test_what_cannot_be_understood_harms_nothing(bench: Bench) -> None:
    bench.record.event("liveness", verdict=7, since="long", reasons={"a": 1})
    bench.record.event("state", state="died", error=[])
    bench.record.event("failure")
    bench.record.event("restart", number="many")
