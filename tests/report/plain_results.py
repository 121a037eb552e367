"""Results whose plain text (pipes, CI) may not change: scripts read it."""

from typing import Any

from launcher.errors import ExitCode, Problem
from launcher.result import Result
from tests.support.payloads import result

_READY = {
    "name": "chat", "state": "ready", "healthy": True, "engine": "fastdeploy", "release": "2.3.2",
    "base_url": "http://127.0.0.1:8180", "model": "baidu/ERNIE-4.5-0.3B-Paddle", "pid": 41,
    "keeper_pid": 40, "processes": 3, "ports": {"api": 8180, "metrics": 8181},
    "health": "GET /health is 200",
}  # fmt: skip
_FAILED = {
    "name": "an-instance-whose-name-is-long-4.5", "state": "failed", "engine": "vllm",
    "release": None, "error": {"code": "port-taken", "message": "port 1 is taken", "remedy": "x"},
}  # fmt: skip
_ABSENT = {"name": "gone", "state": "absent", "note": "there is no such instance"}
_CHECK = {
    "name": "chat", "client": "openai", "seconds": 0.25, "verdict": "pass", "message": "42",
    "purpose": "a question gets an answer", "findings": [], "deviations": [],
    "rate": {"passes": 1, "runs": 1}, "kind": "protocol", "tags": ["quick"], "requires": ["chat"],
}  # fmt: skip
_FAIL = {
    **_CHECK, "name": "usage", "verdict": "fail", "message": "wrong",
    "findings": [{"code": "sum", "expected": "3", "actual": "4"}],
}  # fmt: skip
_COUNTS = {"pass": 1, "fail": 1, "inconclusive": 0, "could not check": 0, "known deviation": 0}

RESULTS: dict[str, Result[Any]] = {
    "status": result("status", {"instances": [_READY, _FAILED, _ABSENT]}, None, ExitCode.NEGATIVE),
    "status-one": result("status", {"instances": [_READY]}, "chat"),
    "status-failed": result("status", {"instances": [_FAILED]}, "x", ExitCode.NEGATIVE),
    "status-none": result("status", {"instances": []}),
    "profiles-list": result("profiles list", {"profiles": [
        {"file": "profiles/a.yaml", "engine": "fastdeploy", "model": "baidu/A" * 9, "name": "a",
         "description": "a model " * 12, "shipped": True, "path": "/p/a.yaml"},
        {"file": "profiles/ernie-tiny-cpu.yaml", "engine": "vllm", "model": "/p/tiny-ernie",
         "name": "b", "description": None, "shipped": True, "path": "/p/b.yaml"},
        {"file": "hosted/c.yaml", "engine": "hosted", "model": "c", "name": "c",
         "description": "\u4f60\u597d", "shipped": True, "path": "/p/c.yaml"},
        {"file": "profiles/site.yaml", "problem": "name: is required", "shipped": False,
         "path": "/p/site.yaml"},
    ]}),
    "engine-list": result("engine list", {
        "installed": [{"name": "fastdeploy", "version": "2.3.2", "python_version": "3.10",
                       "size_bytes": 3 << 30, "folder": "/e/fastdeploy-2.3.2"}],
        "unfinished": ["/e/vllm-0.1.partial"], "folder": "/e",
        "available": [{"name": "vllm", "default": "0.32.0", "supported": ">=0.10.2"}],
    }),
    "explain": result("explain", {
        "runbooks": [{"id": "does-not-start", "title": "It does not start"}],
        "rules": [{"id": "ED-A", "cause": "the cause of it " * 10}],
    }),
    "smoke-list": result("smoke", {
        "checks": [
            {"name": "chat", "purpose": "an answer", "tags": ["quick"], "requires": ["chat"]},
        ],
        "tags": {"quick": "the ones that run by default"},
    }),
    "smoke": result("smoke", {
        "target": {"name": "chat", "model": "m", "url": "http://h", "engine": "vllm",
                   "release": "0.32", "notes": []},
        "checks": [_CHECK, _FAIL], "counts": _COUNTS, "verdict": "fail", "seconds": 1.5,
        "unreachable": None, "differences": [],
    }, "chat", ExitCode.NEGATIVE, (Problem("checks-failed", "fail: usage"),)),
    "doctor": result("doctor", {
        "findings": [
            {"check": "gpu", "status": "PASS", "evidence": "8 GPUs", "reason": "", "remedy": None},
            {"check": "disk", "status": "FAIL", "evidence": "full", "reason": "w", "remedy": "rm"},
        ],
        "counts": {"PASS": 1, "WARN": 0, "FAIL": 1, "UNKNOWN": 0},
    }, None, ExitCode.NEGATIVE),
    "up": result("up", {
        "state": "ready", "already": False, "base_url": "http://127.0.0.1:8180", "pid": 4,
        "ports": {"api": 8180}, "seconds": 12.5, "evidence": {},
    }, "chat"),
    "errors": Result("validate", None, None, ExitCode.USAGE, (
        Problem("unknown-key", "modle: unknown key", "p.yaml:3:1",
                "did you mean `model`?"),
        Problem("locked", "another command works on chat"),
    )),
}  # fmt: skip
