"""What the benchmarks share: measurements that alternate, a bench of scripted engines, printing.

Machines drift: the same command takes four times as long in another hour. So what is compared is
run in turns (A B A B), and what is printed is the ratio. No figure fails a run; a benchmark ends
with an error only where the thing that it measures is broken.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import home as homes
from tests.support import scripted_engine
from tests.support.rig import Rig

ROUNDS = int(os.environ.get("ERNIE_BENCH_ROUNDS", "21"))
UNCACHED = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""Variables of a container under which every start compiles everything again."""


@contextmanager
def bench() -> Iterator[Rig]:
    """A rig outside pytest; fails as a test would where a process is left."""
    with (
        homes.temporary_home() as home,
        tempfile.TemporaryDirectory(prefix="edt-bench-") as folder,
        scripted_engine.registered(Path(folder)) as pythonpath,
    ):
        rig = Rig(home, Path(folder), pythonpath)
        rig.env |= dict.fromkeys(UNCACHED)
        try:
            yield rig
        finally:
            rig.close()


def environment(**more: str) -> dict[str, str]:
    """Ours for a measured command: bytecode is cached, as it is for an operator."""
    env = {**os.environ, **more}
    for name in UNCACHED:
        env.pop(name, None)
    return env


def command(argv: Sequence[str], env: Mapping[str, str], codes: Sequence[int] = (0,)) -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: its exit code is none of `codes`: what is measured is broken.
    """
    ran = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if ran.returncode not in codes:
        raise RuntimeError(f"{' '.join(argv)} ended with {ran.returncode}:\n{ran.stderr}")


def alternate(
    works: Mapping[str, Callable[[], object]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Seconds of each of `works`, run in turns, after one turn that is thrown away."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - began)
    return times


def load() -> float:
    """The load average of the last minute: a figure of a busy machine means little."""
    return round(os.getloadavg()[0], 1)


def record(what: str, values: Sequence[float], unit: str, **more: object) -> None:
    """Add one figure to the file that ERNIE_BENCH_RESULTS names, as a line of JSON.

    `values` are all that were measured of it, in `unit`.
    """
    path = os.environ.get("ERNIE_BENCH_RESULTS")
    if not path:
        return
    spec = sys.modules["__main__"].__spec__
    figure = {
        "benchmark": spec.name.rpartition(".")[2] if spec is not None else "",
        "what": what,
        "unit": unit,
        "median": round(statistics.median(values), 6),
        "least": round(min(values), 6),
        "most": round(max(values), 6),
        "count": len(values),
        "load": load(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **more,
    }
    with open(path, "a") as file:
        file.write(json.dumps(figure) + "\n")


def figure(what: str, value: float, unit: str, note: str = "", **more: object) -> None:
    """Print and record what was measured once, with the load beside it."""
    record(what, [value], unit, **more)
    print(f"{what:<52} {value:10.3f} {unit:<12} load {load():4.1f}   {note}".rstrip(), flush=True)


def ratios(ours: Sequence[float], floor: Sequence[float]) -> tuple[float, float, float, float]:
    """(ratio of the medians, ratio of the minima, least and largest ratio of one turn)."""
    turns = [a / b for a, b in zip(ours, floor, strict=True)]
    return (
        statistics.median(ours) / statistics.median(floor),
        min(ours) / min(floor),
        min(turns),
        max(turns),
    )


def table(
    times: Mapping[str, list[float]], floor: str, aims: Mapping[str, str] | None = None
) -> None:
    """Print each measurement with its ratio to `floor`, one of them."""
    print(f"{'':<44} {'median':>9} {'min':>9}   times {floor}: of medians, of minima (turns)")
    for name, seconds in times.items():
        median, least, low, high = ratios(seconds, times[floor])
        aim = (aims or {}).get(name)
        print(
            f"{name:<44} {statistics.median(seconds) * 1000:6.1f} ms {min(seconds) * 1000:6.1f} ms"
            f"   {median:6.2f} {least:6.2f} ({low:.2f} to {high:.2f})"
            f"   load {load():.1f}" + (f"   aim {aim}" if aim else ""),
            flush=True,
        )
        record(name, seconds, "s", floor=floor, times_floor=round(median, 3))


def show(what: str, times: list[float], unit: str = "ms", target: str = "") -> float:
    """Print the median with its spread, in milliseconds unless `unit` says otherwise."""
    factor = 1000.0 if unit == "ms" else 1.0
    median = statistics.median(times) * factor
    spread = f"{min(times) * factor:.1f} to {max(times) * factor:.1f}, n={len(times)}"
    aim = f"   target {target}" if target else ""
    print(f"{what:<52} {median:8.1f} {unit:<4} ({spread}){aim}   load {load():.1f}", flush=True)
    record(what, times, "s")
    return median


def ratio(what: str, ours: Sequence[float], floor: Sequence[float]) -> None:
    """Print how many times a floor ours is, both measured in turns."""
    median, least, low, high = ratios(ours, floor)
    print(
        f"{'  ' + what:<52} {median:8.2f} x    ({low:.2f} to {high:.2f}; minima {least:.2f})",
        flush=True,
    )


def machine() -> None:
    """The load under which all this was measured: figures of a busy machine mean little."""
    one, five, _ = os.getloadavg()
    print(f"{os.cpu_count()} cores, load {one:.1f} (5 min: {five:.1f})", flush=True)
