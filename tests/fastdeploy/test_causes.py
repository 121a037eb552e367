"""What we do to a server that has failed is never told as the reason why it failed."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.fastdeploy.conftest import Make, Server
from tests.support.decoded import JsonDict

KILLED = ("ED-KILLED", "memory", "pfd.revents", "zmq")
AGAIN = "starting again unchanged can help"


def diagnosed(server: Server) -> tuple[int, JsonDict, str]:
    """Exit code, data and text of `diagnose NAME`."""
    ran = server.run("diagnose", server.name, "--json")
    return ran.rc, ran.json["data"], server.run("diagnose", server.name).stdout


@pytest.mark.parametrize("stop", ["term-aborts", "stop-hangs"])
def test_a_worker_that_dies_on_a_request(fastdeploy: Make, stop: str) -> None:
    server = fastdeploy(f"worker-dies-after-ready@on=request@code=7,{stop}", stop={"grace": 2})
    up = server.up("--json")  # the request that kills it is that of our own proof
    assert up.rc == 4, up.output()
    rc, data, text = diagnosed(server)
    assert rc == 1
    assert "exit code 7" in data["state"]["message"], text
    assert not [word for word in KILLED if word in data["state"]["message"] + str(data["rule"])]
    assert not [word for word in KILLED if word in str(data["alternatives"])], data["alternatives"]


def test_other_settings_and_a_stop_that_hangs(fastdeploy: Make) -> None:
    server = fastdeploy("config-differs@max_num_seqs=5,stop-hangs", stop={"grace": 1})
    up = server.up("--json")
    assert up.rc == 4, up.output()
    assert "max-num-seqs" in up.json["errors"][0]["message"]
    events = (server.files.folder / "events.jsonl").read_text()
    assert '"kill"' in events, "the stop has to be the hard one"
    rc, data, text = diagnosed(server)
    assert (rc, data["rule"], data["retry"]) == (1, None, False), text
    assert "max-num-seqs" in data["cause"]
    assert AGAIN not in text
    assert "its logs name no cause" in text


def test_a_load_that_hangs_and_a_stop_that_hangs(fastdeploy: Make) -> None:
    health = {"startup-timeout": 4, "no-progress-timeout": 4}
    server = fastdeploy("worker-hangs-in-load,stop-hangs", health=health, stop={"grace": 1})
    up = server.up("--json")
    assert up.rc == 5, up.output()
    _, data, text = diagnosed(server)
    assert data["rule"] is None, text
    assert AGAIN not in text


def test_ctrl_c_while_it_loads(fastdeploy: Make, tmp_path: Path) -> None:
    """FastDeploy takes the end of its workers for a failed launch, and says so."""
    server = fastdeploy("late-start@phase=load@seconds=200")
    with server.spawn_up() as up:
        server.wait_phase("load weights")
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=600)
    assert up.returncode == 130
    log = server.files.engine_log
    assert "Failed to launch worker processes" in log.read_text()
    rc, data, text = diagnosed(server)
    assert (rc, data["rule"]) == (0, None), text
    assert "was stopped by Ctrl-C" in text
    assert "fail again" not in text
    # A reader of the folder alone finds beside the logs how long they were then.
    beside = server.run("diagnose", "--logs", str(log), "--json").json["data"]
    assert (beside["rule"], beside["alternatives"]) == (None, []), json.dumps(beside, indent=1)
    # A copy of the captured output: what comes after the interrupt is a consequence of it.
    copy = shutil.copy(log, tmp_path)
    alone = server.run("diagnose", "--logs", str(copy), "--json").json["data"]
    assert alone["rule"] == "ED-FD-INTERRUPTED", json.dumps(alone, indent=1)
