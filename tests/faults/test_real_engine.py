"""Faults that mean something only on a real engine: transformers serve with the tiny ERNIE."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT, cli, engines
from tests.support.decoded import JsonDict
from tests.support.processes import alive
from tests.support.rig import Rig
from tests.support.waiting import wait_for

PROFILE = "profiles/ernie-tiny-cpu.yaml"
CHECKPOINT = ROOT / "profiles" / "tiny-ernie"
NAME = "real"

pytestmark = [pytest.mark.engine("transformers"), pytest.mark.timeout(3600)]


def argv_of(verb: str, *more: str, **sets: str) -> list[str]:
    """A verb on the shipped profile, with the interpreter the tests were given."""
    pairs = {"python": engines.require("transformers"), **sets}
    settings = [
        w
        for k, v in pairs.items()
        for w in ("--set", f"{k.replace('__', '.').replace('_', '-')}={v}")
    ]
    return [verb, PROFILE, "--name", NAME, *settings, *more, "--json"]


def failed(ran: cli.Ran, code: int, *word: str) -> JsonDict:
    """The one error of a command that had to fail so."""
    assert ran.rc == code, ran.output()
    errors = ran.json["errors"]
    assert len(errors) == 1, ran.output()
    assert errors[0]["code"] in word, ran.output()
    assert "Traceback" not in ran.stderr
    error: JsonDict = errors[0]
    return error


@pytest.fixture
def broken(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """A copy of the tiny ERNIE in which one file has other bytes."""

    def copy(name: str, content: bytes) -> Path:
        folder = tmp_path / "checkpoint"
        shutil.copytree(CHECKPOINT, folder)
        (folder / name).write_bytes(content)
        return folder

    return copy


def test_a_life_with_every_accident(rig: Rig) -> None:
    """Ready, asked for again, changed, stopped, its keeper killed, started again, killed."""
    first = rig.run(*argv_of("up"))
    assert first.rc == 0, first.output()
    engine = rig.engine(NAME)

    again = rig.run(*argv_of("up"))
    assert again.rc == 0, again.output()
    assert (again.rc, again.json["data"]["already"], again.json["data"]["pid"]) == (0, True, engine)

    changed = failed(
        rig.run(*argv_of("up", health__probe_timeout="7")), 3, "different-configuration"
    )
    assert "probe-timeout" in changed["message"]

    os.kill(engine, signal.SIGSTOP)
    status = rig.run("status", NAME, "--json")
    assert (status.rc, status.json["data"]["instances"][0]["healthy"]) == (1, False)
    os.kill(engine, signal.SIGCONT)
    wait_for(lambda: rig.run("status", NAME).rc == 0, "health after SIGCONT")

    rig.kill(rig.keeper(NAME))
    wait_for(lambda: not alive(engine), "the end of the engine with its keeper")
    lost = rig.run("status", NAME, "--json")
    assert (lost.rc, lost.json["data"]["instances"][0]["state"]) == (1, "lost")

    anew = rig.run(*argv_of("up", restart__policy="never"))
    assert anew.rc == 0, anew.output()
    assert anew.events[0]["event"] == "cleaned"

    rig.kill(rig.engine(NAME))
    state = rig.wait_for_state("died", NAME)
    assert (state["exit_code"], state["error"]["code"]) == (6, "ED-KILLED")
    rig.nothing_left(NAME)
    assert rig.run("down", NAME).rc == 0


@pytest.mark.parametrize(
    ("number", "whom", "code", "word"),
    [
        (signal.SIGINT, "up", 130, "interrupted"),
        (signal.SIGKILL, "engine", 4, "ED-KILLED"),
        (signal.SIGKILL, "keeper", 4, "keeper-lost"),
    ],
)
def test_a_signal_in_the_load(
    rig: Rig, number: signal.Signals, whom: str, code: int, word: str
) -> None:
    process = rig.spawn(*argv_of("up"))
    state = rig.wait_for_state("loading", NAME)
    wait_for(
        lambda: b"transformers" in Path(f"/proc/{state['engine']['pid']}/cmdline").read_bytes(),
        "the engine's program",
    )
    target = {
        "up": process.pid, "engine": state["engine"]["pid"], "keeper": state["keeper"]["pid"]
    }  # fmt: skip
    os.kill(target[whom], number)
    stdout, stderr = process.communicate(timeout=600)
    envelope = json.loads(stdout.splitlines()[-1])
    assert (process.returncode, envelope["errors"][0]["code"]) == (code, word), stderr
    assert rig.run("down", NAME).rc == 0
    rig.nothing_left(NAME)


def test_stopped_in_the_load(rig: Rig) -> None:
    process = rig.spawn(*argv_of("up", health__no_progress_timeout="3"))
    pid = rig.wait_for_state("loading", NAME)["engine"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    stdout, stderr = process.communicate(timeout=600)
    error = json.loads(stdout.splitlines()[-1])["errors"][0]
    assert (process.returncode, error["code"]) == (5, "no-progress"), stderr
    assert str(pid) in error["message"]
    rig.nothing_left(NAME)


def test_the_port_stolen_during_the_load(rig: Rig, free_port: int) -> None:
    process = rig.spawn(*argv_of("up", ports__api=str(free_port)))
    rig.wait_for_state("loading", NAME)
    thief = subprocess.Popen([sys.executable, "-I", "-S", "-c", _THIEF, str(free_port)])
    try:
        stdout, stderr = process.communicate(timeout=600)
    finally:
        thief.kill()
        thief.wait()
    error = json.loads(stdout.splitlines()[-1])["errors"][0]
    assert process.returncode == 4, stderr
    assert error["code"] in ("port-taken-while-loading", "ED-TF-PORT")
    assert str(free_port) in error["message"]
    rig.nothing_left(NAME)


_THIEF = """
import socket, sys, time
taken = socket.socket()
taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
taken.bind(("127.0.0.1", int(sys.argv[1])))
taken.listen()
time.sleep(600)
"""


def test_a_truncated_checkpoint(rig: Rig, broken: Callable[[str, bytes], Path]) -> None:
    """Seen before the start; and named if the operator starts it anyway."""
    weights = (CHECKPOINT / "model.safetensors").read_bytes()
    folder = broken("model.safetensors", weights[: len(weights) // 2])
    error = failed(rig.run(*argv_of("up", model=str(folder))), 3, "model-folder")
    assert "truncated" in error["message"]
    forced = rig.run(*argv_of("up", "--force", "model-folder", model=str(folder)))
    error = failed(forced, 4, "ED-TF-WEIGHTS-DAMAGED", "ED-TF-WEIGHTS")
    assert "damaged" in error["message"]
    rig.nothing_left(NAME)


def test_a_config_that_is_no_json(rig: Rig, broken: Callable[[str, bytes], Path]) -> None:
    folder = broken("config.json", b'{"model_type": "ernie4_5",')
    error = failed(rig.run(*argv_of("up", model=str(folder))), 3, "model-folder")
    assert "config.json is not JSON" in error["message"]
    rig.nothing_left(NAME)


def test_the_port_taken_before(rig: Rig, free_port: int) -> None:
    import socket

    with socket.create_server(("127.0.0.1", free_port)):
        error = failed(rig.run(*argv_of("up", ports__api=str(free_port))), 3, "port-taken")
    assert f"pid {os.getpid()}" in error["message"]


def test_a_missing_model(rig: Rig) -> None:
    error = failed(rig.run(*argv_of("up", model="/does/not/exist")), 3, "missing-model")
    assert "/does/not/exist" in error["message"]


def test_a_missing_engine(rig: Rig) -> None:
    """Nothing is installed in this home and the profile names no interpreter."""
    ran = rig.run("up", PROFILE, "--name", NAME, "--json")
    error = failed(ran, 3, "missing-engine")
    assert "engine install 'transformers" in error["remedy"]


@pytest.mark.parametrize(
    "python", ["/does/not/exist/python", "/bin/true", "/bin/false", "/etc/hostname"]
)
def test_a_wrong_interpreter(rig: Rig, python: str) -> None:
    error = failed(rig.run(*argv_of("up", python=python)), 3, "wrong-interpreter", "missing-engine")
    assert python in error["message"]


def test_an_interpreter_without_the_engine(rig: Rig) -> None:
    error = failed(rig.run(*argv_of("up", python=sys.executable)), 3, "missing-engine")
    assert sys.executable in error["message"]
