"""How fast a diagnosis reads logs: at least 10 MB/s, on mixed healthy logs with one late failure.

python tests/benchmarks/bench_diagnose.py [MEGABYTES]
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from launcher.diagnose import of_folder

BAR = 10.0
"""Megabytes per second of processor time: the wall clock of a busy machine measures its load."""


def lines(wanted: int) -> Iterator[str]:
    """About `wanted` bytes of what a busy server writes, chatty loggers and raw lines mixed."""
    source = random.Random(4)
    written = 0
    while written < wanted:
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


def main() -> int:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "engine.log")
        with log.open("w") as stream:
            stream.writelines(lines(megabytes * 10**6))
            stream.write("KeyError: \"tool helper: 'x' not found in tool_parsers\"\n")
        size = log.stat().st_size
        rates = []
        for _ in range(3):
            begun = time.process_time()
            answer = of_folder(Path(folder), "fastdeploy")
            rates.append(size / 1e6 / (time.process_time() - begun))
            assert answer.rule_id == "ED-FD-TOOL-PARSER-UNKNOWN"
    rate = sorted(rates)[1]
    print(json.dumps({"benchmark": "diagnose", "MB/s": round(rate, 1), "bar": BAR}))
    return 0 if rate >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
