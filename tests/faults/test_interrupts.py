"""Ctrl-C, SIGTERM and `kill -9` of `up`, in every phase."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import ROOT, cli
from tests.support.processes import alive
from tests.support.rig import Rig
from tests.support.waiting import wait_for

WAIT_FOR_EVER = {"before": [{"print": "PHASE import"}, {"sleep": 600}]}
NEVER_HEALTHY = {"health": 503}

SLOW = """
import os, sys, time
if not os.path.exists({marker!r}):
    open({marker!r}, "w").close()
    time.sleep(120)
sys.path.remove({folder!r})
del sys.modules[{module!r}]
import {module}
"""
"""A module that takes very long the first time, and is the real one from then on."""


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code and output of a command that was signalled."""
    stdout, stderr = process.communicate(timeout=600)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
@pytest.mark.parametrize("script", [WAIT_FOR_EVER, NEVER_HEALTHY], ids=["loading", "proving"])
def test_interrupted_while_the_engine_loads(
    rig: Rig, script: dict[str, object], number: signal.Signals, code: int
) -> None:
    process = rig.spawn("up", rig.profile(script=script), "--json")
    rig.wait_for_state("loading")
    process.send_signal(number)

    rc, stdout, stderr = finish(process)

    envelope = json.loads(stdout.splitlines()[-1])
    assert rc == envelope["exit_code"] == code, stderr
    assert [e["code"] for e in envelope["errors"]] == ["interrupted"]
    assert envelope["data"]["receipt"]["left"] == []
    rig.nothing_left()
    assert rig.stored()["state"] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_before_anything_was_started(rig: Rig, number: signal.Signals) -> None:
    # A secret's command keeps the preparation busy for as long as the test wants.
    go = rig.path("asked")
    command = f"cmd:sh -c 'touch {go}; exec sleep 20'"
    profile = rig.profile(env={"SOME_TOKEN": command})
    process = rig.spawn("up", profile, "--json", start_new_session=True)
    wait_for(lambda: os.path.exists(go), "the secret's command")
    os.killpg(process.pid, number)  # as a terminal does it

    rc, stdout, _ = finish(process)

    assert rc == (130 if number == signal.SIGINT else 143)
    assert json.loads(stdout)["errors"][0]["code"] == "interrupted"
    assert not rig.instance().exists()


def test_interrupts_at_random_moments_leave_nothing(rig: Rig) -> None:
    profile = rig.profile(script={"before": [{"sleep": 0.2}]})
    codes = []
    for tenth in range(0, 12, 2):
        process = rig.spawn("up", profile, "--json")
        time.sleep(0.05 + tenth / 20)
        process.send_signal(signal.SIGINT)
        rc, _, stderr = finish(process)
        codes.append(rc)
        # 0: it was ready already. Before our first line runs it is Python's to answer: -2, or 1
        # where it had no modules yet.
        unborn = "Fatal Python error" in stderr
        assert rc in (130, 0, -signal.SIGINT) or (rc == 1 and unborn), (tenth, rc, stderr)
        ours = stderr.replace(str(ROOT / "launcher/__main__.py"), "the line that finds our first")
        assert str(ROOT / "launcher") not in ours, "a traceback of ours"
        assert "defect" not in stderr, stderr
        if rc == 0:
            rig.down()
        rig.nothing_left()
    assert len(codes) == 6


@pytest.mark.parametrize("module", ["typing", "click"])
@pytest.mark.parametrize("arguments", [("up", "x.yaml"), ("smoke", "one", "--json")], ids=" ".join)
def test_interrupted_while_it_is_still_importing(
    rig: Rig, arguments: tuple[str, ...], module: str
) -> None:
    """The import of a module is made to last for as long as it takes to interrupt it.

    `typing` is what the error boundary itself imports first, `click` what a verb does.
    """
    marker = rig.path("importing")
    slow = rig.folder / "slow"
    slow.mkdir()
    (slow / f"{module}.py").write_text(SLOW.format(marker=marker, folder=str(slow), module=module))
    env = {**rig.env, "PYTHONPATH": f"{slow}:{ROOT}"}
    process = cli.spawn(*arguments, home=rig.home, env=env, cwd=slow)
    wait_for(lambda: os.path.exists(marker), "the import")
    process.send_signal(signal.SIGINT)
    rc, stdout, stderr = finish(process)
    assert rc == 130, stderr
    assert "Traceback" not in stderr
    if "--json" in arguments:
        envelope = json.loads(stdout)
        assert (envelope["command"], envelope["exit_code"]) == ("smoke", 130)
        assert [e["code"] for e in envelope["errors"]] == ["interrupted"]
    else:
        assert (stdout, stderr) == ("", "ernie-deploy: interrupted\n")


def test_a_second_interrupt_changes_nothing(rig: Rig) -> None:
    process = rig.spawn("up", rig.profile(script={**WAIT_FOR_EVER, "sigterm": "slow:2"}), "--json")
    rig.wait_for_state("loading")
    process.send_signal(signal.SIGINT)
    rig.wait_for_passed("stopping")
    process.send_signal(signal.SIGINT)

    rc, _, stderr = finish(process)

    assert rc == 130, stderr
    rig.nothing_left()


def test_killing_up_before_ready_takes_the_instance_down(rig: Rig) -> None:
    process = rig.spawn("up", rig.profile(script=WAIT_FOR_EVER))
    engine = rig.wait_for_state("loading")["engine"]["pid"]
    process.kill()
    finish(process)

    rig.wait_for_state("stopped")

    assert not alive(engine)
    rig.nothing_left()


def test_killing_up_before_the_keeper_listens_leaves_nothing(rig: Rig) -> None:
    process = rig.spawn("up", rig.profile(script=WAIT_FOR_EVER))
    wait_for(lambda: (rig.instance() / "token").exists(), "the hand-over to the keeper")
    process.kill()
    finish(process)

    wait_for(lambda: rig.stored().get("state") in (None, "stopped"), "the end of the start")
    rig.nothing_left()
    assert rig.run("down", "one").rc == 0


def test_killing_up_after_ready_changes_nothing(rig: Rig) -> None:
    # A reader that does not read keeps `up` from ending by itself.
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    process = rig.spawn("up", rig.profile(), "--json", stdout=write)
    rig.wait_for_state("ready")
    process.kill()
    process.communicate(timeout=600)
    os.close(write)
    os.close(read)

    assert rig.run("status", "one").rc == 0
    rig.down()


def test_interrupting_who_merely_watches_only_detaches(rig: Rig) -> None:
    go = rig.path("go")
    profile = rig.profile(script={"before": [{"wait": go}]})
    first = rig.spawn("up", profile, "--json")
    rig.wait_for_state("loading")
    second = rig.spawn("up", profile, "--json", stderr=subprocess.STDOUT)
    assert second.stdout is not None
    line = second.stdout.readline()  # it follows
    assert json.loads(line)["event"] == "state"
    second.send_signal(signal.SIGINT)
    rc, stdout, _ = finish(second)
    assert rc == 130
    assert json.loads(stdout.splitlines()[-1])["errors"][0]["code"] == "detached"

    Path(go).touch()
    rc, _, stderr = finish(first)

    assert rc == 0, stderr
    rig.down()


def test_a_reader_that_goes_away_does_not_end_the_start(rig: Rig) -> None:
    go = rig.path("go")
    process = rig.spawn("up", rig.profile(script={"before": [{"wait": go}]}), "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    Path(go).touch()
    process.stdout = None
    process.communicate(timeout=600)

    rig.wait_for_state("ready")
    rig.down()


def test_started_with_sigint_ignored(rig: Rig) -> None:
    """As `nohup` and `&` in a script do it: `up` stays deaf, the engine gets a clean slate."""
    signals = rig.path("signals")
    go = rig.path("go")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = rig.spawn(
            "up", rig.profile(script={"before": [{"signals": signals}, {"wait": go}]})
        )
    finally:
        signal.signal(signal.SIGINT, before)
    wait_for(lambda: os.path.exists(signals), "the engine")
    process.send_signal(signal.SIGINT)
    Path(go).touch()
    rc, _, stderr = finish(process)

    assert rc == 0, stderr
    text = Path(signals).read_text()
    ignored = int(text.split("SigIgn:")[1].split()[0], 16)
    blocked = int(text.split("SigBlk:")[1].split()[0], 16)
    assert not ignored & 1 << signal.SIGINT - 1
    assert not ignored & 1 << signal.SIGHUP - 1
    assert blocked == 0
    rig.down()


def test_hanging_up_the_terminal_does_not_end_an_instance(rig: Rig) -> None:
    rig.up()
    os.kill(rig.keeper(), signal.SIGHUP)
    assert rig.run("status", "one").rc == 0
    rig.down()
