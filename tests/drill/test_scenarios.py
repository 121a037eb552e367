"""Each scenario on an instance: the scripted engine plays every part, the twin FastDeploy's.

What lasts long in real time (stalls, storms) is in test_soak.py.
"""

from __future__ import annotations

import contextlib
import resource
from typing import Any

import pytest

from launcher import paths
from launcher.drill.scenario import Course, Stage
from launcher.drill.scenarios import SCENARIOS
from launcher.drill.scenarios.full import shm_obstacle
from launcher.drill.subject import Subject
from launcher.drill.undo import Undo
from launcher.errors import PreconditionError
from launcher.host.memory import FileSystem
from launcher.instance.store import InstanceDir
from launcher.probe.request import ask
from tests.drill.conftest import drilled, up
from tests.support.decoded import JsonDict
from tests.support.rig import Rig

WORKER: JsonDict = {"before": [{"spawn": {"session": True, "bare": True, "seconds": 601}}]}
"""A worker in a session of its own, with an empty environment."""
VITAL = {"vital": ["^sleep 601$"]}
MIB = 1 << 20


def restarted(result: JsonDict, event: str) -> None:
    """The keeper noticed, the engine came back, every request ended, nothing is left."""
    measured = result["measured"]
    assert measured["event"] == event
    assert measured["detection"] is not None
    assert measured["restart"] is not None
    assert measured["requests"]["hung"] == 0
    assert measured["leftovers"] == []
    assert measured["false_verdicts"] == []


def test_names_are_unique_and_every_scenario_says_what_it_stands_for() -> None:
    names = [one.name for one in SCENARIOS]
    assert len(names) == len(set(names))
    for one in SCENARIOS:
        assert one.action
        assert one.simulates
        noticed = one.course in (Course.RESTARTED, Course.PAUSED)
        assert (one.bar.detection is not None) == (noticed or one.course is Course.STARTED_ANEW)


def test_kill_main(rig: Rig) -> None:
    up(rig)
    restarted(drilled(rig, "kill-main"), "failure engine-died")
    rig.down()


def test_kill_worker(rig: Rig) -> None:
    up(rig, WORKER, args=VITAL)
    first = rig.engine()
    restarted(drilled(rig, "kill-worker"), "failure worker-died")
    assert rig.engine() != first
    rig.down()


def test_kill_keeper(rig: Rig) -> None:
    up(rig)
    first = rig.keeper()
    result = drilled(rig, "kill-keeper")
    restarted(result, "lost")
    assert rig.keeper() != first
    rig.down()


def test_a_keeper_of_a_supervisor_is_not_killed(rig: Rig) -> None:
    """systemd would start it a second time."""
    process = rig.spawn("up", rig.profile(script={"drill": True}), "--foreground")
    rig.wait_for_state("ready")
    result = drilled_or_nothing(rig, "kill-keeper")
    assert result["verdict"] == "not applicable"
    assert "--foreground" in result["message"]
    process.terminate()
    assert process.wait(600) == 0


def drilled_or_nothing(rig: Rig, name: str) -> JsonDict:
    """The result of a drill of which the one scenario may not be applicable."""
    ran = rig.run(
        "drill", "one", "--yes", "--force", "in-use", "--json", "--scenario", name
    )  # fmt: skip
    (result,) = ran.json["data"]["scenarios"]
    return dict(result)


def test_term_ready(rig: Rig) -> None:
    up(rig)
    restarted(drilled(rig, "term-ready"), "failure engine-died")
    rig.down()


def test_term_loading_hits_the_restart(rig: Rig) -> None:
    up(rig, {"before": [{"sleep": 2}]})
    result = drilled(rig, "term-loading")
    assert result["measured"]["event"] == "failure engine-exited"
    assert result["measured"]["leftovers"] == []
    assert rig.run("status", "one").rc == 0, "it is ready again, by the drill where not by itself"
    rig.down()


def test_memory_killer(rig: Rig) -> None:
    """By the kernel where a cgroup can be written; the report says which of the two it was."""
    up(rig)
    result = drilled(rig, "memory-killer")
    assert result["measured"]["detection"] is not None
    assert result["measured"]["leftovers"] == []
    assert result["simulated"] == result["note"].startswith("SIGKILL to a worker:")
    assert "memory" in result["note"]
    rig.down()


def test_a_port_that_is_taken_during_a_restart(rig: Rig) -> None:
    up(rig)
    result = drilled(rig, "port-taken")
    assert result["measured"]["event"] == "failure engine-died"
    assert result["note"] == ""
    assert result["measured"]["leftovers"] == []
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_the_limit_of_a_full_disk_is_taken_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    up(rig)
    monkeypatch.setattr(paths, "home", lambda: rig.home)
    subject = Subject.of(InstanceDir(rig.instance()))
    before = resource.prlimit(rig.keeper(), resource.RLIMIT_FSIZE)
    undo = Undo()
    (scenario,) = (one for one in SCENARIOS if one.name == "disk-full")
    nothing: Any = None
    with scenario.inject(Stage(subject, subject.state(), nothing, nothing, undo)) as fault:
        assert resource.prlimit(rig.keeper(), resource.RLIMIT_FSIZE)[0] == 0
        assert fault.simulated
        assert rig.run("status", "one").rc == 0, "its keeper and its server go on"
    assert resource.prlimit(rig.keeper(), resource.RLIMIT_FSIZE) == before
    undo.close()
    rig.down()


@pytest.mark.parametrize(
    ("shm", "usable", "own", "refusal"),
    [
        (None, 1 << 40, 0, "there is no"),
        (FileSystem("/dev/shm", 24 << 30, 24 << 30), 12 << 30, 0, "takes that much memory"),
        (FileSystem("/dev/shm", 64 * MIB, 64 * MIB), 100 * MIB, 0, "takes that much memory"),
        (FileSystem("/dev/shm", 64 * MIB, 32 * MIB), 1 << 40, 0, "other processes use"),
        (FileSystem("/dev/shm", 64 * MIB, 32 * MIB), 1 << 40, 32 * MIB, None),
        (FileSystem("/dev/shm", 64 * MIB, 64 * MIB), 1 << 40, 0, None),
    ],
)
def test_shared_memory_is_filled_only_where_that_harms_nobody(
    shm: FileSystem | None, usable: int, own: int, refusal: str | None
) -> None:
    obstacle = shm_obstacle(shm, usable, own)
    assert (obstacle is None) == (refusal is None)
    assert refusal is None or refusal in (obstacle or "")


def test_faults_of_answers_are_for_engines_that_declare_them(rig: Rig) -> None:
    rig.up()
    result = drilled_or_nothing(rig, "health-304")
    assert result["verdict"] == "not applicable"
    assert "real server" in result["message"]
    rig.down()


def test_a_planted_fault_ends_with_its_block(rig: Rig) -> None:
    up(rig)
    subject = Subject.of(InstanceDir(rig.instance()))

    def health() -> int:
        return ask("127.0.0.1", subject.api_port, "/health", timeout=600).status

    assert "health-404" in subject.faults.names
    with contextlib.closing(Undo()) as undo:
        with subject.faults.planted("health-404", undo):
            assert health() == 404
            with pytest.raises(PreconditionError) as raised, subject.faults.planted("x", undo):
                pass
            assert raised.value.problems[0].code == "drill-running"
            assert health() == 404, "the refused one has not removed it"
        assert health() == 200
    rig.down()


QUICK = {
    "interval": 0.5, "stall-after": 3, "compute-stall-after": 6, "canary-interval": 2,
    "canary-deadline": 2,
}  # fmt: skip
"""Times of `liveness:` with which a stall is called within seconds."""


@pytest.mark.parametrize("name", ["stop-front-end", "chat-hangs"])
def test_a_stall_is_noticed_and_ended(rig: Rig, name: str) -> None:
    up(rig, liveness=QUICK)
    restarted(drilled(rig, name), "failure engine-stalled")
    rig.down()


def test_a_stopped_keeper_is_no_stall_of_its_server(rig: Rig) -> None:
    up(rig, liveness=QUICK)
    result = drilled(rig, "stop-keeper")
    assert result["verdict"] == "pass"
    assert result["measured"]["requests"]["answered"] > 0
    rig.down()
