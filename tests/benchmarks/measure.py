"""What the benchmarks share: repeated measurements, a bench of scripted engines, one way to print.

Figures are printed beside a peer or a floor and never fail: a slow or busy machine is no defect.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import home as homes
from tests.support import scripted_engine
from tests.support.rig import Rig


@contextmanager
def bench() -> Iterator[Rig]:
    """A rig outside pytest; fails as a test would where a process is left."""
    with (
        homes.temporary_home() as home,
        tempfile.TemporaryDirectory(prefix="edt-bench-") as folder,
        scripted_engine.registered(Path(folder)) as pythonpath,
    ):
        rig = Rig(home, Path(folder), pythonpath)
        try:
            yield rig
        finally:
            rig.close()


def seconds(work: Callable[[], object], repeat: int) -> list[float]:
    """How long `work` takes, measured `repeat` times after one that is thrown away."""
    work()
    times = []
    for _ in range(repeat):
        began = time.monotonic()
        work()
        times.append(time.monotonic() - began)
    return times


def show(what: str, times: list[float], unit: str = "ms", target: str = "") -> float:
    """Print the median with its spread, in milliseconds unless `unit` says otherwise."""
    factor = 1000.0 if unit == "ms" else 1.0
    median = statistics.median(times) * factor
    spread = f"{min(times) * factor:.1f} to {max(times) * factor:.1f}, n={len(times)}"
    aim = f"   target {target}" if target else ""
    print(f"{what:<52} {median:8.1f} {unit:<4} ({spread}){aim}", flush=True)
    return median


def ratio(what: str, ours: float, theirs: float, target: str = "") -> None:
    """Print how many times a floor or a peer our figure is."""
    aim = f"   target {target}" if target else ""
    print(f"{'  ' + what:<52} {ours / theirs:8.2f} x{aim}", flush=True)


def machine() -> None:
    """The load under which all this was measured: figures of a busy machine mean little."""
    one, five, _ = os.getloadavg()
    print(f"{os.cpu_count()} cores, load {one:.1f} (5 min: {five:.1f})", flush=True)
