"""What `plan` says will be listened on is what the started server has open, no more and no less."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.host import sockets
from tests.fastdeploy.conftest import Make, Server
from tests.support.decoded import JsonDict

SHM = "FD_ENGINE_TASK_QUEUE_WITH_SHM"
LINES = ("2.0", "2.1", "2.2", "2.3", "2.4")
CASES: list[tuple[str, dict[str, str], JsonDict]] = [
    *((line, {}, {}) for line in LINES),
    *((line, {SHM: "0"}, {}) for line in ("2.3", "2.4")),
    ("2.4", {SHM: "2"}, {}),
    ("2.2", {}, {"host": "0.0.0.0"}),
    ("2.4", {}, {"host": "0.0.0.0", "engine-args": {"enable-prefix-caching": False}}),
    ("2.1", {}, {"engine-args": {"enable-prefix-caching": True}}),
    ("2.1", {}, {"tensor-parallel-size": 2}),
    ("2.3", {}, {"ports": {"pd-comm": "auto"}}),
    ("2.4", {}, {"ports": {"pd-comm": "auto"}}),
]


def open_files(server: Server) -> dict[int, int]:
    """Inodes of the sockets that the server's processes have open, each with its pid."""
    open_paths = {}
    for pid in server.processes():
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(entry)
            if target.startswith("socket:["):
                open_paths[int(target[8:-1])] = pid
    return open_paths


def unix_listeners() -> dict[int, str]:
    """Inode and path of every listening Unix socket of this network namespace."""
    paths = {}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) == 8 and int(fields[3], 16) & 0x10000:
            paths[int(fields[6])] = fields[7]
    return paths


@pytest.mark.parametrize(("line", "env", "keys"), CASES)
def test_the_plan_names_exactly_what_is_listened_on(
    fastdeploy: Make, tmp_path: Path, line: str, env: dict[str, str], keys: dict[str, object]
) -> None:
    report = tmp_path / "listens"
    env = {**env, "TWIN_LISTENS": str(report)}
    server = fastdeploy(release=line, env=env, **keys)
    # The tiny model is of a layout that releases before 2.3 refuse; the twin takes it.
    forced = ("--force", "weight-format", "--force", "architecture")
    up = server.up("--json", *(forced if line < "2.3" else ()))
    assert up.rc == 0, up.output()
    plan = server.run("plan", str(server.profile), "--json").json["data"]["plan"]
    text = server.run("plan", str(server.profile)).stdout

    ours = open_files(server)
    numbers = sorted(one.port for one in sockets.listeners() if one.inode in ours)
    bound = [use for use in plan["ports"] if use["bound"]]
    assert sorted(use["number"] for use in bound) == numbers

    where = {tuple(row.split()) for row in report.read_text().splitlines()}
    engine = [use for use in bound if use["name"] != "admin"]  # that is the keeper's
    assert {(use["address"], str(use["number"])) for use in engine} == where
    for use in bound:
        assert f"  {use['number']:<6} on {use['address']:<16} " in text

    paths = {path for inode, path in unix_listeners().items() if inode in ours}
    paths.discard(str(server.files.folder / "control.sock"))
    planned = [use["socket"] for use in plan["ports"] if use["socket"]]
    planned += [one["path"].replace("{pid}", str(server.main)) for one in plan["sockets"]]
    assert sorted(planned) == sorted(paths)
    for path in planned:
        assert path.replace(str(server.main), "PID") in text or path in text
    for use in plan["ports"]:
        if not use["bound"]:
            assert f"  {use['number']:<6} on " not in text
    assert server.down("--json").rc == 0


def test_metrics_on_the_api_port_are_refused_before_anything_listens(fastdeploy: Make) -> None:
    server = fastdeploy(ports={"api": 21801, "metrics": 21801})
    ran = server.run("plan", str(server.profile), "--json")
    assert (ran.rc, ran.json["errors"][0]["code"]) == (2, "duplicate-port"), ran.output()
