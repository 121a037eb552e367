"""What each release leaves behind, who may remove it, and what a killed keeper leaves."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.engines.fastdeploy.release_data import LINES as RELEASES
from launcher.engines.fastdeploy.watching import PHASE_RULES, PHASES
from launcher.keeper import cleanup, file_use, guard
from launcher.keeper.identity import this_host
from launcher.keeper.leftovers import Claims
from launcher.keeper.state import State
from launcher.keeper.watch import Watcher
from launcher.plan.model import FtokKey, Leftovers
from tests.engines.making import plan, profile
from tests.fastdeploy.conftest import Make
from tests.support import cli, processes
from tests.support.waiting import wait_for
from tests.twin.driver import queue_key, remove_queue

FIXED = {"/tmp/prom_main", "/tmp/prom_worker"}
BY_UUID = {"/tmp/prom_main_*", "/tmp/prom_worker_*"}


@pytest.mark.parametrize(
    ("version", "folders"),
    [("2.0.0", FIXED), ("2.1.0", FIXED), ("2.2.0", FIXED), ("2.3.0", BY_UUID), ("2.4.0", set())],
)
def test_the_metrics_folders_of_each_release(version: str, folders: set[str]) -> None:
    """metrics.py:39 (2.0 to 2.3), __init__.py:25 (2.4, where the variable moves it)."""
    launch_plan = plan(profile(model="m/m", max_model_len=2048), version)
    assert {p for p in launch_plan.leftovers.temporary if "/prom_" in p} == folders
    moved = {v.name for v in launch_plan.env} & {"PROMETHEUS_MULTIPROC_DIR"}
    assert bool(moved) == (version == "2.4.0")


@pytest.mark.parametrize(
    ("version", "ranks", "numbers"),
    [
        ("2.0.0", 2, (246, 247)),
        ("2.1.0", 2, (246, 247)),
        ("2.3.0", 2, (246,)),
        ("2.4.0", 2, (246,)),
    ],
)
def test_the_queues_of_each_release(version: str, ranks: int, numbers: tuple[int, ...]) -> None:
    """gpu_model_runner.py adds the rank in 2.0 and 2.1 only."""
    launch_plan = plan(
        profile(model="m/m", ports={"engine-worker-queue": 8182}, tensor_parallel_size=ranks),
        version,
    )
    assert launch_plan.leftovers.queues == tuple(FtokKey("/dev/shm", n) for n in numbers)


def a_user_of(path: Path) -> subprocess.Popen[bytes]:
    """Another program that has a file of the folder open."""
    code = "import sys, time; f = open(sys.argv[1], 'w'); print(flush=True); time.sleep(99)"
    argv = [sys.executable, "-c", code, str(path / "counter_1.db")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def state_with(claims: Claims) -> State:
    here = this_host()
    state = State("t", "", machine=here.machine, boot=here.boot, pid_namespace=here.pid_namespace)
    state.temporary = list(claims.temporary.values())
    return state


def test_a_shared_folder_stays_as_long_as_another_server_uses_it(tmp_path: Path) -> None:
    shared = tmp_path / "prom_main"
    claims = Claims(Leftovers(temporary=(str(shared),)), "/")
    claims.look_before(0)
    shared.mkdir()
    (shared / f"counter_{os.getpid()}.db").touch()
    claims.look([os.getpid()])
    user = a_user_of(shared)
    try:
        receipt = cleanup.clean(state_with(claims), (), 0.0)
        assert receipt.is_clean, "what another uses is not ours to remove"
        assert receipt.foreign == (f"{shared} is used by pid {user.pid} as well",)
        assert shared.exists()
    finally:
        user.kill()
        user.communicate()
    assert cleanup.clean(state_with(claims), (), 0.0).is_clean
    assert not shared.exists()


def test_a_folder_that_another_server_made_anew_is_not_claimed(tmp_path: Path) -> None:
    """2.0 to 2.2 remove the folder of a server that runs already; what is mapped is deleted."""
    shared = tmp_path / "prom_main"
    claims = Claims(Leftovers(temporary=(str(shared),)), "/")
    claims.look_before(0)
    shared.mkdir()
    with (shared / "gauge.db").open("w"):
        (shared / "gauge.db").unlink()
        shared.rmdir()
        shared.mkdir()
        assert file_use.users(str(shared), [os.getpid()]) == []
        claims.look([os.getpid()])
        assert claims.temporary == {}


def test_a_name_that_begins_alike_is_another_folder(tmp_path: Path) -> None:
    with (tmp_path / "prom_main_0f3e").open("w"):
        assert file_use.users(str(tmp_path / "prom_main"), [os.getpid()]) == []
        assert file_use.users(str(tmp_path / "prom_main_0f3e"), [os.getpid()]) == [os.getpid()]


def test_a_folder_with_the_files_of_a_dead_process_of_ours_is_ours(tmp_path: Path) -> None:
    claims = Claims(Leftovers(temporary=(f"{tmp_path}/fd_prom_*", f"{tmp_path}/lock__*")), "/")
    claims.look_before(0)
    for number in (4_000_001, 4_000_002):
        folder = tmp_path / f"fd_prom_{number}0-f1"
        folder.mkdir()
        (folder / f"gauge_all_{number}.db").touch()
        (tmp_path / f"lock__pid{number}_port8180.lock").touch()
    claims.look([4_000_001])
    assert sorted(os.path.basename(path) for path in claims.temporary) == [
        "fd_prom_40000010-f1", "lock__pid4000001_port8180.lock",
    ]  # fmt: skip


def test_a_socket_with_one_name_for_all_servers_is_not_taken_from_another() -> None:
    name = f"edt-{os.getpid()}.ipc"
    claims = Claims(Leftovers(shm=(name,)), "/")
    claims.look_before(0)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/dev/shm/{name}")
        try:
            claims.look([])
            assert claims.shm == {}
            claims.look([os.getpid()])
            assert list(claims.shm) == [f"/dev/shm/{name}"]
        finally:
            os.unlink(f"/dev/shm/{name}")


def test_percents_that_repeat_are_no_progress() -> None:
    """tqdm draws `Loading Weights: 0%` anew every half second of a load that hangs."""
    launch_plan = plan(profile(model="m/m"), "2.4.0")
    assert (launch_plan.phases, launch_plan.phase_rules) == (PHASES, PHASE_RULES)
    watcher = Watcher(launch_plan)
    matches = [watcher.phase_of("engine", f"Loading Weights:  {n:2}%|  | {n}/100") for n in
             (0, 0, 0, 40, 40, 40, 12, 40, 41)]  # fmt: skip
    assert [s.percent if s else None for s in matches] == [
        0, None, None, 40, None, None, None, None, 41,
    ]  # fmt: skip


@pytest.mark.parametrize("when", ["loading", "ready"])
def test_a_killed_keeper_is_lost_and_its_server_ends_or_is_cleaned(
    fastdeploy: Make, when: str
) -> None:
    """A ready FastDeploy goes on with a broken pipe; only its parent's end reaches it."""
    server = fastdeploy("late-start@phase=load@seconds=400" if when == "loading" else "")
    with server.spawn_up() as up:
        if when == "loading":
            server.wait_phase("load weights")
        else:
            server.wait_state("ready")
            up.communicate(timeout=600)
        stored = server.files.state()
        assert stored is not None
        main = server.main
        assert stored.keeper is not None
        os.kill(stored.keeper.pid, signal.SIGKILL)
        _, stderr = up.communicate(timeout=600) if when == "loading" else ("", "")
    assert up.returncode == (4 if when == "loading" else 0), stderr
    wait_for(lambda: not processes.alive(main), "the end of the engine's first process")
    assert server.status()["state"] == "lost"
    assert server.run("status", server.name).rc == 1
    down = server.down("--json")
    assert down.rc == 0, down.output()
    assert not down.json["data"]["receipt"]["left"]
    assert server.left() == []


LATE = "late-start@phase={}@seconds=6000"
KILLED_WHEN = [
    *(
        pytest.param(
            release,
            phase,
            fault,
            marks=() if release in ("2.0", "2.4", "2.6") else pytest.mark.soak,
        )
        for release in RELEASES
        for phase, fault in (("load weights", LATE.format("load")), ("ready", ""))
    ),
    (RELEASES[-1], "import", LATE.format("import")),
    (RELEASES[-1], "load layers", LATE.format("profile")),
    (RELEASES[-1], "ready", "stop-hangs"),
    (RELEASES[-1], "ready", "worker-ignores-sigterm"),
]


@pytest.mark.parametrize(("release", "phase", "fault"), KILLED_WHEN)
def test_nothing_of_a_server_lives_after_its_keeper_was_killed(
    fastdeploy: Make, release: str, phase: str, fault: str
) -> None:
    """No verb is run. While loading, SIGTERM ends the first process only; the guard the rest."""
    server = fastdeploy(fault, release=release, stop={"grace": 5})
    force = ("--force", "weight-format", "--force", "architecture")  # of a model newer than 2.2
    with cli.spawn("up", str(server.profile), *force, home=server.home) as up:
        if phase == "ready":
            _, stderr = up.communicate(timeout=600)
            assert up.returncode == 0, stderr
        else:
            server.wait_phase(phase)
        stored = server.files.state()
        assert stored is not None
        assert stored.keeper is not None
        os.kill(stored.keeper.pid, signal.SIGKILL)
        up.communicate(timeout=600)
    wait_for(lambda: not server.processes(), "the end of all of it", deadline=guard.LONGEST + 30)
    assert server.held_ports() == []
    assert server.status()["state"] == "lost"
    down = server.down("--json")
    assert down.rc == 0, down.output()
    assert not down.json["data"]["receipt"]["left"]
    assert server.left() == []


@pytest.mark.parametrize("when", ["loading", "ready"])
def test_what_appeared_after_the_last_look_of_a_killed_keeper_is_removed(
    fastdeploy: Make, when: str
) -> None:
    """The keeper is stopped before the server makes anything; then all are killed at once."""
    server = fastdeploy("late-start@phase=load@seconds=400" if when == "loading" else "")
    with server.spawn_up() as up:
        server.wait_state("loading")
        stored = server.files.state()
        assert stored is not None
        assert stored.keeper is not None
        keeper = stored.keeper.pid
        os.kill(keeper, signal.SIGSTOP)
        number = server.port("engine-worker-queue")
        names = [f"/dev/shm/{name}" for name in server.files.plan().leftovers.shm]
        wait_for(lambda: any(map(os.path.exists, names)), "a segment that was not noted")
        processes.kill([keeper])
        while running := list(server.processes()):
            processes.kill(running)
        up.communicate(timeout=600)
    down = server.down("--json")
    try:
        assert down.rc == 0, down.output()
        assert server.left() == []
    finally:
        if queue_key(number):
            remove_queue(number)
