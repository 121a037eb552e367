"""Results for the report tests, built by hand: small, and with every verdict where wanted."""

from __future__ import annotations

from typing import Any

from launcher.codec import encode
from launcher.errors import ExitCode
from launcher.result import Result
from launcher.smoke.comparison.compare import compared_checks
from launcher.smoke.comparison.payloads import TargetColumn
from tests.support.decoded import JsonDict
from tests.support.payloads import made, result

DEVIATION = {
    "id": "fd-tool-choice",
    "releases": "<2.4",
    "title": "tool_choice is ignored",
    "source": "release notes of 2.4",
}


def exchange(**changes: object) -> JsonDict:
    """One recorded request and its answer."""
    return {
        "number": 1,
        "client": "requests",
        "method": "POST",
        "url": "http://127.0.0.1:1/v1/chat/completions",
        "headers": {"Content-Type": "application/json"},
        "request": {"model": "tiny-ernie"},
        "status": 200,
        "response_headers": {"content-type": "application/json"},
        "response": '{"id": "chat-1"}',
        "events": [],
        "events_total": 0,
        "seconds": 0.1,
        "error": None,
        **changes,
    }


def finding(got: str, code: str = "status", expected: str = "status 200") -> dict[str, str]:
    return {"code": code, "expected": expected, "actual": got}


def check(name: str, verdict: str = "pass", **changes: object) -> JsonDict:
    """One check of a result; `known=True` makes its failure a known deviation."""
    is_known = changes.pop("known", False)
    findings = changes.pop("findings", [finding("HTTP 500")] if verdict == "fail" else [])
    return {
        "name": name,
        "client": "requests",
        "purpose": f"what {name} is for",
        "kind": "protocol",
        "tags": ["full", "quick"],
        "requires": [],
        "verdict": verdict,
        "message": f"{name} was looked at",
        "seconds": 0.25,
        "rate": {"passes": int(verdict == "pass"), "runs": 1},
        "findings": findings,
        "deviations": [DEVIATION] if is_known else [],
        "measures": {},
        "evidence": [exchange()],
        **changes,
    }


EVERY_VERDICT = (
    check("passes"),
    check("skips", "could not check"),
    check("deviates", "fail", known=True),
    check("doubts", "inconclusive"),
    check("fails", "fail"),
)
"""A check of each verdict, in an order that is not that of reports."""


def counts(checks: tuple[dict[str, object], ...]) -> dict[str, int]:
    verdicts = [one["verdict"] for one in checks]
    return {
        **{v: verdicts.count(v) for v in ("pass", "fail", "inconclusive", "could not check")},
        "known deviation": sum(bool(one["deviations"]) for one in checks),
    }


def target(name: str = "ernie") -> JsonDict:
    return {
        "name": name,
        "model": "tiny-ernie",
        "url": "http://127.0.0.1:1/v1",
        "engine": "fastdeploy",
        "release": "2.3",
        "notes": [],
    }


def smoke_result(*checks: dict[str, object], **changes: object) -> Result[Any]:
    """A smoke run of these checks."""
    data = {
        "target": target(),
        "checks": list(checks),
        "counts": counts(checks),
        "verdict": "fail",
        "seconds": 1.5,
        "clients": ["requests"],
        "started": "2026-01-02T03:04:05+00:00",
        "version": "1",
        "unreachable": None,
        "differences": [],
        **changes,
    }
    return result("smoke", data, None, ExitCode.NEGATIVE)


def column(name: str, *checks: JsonDict, **changes: object) -> JsonDict:
    """One target of a comparison."""
    return {
        "name": name,
        "target": target(name),
        "verdict": "pass",
        "problem": None,
        "stopped": None,
        "counts": counts(checks),
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 1.5,
        "verdicts": {c["name"]: c["verdict"] for c in checks},
        "messages": {c["name"]: c["message"] for c in checks},
        "deviations": {c["name"]: [d["id"] for d in c["deviations"]] for c in checks},
        "checks": [c for c in checks if c["verdict"] != "pass"],
        "first_token_seconds": 0.5,
        "tokens_per_second": 100.0,
        "chat_seconds": 1.0,
        "completion_tokens": 10.0,
        "tools": {
            "answered": 2,
            "trigger_rate": 0.5,
            "trigger_accuracy": 1.0,
            "schema_accuracy": None,
            "agreement": 1.0,
        },
        **changes,
    }


def compare_result(*columns: JsonDict, **changes: object) -> Result[Any]:
    """A comparison of these targets, its table made as `compare` makes it."""
    data = {
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 3.0,
        "version": "1",
        "targets": list(columns),
        "checks": encode(compared_checks([made(TargetColumn, one) for one in columns])),
        "baseline": None,
        "saved": None,
        "regressions": [],
        **changes,
    }
    return result("compare", data, None, ExitCode.DONE)
