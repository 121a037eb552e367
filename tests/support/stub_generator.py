"""A load generator that writes its files and sends nothing: cheap, and its figures are known.

`install(home, plans)` puts it where `engine install bench` puts the real one. Each start takes the
next of `plans` (the last one again and again): `ttft` and `gap` in seconds, `tokens` of an answer,
`failed` of its requests, `spread` (the share by which a figure varies), or an end: `exit`, `hang`,
`empty`. It notes each start in `starts.jsonl` beside itself: its arguments, its configuration and
its environment.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

from tests.support import ROOT
from tests.support.decoded import JsonDict

STARTS = "starts.jsonl"


def install(home: Path, *plans: JsonDict) -> Path:
    """Make the environment below `home`; returns its folder."""
    folder = home / "engines" / "bench-0.13.0"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    program = folder / "bin" / "aiperf"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.support.stub_generator import main\nmain({str(folder)!r})\n"
    )
    program.chmod(0o755)
    (folder / "plans.json").write_text(json.dumps(plans or ({},)))
    marker = {"schema": "ernie-deploy/environment/1", "name": "bench", "version": "0.13.0"}
    (folder / "ernie-deploy.json").write_text(json.dumps(marker))
    return folder


def starts(folder: Path) -> list[JsonDict]:
    """What every start noted."""
    path = folder / STARTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def raw_line(
    begin: float,
    phase: str,
    plan: JsonDict,
    draw: random.Random,
    *,
    is_failed: bool = False,
) -> JsonDict:
    """One line of `profile_export_raw.jsonl`, of a request sent at `begin` (monotonic seconds)."""
    spread = plan.get("spread", 0.05)
    factor = draw.uniform(1 - spread, 1 + spread)
    ttft, gap = plan.get("ttft", 0.2) * factor, plan.get("gap", 0.02) * factor
    tokens = plan.get("tokens", 8)
    shift = time.time_ns() - time.monotonic_ns()
    moments = [begin + ttft + gap * i for i in range(tokens)]
    responses = [
        {
            "perf_ns": int(at * 1e9),
            "packets": [
                {"name": "data", "value": json.dumps({"choices": [{"delta": {"content": "a"}}]})}
            ],
        }
        for at in moments
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": tokens}
    last = {"name": "data", "value": json.dumps({"choices": [], "usage": usage})}
    responses.append({"perf_ns": int(moments[-1] * 1e9), "packets": [last]})
    row: JsonDict = {
        "metadata": {
            "credit_issued_ns": int(begin * 1e9) + shift - 1_000_000,
            "request_start_ns": int(begin * 1e9) + shift,
            "request_end_ns": int(moments[-1] * 1e9) + shift,
            "benchmark_phase": phase,
            "was_cancelled": False,
        },
        "start_perf_ns": int(begin * 1e9),
        "status": 500 if is_failed else 200,
        "responses": [] if is_failed else responses,
    }
    if is_failed:
        row["error"] = {"code": 500, "type": "Internal Server Error", "message": "planted"}
    return row


def main(folder: str) -> None:
    """Run as the generator would."""
    here = Path(folder)
    count = len(starts(here))
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    note = {"argv": sys.argv[1:], "config": config, "env": dict(os.environ), "pid": os.getpid()}
    with (here / STARTS).open("a") as file:
        file.write(json.dumps(note) + "\n")
    plans = json.loads((here / "plans.json").read_text())
    plan = plans[min(count, len(plans) - 1)]
    if plan.get("hang"):
        time.sleep(600)
    if "exit" in plan:
        print("ERROR    the planted reason; the key is", os.environ.get("ERNIE_DEPLOY_BENCH_KEY"))
        raise SystemExit(plan["exit"])
    draw = random.Random(count)
    begin = time.monotonic()
    artifacts = Path(config["benchmark"]["artifacts"]["dir"])
    artifacts.mkdir()
    with (artifacts / "profile_export_raw.jsonl").open("w") as file:
        for phase in config["benchmark"]["phases"]:
            name = "warmup" if phase["name"] == "warmup" else "profiling"
            seats = int(phase.get("concurrency") or 1)
            for number in range(0 if plan.get("empty") else phase["requests"]):
                is_failed = name == "profiling" and number < plan.get("failed", 0)
                moment = begin + (number // seats) * plan.get("pause", 0.5)
                row = raw_line(moment, name, plan, draw, is_failed=is_failed)
                file.write(json.dumps(row) + "\n")
