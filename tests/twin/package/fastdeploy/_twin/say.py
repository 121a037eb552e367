"""The fault ``say@id=<failure id>``: any of the recorded failure signatures, on demand.

The sample of failures.json is printed where it was seen (stderr of the api_server, workerlog,
launch_worker.log, an HTTP body) and in its phase; then the process ends as recorded.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any, NamedTuple

from fastdeploy._twin import logs, release
from fastdeploy._twin.faults import fault, strike

#: Printed, and then the start goes on.
HARMLESS = {"sub-services-noise", "ccache-noise", "prometheus-dir-noise", "paddle-commit-mismatch"}
STAGES = (
    ("argument", "import"),
    ("import", "import"),
    ("config", "config"),
    ("model lookup", "config"),
    ("any", "config"),
    ("multi_api", "config"),
    ("processor", "engine"),
    ("engine start", "engine"),
    ("cache alloc", "engine"),
    ("2.0: before", "serve"),
    ("serving", "serve"),
    ("stop", "import"),
)


class Plan(NamedTuple):
    """Where, when and how one signature shows; ``code`` None: the process goes on."""

    location: str
    stage: str
    sample: str
    code: int | None


def plan(identity: str) -> Plan:
    """Raises KeyError for an unknown id."""
    entry = {row["id"]: row for row in release.table("failures")}[identity]
    where, phase, sample = entry["where"], entry["phase"], entry["sample"]
    stage = next((name for start, name in STAGES if phase.startswith(start)), "load")
    code: int | None = entry["exit"]
    if where.startswith("log/launch_worker"):
        return Plan("launcher", "load", sample, 0)
    if where.startswith("log/workerlog"):
        stage = "serve" if stage == "serve" else "load"
        return Plan("worker", stage, sample, code if stage == "serve" else 0)
    if where.startswith("HTTP"):
        return Plan("http", "serve", sample, None)
    if identity in HARMLESS:
        return Plan("front", "import", sample, None)
    if code is None and stage != "serve":
        code = 1
    return Plan("front", stage, sample, code)


def _plan_for(location: str, stage: str) -> Plan | None:
    say_fault = fault("say")
    if say_fault is None:
        return None
    say_plan = plan(say_fault["id"])
    return say_plan if (say_plan.location, say_plan.stage) == (location, stage) else None


def _text(sample: str) -> str:
    if re.match(r"[\w.]*(Error|Exception)\b", sample):
        return (
            "Traceback (most recent call last):\n"
            f'  File "{os.path.abspath(sys.argv[0])}", line 1, in <module>\n{sample}\n'
        )
    return sample + "\n"


def front(stage: str) -> int | None:
    """Print at this stage of the api_server; the exit code to leave with, if any."""
    say_plan = _plan_for("front", stage)
    if say_plan is None:
        return None
    strike()
    logs.stderr(_text(say_plan.sample))
    return say_plan.code


def launcher() -> None:
    say_plan = _plan_for("launcher", "load")
    if say_plan:
        strike()
        sys.stderr.write(_text(say_plan.sample))
        sys.stderr.flush()
        os._exit(1)


def worker(stage: str) -> None:
    say_plan = _plan_for("worker", stage)
    if say_plan:
        strike()
        sys.stderr.write(_text(say_plan.sample))
        sys.stderr.flush()
        if say_plan.code is not None:
            os._exit(1)


def http() -> tuple[int, dict[str, Any]] | None:
    """Status and body that every completion gets."""
    say_plan = _plan_for("http", "serve")
    if say_plan is None:
        return None
    try:
        body: dict[str, Any] = json.loads(say_plan.sample)
    except ValueError:
        error = {"message": say_plan.sample, "type": "invalid_request_error", "param": None}
        return 500, {"error": {**error, "code": None}}
    return (429 if "detail" in body else 401), body
