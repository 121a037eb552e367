"""Folder, keeper, guard and first process are gone; one process lives on. The receipt is true."""

import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.host import kernel
from tests.support import processes
from tests.support.decoded import JsonDict
from tests.support.processes import alive
from tests.support.rig import Rig

LIVES_ON = {"spawn": {"session": True, "double": True, "ignore": ["TERM", "HUP"]}}
SHM = Path("/dev/shm")


@pytest.fixture
def name() -> Iterator[str]:
    """A name in /dev/shm that no other test has."""
    name = f"ernie-deploy-test-{secrets.token_hex(6)}"
    yield name
    (SHM / name).unlink(missing_ok=True)


def lose_all_but_one(rig: Rig) -> None:
    engine = rig.engine()
    rig.lose()
    rig.kill(engine)
    shutil.rmtree(rig.instance())
    assert processes.of_home(rig.home), "one lives on"


def down(rig: Rig) -> JsonDict:
    ran = rig.run("down", "one", "--json")
    assert ran.rc == 0, ran.output()
    rig.nothing_left()
    receipt: JsonDict = ran.json["data"]["receipt"]
    return receipt


def test_what_the_dead_first_process_made_is_removed(rig: Rig, name: str) -> None:
    script = {"sigterm": "ignore", "before": [{"shm": name}, LIVES_ON]}
    rig.up(script=script, args={"shm": [name]})
    assert (SHM / name).exists()
    lose_all_but_one(rig)
    assert down(rig)["left"] == []
    assert not (SHM / name).exists(), "the receipt said that nothing is left"


def test_a_queue_of_the_dead_is_removed(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch()
    script = {"sigterm": "ignore", "before": [{"queue": [str(path), 77]}, LIVES_ON]}
    rig.up(script=script, args={"queue": [[str(path), 77]]})
    key = kernel.ftok(str(path), 77)
    assert key in [queue.key for queue in kernel.message_queues()]
    lose_all_but_one(rig)
    down(rig)
    assert key not in [queue.key for queue in kernel.message_queues()]


def test_a_folder_outside_its_own_is_removed(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "shared-by-name"
    script = {"sigterm": "ignore", "before": [{"folder": str(folder)}, LIVES_ON]}
    rig.up(script=script, args={"temporary": [f"{folder}*"]})
    lose_all_but_one(rig)
    assert down(rig)["left"] == []


def test_what_is_older_than_the_start_stays(rig: Rig, name: str) -> None:
    (SHM / name).touch()
    rig.up(script={"sigterm": "ignore", "before": [LIVES_ON]}, args={"shm": [name]})
    lose_all_but_one(rig)
    down(rig)
    assert (SHM / name).exists(), "another program's"


def test_a_socket_that_another_program_listens_on_stays(rig: Rig, name: str) -> None:
    rig.up(script={"sigterm": "ignore", "before": [LIVES_ON]}, args={"shm": [name]})
    with socket.socket(socket.AF_UNIX) as second:
        second.bind(str(SHM / name))
        second.listen()
        lose_all_but_one(rig)
        down(rig)
        assert (SHM / name).exists()


def test_the_names_are_not_a_childs_to_choose(rig: Rig, name: str) -> None:
    """Of the mark of another start nothing is believed."""
    rig.up(script={"sigterm": "ignore", "before": [{"shm": name}, LIVES_ON]})
    lose_all_but_one(rig)
    os.utime(SHM / name)
    down(rig)
    assert (SHM / name).exists(), "the plan did not name it"
    assert not any(alive(leak.pid) for leak in processes.of_home(rig.home))
