"""What is kept when something goes wrong: real keepers, and engines that fail as they are told."""

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from launcher.keeper import incident
from launcher.keeper.events import read_events
from launcher.keeper.incident import Incident
from launcher.keeper.incidents import IncidentWriter
from launcher.keeper.loop import Loop
from launcher.keeper.record import Record
from launcher.keeper.tree import Tree
from launcher.plan.model import LaunchPlan
from tests.support.decoded import JsonDict
from tests.support.processes import alive
from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for

RESTARTS = {"policy": "on-failure", "max-restarts": 3, "first-delay": 0}


def incidents(rig: Rig) -> list[Incident]:
    """Those of the instance, oldest first."""
    return [one for _, one in incident.read_all(rig.instance())]


def collected(rig: Rig, index: int = -1) -> tuple[Path, Incident]:
    """One of them with everything that is collected for it."""
    wait_for(lambda: incident.folders(rig.instance())[index:], "an incident")
    folder = incident.folders(rig.instance())[index]
    wait_for(lambda: (folder / "diagnosis.json").exists(), "its diagnosis")
    return folder, incident.read(folder)


def events(rig: Rig, kind: str) -> list[JsonDict]:
    """The events of this kind."""
    return [dict(event) for event in read_events(rig.instance()) if event["event"] == kind]


def test_a_death_is_kept_with_its_cause_and_the_time_without_service(rig: Rig) -> None:
    rig.up(restart=RESTARTS, script={"after": [{"print": "a last word"}]})
    first = rig.engine()
    rig.kill(first)
    wait_for(lambda: rig.stored()["state"] == "ready" and rig.engine() != first, "the restart")
    folder, _ = collected(rig)
    wait_for(lambda: incidents(rig)[-1].back_at, "the end of the incident")

    (one,) = incidents(rig)
    assert (one.kind, one.code, one.action, one.number) == (
        "failure",
        "engine-died",
        "restarted",
        1,
    )
    assert one.state == "ready"
    assert one.away is not None
    assert 0 < one.away < 600
    assert one.ready_at is not None
    assert one.engine == "scripted"
    assert "a last word" in (folder / "logs" / "engine.log").read_text()
    kept = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [event["code"] for event in kept if event["event"] == "failure"] == ["engine-died"]
    (events_told,) = events(rig, "incident")
    assert (events_told["id"], events_told["kind"], events_told["folder"]) == (
        one.id,
        "failure",
        str(folder),
    )
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    rig.down()
    assert incidents(rig) == [one], "history outlives `down`"


def test_one_that_is_given_up_says_so_and_outlives_the_next_start(rig: Rig) -> None:
    gate = Path(rig.path("gate"))
    after = [{"wait": str(gate)}, {"print": "LOST the tokens"}, {"exit": 3}]
    rig.up(restart=NEVER, script={"after": after})
    gate.touch()
    rig.wait_for_state("died")
    collected(rig)
    wait_for(lambda: incidents(rig)[-1].cause, "the cause from the logs")

    (one,) = incidents(rig)
    assert (one.code, one.action, one.away) == ("ED-FAKE-LOST", "given-up", None)
    assert one.cause is not None
    assert one.cause.rule_id == "ED-FAKE-LOST"
    assert one.retry is True
    rig.down()
    rig.up()
    assert incidents(rig) == [one], "another start is not its repair"
    rig.down()


def test_a_first_start_that_fails_is_no_incident(rig: Rig) -> None:
    ran = rig.run("up", rig.profile(script={"before": [{"print": "FATAL a"}, {"sleep": 600}]}))
    assert ran.rc == 4, ran.output()
    assert incidents(rig) == []


def test_a_restart_that_fails_is_an_incident_of_its_own(rig: Rig) -> None:
    gate = Path(rig.path("gate"))
    gate.touch()
    script = {"before": [{"wait": str(gate)}, {"remove": str(gate)}]}
    rig.up(restart=RESTARTS, script=script)
    first = rig.engine()
    rig.kill(first)
    wait_for(lambda: rig.stored()["state"] == "loading" and rig.engine() != first, "the restart")
    rig.kill(rig.engine())
    wait_for(lambda: len(incidents(rig)) == 2, "both incidents")
    collected(rig)
    died, failed = incidents(rig)
    assert (died.code, died.action, died.away) == ("engine-died", "restarted", None)
    assert (failed.kind, failed.code, failed.restarts) == ("failure", "engine-exited", 1)
    assert failed.state == "loading"
    rig.down()


def test_a_stop_is_no_incident(rig: Rig) -> None:
    rig.up()
    rig.down()
    assert incidents(rig) == []


def test_secrets_are_taken_out_of_what_is_kept(rig: Rig) -> None:
    rig.env["THE_KEY"] = "a-secret-of-the-test"
    secret_line = "the key is a-secret-of-the-test, DB_SECRET=another-one"
    gate = Path(rig.path("gate"))
    after = [{"print": secret_line}, {"wait": str(gate)}, {"print": "LOST it"}, {"exit": 3}]
    script = {"key": "a-secret-of-the-test", "after": after}
    rig.up(restart=NEVER, script=script, **{"api-key": "env:THE_KEY"})
    gate.touch()
    folder, _ = collected(rig)
    rig.wait_for_state("died")
    text = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert "the key is [redacted]" in text
    assert "a-secret-of-the-test" not in text
    assert "another-one" not in text
    rig.down()


def test_a_collector_that_hangs_ends_with_the_keeper_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "python"
    hanging.write_text("#!/bin/sh\nexec sleep 600\n")
    hanging.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(hanging))
    loop = Loop()
    tree = Tree(loop, lambda process: None)
    plan = LaunchPlan("one", "scripted", "1.0", ("/bin/x",), "/", "/nowhere", "/nowhere")
    record = Record(tmp_path, plan, "one:abc", tree, ())
    writer = IncidentWriter(
        loop, tree, tmp_path, plan, record, secrets={}, environ={}, samples=lambda: ()
    )
    record.event("restart", number=1, delay=0.0, cause="engine-exited")
    (collector,) = tree.helpers
    writer.close(time.monotonic())
    assert not alive(collector)
    assert tree.helpers == set()
    (one,) = [one for _, one in incident.read_all(tmp_path)]
    assert one.notes == ("not all of its logs are kept: not done in time",)


def test_the_oldest_are_removed_where_there_are_too_many(tmp_path: Path) -> None:
    for number in range(incident.MOST + 3):
        now = 1_000_000_000.0 + number
        one = Incident(incident.new_id(now), "failure", "one", now, now, "x", f"number {number}")
        incident.create(tmp_path, one)
        incident.prune(tmp_path)
    kept = [one.message for _, one in incident.read_all(tmp_path)]
    assert kept == [f"number {number}" for number in range(3, incident.MOST + 3)]


def test_the_oldest_are_removed_where_they_are_too_large(tmp_path: Path) -> None:
    for number in range(4):
        now = 1_000_000_000.0 + number
        one = Incident(incident.new_id(now), "failure", "one", now, now, "x", f"number {number}")
        folder = incident.create(tmp_path, one)
        os.truncate(os.open(folder / "big", os.O_CREAT | os.O_WRONLY), 20 * 1024 * 1024)
        incident.prune(tmp_path)
    assert [one.message for _, one in incident.read_all(tmp_path)] == ["number 2", "number 3"]


def test_what_is_no_incident_is_neither_read_nor_removed(tmp_path: Path) -> None:
    now = time.time()
    incident.create(tmp_path, Incident(incident.new_id(now), "stall", "one", now, now, "x", "y"))
    top = tmp_path / incident.FOLDER
    (top / "notes.txt").write_text("an operator's")
    (top / incident.new_id(now - 9)).symlink_to("/etc")
    damaged = top / incident.new_id(now - 8)
    damaged.mkdir()
    (damaged / incident.FILE).write_text('{"schema": "ernie-deploy/incident/9"}')
    assert [one.message for _, one in incident.read_all(tmp_path)] == ["y"]
    incident.prune(tmp_path)
    assert (top / "notes.txt").exists()
    assert Path("/etc/passwd").exists()


def test_a_full_disk_loses_an_incident_and_no_more(rig: Rig) -> None:
    """A plain file that cannot be replaced stands in its place, as on a disk that takes nothing."""
    rig.up(restart=RESTARTS)
    first = rig.engine()
    os.chmod(rig.instance(), 0o700)
    blocked = rig.instance() / incident.FOLDER
    blocked.mkdir()
    os.chmod(blocked, 0o500)
    if os.geteuid() == 0:
        # Root writes everywhere; nothing can be made in a folder that was removed under its name.
        blocked.rmdir()
        blocked.symlink_to("/proc/nowhere")
    rig.kill(first)
    wait_for(lambda: rig.stored()["state"] == "ready" and rig.engine() != first, "the restart")
    rig.down()


def test_ids_sort_by_time() -> None:
    times = [1_000_000_000.0, 1_000_000_000.9996, 1_000_000_001.0, 4_000_000_000.5]
    ids = [incident.new_id(now) for now in times]
    assert ids == sorted(ids)
    assert all(incident.ID.fullmatch(one) for one in ids)
    assert incident.new_id(1.5)[:19] == "19700101-000001-500"


def test_the_keeper_is_killed_and_the_next_verb_says_so(rig: Rig) -> None:
    rig.up()
    rig.lose()
    rig.down()
    (one,) = incidents(rig)
    assert (one.kind, one.code, one.action) == ("lost-keeper", "keeper-lost", "stopped")
    assert one.away is None
    assert one.state == "ready"
    assert rig.run("down", "one").rc == 0
    assert incidents(rig) == [one], "written once"
    (events_told,) = events(rig, "incident")
    assert events_told["id"] == one.id


def test_a_stall_of_a_real_engine_is_kept_before_it_is_ended(rig: Rig) -> None:
    """A stopped first process; a py-spy that is one in name tells when it was called."""
    tools = Path(rig.path("bin"))
    tools.mkdir()
    (tools / "py-spy").write_text('#!/bin/sh\ngrep ^State "/proc/$4/status"\n')
    (tools / "py-spy").chmod(0o700)
    rig.env["PATH"] = f"{tools}:{os.environ['PATH']}"
    liveness = {"interval": 0.5, "stall-after": 5, "canary-interval": 1, "canary-deadline": 5}
    sent = rig.path("sent")
    command = Path(rig.path("page"))
    command.write_text(f"#!/bin/sh\ncat >> {sent}\n")
    command.chmod(0o700)
    rig.up(liveness=liveness, restart=RESTARTS, stop={"grace": 1},
           notify=[{"command": [str(command)]}])  # fmt: skip
    wait_for(lambda: events(rig, "liveness"), "the first verdict")
    stopped = rig.engine()
    os.kill(stopped, signal.SIGSTOP)
    wait_for(lambda: rig.stored()["state"] == "ready" and rig.engine() != stopped, "the restart")
    folder, _ = collected(rig, 0)
    wait_for(lambda: incidents(rig)[0].back_at, "the end of the incident")

    one = incidents(rig)[0]
    assert (one.kind, one.code, one.action) == ("stall", "engine-stalled", "restarted")
    assert one.verdict == "stalled"
    assert any("stopped by a signal" in reason for reason in one.reasons)
    assert (folder / f"stacks-{stopped}.txt").read_text().startswith("State:\tT"), "it lived then"
    assert f"process {stopped} " in (folder / "threads.txt").read_text()
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    states = [p["state"] for sample in samples for p in sample["processes"] if p["pid"] == stopped]
    assert states[0] == "S"
    assert states[-1] == "T"
    assert abs(samples[-1]["time"] - one.time) < 120
    wait_for(lambda: len(Path(sent).read_text().splitlines()) >= 3, "the messages")
    events_told = [json.loads(line) for line in Path(sent).read_text().splitlines()]
    assert [message["state"] for message in events_told[:3]] == ["stalled", "died", "recovered"]
    assert {message["incident"]["id"] for message in events_told[:3]} == {one.id}
    rig.down()
