"""Serving cards for the report tests, with every part that a card can have."""

from __future__ import annotations

from typing import Any

from launcher.bench.result import Gate
from launcher.codec import encode
from launcher.errors import ExitCode
from launcher.result import Result
from tests.report.results import EVERY_VERDICT, smoke_result
from tests.support.bench_runs import bench_run
from tests.support.decoded import JsonDict
from tests.support.payloads import result

GIB = 1024**3
NOW = 1_800_000_000.0
HASH = "ab" * 32
GATES = (
    Gate("ttft.p99", "c2", "slo", "met", "p.yaml:9:3", 0.5, 0.2, "s", "0.2 s is below 0.5 s"),
    Gate("itl.p99", "r2.5", "slo", "missed", "p.yaml:10:3", 0.01, 0.05, "s", "0.05 s is above"),
    Gate("requests", "c2", "baseline", "refused", "old.json", 4, 5, "1/s", "too busy", 0.2),
)
"""A gate of each verdict."""
FINDINGS: list[JsonDict] = [
    {"check": "gpu", "title": "a GPU", "status": "PASS", "evidence": "one", "reason": "speed",
     "remedy": None, "fast": True},
    {"check": "shm-size", "title": "shared memory", "status": "FAIL", "evidence": "64 MB",
     "reason": "too small", "remedy": "mount more", "fast": True},
    {"check": "time", "title": "the clock", "status": "UNKNOWN", "evidence": "not told",
     "reason": "logs", "remedy": None, "fast": False},
]  # fmt: skip
PREDICTION: JsonDict = {
    "ask": {"tensor_parallel": 1, "quantization": "wint8", "max_model_len": 4096,
            "max_num_seqs": 8, "max_num_batched_tokens": 4096},
    "card": {"name": "h800-80g", "total": 80 * GIB, "source": "table"},
    "terms": [{"name": "usable", "bytes": 72 * GIB, "formula": "80.0 GiB x 0.9"},
              {"name": "weights", "bytes": 21 * GIB, "formula": "21e9 weights as wint8"}],
    "weights": 21 * GIB, "available": 51 * GIB, "block_bytes": 1 << 20, "blocks": 5000,
    "needed": 66, "sequences": 8, "host_peak": GIB, "fits": True, "reason": "fits",
}  # fmt: skip
LESSON = {"time": NOW - 50, "host": "gpu7", "model": "m", "quantization": "wint8",
          "card": "h800-80g", "predicted": 5000, "reported": 4900, "error": 0.0204}  # fmt: skip
INCIDENT: JsonDict = {
    "id": "20270115-080000-123ab", "kind": "failure", "instance": "ernie", "time": NOW - 60,
    "since": NOW - 61, "code": "engine-died", "message": "killed by SIGKILL",
    "action": "restarted", "folder": "/i", "away_seconds": 12.5,
}  # fmt: skip
CARD: JsonDict = {
    "name": "ernie", "kind": "instance", "made_at": NOW,
    "parts": [
        {"name": "state", "title": "State", "verdict": "pass", "message": "ernie is ready"},
        {"name": "doctor", "title": "Doctor", "verdict": "fail", "message": "FAIL: shm-size"},
        {"name": "memory", "title": "Memory plan", "verdict": "pass", "message": "fits"},
        {"name": "smoke", "title": "Smoke tests", "verdict": "fail", "message": "1 failed"},
        {"name": "bench", "title": "Bench", "verdict": "fail", "message": "missed: itl.p99"},
        {"name": "incidents", "title": "Incidents", "verdict": "note", "message": "1 kept"},
    ],
    "profile": {
        "sha256": HASH, "path": "p.yaml", "values": [
            {"key": "max-model-len", "value": 4096, "origin": "p.yaml:7:1"},
            {"key": "api-key", "value": "env:KEY", "origin": "--set"},
            {"key": "host", "value": "127.0.0.1", "origin": "default"},
        ],
    },
    "versions": {
        "tool": {"version": "0.2.0", "sha256": HASH, "files": 600, "python": "3.11.7"},
        "engine": {"name": "fastdeploy", "release": "2.5.0", "program": "/e/bin/python",
                   "python": "3.10.1", "installed_at": "2027-01-01T00:00:00Z",
                   "distributions": [{"name": "paddle", "version": "3.1", "sha256": HASH}]},
        "weights": {"model": "baidu/ERNIE", "folder": "/m", "source": "manifest",
                    "hub": "huggingface", "commit": "c0ffee", "pulled_at": "2027", "size": 9,
                    "sha256": HASH,
                    "files": [{"path": "a.safetensors", "size": 9, "sha256": HASH}]},
        "host": {"name": "gpu7", "system": "Linux 6.1", "cpu": "EPYC", "cores": 64,
                 "memory": 512 * GIB, "gpus": ["H800, 80 GiB"], "driver": "550.54"},
    },
    "memory": {"plan": {"shape": {"name": "ERNIE-21B"}, "prediction": PREDICTION},
               "lesson": LESSON},
    "instances": [{
        "status": {"name": "ernie", "state": "ready", "message": "ernie is ready",
                   "base_url": "http://127.0.0.1:8180/v1", "started_at": NOW - 90},
        "memory": {"processes": 5, "resident": 9 * GIB, "gpu": 60 * GIB,
                   "load": {"running": 2, "waiting": 1, "kv_cache_usage": 0.25}},
        "role": "instance", "restarts": 1, "restart_policy": "on-failure", "restart_limit": 5,
        "restart_window": 600.0,
    }],
    "doctor": FINDINGS,
    "smoke": {"run": encode(smoke_result(*EVERY_VERDICT).payload), "source": "the last run",
              "cut": "the transcripts of checks that passed"},
    "bench": {"run": encode(bench_run(gates=GATES, versions={"vllm": "1"})),
              "source": "from run.json"},
    "incidents": [INCIDENT],
    "events": [{"time": NOW - 90, "event": "state", "state": "ready"}],
}  # fmt: skip


def card(**changes: object) -> Result[Any]:
    """A card of an instance with every part; `changes` replace parts of its JSON."""
    return result("report", {**CARD, **changes}, "ernie", ExitCode.NEGATIVE)


def card_of_service() -> Result[Any]:
    """A card of a service, of which nothing is known but that it serves."""
    versions = {**CARD["versions"], "engine": {"name": "vllm", "release": None, "program": "/v",
                "note": "its packages are not recorded"},
                "weights": {"model": "m", "folder": None, "source": "unknown",
                            "note": "the engine downloads it itself"}}  # fmt: skip
    return result(
        "report",
        {
            "name": "shop", "kind": "service", "made_at": NOW,
            "parts": [
                {"name": "state", "title": "State", "verdict": "pass", "message": "it serves"},
                {"name": "smoke", "title": "Smoke tests", "verdict": "could not check",
                 "message": "no run was kept"},
            ],
            "profile": {"sha256": HASH, "revision": "abc123", "values": []},
            "versions": versions,
            "memory": {"plan": None, "reason": "engine vllm has no memory plan"},
            "instances": [],
            "service": {
                "name": "shop", "condition": "serving", "revision": "abc123", "replicas": 1,
                "ready": 1, "url": "http://127.0.0.1:80/v1", "door_state": "ready",
                "members": [{"name": "shop-abc123-1", "revision": "abc123", "state": "ready",
                             "weight": 256, "share": 1.0, "door": "up"}],
                "message": "shop is served by 1 of 1 replicas",
            },
            "history": [{"id": "1", "kind": "deploy", "at": NOW - 9, "seconds": 4.0,
                         "user": "root", "host": "gpu7", "outcome": "serving",
                         "message": "longer context"}],
            "doctor_note": "the doctor could not look: no engine",
            "smoke_note": "no run was kept", "bench_note": "no run was kept",
        },
        "shop",
    )  # fmt: skip


CARDS = {"report": card(), "report-service": card_of_service()}
"""Results by the name of their stored text."""
