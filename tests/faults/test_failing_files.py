"""Each file operation of each verb fails in turn: a documented exit code, and never a defect."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import cli
from tests.support.failing_files import ERRORS, FailingFiles
from tests.support.rig import Rig

DOCUMENTED = (0, 1, 2, 3, 4, 5, 6)
STEP = 3
"""Each third operation fails in the normal suite, the others in `make soak`; no divisor of the
number of errors, so that each error is used."""
first_operations = pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=pytest.mark.soak) for first in range(2, STEP + 1))]
)


@pytest.fixture
def failing(rig: Rig, tmp_path: Path) -> FailingFiles:
    return FailingFiles(tmp_path / "failing", rig.home, str(rig.env["PYTHONPATH"]))


def each_failure(
    rig: Rig, failing: FailingFiles, *arguments: str, first: int = 1, step: int = 1
) -> Iterator[tuple[str, cli.Ran]]:
    """`ernie-deploy arguments` with every operation in order, then with one that fails.

    These are each `step`-th operation, from `first` on.
    """
    never = failing.env(10**9, errno.EIO)
    ran = cli.run(*arguments, home=rig.home, env={**rig.env, **never})
    total = failing.counted()
    assert 0 < total < 200, total
    yield "none", ran
    for at in range(first, total + 1, step):
        error = ERRORS[at % len(ERRORS)]
        env = failing.env(at, error, once=error == errno.EIO)
        ran = cli.run(*arguments, home=rig.home, env={**rig.env, **env})
        yield f"operation {at} of {total}: {errno.errorcode[error]}", ran


def check(failed: str, ran: cli.Ran) -> None:
    assert ran.rc in DOCUMENTED, f"{failed}\n{ran.output()}"
    assert "Traceback" not in ran.stderr, f"{failed}\n{ran.output()}"
    assert ran.json["exit_code"] == ran.rc


@first_operations
def test_up(rig: Rig, failing: FailingFiles, first: int) -> None:
    profile = rig.profile()
    for failed, ran in each_failure(rig, failing, "up", profile, "--json", first=first, step=STEP):
        check(failed, ran)
        assert ran.rc in (0, 3), f"{failed}\n{ran.output()}"
        if ran.rc:
            assert ran.json["errors"][0]["remedy"], failed
            # Before its folder was made the instance does not exist.
            codes = (0, 1) if rig.instance().exists() else (2,)
            assert rig.run("status", "one").rc in codes, failed
        down = rig.run("down", "one", "--json")
        assert down.rc == 0, f"{failed}\n{down.output()}"
        rig.nothing_left()


@first_operations
def test_down(rig: Rig, failing: FailingFiles, first: int) -> None:
    rig.up()
    for failed, ran in each_failure(rig, failing, "down", "one", "--json", first=first, step=STEP):
        check(failed, ran)
        rig.nothing_left()
        rig.up()
    rig.down()


@first_operations
def test_down_of_a_lost_instance(rig: Rig, failing: FailingFiles, first: int) -> None:
    rig.up()
    rig.lose()
    for failed, ran in each_failure(rig, failing, "down", "one", "--json", first=first, step=STEP):
        check(failed, ran)
        again = rig.run("down", "one", "--json")
        assert again.rc == 0, f"{failed}\n{again.output()}"
        rig.nothing_left()
        rig.up()
        rig.lose()
    rig.down()


@pytest.mark.parametrize("arguments", [
    ("status",), ("status", "one"), ("logs", "one"), ("diagnose", "one"), ("doctor",),
    ("smoke", "one", "--check", "health"), ("engine", "list"), ("plan", "--memory", "PROFILE"),
], ids=" ".join)  # fmt: skip
def test_verbs_that_only_look_change_no_file(
    rig: Rig, failing: FailingFiles, arguments: tuple[str, ...]
) -> None:
    rig.up()
    arguments = tuple(rig.profile() if word == "PROFILE" else word for word in arguments)
    never = failing.env(10**9, errno.EIO)
    check("none", cli.run(*arguments, "--json", home=rig.home, env={**rig.env, **never}))
    assert failing.counted() == 0
    rig.down()


@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_verbs_on_a_profile(rig: Rig, failing: FailingFiles, verb: str) -> None:
    """They keep an interpreter's answer for the next time, which may fail."""
    for failed, ran in each_failure(rig, failing, verb, rig.profile(), "--json"):
        check(failed, ran)


def test_restart(rig: Rig, failing: FailingFiles) -> None:
    rig.up()
    for failed, ran in each_failure(rig, failing, "restart", "one", "--json", step=5):
        check(failed, ran)
        if ran.rc:
            rig.run("down", "one")
            rig.nothing_left()
            rig.up()
    rig.down()
