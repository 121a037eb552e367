"""How fast the keeper takes an engine's output, beside `cat` through the same kind of pipe.

Every kind is what some engine, or a client that sends it requests, can make it print. FastDeploy's
rules are tried on it as while it loads.

    python -m tests.benchmarks.bench_output [MEGABYTES [KIND]...]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from launcher.engines.fastdeploy import watching
from launcher.engines.rules import failure_rules, noise
from launcher.keeper.engine_process import EngineProcess
from launcher.keeper.line_sampling import Attention
from launcher.keeper.loop import Loop
from launcher.keeper.watch import Watcher
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan
from tests.benchmarks.measure import machine

ROUNDS = 3
KINDS = {
    "ordinary lines": "INFO:     127.0.0.1:43210 - "
    '"POST /v1/chat/completions HTTP/1.1" 200 OK in 0.213 s\n',
    "progress lines": "Loading safetensors checkpoint shards:  40%|####   | 4/10 [00:07]\n",
    "lines of errors": "ERROR    2026-01-09 10:00:01,123 42 engine.py[line:90] request failed\n",
    "bars without newlines": "Loading Layers:  40%|####      | 4/10\r",
    "newlines": "\n",
    "U+009D, 1,990 to a line": "\u009d" * 1990 + "\n",
    "dots, 32,000 to a line": "." * 32000 + "\n",
    "colours": "\x1b[31m\x1b[1m" * 8 + "x\n",
    "NUL bytes": "\0" * 80 + "\n",
    "one line without end": "x" * 1000,
}


def plan(folder: Path, source: Path) -> LaunchPlan:
    """An engine that prints `source`, watched as FastDeploy is."""
    return LaunchPlan(
        instance="bench", engine="fastdeploy", release=None, argv=("/bin/cat", str(source)),
        cwd=str(folder), log_folder=str(folder), temporary_folder=str(folder),
        phases=watching.PHASES, phase_rules=watching.PHASE_RULES,
        failure_rules=failure_rules("fastdeploy"), noise=noise("fastdeploy"),
        exit_codes=watching.EXIT_CODES, told_to_stop=watching.TOLD_TO_STOP,
        log_max_size=1 << 40,
    )  # fmt: skip


def ours(folder: Path, source: Path) -> tuple[float, bool]:
    """(seconds from start to the last byte in the log, whether lines were passed over)."""
    loop, launch_plan = Loop(), plan(folder, source)
    watcher, drops = Watcher(launch_plan), []
    watcher.begin()

    def line(name: str, file: str, text: str, final: bool) -> None:
        watcher.phase_of(name, text)
        if final:
            watcher.failure_of(InstanceState.LOADING, name, file, text)
            watcher.asked_to_stop(name, text)

    attention = Attention(loop, line, watcher.texts, lambda: drops.append(1))
    log = folder / "engine.log"
    begun = time.perf_counter()
    engine = EngineProcess(loop, launch_plan, {}, log, attention)
    loop.run_until(lambda: engine.ended)
    seconds = time.perf_counter() - begun
    engine.process.wait()
    engine.close()
    attention.close()
    log.unlink()
    return seconds, bool(drops)


def floor(folder: Path, source: Path) -> float:
    """Seconds of `cat source | cat > file`."""
    begun = time.perf_counter()
    with (folder / "copy").open("wb") as copy:
        first = subprocess.Popen(["/bin/cat", str(source)], stdout=subprocess.PIPE)
        subprocess.run(["/bin/cat"], stdin=first.stdout, stdout=copy, check=True)
        first.wait()
    return time.perf_counter() - begun


def main() -> None:
    """In turns, so that a slow hour is slow for both."""
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    machine()
    print(f"{'':<28} {'keeper':>12} {'cat':>12}   times cat's seconds")
    kinds = sys.argv[2:] or list(KINDS)
    for kind, text in ((kind, KINDS[kind]) for kind in kinds):
        with tempfile.TemporaryDirectory(prefix="edt-bench-") as name:
            folder, source = Path(name), Path(name, "source")
            size = megabytes * 1e6 * (0.25 if kind == "newlines" else 1)
            source.write_text(text * int(size / len(text.encode())))
            mine, theirs, passed_over = [], [], False
            for _ in range(ROUNDS):
                theirs.append(floor(folder, source))
                seconds, drops = ours(folder, source)
                mine.append(seconds)
                passed_over = passed_over or drops
            size = source.stat().st_size / 1e6
            a, b = statistics.median(mine), statistics.median(theirs)
            note = "   (some lines not looked at)" if passed_over else ""
            print(
                f"{kind:<28} {size / a:7.1f} MB/s {size / b:7.1f} MB/s   {a / b:6.1f} x{note}",
                flush=True,
            )


if __name__ == "__main__":
    main()
