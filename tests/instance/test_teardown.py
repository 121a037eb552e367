"""`down`: the keeper says how it ended and how long that may take; an older keeper does neither."""

import json

import pytest

from launcher.errors import DeadlineError, ExitCode
from launcher.instance import teardown
from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject
from tests.support.keeping import Keeping


@pytest.fixture(autouse=True)
def lock(keeping: Keeping) -> None:
    keeping.hold_lock()


NOTHING_LEFT: JsonObject = {
    "processes": 0,
    "ports": 0,
    "shm": 0,
    "queues": 0,
    "temporary": 0,
    "left": [],
}


def test_the_result_is_the_last_event(keeping: Keeping) -> None:
    """The file tells of an earlier moment; the receipt comes by the socket."""

    def stop() -> None:
        keeping.tell("state", state="stopping")
        keeping.tell("state", state="stopped", receipt=NOTHING_LEFT, exit_code=0)
        keeping.end_soon()

    keeping.on_stop = stop
    result = teardown.down(InstanceDir(keeping.folder))
    assert result.exit_code is ExitCode.DONE
    assert (result.payload.state, result.payload.previous_state) == ("stopped", "loading")
    assert result.payload.receipt is not None
    assert result.payload.receipt.processes == 0
    assert keeping.stopped == ["down"]


def test_an_older_keeper_that_tells_neither_deadline_nor_end_is_read_from_its_state(
    keeping: Keeping,
) -> None:
    def stop() -> None:
        keeping.end_soon("stopped", receipt=NOTHING_LEFT, exit_code=0)

    keeping.deadline = None
    keeping.on_stop = stop
    result = teardown.down(InstanceDir(keeping.folder))
    assert result.exit_code is ExitCode.DONE
    assert (result.payload.state, result.payload.previous_state) == ("stopped", "loading")


def test_the_keepers_deadline_is_the_one_that_passes(keeping: Keeping) -> None:
    keeping.deadline = 0.25
    with pytest.raises(DeadlineError, match=r"is still not down after 0\.25 s"):
        teardown.down(InstanceDir(keeping.folder))


@pytest.mark.parametrize("deadline", [None, True, "12", [], -1, 0, 1e300, float("nan")])
def test_a_deadline_that_is_none_is_computed_here(deadline: object) -> None:
    answer = json.loads(json.dumps({"ok": True, "deadline": deadline}))
    assert teardown._deadline_of(answer) is None
