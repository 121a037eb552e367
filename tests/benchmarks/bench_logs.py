"""A program's output under each supervisor: lines per second, what is lost, what it costs.

The same program writes numbered lines under ours and under the peers, one supervisor after the
other; a bare loop that redirects into a file is the floor: there nothing is read.
"""

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import peers, writer
from tests.benchmarks.bench_keeper import cpu
from tests.benchmarks.measure import bench, figure, machine
from tests.support import processes
from tests.support.rig import Rig
from tests.support.waiting import wait_for

OURS = "ernie-deploy"
NUMBER = re.compile(rb"(?<![0-9])([0-9]{8})(?![0-9])")


@dataclass(frozen=True)
class Case:
    """What the program writes; `rate` in bytes/s, `write` the most bytes with one call."""

    name: str
    kind: str
    lines: int
    rate: float = 0.0
    write: int = 4096


CASES = (
    Case("burst of short lines", "short", 600_000),
    Case("burst, a call for each line", "short", 300_000, write=1),
    Case("20 MB/s of access lines", "access", 1_000_000, rate=20e6),
    Case("20 MB/s of progress lines", "progress", 1_000_000, rate=20e6),
    Case("20 MB/s of lines of errors", "errors", 1_000_000, rate=20e6),
    Case("20 MB/s of coloured lines", "coloured", 1_300_000, rate=20e6),
)


@dataclass(frozen=True)
class Written:
    """What a run gave; `share` is the supervisor's part of a core."""

    seconds: float
    lines: int
    size: int
    lost: int
    share: float


def argv(folder: Path, case: Case) -> tuple[str, ...]:
    """The program's command line; it meets us at files in `folder`."""
    numbers = (str(case.lines), str(case.rate), str(case.write))
    meeting = (str(folder / "go"), str(folder / "done"))
    return (sys.executable, "-I", "-S", writer.__file__, *meeting, case.kind, *numbers)


@contextmanager
def ours(rig: Rig, folder: Path, case: Case) -> Iterator[tuple[list[int], Path]]:
    """An instance that is ready and whose engine runs the program: our processes, and the log."""
    script = {"after": [{"run": list(argv(folder, case))}]}
    rig.up("bench", script, logs={"max-size": "4GiB"})
    try:
        yield [rig.keeper("bench")], rig.instance("bench") / "logs" / "engine.log"
    finally:
        rig.run("down", "bench")


@contextmanager
def theirs(kind: str, folder: Path, case: Case) -> Iterator[tuple[list[int], Path]]:
    """The program below another supervisor: its processes but for the program, and the log."""
    with peers.started(kind, folder / kind.replace(" ", "-"), argv(folder, case)) as peer:
        wait_for(lambda: any(map(_is_program, processes.children(peer.pid))), "the program")
        pids = [p for p in processes.children(peer.pid) if not _is_program(p)]
        yield [peer.pid, *pids], peer.log


def _is_program(pid: int) -> bool:
    return b"writer.py" in processes.command(pid) and b"while :" not in processes.command(pid)


def measure(folder: Path, pids: list[int], log: Path) -> Written:
    """Let the program write, until its last line is in the log or nothing more comes there."""
    time.sleep(1.0)  # it prepares what it will write
    before, began = sum(map(cpu, pids)), time.perf_counter()
    (folder / "go").touch()
    done = folder / "done"
    wait_for(done.exists, "the end of the program's output", deadline=300)
    result = json.loads(done.read_text())
    last = b"%08d" % (result["lines"] - 1)
    size, grown_at = -1, time.perf_counter()
    while last not in _end_of(log) and time.perf_counter() - grown_at < 5.0:
        if log.stat().st_size != size:
            size, grown_at = log.stat().st_size, time.perf_counter()
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    share = (sum(map(cpu, pids)) - before) / seconds
    lost = result["lines"] - count_lines(log)
    return Written(seconds, result["lines"], result["bytes"], lost, share)


def count_lines(log: Path) -> int:
    """Lines with a number that is larger than all before: what is doubled or late is not one."""
    expected = count = 0
    with log.open("rb") as file:
        for line in file:
            match = NUMBER.search(line)
            if match is not None and int(match[1]) >= expected:
                count, expected = count + 1, int(match[1]) + 1
    return count


def _end_of(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 500))
        return file.read()


def main() -> None:
    """Each case under each supervisor."""
    machine()
    with bench() as rig:
        for case in CASES:
            for name in (OURS, *peers.kinds()):
                with tempfile.TemporaryDirectory(prefix="edt-logs-") as path:
                    folder = Path(path)
                    run = ours(rig, folder, case) if name == OURS else theirs(name, folder, case)
                    with run as (pids, log):
                        it = measure(folder, pids, log)
                rate, lines = it.size / it.seconds / 1e6, it.lines / it.seconds
                note = f"{rate:.1f} MB/s, {it.share * 100:.0f} % of a core, {it.lost} lines lost"
                what = f"{case.name}: {name}"
                more = {"mb_per_s": round(rate, 2), "share_of_core": round(it.share, 3)}
                figure(what, lines, "lines/s", note, lost=it.lost, **more)
                if name == OURS and it.lost:
                    raise RuntimeError(f"{it.lost} lines were lost")


if __name__ == "__main__":
    main()
