"""Who uses a file: what each process costs to ask, and whose folders are told apart."""

import os
from collections import Counter
from pathlib import Path

import pytest

from launcher.host import kernel, processes
from launcher.keeper import file_use
from launcher.keeper.leftovers import Claims
from launcher.plan.model import Leftovers


@pytest.mark.parametrize("rest", [0, 1, 60], ids=lambda n: f"beside {n} servers")
def test_a_process_is_looked_at_once_however_many_servers_there_are(
    tmp_path: Path, rest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keeper that reads its processes once for each of its neighbours costs all of them dear."""
    claims = Claims(Leftovers(temporary=(str(tmp_path / "prom_*"),)), str(tmp_path))
    claims.look_before(kernel.file_clock())
    for number in range(rest):
        (tmp_path / f"prom_{number}").mkdir()
    (tmp_path / "prom_own").mkdir()
    reads: Counter[int] = Counter()
    read = processes.maps

    def counted(pid: int) -> bytes:
        reads[pid] += 1
        return read(pid)

    monkeypatch.setattr(processes, "maps", counted)
    with (tmp_path / "prom_own" / "gauge.db").open("w"):
        claims.look([os.getpid()])
    assert reads == {os.getpid(): 1}
    assert list(claims.temporary) == [str(tmp_path / "prom_own")]

    reads.clear()
    claims.look([os.getpid()])
    assert reads[os.getpid()] <= 1, "only what is not claimed yet is asked for"


def test_each_of_several_folders_is_known_by_its_own_use(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a", "a_b", "b", "gone")]
    for path in paths:
        os.mkdir(path)
    with open(f"{paths[1]}/x", "w"), open(f"{paths[2]}/x", "w"), open(f"{paths[3]}/x", "w"):
        os.unlink(f"{paths[3]}/x")
        assert file_use.mentioned(paths, [os.getpid()]) == {paths[1], paths[2]}
    assert file_use.mentioned([], [os.getpid()]) == set()
    assert file_use.mentioned(paths, [os.getpid()]) == set()
