"""Which load generator to drive: two candidates against a server that knows its own delays.

    python -m tests.benchmarks.generators AIPERF_PYTHON GUIDELLM_PYTHON [OUTPUT.json]

For each shape of a stream (`tests/support/known_server.py`): what the generator reports minus what
the server recorded (milliseconds), and its count of tokens against the server's. Then the highest
rate that it gets from a server without delays, and the time from its start to its first request.
The load average stands beside every figure; docs/bench.md keeps the table and the choice.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.bench.records import read_records
from tests.support import ROOT
from tests.support.decoded import JsonDict
from tests.support.known_server import MODES

TOKENIZER = ROOT / "profiles" / "tiny-ernie"
COUNT = 80
ENV = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "AIPERF_UI_TYPE": "none"}


@dataclass(frozen=True)
class Reported:
    """What a generator reports: seconds (medians; of ITL the mean), tokens of all requests."""

    ttft: float | None
    ttfa: float | None
    itl: float | None
    tokens: float | None
    requests: int


class Server:
    """A known server as a child process."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.record = folder / "record.jsonl"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.known_server", "--record", str(self.record),
             *options],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[-1])

    def lines(self) -> list[JsonDict]:
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def aiperf(python: str, server: Server, folder: Path, count: int, at_once: int) -> list[str]:
    bodies = [
        {
            "model": "known", "messages": [{"role": "user", "content": f"Say {i}"}],
            "max_tokens": 4096, "stream": True, "stream_options": {"include_usage": True},
        }
        for i in range(64)
    ]  # fmt: skip
    data = folder / "input.jsonl"
    data.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    return [
        str(Path(python).parent / "aiperf"), "profile", "-m", "known",
        "-u", f"http://127.0.0.1:{server.port}", "--endpoint-type", "chat", "--streaming",
        "--input-file", str(data), "--custom-dataset-type", "raw-payload",
        "--concurrency", str(at_once), "--request-count", str(count),
        "--tokenizer", str(TOKENIZER), "--use-server-token-count", "--export-level", "raw",
        "--artifact-dir", str(folder / "out"), "--ui", "none", "--no-gpu-telemetry",
        "--no-server-metrics", "--workers-max", "1", "--record-processor-service-count", "1",
    ]  # fmt: skip


def aiperf_own(folder: Path) -> Reported:
    rows = [json.loads(line) for line in (folder / "out/profile_export.jsonl").open()]

    def mean(name: str) -> float | None:
        values = [row["metrics"][name]["value"] for row in rows if name in row["metrics"]]
        if values and isinstance(values[0], list):
            return statistics.fmean(gap for one in values for gap in one) / 1000
        return statistics.median(values) / 1000 if values else None

    tokens = [row["metrics"].get("output_sequence_length", {}).get("value", 0) for row in rows]
    return Reported(
        mean("time_to_first_token"), mean("time_to_first_output_token"),
        mean("inter_chunk_latency"), sum(tokens), len(rows),
    )  # fmt: skip


def aiperf_ours(folder: Path) -> Reported:
    """The same run by our formulas, from the generator's record of every chunk."""
    records = read_records(folder / "out")

    def median(values: Iterable[float | None]) -> float | None:
        kept = [value for value in values if value is not None]
        return statistics.median(kept) if kept else None

    return Reported(
        median(one.ttft for one in records), median(one.ttfa for one in records),
        statistics.fmean(gap for one in records for gap in one.gaps),
        sum(one.output_tokens or 0 for one in records), len(records),
    )  # fmt: skip


def guidellm(python: str, server: Server, folder: Path, count: int, at_once: int) -> list[str]:
    data = folder / "input.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"Say {i}"}) + "\n" for i in range(count)))
    return [
        str(Path(python).parent / "guidellm"), "run",
        "--backend", f"kind=openai_http,target=http://127.0.0.1:{server.port},model=known,"
        "http2=false,validate_backend=false,max_tokens=4096",
        "--profile", f"kind=concurrent,streams={at_once}",
        "--constraint", f"kind=max_requests,count={count}",
        "--tokenizer", f"kind=huggingface_auto,model={TOKENIZER}",
        "--data", f"kind=json_file,path={data}",
        "--output", f"kind=json,path={folder / 'out.json'}",
        "--disable-console",
    ]  # fmt: skip


def guidellm_own(folder: Path) -> Reported:
    report = json.loads((folder / "out.json").read_text())
    rows = report["benchmarks"][0]["requests"]["successful"]

    def values(name: str) -> list[float]:
        return [row[name] / 1000 for row in rows if row.get(name) is not None]

    return Reported(
        statistics.median(values("time_to_first_token_ms")),
        statistics.median(values("time_to_first_output_token_ms")),
        statistics.fmean(values("inter_token_latency_ms")),
        sum(row["output_tokens"] or 0 for row in rows), len(rows),
    )  # fmt: skip


def truth(lines: list[JsonDict]) -> Reported:
    """What the server recorded: as `Reported`, and ITL as the mean gap between chunks."""
    ttft, ttfa, gaps = [], [], []
    for line in lines:
        chunks = line["chunks"]
        ttft.append(chunks[0][0] - line["read"])
        content = [at for at, kind, _ in chunks if kind == "content"]
        ttfa.append(content[0] - line["read"])
        gaps += [b[0] - a[0] for a, b in itertools.pairwise(chunks)]
    return Reported(
        statistics.median(ttft), statistics.median(ttfa), statistics.fmean(gaps),
        sum(line["tokens"] for line in lines), len(lines),
    )  # fmt: skip


Command = Callable[[str, Server, Path, int, int], list[str]]


def measure(
    python: str, command: Command, count: int, at_once: int, *options: str
) -> tuple[Path, list[JsonDict], float, float, float]:
    """Run a generator: its folder, the server's lines, start-up, wall and processor seconds."""
    folder = Path(tempfile.mkdtemp(prefix="generators-"))
    server = Server(folder, *options)
    try:
        begin = time.monotonic()
        before = os.times()
        done = subprocess.run(
            command(python, server, folder, count, at_once),
            env={**os.environ, **ENV}, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False,
        )  # fmt: skip
        after = os.times()
        wall = time.monotonic() - begin
        if done.returncode:
            raise SystemExit(f"{command.__name__}: rc {done.returncode}\n{done.stdout[-4000:]}")
        lines = server.lines()
        cpu = sum(after[2:4]) - sum(before[2:4])
        return folder, lines, lines[0]["read"] - begin, wall, cpu
    finally:
        server.close()


def main() -> None:
    """Measure both, print the rows, and write them to OUTPUT."""
    pythons = dict(zip(("aiperf", "guidellm"), sys.argv[1:3], strict=False))
    commands: dict[str, Command] = {"aiperf": aiperf, "guidellm": guidellm}
    readers: dict[str, dict[str, Callable[[Path], Reported]]] = {
        "aiperf": {"aiperf": aiperf_own, "aiperf, our formulas": aiperf_ours},
        "guidellm": {"guidellm": guidellm_own},
    }
    rows: list[JsonDict] = []
    for mode in MODES:
        for name, python in pythons.items():
            folder, lines, startup, wall, cpu = measure(
                python, commands[name], COUNT, 4, "--mode", mode, "--tokens", "48"
            )
            actual = truth(lines)
            for label, read in readers[name].items():
                got = read(folder)
                row: JsonDict = {"mode": mode, "generator": label, "startup_s": startup}
                row |= {"wall_s": wall, "cpu_s": cpu, "load": os.getloadavg()[0]}
                for field in ("ttft", "ttfa", "itl"):
                    own, true = getattr(got, field), getattr(actual, field)
                    row[f"{field}_bias_ms"] = None if own is None else (own - true) * 1000
                row |= {"tokens": got.tokens, "true_tokens": actual.tokens}
                row |= {"requests": got.requests, "true_requests": actual.requests}
                rows.append(row)
                print(json.dumps(row), flush=True)
    for name, python in pythons.items():
        for at_once in (8, 32):
            _, lines, startup, wall, cpu = measure(
                python, commands[name], 800, at_once, "--first", "0", "--gap", "0",
                "--tokens", "16",
            )  # fmt: skip
            span = lines[-1]["read"] - lines[0]["read"]
            row = {
                "mode": f"highest rate, {at_once} at a time", "generator": name,
                "requests_per_s": len(lines) / span, "startup_s": startup, "wall_s": wall,
                "cpu_s": cpu, "load": os.getloadavg()[0],
            }  # fmt: skip
            rows.append(row)
            print(json.dumps(row), flush=True)
    if len(sys.argv) > 3:
        Path(sys.argv[3]).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
