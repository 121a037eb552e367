"""Accidents at random moments: whatever happened, the next `up` works and `down` leaves nothing."""

import os
import random
import signal
import time

import pytest

from tests.support.rig import Rig

SCRIPT = {
    "before": [{"spawn": {"session": True, "double": True, "ignore": ["TERM", "HUP"]}},
               {"print": "PHASE import"}, {"sleep": 0.1}],
    "health": [503, 503, 200],
}  # fmt: skip


ENDS = {0, 3, 4, 6, 130, 143, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL}
"""How `up` may end: documented codes, or the signal that hit it before it could answer."""


def victim(rig: Rig, whom: str, up: int) -> int | None:
    """The pid of who has the accident, None where it is not there yet."""
    if whom == "up":
        return up
    try:
        return rig.keeper() if whom == "keeper" else rig.engine()
    except KeyError:
        return None


def accident(rig: Rig, dice: random.Random, profile: str) -> tuple[str, int | None]:
    """One start with one accident somewhere on its way; what it was and how `up` ended."""
    whom = dice.choice(["up", "keeper", "engine"])
    number = dice.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    moment = dice.uniform(0.1, 1.2)
    what = f"{number.name} to {whom} after {moment:.2f} s"
    process = rig.spawn("up", profile, "--json")
    time.sleep(moment)
    pid = victim(rig, whom, process.pid)
    try:
        if pid is not None and (whom != "up" or process.poll() is None):
            os.kill(pid, number)
    except ProcessLookupError:
        pass
    stdout, stderr = process.communicate(timeout=600)
    if whom == "up" and "Fatal Python error: init_" in stderr:
        return f"{what}, when Python itself was still starting", process.returncode
    assert "defect" not in stderr, (what, stderr)
    assert "Traceback" not in stdout + stderr, (what, stderr)
    assert process.returncode in ENDS, (what, stderr)
    if whom != "up":
        assert process.returncode >= 0, (what, "`up` was not signalled")
    return what, process.returncode


def chaos(rig: Rig, rounds: int, seed: int) -> list[tuple[str, int | None]]:
    """Accident after accident on the same instance; every third is cleaned up by `up` alone."""
    dice = random.Random(seed)
    profile = rig.profile(script=SCRIPT, stop={"grace": 1})
    steps = []
    for number in range(rounds):
        what = accident(rig, dice, profile)
        steps.append(what)
        if number % 3 == 2:
            ran = rig.run("up", profile, "--json")
            # An instance that is just being taken down by its keeper may still say so.
            assert ran.rc == 0, (seed, what, ran.output())
        ran = rig.run("down", "one", "--json")
        assert ran.rc == 0, (seed, what, ran.output())
        rig.nothing_left()
        assert rig.stored().get("state") in (None, "stopped", "died", "failed"), what
    return steps


def test_some_accidents(rig: Rig) -> None:
    chaos(rig, 6, seed=random.SystemRandom().randrange(10**6))


@pytest.mark.soak
def test_many_accidents(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    seed = random.SystemRandom().randrange(10**6)
    steps = chaos(rig, 300, seed)
    with capsys.disabled():
        codes = sorted({code for _, code in steps if code is not None})
        print(f"\nsoak: 300 accidents (seed {seed}), exit codes {codes}, 0 leftovers")
