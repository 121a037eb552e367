"""How fast a diagnosis reads logs, beside Python's own look for one word in every line.

The logs are healthy and mixed, with one late failure. python -m tests.benchmarks.bench_diagnose
[MEGABYTES]
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from launcher.diagnose import of_folder
from tests.benchmarks.measure import machine, ratio, show

AIM = "10 MB/s"
"""Of processor time: the wall clock of a busy machine measures its load."""
ROUNDS = 5


def lines(count: int) -> Iterator[str]:
    """About `count` bytes of what a busy server writes, chatty loggers and raw lines mixed."""
    source = random.Random(4)
    written = 0
    while written < count:
        second = ":".join(f"{source.randrange(60):02d}" for _ in range(3))
        number = source.randrange(10**6)
        line = source.choice(
            (
                f"INFO     2026-01-09 {second},123 42 engine.py[line:90] request {number} finished",
                f"DEBUG    2026-01-09 {second},123 42 scheduler.py[line:9] {number} are free",
                f"2026-01-09T{second}.{number:09d}Z stderr F 127.0.0.1:{number} POST /v1/chat 200",
                f"\x1b[33mWARNING  2026-01-09 {second},123 42 x.py[line:3] slow {number}\x1b[0m",
                f"Loading Weights: {number % 100}%\r",
            )
        )
        written += len(line) + 1
        yield line + "\n"


def look_for_a_word(log: Path) -> int:
    """The floor: each line is decoded and searched once."""
    with log.open(encoding="utf-8", errors="replace") as stream:
        return sum("tool_parsers" in line for line in stream)


def main() -> None:
    """In turns, so that a slow hour is slow for both."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    machine()
    floor, ours = [], []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "engine.log")
        with log.open("w") as stream:
            stream.writelines(lines(megabytes * 10**6))
            stream.write("KeyError: \"tool helper: 'x' not found in tool_parsers\"\n")
        size = log.stat().st_size
        for _ in range(ROUNDS):
            begun = time.process_time()
            matches = look_for_a_word(log)
            floor.append(time.process_time() - begun)
            begun = time.process_time()
            answer = of_folder(Path(folder), "fastdeploy")
            ours.append(time.process_time() - begun)
            if matches != 1 or answer.rule_id != "ED-FD-TOOL-PARSER-UNKNOWN":
                raise RuntimeError(f"the failure was not found: {answer.rule_id}")
    show(f"one word in {megabytes} MB, processor time", floor)
    show(f"a diagnosis of {megabytes} MB, processor time", ours)
    print(f"  megabytes per second: {size / 1e6 / sorted(ours)[ROUNDS // 2]:.1f}   aim {AIM}")
    ratio("times a look for one word", ours, floor)


if __name__ == "__main__":
    main()
