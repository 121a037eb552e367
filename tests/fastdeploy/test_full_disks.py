"""A full or tiny /dev/shm, a full disk for the state or the logs: in a private mount namespace.

Each case runs the command line in a namespace of its own (`unshare --mount`), so that nothing
else on the machine notices; where that is refused the case is skipped and says so.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.fastdeploy.conftest import Make, Server
from tests.support import cli, processes
from tests.support.decoded import JsonDict
from tests.support.waiting import wait_for


@functools.cache
def refusal() -> str:
    """Why no private mount namespace is to be had here, empty where it is."""
    prefix = [*namespace(), "mount -t tmpfs -o size=64k none /mnt"]
    try:
        ran = subprocess.run(prefix, capture_output=True, text=True, timeout=600)
    except OSError as error:
        return f"no unshare: {error}"
    return ran.stderr.strip() if ran.returncode else ""


def namespace() -> list[str]:
    """A shell in a mount namespace of its own; root in a user namespace where we are not root."""
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--propagation", "private", "/bin/sh", "-euc"]


@pytest.fixture(autouse=True)
def _needs_a_namespace() -> None:
    if refusal():
        pytest.skip(f"a private mount namespace is refused here: {refusal()}")


def in_namespace(server: Server, prepare: str, *commands: str) -> list[tuple[int, JsonDict]]:
    """(exit code, envelope) of each `ernie-deploy` command, one after the other, all with --json.

    A command that starts with `!` is a shell's own, and has no result.
    """
    # One namespace for all of them: `down` has to see what `up` saw.
    script = [prepare]
    results = []
    for number, argv in enumerate(commands):
        if argv.startswith("!"):
            script.append(argv[1:])
            continue
        out = server.profile.with_suffix(f".{number}")
        results.append(out)
        line = " ".join(cli.argv(*argv.split(), "--json"))
        script.append(f"rc=0; {line} > {out} 2> {out}.err || rc=$?; echo $rc > {out}.rc")
    ran = subprocess.run(
        [*namespace(), "\n".join(script)],
        env=cli.environment(server.home), cwd=server.profile.parent,
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    outcomes = []
    for out in results:
        lines = out.read_text().strip().splitlines()
        assert lines, Path(f"{out}.err").read_text()
        outcomes.append((int(Path(f"{out}.rc").read_text()), json.loads(lines[-1])))
    return outcomes


def nothing_left(server: Server) -> None:
    """The processes; the namespace took its own /dev/shm with it."""
    wait_for(lambda: not processes.of_home(server.home), "the end of every process")
    if server.files.exists:
        assert server.left() == []


def test_a_tiny_dev_shm_is_named_before_or_in_the_load(fastdeploy: Make) -> None:
    server = fastdeploy()
    ((code, output),) = in_namespace(
        server, "mount -t tmpfs -o size=1m none /dev/shm", f"up {server.profile}"
    )
    assert code in (3, 4), output
    assert "/dev/shm" in output["errors"][0]["message"] + str(output["errors"][0]["where"]), output
    assert output["errors"][0]["remedy"]
    nothing_left(server)


def test_a_full_dev_shm_is_named_before_or_in_the_load(fastdeploy: Make) -> None:
    server = fastdeploy()
    fill = "mount -t tmpfs -o size=64k none /dev/shm; head -c 64k /dev/zero > /dev/shm/full || :"
    ((code, output),) = in_namespace(server, fill, f"up {server.profile}")
    assert code in (3, 4), output
    assert "/dev/shm" in output["errors"][0]["message"] + str(output["errors"][0]["where"]), output
    nothing_left(server)


def test_a_dev_shm_that_is_forced_dies_with_its_cause(fastdeploy: Make) -> None:
    """`--force` lets it start: NCCL's own words name the cause then."""
    server = fastdeploy()
    tiny = "mount -t tmpfs -o size=1m none /dev/shm"
    ((refused, output),) = in_namespace(server, tiny, f"up {server.profile}")
    names = {e["code"] for e in output["errors"]}
    forced = " ".join(f"--force {name}" for name in sorted(names)) if refused == 3 else ""
    (code, output), (down, _) = in_namespace(
        server, tiny, f"up {server.profile} {forced}", f"down {server.name}"
    )
    assert code == 4, output
    assert "/dev/shm" in json.dumps(output["errors"]), output
    assert not output["data"]["receipt"]["left"], output
    assert down == 0
    nothing_left(server)


def test_a_disk_that_is_full_before_the_start(fastdeploy: Make) -> None:
    server = fastdeploy()
    full = f"mount -t tmpfs -o size=64k none {server.home}; head -c 64k /dev/zero > full || :"
    full = full.replace("> full", f"> {server.home}/full")
    ((code, output),) = in_namespace(server, full, f"up {server.profile}")
    assert code == 3, output
    text = json.dumps(output["errors"])
    assert "No space left" in text or "free" in text, output
    nothing_left(server)


FILL = "!cat /dev/zero > {home}/full 2>/dev/null || :"


def test_a_disk_that_fills_up_while_it_serves_does_not_end_it(fastdeploy: Make) -> None:
    server = fastdeploy()
    up, status, down = in_namespace(
        server, f"mount -t tmpfs -o size=160m none {server.home}",
        f"up {server.profile}", FILL.format(home=server.home),
        f"status {server.name}", f"down {server.name}",
    )  # fmt: skip
    assert up[0] == 0, up[1]
    assert (status[0], status[1]["data"]["instances"][0]["state"]) == (0, "ready"), status[1]
    assert down[0] == 0, down[1]
    assert not down[1]["data"]["receipt"]["left"]
    nothing_left(server)


def test_a_keeper_killed_on_a_full_disk_is_cleaned_once_there_is_room(fastdeploy: Make) -> None:
    server = fastdeploy()
    state = server.files.folder / "state.json"
    pid = f"grep -o '\"keeper\": {{\"pid\": [0-9]*' {state} | grep -o '[0-9]*$'"
    up, lost, down = in_namespace(
        server, f"mount -t tmpfs -o size=160m none {server.home}",
        f"up {server.profile}", FILL.format(home=server.home),
        f"!kill -9 $({pid}); sleep 1", f"status {server.name}",
        f"!rm {server.home}/full", f"down {server.name}",
    )  # fmt: skip
    assert up[0] == 0, up[1]
    assert (lost[0], lost[1]["data"]["instances"][0]["state"]) == (1, "lost"), lost[1]
    assert down[0] == 0, down[1]
    assert not down[1]["data"]["receipt"]["left"]
    nothing_left(server)


def test_a_disk_that_fills_up_under_the_logs_in_the_load(fastdeploy: Make) -> None:
    """Room for the state, not for what FastDeploy writes: the start fails and says so."""
    server = fastdeploy("late-start@phase=load@seconds=60")
    logs = server.files.folder / "logs"
    up, down = in_namespace(
        server, f"mkdir -p -m 700 {logs}; mount -t tmpfs -o size=16k,mode=700 none {logs}",
        f"up {server.profile}", f"down {server.name}",
    )  # fmt: skip
    assert up[0] in (3, 4), up[1]
    errors = json.dumps(up[1]["errors"])
    assert "No space left" in errors or "disk" in errors, up[1]
    assert down[0] == 0, down[1]
    nothing_left(server)
