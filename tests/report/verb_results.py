"""Results of each verb with every part that its text can show; `stored/` has the texts."""

from __future__ import annotations

from typing import Any

from launcher.bench.result import (
    BenchComparison,
    ComparedFigure,
    Estimate,
    Gate,
    Generator,
    Trial,
    Tuning,
)
from launcher.result import Result
from tests.report.card_results import CARDS
from tests.report.key_results import KEYS
from tests.report.results import (
    EVERY_VERDICT,
    check,
    column,
    compare_result,
    exchange,
    finding,
    smoke_result,
)
from tests.report.service_results import SERVICES
from tests.support.bench_runs import bench_run, level
from tests.support.decoded import JsonDict
from tests.support.payloads import result

GIB = 1024**3
NOW = 1_800_000_000.0
TOP_ROWS = [
    {"name": "ernie-21b-thinking", "state": "ready", "verdict": "stalled", "since": NOW - 7_500,
     "verdict_since": NOW - 40, "reasons": ["3 requests are in work, no progress for 40 s"],
     "restarts": 2, "engine": "fastdeploy", "release": "2.3.2", "model": "baidu/ERNIE",
     "base_url": "http://127.0.0.1:8180/v1", "gpu_memory": 71 << 30,
     "load": {"running": 3, "waiting": 12, "waiting_estimated": True, "tokens": 123_456,
              "tokens_per_second": 0.0, "ttft_seconds": 1.254, "ttft_requests": 40,
              "kv_cache_usage": 0.97}},
    {"name": "old", "state": "died", "since": NOW - 90_000, "error": "out of GPU memory: 3 GiB",
     "remedy": "lower max-model-len", "restarts": 5},
    {"name": "vl", "state": "loading", "phase": "load weights", "percent": 41.6,
     "since": NOW - 100, "expected_seconds": 160.0},
    {"name": "ernie-0.3b", "state": "ready", "verdict": "busy", "since": NOW - 200_000,
     "engine": "vllm", "release": "0.32.0", "model": "baidu/ERNIE-0.3B",
     "load": {"running": 8, "waiting": 0, "tokens": 99, "tokens_per_second": 1234.5,
              "ttft_seconds": 0.085, "ttft_requests": 7, "kv_cache_usage": 0.454}},
    {"name": "again", "state": "starting", "since": NOW - 9, "restarts": 2,
     "restart": {"number": 2, "limit": 5, "window": 600, "delay": 4, "at": NOW + 4,
                 "code": "died", "cause": "the engine was ready and was killed by SIGKILL"}},
    {"name": "hung", "state": "ready", "since": NOW - 5, "note": "GET /metrics timed out"},
    {"name": "spare", "state": "stopped", "since": NOW - 300},
]  # fmt: skip
"""One of each kind."""
"""Unix seconds at which the texts are made."""
RECEIPT = {
    "processes": 0, "ports": 1, "shm": 2, "queues": 3, "temporary": 4, "seconds": 0.5,
    "left": ["port 8180"], "foreign": ["/dev/shm/x"],
}  # fmt: skip
EVIDENCE = {"file": "workerlog.0", "line": 7, "text": "CUDA out of memory", "time": 1.0}
NO_LINE = {"file": "exit code", "line": 0, "text": "ended with exit code 9", "time": None}


def diagnosis(**changes: object) -> Result[Any]:
    data = {
        "rule": "ED-FD-CUDA-OOM", "kind": "failure", "cause": "the GPU has no memory left",
        "remedy": "lower gpu-memory-utilization", "retry": False, "evidence": EVIDENCE,
        "alternatives": [], "first_errors": [], "files": 2, "bytes": 1_540_000, "notes": [],
        "source": "/logs",
    }  # fmt: skip
    return result("diagnose", {**data, **changes}, "ernie")


def page(kind: str, **fields: object) -> Result[Any]:
    return result("explain", {"page": {"id": "the-id", "kind": kind, **fields}})


def rule(**changes: object) -> Result[Any]:
    fields = {
        "cause": "the port is in use " * 8, "remedy": "choose another port", "retry": True,
        "phase": "import", "where": "the console", "exit_code": 1, "sample": "Address in use",
        "before": "`doctor` finds it", "evidence": "measured", "origin": ["2.3", "2.4"],
        "engine": "fastdeploy", "releases": ["2.3", "2.4"],
    }  # fmt: skip
    return page("failure", **{**fields, **changes})


def status_of(**changes: object) -> Result[Any]:
    row = {"name": "ernie", "state": "ready", "engine": "fastdeploy", "release": "2.3"}
    return result("status", {"instances": [{**row, **changes}]}, "ernie")


DIAGNOSES = {
    "diagnose": diagnosis(),
    "diagnose-retry": diagnosis(
        retry=True, kind="symptom", evidence=NO_LINE, files=1, notes=["x.log was not read"],
        alternatives=[
            {"rule": "ED-B", "cause": "also this", "evidence": EVIDENCE},
            {"rule": "ED-C", "cause": "and this", "evidence": None},
        ],
    ),
    "diagnose-warning": diagnosis(kind="warning"),
    "diagnose-unknown": diagnosis(
        rule=None, kind="", cause="no rule fits", evidence=None, remedy="",
        first_errors=[EVIDENCE, {**EVIDENCE, "line": 9}],
    ),
    "diagnose-state": diagnosis(
        rule=None, kind="", evidence=None, remedy="look at the log", newest_lines=[EVIDENCE],
        state={"message": "ernie has died", "where": "/logs/x", "remedy": "look at the log"},
    ),
    "diagnose-state-and-rule": diagnosis(
        state={"message": "ernie has died", "where": None, "remedy": None}
    ),
    "explain-runbook": page("runbook", path="does-not-start.md", text="# It does not start"),
    "explain-exit-code": page("exit-code", title="busy", meaning="m " * 60, remedy="wait"),
    "explain-error": page(
        "error", meaning="it is locked", remedy="wait",
        exit_codes=[{"code": 3, "condition": ""}, {"code": 5, "condition": "the time is over"}],
    ),
    "explain-check": page("check", fast=True, title="is there a GPU?", meaning="it needs one"),
    "explain-slow-check": page(
        "check", fast=False, title="is there a GPU?", meaning="it needs one"
    ),
    "explain-rule": rule(),
    "explain-common-rule": rule(
        engine="common", releases=[], retry=False, exit_code=None, sample="", before=""
    ),
    "explain-rule-of-any-release": rule(releases=[]),
    "explain-index": result(
        "explain",
        {
            "exit_codes": [{"id": "3", "title": "a precondition"}],
            "rules": [{"id": "ED-A", "cause": "long " * 30}],
        },
    ),
}  # fmt: skip
DOCTOR = {
    "doctor": result("doctor", {
        "findings": [
            {"check": "gpu", "status": "PASS", "evidence": "one", "reason": "x", "remedy": "y"},
            {
                "check": "shm", "status": "FAIL", "evidence": "64 MB", "reason": "small",
                "remedy": "y",
            },
            {"check": "time", "status": "WARN", "evidence": "1 s", "reason": "short", "remedy": ""},
        ],
        "counts": {"PASS": 1, "WARN": 1, "FAIL": 1, "UNKNOWN": 0},
    }),
    "doctor-well": result("doctor", {
        "findings": [
            {"check": "gpu", "status": "PASS", "evidence": "one", "reason": "", "remedy": ""},
        ],
        "counts": {"PASS": 1, "WARN": 0, "FAIL": 0, "UNKNOWN": 0},
    }),
}  # fmt: skip
ENGINES = {
    "engine-list": result("engine list", {
        "installed": [
            {"name": "vllm", "version": "0.32.0", "python_version": "3.11.7",
             "size_bytes": 3 * GIB, "folder": "/engines/vllm-0.32.0"},
            {"name": "transformers", "version": "5.0", "folder": "/engines/t"},
        ],
        "unfinished": ["/engines/half"], "folder": "/engines",
        "available": [
            {"name": "vllm", "default": "0.32.0", "supported": ">=0.32"},
            {"name": "fastdeploy", "default": "2.3.2", "supported": ">=2.0,<2.5"},
        ],
    }),
    "engine-list-empty": result("engine list", {
        "installed": [], "unfinished": [], "available": [], "folder": "/engines"
    }),
    "engine-install": result("engine install", {
        "name": "vllm", "version": "0.32.0", "seconds": 61.6, "size_bytes": GIB, "new": True,
        "folder": "/engines/v", "python_version": "3.11.7", "verified": False,
        "distributions": {"vllm": "0.32.0", "torch": "2.9"},
    }),
    "engine-install-verified": result("engine install", {
        "name": "vllm", "version": "0.32.0", "seconds": 1.2, "size_bytes": 0, "new": True,
        "folder": "/engines/v", "python_version": "3.11.7", "verified": True,
        "distributions": {"vllm": "0.32.0"},
    }),
    "engine-install-again": result("engine install", {
        "name": "vllm", "version": "0.32.0", "new": False, "python": "/engines/v/bin/python"
    }),
    "engine-install-dry-run": result("engine install", {
        "dry_run": True, "name": "vllm", "version": "0.32.0", "folder": "/engines/v",
        "base_python": "/usr/bin/python3", "python_version": "3.11.7", "disk_bytes": 2 * GIB,
        "notes": ["no GPU"], "commands": ["python -m venv /engines/v", "pip install vllm"],
    }),
    "engine-path": result("engine path", {"python": "/engines/v/bin/python"}),
}  # fmt: skip
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PULLED = {
    "model": "baidu/ERNIE-4.5-0.3B-PT", "hub": "huggingface", "commit": COMMIT, "files": 9,
    "folder": "/models/huggingface/x", "size_bytes": 700 << 20, "revision": None,
}  # fmt: skip
CARRIED = {
    "bundle": "/home/a/ernie.tar", "profile": "ernie", "model": "baidu/ERNIE", "commit": COMMIT,
    "engine": {"name": "fastdeploy", "version": "2.5.0", "python_version": "3.10.9",
               "machine": "x86_64", "arch": "cu126"},
}  # fmt: skip
WEIGHTS = {
    "model-pull": result("model pull", {
        **PULLED, "new": True, "downloaded_bytes": 650 << 20, "seconds": 95.0,
        "used_by_hub_id": True,
    }),
    "model-pull-again": result("model pull", {**PULLED, "new": False, "used_by_hub_id": False}),
    "model-verify": result("model verify", {**PULLED, "seconds": 3.0, "extra": ["notes.txt"]}),
    "model-verify-damaged": result("model verify", {
        **PULLED, "damaged": ["model.safetensors: 5 bytes, 7 expected"], "extra": [],
    }),
    "model-list": result("model list", {"folders": ["/models"], "models": [
        {**PULLED, "state": "whole", "revisions": ["main", "v1"]},
        {**PULLED, "state": "unfinished", "hub": "aistudio", "commit": None, "size_bytes": 17},
    ]}),
    "model-list-none": result("model list", {"folders": ["/models", "/cache"], "models": []}),
    "bundle-create": result("bundle create", {
        **CARRIED, "files": 70, "size_bytes": 3 << 30, "seconds": 120.0,
    }),
    "bundle-install": result("bundle install", {
        **CARRIED, "created_at": "2026-11-28T12:00:00Z", "profile": "/state/profiles/ernie.yaml",
        "engine_folder": "/engines/fastdeploy-2.5.0", "new_engine": True,
        "model_folder": "/models/x", "new_model": False, "seconds": 60.0,
    }),
}  # fmt: skip
READY = {
    "state": "ready", "base_url": "http://127.0.0.1:8180/v1", "ports": {"api": 8180, "queue": 9},
    "pid": 42, "seconds": 7.7,
}  # fmt: skip
ABSENT = {"state": "absent", "previous_state": "absent"}
STOPPED = {"state": "stopped", "previous_state": "ready", "receipt": RECEIPT}
RUNGS = ("completion", "health", "listening", "models", "settings", "other")
ERROR = {"code": "engine-failed", "message": "it ended", "remedy": "look at the log"}
INSTANCES = {
    "up": result("up", READY, "ernie"),
    "up-already": result("restart", {
        **READY, "already": True, "evidence": {n: {"message": f"{n} seen"} for n in RUNGS},
        "forced": ["gpu", "shm"], "note": "the profile has changed", "stopped": ABSENT,
    }, "ernie"),
    "up-restarted": result("restart", {
        **READY, "evidence": {"health": {"message": "not shown"}}, "stopped": STOPPED,
    }, "ernie"),
    "up-restarted-nothing-ran": result("restart", {**READY, "stopped": ABSENT}, "ernie"),
    "up-failed": result("up", {"state": "failed", "receipt": RECEIPT}, "ernie"),
    "up-interrupted": result("up", {"state": "stopped"}, "ernie"),
    "down": result("down", {
        "previous_state": "ready", "state": "stopped", "receipt": RECEIPT
    }, "ernie"),
    "down-no-receipt": result("down", {"previous_state": "ready", "state": "stopped"}, "ernie"),
    "down-partial": result("down", {
        "previous_state": "lost", "state": "stopped", "receipt": {"processes": 2, "seconds": 1}
    }, "ernie"),
    "down-stopped": result("down", {"previous_state": "stopped", "state": "stopped"}, "ernie"),
    "down-absent": result("down", {
        "previous_state": "absent", "state": "absent", "note": "unknown"
    }, "ernie"),
    "down-died": result("down", {"previous_state": "died", "state": "stopped"}, "ernie"),
    "down-failed-again": result("down", {
        "previous_state": "failed", "state": "failed", "receipt": RECEIPT
    }, "ernie"),
    "probe": result("probe", {"probe": "live", "passed": True, "reason": "ready"}, "ernie"),
    "status-none": result("status", {"instances": []}),
    "status-all": result("status", {"instances": [
        {"name": "a", "state": "ready", "engine": "vllm", "release": None,
         "ready_at": NOW - 90_000, "base_url": "http://a/v1"},
        {"name": "b", "state": "loading", "engine": "fastdeploy", "release": "2.3",
         "started_at": NOW - 62},
        {"name": "c", "state": "ready", "healthy": False, "ready_at": NOW - 3_600},
        {"name": "d", "state": "lost", "started_at": NOW - 5},
        {"name": "e", "state": "absent", "note": "there is no such instance"},
        {"name": "f", "state": "starting", "started_at": NOW - 86_399},
        {"name": "g", "state": "stopped", "started_at": NOW - 5, "ready_at": NOW - 4},
    ]}),
    "status": status_of(
        healthy=True, base_url="http://127.0.0.1:8180/v1", model="baidu/ERNIE", pid=1,
        keeper_pid=2, processes=3, ports={"api": 8180}, health="GET /health answered 200",
        note="changed", forced=["gpu"], ready_at=NOW - 3_661, percent=5, phase="not shown",
    ),
    "status-loading": status_of(
        state="loading", phase="load weights", percent=41.6, started_at=NOW - 59, error=ERROR
    ),
    "status-starting": status_of(state="starting", phase="import", percent=None),
    "status-unhealthy": status_of(
        healthy=False, message="ernie is unhealthy: timed out", health="timed out", note="n",
    ),
    "status-unknown": status_of(state="unknown", message="its state cannot be read"),
    "status-died": status_of(state="died", error=ERROR),
    "status-failed": status_of(state="failed", error={**ERROR, "remedy": ""}),
    "status-was": status_of(state="stopped", previous_state="failed", error=ERROR),
    "status-stopped": status_of(state="stopped", error=ERROR),
    "status-lost": status_of(state="lost"),
    "enable": result("enable", {
        "enabled": True, "unit": "ernie-deploy-ernie.service", "scope": "system",
        "path": "/etc/systemd/system/ernie-deploy-ernie.service",
        "profile": "/home/boot/ernie.yaml",
        "after": ["ernie-deploy-first.service"], "notes": ["its secrets need KEY"],
    }, "ernie"),
    "disable": result("disable", {
        "enabled": False, "unit": "ernie-deploy-ernie.service", "scope": "user",
        "path": "/u/ernie-deploy-ernie.service",
    }, "ernie"),
    "disable-absent": result("disable", {"enabled": False, "notes": ["it has no unit"]}, "ernie"),
    "status-enabled": status_of(enabled="user"),
    "version": result("version", {
        "ernie_deploy": "0.2.0", "python": "3.11.7", "home": "/home/x",
        "engines": [{"engine": "vllm", "version": "0.32.0", "path": "/engines/v"}],
    }),
    "completion": result("completion", {"script": "complete -C ernie-deploy"}),
    "logs": result("logs", {"lines": 3}, "ernie"),
    "events": result("events", {"events": 3, "kinds": ["state"]}, "ernie"),
    "wait": result("wait", {
        "for": "idle", "reached": True, "state": "ready", "verdict": "idle", "seconds": 3.25,
        "base_url": "http://127.0.0.1:8180/v1",
    }, "ernie"),
    "wait-stopped": result("wait", {
        "for": "stopped", "reached": True, "state": "died", "seconds": 0.0,
    }, "ernie"),
    "wait-never": result("wait", {"for": "ready", "reached": False, "state": "failed"}, "ernie"),
    "top-none": result("top", {"instances": [], "sort": "state"}),
    "top": result("top", {"sort": "state", "instances": TOP_ROWS}),
}  # fmt: skip
VALIDATED = {
    "profile": "p.yaml", "name": "ernie", "engine": "fastdeploy", "release": "2.3",
    "checked_against": "by its table", "checked": {"flags": 1, "keys": 2, "variables": 0},
    "notes": ["a note"],
}  # fmt: skip
PROFILES = {
    "validate": result("validate", VALIDATED, "ernie"),
    "validate-hosted": result("validate", {
        **VALIDATED, "profile": None, "release": None, "checked": {"flags": 0}, "notes": [],
    }, "ernie"),
    "profiles-list": result("profiles list", {"profiles": [
        {"file": "a.yaml", "engine": "vllm", "model": "/m", "description": "the first"},
        {"file": "longer.yaml", "engine": "fastdeploy", "model": "baidu/E", "description": None},
        {"file": "base.yaml", "problem": "it has no model"},
    ]}),
    "profiles-list-empty": result("profiles list", {"profiles": []}),
    "profiles-show": result("profiles show", {
        "notes": ["two\nlines"], "profile": {"name": "ernie", "ports": {"api": 1}, "env": {}},
    }),
    "profiles-show-origins": result("profiles show", {
        "notes": [],
        "profile": {
            "name": "ernie", "ports": {"api": 1, "a: b": "x"}, "env": {}, "list": [1, "上海"],
            "description": "d" * 70, "host": None,
        },
        "origins": {
            "name": {"source": "p.yaml", "line": 1, "column": 7, "note": ""},
            "ports.api": {"source": "--set", "line": None, "column": None, "note": ""},
            "description": {"source": "q.yaml", "line": 2, "column": 3, "note": "extends"},
        },
    }),
    "profiles-schema": result("profiles schema", {"schema": {"type": "object", "title": "上海"}}),
    "profiles-init": result("profiles init", {
        "file": "p.yaml", "text": "name: a\n", "notes": ["DOES NOT FIT on 8 x NVIDIA A10."],
    }),
    "profiles-init-stdout": result("profiles init", {
        "file": None, "text": "# 上海\nname: a  # from the model's name\n", "notes": [],
    }),
    "profiles-diff": result("profiles diff-release", {
        "old": "2.2", "new": "2.3", "gone": ["--a"], "added": ["--b", "--c"],
        "renamed": ["--d to --e"], "defaults": ["--f: 1 to 2"], "notes": ["n"],
    }, "p.yaml"),
    "profiles-diff-none": result("profiles diff-release", {"old": "2.2", "new": "2.3"}, "p.yaml"),
}  # fmt: skip
SMOKES = {
    "smoke": smoke_result(*EVERY_VERDICT),
    "smoke-several-clients": smoke_result(
        check("chat", rate={"passes": 9, "runs": 10}),
        check("chat", "fail", client="openai", findings=[finding(f"HTTP 50{i}") for i in range(5)]),
        check("a-long-name", "fail", client="http", findings=[], message="it ended"),
        check("known", "fail", known=True, evidence=[
            exchange(number=i, status=None, error="timed out", response=None) for i in range(6)
        ]),
        differences=[
            {"check": "chat", "verdicts": {"requests": "pass", "openai": "fail"}, "known": False},
            {"check": "tools", "verdicts": {"requests": "pass", "openai": "fail"}, "known": True},
        ],
        stopped={"code": "budget", "message": "the budget of 1 s is spent"},
        target={
            "name": "remote", "model": "m", "url": "http://r/v1", "engine": None, "release": None,
            "notes": ["a note"],
        },
    ),
    "smoke-one-cause": smoke_result(
        *(check(f"check-{i}", "fail") for i in range(4)), check("passes"), check("two", "fail",
        findings=[finding("HTTP 500"), finding("nothing", "empty", "text")]),
    ),
    "smoke-unreachable": smoke_result(
        check("chat", "could not check"), unreachable="nothing answers", verdict="could not check"
    ),
    "smoke-evidence": smoke_result(
        check("long", "fail", evidence=[
            exchange(request={"text": "x" * 700}, response="y" * 700),
            exchange(
                method="GET", request=None, response="",
                events=[{"at": 0.5, "data": "one"}], events_total=9,
            ),
        ])
    ),
    "compare": compare_result(
        column("one", *EVERY_VERDICT, cost={
            "per_million": 0.12345, "formula": "price / tokens", "worked": "1 / 2 = 0.5",
            "measured": {"streams": 8.0, "tokens_per_second": 123.4},
        }),
        column(
            "two", check("passes"), check("skips"), check("deviates"), check("doubts"),
            check("fails", "fail"), first_token_seconds=0.25, tokens_per_second=None,
            stopped={"code": "budget", "message": "the budget is spent"},
            cost={"problem": "no price", "list": {
                "input": 0.07, "output": 0.28, "provider": "hosting.example"}},
        ),
        column("three", problem="nothing answers", verdict="could not check"),
        baseline="b.json", saved="c.json",
        regressions=[
            {"target": "two", "metric": "fails", "before": "pass", "after": "fail"},
            {"target": "gone", "metric": "target", "before": "compared", "after": "missing"},
        ],
    ),
    "compare-no-worse": compare_result(column("one", check("passes")), baseline="b.json"),
}  # fmt: skip
SMOKE_LISTING = {
    "smoke-list": result("smoke", {
        "checks": [
            {"name": "chat", "purpose": "it answers", "tags": ["full", "quick"], "requires": []},
            {
                "name": "tool-call", "purpose": "it calls", "tags": ["full"],
                "requires": ["tools", "x"],
            },
        ],
        "tags": {"quick": "a minute", "full": ""},
    }),
}  # fmt: skip


def _flag(flag: str, *values: str, **why: str) -> JsonDict:
    return {"flag": flag, "values": list(values), **why}


def launch(**changes: object) -> JsonDict:
    """A launch plan as `plan --json` has it, as far as its text shows."""
    return {
        "instance": "ernie", "engine": "fastdeploy", "release": "2.3",
        "base_url": "http://127.0.0.1:8180/v1",
        "argv": ["/engines/v/bin/python", "-m", "api_server"], "module": ["-m", "api_server"],
        "flags": [
            _flag("--model", "/m"), _flag("--port", "8180", reason="leased"),
            _flag("--x", "1", "2", reason="translated", origin="p.yaml:3"),
            _flag("--y", origin="q"),
        ],
        "env": [{"name": "FD_LOG_DIR", "value": "/logs", "reason": "to find them"}],
        "secrets": {"FD_API_KEY": "env:KEY"}, "pass_env": ["PATH", "HOME"],
        "ports": [
            {"number": 8180, "address": "127.0.0.1", "name": "api", "shown_as": "", "bound": True,
             "socket": ""},
            {"number": 8181, "address": "0.0.0.0", "name": "queue", "shown_as": "engine queue",
             "bound": True, "socket": ""},
        ],
        "sockets": [],
        "readiness": {
            "health_path": "/health", "models_path": "/v1/models", "model": "ernie",
            "settings": [{"key": "max_model_len", "expected": 8192}], "settings_unknown": "",
            "completion_path": "/v1/completions", "completion": {"max_tokens": 4},
        },
        "stop": {
            "loading": [{"signal": "SIGINT", "wait": 2.5}],
            "ready": [{"signal": "SIGTERM", "wait": 30.0}, {"signal": "SIGINT", "wait": 5.0}],
        },
        **changes,
    }  # fmt: skip


def plan_of(plan: dict[str, object], **changes: object) -> Result[Any]:
    data = {
        "plan": plan, "running": None, "notes": [], "shell": "cd / && python -m api_server",
        "cgroup": {"own": True, "memory_max": None,
                   "message": "below /x, with the memory controller"},
        "files": [{"path": "/logs/x", "purpose": "its console"}], "folders": ["/logs", "/tmp/fd"],
    }  # fmt: skip
    return result("plan", {**data, **changes}, "ernie")


def memory_of(prediction: dict[str, object], **changes: object) -> Result[Any]:
    ask = {
        "tensor_parallel": 2, "block_size": 64, "kv_bytes": 2, "max_model_len": 4096,
        "max_num_seqs": 8,
    }  # fmt: skip
    data = {
        "shape": {"name": "ERNIE-4.5-21B", "layers": 28, "head_dim": 128},
        "prediction": {
            "ask": ask, "card": {"name": "A100 80GB", "source": "nvidia-smi"}, "fits": True,
            "reason": "fits", "available": 10 * GIB, "block_bytes": 1_835_008, "blocks": 5_851,
            "needed": 66, "sequences": 8, "host_peak": 9 * GIB,
            "terms": [
                {"name": "usable", "bytes": 72 * GIB, "formula": "80 GiB x 0.9"},
                {"name": "weights", "bytes": 21 * GIB + 1, "formula": "21e9 weights"},
            ],
            **prediction,
        },
        "history": [], **changes,
    }  # fmt: skip
    return result("plan", data, "ernie")


PLANS = {
    "plan": plan_of(launch()),
    "plan-elsewhere": plan_of(
        launch(
            ports=[
                {"number": 1, "address": "", "name": "ipc", "shown_as": "", "bound": False,
                 "socket": "/tmp/1.sock"},
                {"number": 2, "address": "", "name": "rdma", "shown_as": "", "bound": False,
                 "socket": ""},
                {"number": 3, "address": "", "name": "pd", "shown_as": "cache queue",
                 "bound": False, "socket": ""},
            ],
            sockets=[{"path": "/tmp/{pid}.sock", "shown_as": "metrics"}],
            readiness={
                "health_path": "/health", "models_path": "", "model": None, "settings": [],
                "settings_unknown": "this release does not show them", "completion_path": "/c",
                "completion": {"max_tokens": 4},
            },
        ),
        notes=["a note"],
        running={"state": "ready", "differences": ["max-num-seqs 8, was 4"]},
    ),
    "plan-running": plan_of(
        launch(readiness={**launch()["readiness"], "model": None}),
        running={"state": "ready", "differences": []},
    ),
    "plan-memory": memory_of(
        {}, largest_model_len=8_192, largest_num_seqs=12,
        history=[
            {"predicted": 1, "reported": 2, "error": 1.0},
            {"predicted": 5_851, "reported": 5_700, "error": 0.0265},
        ],
    ),
    "plan-memory-too-small": memory_of({"fits": False, "reason": "the weights alone exceed it"}),
}  # fmt: skip

_FOLDER = "/home/instances/ernie/incidents/20270115-075500-123a7"
_DIED: JsonDict = {
    "schema": "ernie-deploy/incident/1", "id": "20270115-075500-123a7", "kind": "failure",
    "instance": "ernie", "time": NOW - 300, "since": NOW - 300, "code": "ED-FD-CUDA-OOM",
    "message": "the engine was ready and was killed by SIGKILL: the GPU has no memory left",
    "where": "workerlog.0:7: CUDA out of memory", "remedy": "lower gpu-memory-utilization",
    "retry": True, "state": "ready", "engine": "fastdeploy", "release": "2.5.0",
    "model": "baidu/ERNIE-4.5-0.3B-Paddle", "ready_at": NOW - 4000, "engine_exit": -9,
    "action": "restarted", "number": 2, "delay": 2.2, "back_at": NOW - 258.5,
    "folder": _FOLDER, "away_seconds": 41.5,
}  # fmt: skip
_STALLED: JsonDict = {
    **_DIED, "id": "20270115-074000-000b8", "kind": "stall", "code": "engine-stalled",
    "message": "the engine does not answer: 2 requests are in work or waiting",
    "where": None, "remedy": None, "verdict": "stalled", "engine_exit": None, "ready_at": None,
    "reasons": ["2 requests are in work or waiting, no progress for 30 s", "GET /health 404"],
    "cause": {"rule": "ED-FD-HANG", "cause": "a rank hangs in NCCL", "remedy": "look at rank 3",
              "retry": True, "kind": "failure", "evidence": None},
    "action": "reported", "number": None, "delay": None,
    "notes": ["py-spy is not installed"], "back_at": None, "away_seconds": None,
}  # fmt: skip
_LOST = {
    **_STALLED, "id": "20270115-070000-000c9", "kind": "lost-keeper", "code": "keeper-lost",
    "instance": "an-instance-whose-name-is-long-4.5", "action": "given-up", "cause": None,
}  # fmt: skip
_KEPT = [
    {"path": f"{_FOLDER}/{name}", "bytes": size}
    for name, size in (
        ("diagnosis.json", 800), ("events.jsonl", 9000), ("incident.json", 900),
        ("logs/engine.log", 90_000), ("logs/keeper.log", 100), ("samples.jsonl", 20_000),
    )
]  # fmt: skip
INCIDENTS = {
    "incidents": result(
        "incidents list",
        {"incidents": [_DIED, _STALLED, _LOST], "unreadable": ["/home/instances/x/incidents/y"]},
    ),
    "incidents-none": result("incidents list", {"incidents": [], "unreadable": []}),
    "incidents-show": result("incidents show", {**_DIED, "files": _KEPT}, "ernie"),
    "incidents-show-stall": result("incidents show", {**_STALLED, "files": []}, "ernie"),
}

BAR = {
    "detection": 0.1, "restart": 1.0, "failed": None, "hung": 0, "false_verdicts": 0, "leftovers": 0
}  # fmt: skip
REQUESTS = {"answered": 40, "empty": 0, "failed": 3, "hung": 0, "longest": 0.2}
MEASURED = {
    "detection": 0.004, "event": "failure engine-died", "restart": 0.71, "engine_start": 2.9,
    "delay": 0.0, "requests": REQUESTS, "false_verdicts": [], "leftovers": [],
}  # fmt: skip
DRILL_TARGET = {
    "name": "ernie", "engine": "fastdeploy", "release": "2.5.0",
    "base_url": "http://127.0.0.1:8180/v1", "restart_policy": "on-failure",
}  # fmt: skip


def drilled(name: str, **changes: object) -> JsonDict:
    row = {
        "scenario": name, "round": 1, "verdict": "pass", "bar": BAR, "measured": MEASURED,
        "misses": [], "simulated": False, "note": "", "message": "", "seconds": 5.0,
    }  # fmt: skip
    return {**row, **changes}


DRILLS = {
    "drill": result("drill", {
        "target": DRILL_TARGET, "started": "2026-11-28T00:00:00+00:00", "seconds": 61.0,
        "rounds": 2, "cores": 2, "load": 1.5,
        "scenarios": [
            drilled("kill-main"),
            drilled("kill-main", round=2, verdict="miss",
                    measured={**MEASURED, "restart": 12.5, "leftovers": ["port 8180 (api)"]},
                    misses=[
                        {"name": "restart", "bar": 1.0, "value": 12.5,
                         "message": "restart: 12.500 s (bar: 1 s)"},
                        {"name": "leftovers", "bar": 0, "value": 1,
                         "message": "leftovers: 1, port 8180 (api) (bar: 0)"},
                    ]),
            drilled("memory-killer", simulated=True, note="SIGKILL to a worker: no cgroup"),
            drilled("health-304", verdict="not applicable", measured={}, message="a real server"),
        ],
    }, "ernie"),
    "drill-list": result("drill", {
        "available": [
            {"name": "kill-main", "action": "kill -9", "simulates": "a crash", "bar": BAR},
            {"name": "client-storm", "action": "32 clients", "simulates": "peak load",
             "bar": {**BAR, "detection": None, "restart": None, "failed": 0}},
        ],
    }),
}  # fmt: skip

RENDERINGS = {
    "render": result("render", {
        "target": "compose", "release": "2.5.0", "folder": None,
        "files": [{"path": "compose.yaml", "text": "# head\nname: a\n"},
                  {"path": "profile.yaml", "text": "# head\nname: b\n"}],
    }, "ernie"),
    "render-written": result("render", {
        "target": "compose", "release": "2.5.0", "folder": "out",
        "files": [{"path": "compose.yaml", "text": ""}, {"path": "profile.yaml", "text": ""}],
    }, "ernie"),
    "door": result("door", {
        "url": "http://0.0.0.0:8180/v1",
        "replicas": {"ernie-0": "10.0.0.7:21666", "ernie-1": "10.0.0.8:26355"},
        "refused": ["ernie-2: not one line `NAME HOST:PORT ADMIN_PORT`"],
    }, "ernie"),
    "diff": result("diff", {
        "drift": True,
        "rows": [
            {"subject": "instance ernie", "state": "not-running", "changes": ["it is stopped"]},
            {"subject": "out/compose.yaml", "state": "same"},
            {"subject": "out/profile.yaml", "state": "differs",
             "changes": ["the file was edited", "line 3: 'a', expected 'b'"]},
        ],
    }, "ernie"),
}  # fmt: skip


_SLOWER = bench_run(levels=(level(ttft=0.13),))
_GATES = (
    Gate("ttft.p50", "c2", "slo", "met", "p.yaml:9:1", 0.2, 0.1, "s", "0.1 s, at most 0.2 s"),
    Gate("e2e.p90", "c2", "slo", "missed", "p.yaml:9:1", 0.3, 0.4, "s", "0.4 s, at most 0.3 s"),
    Gate("tokens_rate", "c2", "baseline", "refused", "b.json", 60.0, 64.0, "tokens/s", "too busy"),
)
_FIGURES = (
    ComparedFigure("ttft.p50", "c2", "s", 0.1, 0.13, Estimate(0.3, 0.25, 0.35), 0.001, "worse",
                   "B is +30.0%, p 0.001"),
    ComparedFigure("tokens_rate", "c2", "tokens/s", 64.0, 63.0, Estimate(-0.01), None, "refused",
                   "a test needs 3 passes"),
)  # fmt: skip
_COMPARED = BenchComparison(bench_run(), _SLOWER, True, "a test", _FIGURES, "now", 60.0)
_TRIALS = (
    Trial(0, {}, 268.2, None, "trial-0.json", 60.0),
    Trial(1, {"max-num-seqs": 8}, None, "it does not fit", None, 0.1),
    Trial(2, {"max-num-seqs": 4}, 300.5, None, "trial-2.json", 60.0),
)
BENCHES: dict[str, Result[Any]] = {
    "bench": Result("bench", bench_run(gates=_GATES, notes=("a word has 1.36 tokens here",))),
    "bench-stopped": Result("bench", bench_run(
        stopped="2.5 per second: TTFT p90 is 40.00 s", files=("run.json",),
        generator=Generator("aiperf", "0.13.0", 0.4, 0.2, "a timer was late"), timeline=(),
    )),
    "bench-compare": Result("bench compare", _COMPARED),
    "bench-tune": Result("bench tune", Tuning(
        bench_run().target, "output tokens per second (tokens_rate)", _TRIALS,
        {"max-num-seqs": (8, 4)}, {"max-num-seqs": 4}, "ernie.tuned.yaml", _COMPARED,
        "max-num-seqs=4: tokens_rate B is +12%", "every setting in turn", "/home/bench/tune-ernie",
    )),
}  # fmt: skip

TEXTS: dict[str, Result[Any]] = {
    **DRILLS, **DIAGNOSES, **DOCTOR, **ENGINES, **INCIDENTS, **INSTANCES, **PROFILES, **SMOKES,
    **SMOKE_LISTING, **PLANS, **SERVICES, **KEYS, **WEIGHTS, **RENDERINGS, **CARDS, **BENCHES,
}  # fmt: skip
"""Every result by the name of its stored text."""
