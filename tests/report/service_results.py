"""Results of the verbs about services, with every part that their text can show."""

from __future__ import annotations

from typing import Any

from launcher.errors import ExitCode
from launcher.result import Result
from tests.support.decoded import JsonDict
from tests.support.payloads import result

NOW = 1_800_000_000.0
URL = "http://127.0.0.1:8180/v1"
SERVING: JsonDict = {
    "service": "shop", "revision": "1a2b3c", "previous": "0f0f0f", "replicas": 2, "kind": "deploy",
    "outcome": "serving", "strategy": "blue-green", "reason": "both revisions fit together",
    "url": URL, "members": ["shop-1a2b3c-1", "shop-1a2b3c-2"], "smoke": "25 passed; 25 passed",
    "seconds": 95.25,
}  # fmt: skip
PLANNED: JsonDict = {
    **SERVING, "outcome": None, "dry_run": True, "downtime": 0.0, "devices": [["0", "1"], None],
    "planned": [
        {"kind": "start", "members": ["shop-1a2b3c-1"]},
        {"kind": "prove", "members": ["shop-1a2b3c-1"]},
        {"kind": "door"},
        {"kind": "shift", "members": ["shop-1a2b3c-1"], "weights": {"shop-1a2b3c-1": 256},
         "share": 0.1},
        {"kind": "watch", "members": ["shop-1a2b3c-1"], "seconds": 30.0, "share": 0.1},
        {"kind": "retire", "members": ["shop-0f0f0f-1"]},
        {"kind": "commit"},
    ],
}  # fmt: skip
MEMBERS: list[JsonDict] = [
    {"name": "shop-1a2b3c-1", "revision": "1a2b3c", "state": "ready", "weight": 256, "share": 0.5,
     "door": "up", "sessions": 3, "url": URL, "message": ""},
    {"name": "shop-1a2b3c-2", "revision": "1a2b3c", "state": "died", "weight": 256, "share": 0.5,
     "door": None, "sessions": None, "url": None, "message": "shop-1a2b3c-2 has died: SIGKILL"},
]  # fmt: skip
SERVICE: JsonDict = {
    "name": "shop", "condition": "degraded", "revision": "1a2b3c", "replicas": 2, "ready": 1,
    "url": URL, "engine": "fastdeploy", "release": "2.3.2", "door_state": "ready",
    "members": MEMBERS, "held": "ann (pid 7, lock): a load test",
    "message": "shop is served by 1 of 2 replicas: shop-1a2b3c-2 has died",
    "rollout": {
        "id": "x", "kind": "deploy", "strategy": "rolling", "source": "1a2b3c", "target": "9d9d9d",
        "direction": "back", "done": 2, "total": 7, "action": "watch shop-9d9d9d-1",
        "owner": None, "started_at": NOW - 60, "error": "the error rate was too high",
    },
}  # fmt: skip
ENTRY: JsonDict = {
    "id": "x", "kind": "deploy", "at": NOW - 60, "seconds": 95.25, "user": "ann", "host": "gpu7",
    "message": "longer context", "source": "0f0f0f", "target": "1a2b3c", "engine": "fastdeploy",
    "release": "2.3.2", "strategy": "blue-green", "replicas": 2, "smoke": "25 passed",
    "outcome": "serving", "error": None, "exit_code": 0,
}  # fmt: skip
FAILED: JsonDict = {
    **ENTRY, "outcome": "rolled-back", "target": "9d9d9d", "message": "", "smoke": "",
    "error": "smoke-failed: 1 failed", "exit_code": 1,
}  # fmt: skip
LOADS: list[JsonDict] = [
    {"name": "shop", "condition": "degraded", "revision": "1a2b3c", "ready": 1, "replicas": 2,
     "url": URL, "requests_per_second": 12.34, "error_share": 0.0123, "latency_seconds": 1.5,
     "first_byte_seconds": 0.031, "retries": 3, "cut": 1, "left": 2,
     "running": 3, "waiting": 1, "note": "shop is served by 1 of 2 replicas",
     "members": [
         {"name": "shop-1a2b3c-1", "state": "ready", "share": 0.9, "answers": 200, "failed": 1,
          "requests_per_second": 12.34, "latency_seconds": 1.5, "running": 3, "waiting": 1},
         {"name": "shop-1a2b3c-2", "state": "died", "share": 0.1},
     ]},
    {"name": "calm", "condition": "stopped", "revision": None, "ready": 0, "replicas": 0,
     "url": None},
]  # fmt: skip
ROW: JsonDict = {"name": "other", "state": "ready", "engine": "vllm", "release": "0.32.0"}

SERVICES: dict[str, Result[Any]] = {
    "deploy": result("deploy", SERVING, "shop"),
    "deploy-planned": result("deploy", PLANNED, "shop"),
    "deploy-downtime": result("deploy", {**PLANNED, "planned": [], "downtime": 125.0}, "shop"),
    "deploy-unknown-downtime": result(
        "deploy", {**PLANNED, "planned": [], "downtime": None}, "shop"
    ),
    "deploy-same": result(
        "deploy", {**SERVING, "outcome": None, "note": "revision 1a2b3c serves already, by 2"},
        "shop",
    ),
    "deploy-back": result("deploy", {**SERVING, "outcome": "rolled-back"}, "shop",
                          ExitCode.NEGATIVE),
    "deploy-first-failed": result(
        "deploy", {**SERVING, "outcome": "rolled-back", "revision": None, "members": []}, "shop",
        ExitCode.DID_NOT_START,
    ),
    "restart-service": result("restart", {**SERVING, "kind": "restart"}, "shop"),
    "rollback": result("rollback", {**SERVING, "kind": "rollback"}, "shop"),
    "scale": result("scale", {**SERVING, "kind": "scale"}, "shop"),
    "history": result("history", {
        "service": "shop", "revision": "1a2b3c", "entries": [FAILED, ENTRY],
    }, "shop"),
    "history-none": result("history", {"service": "shop", "revision": None}, "shop"),
    "lock": result("lock", {"service": "shop", "held": "ann (pid 7, lock): a load test"}, "shop"),
    "unlock": result("unlock", {"service": "shop", "held": None}, "shop"),
    "status-service": result("status", {"services": [SERVICE]}, "shop"),
    "status-services": result("status", {"services": [
        {**SERVICE, "rollout": {**SERVICE["rollout"], "owner": "ann (pid 9, deploy)"}},
    ], "instances": [{**ROW, "name": "shop-door"}, ROW]}),
    "down-service": result("down", {
        "service": "shop", "stopped": ["shop-door"], "left": ["shop-1a2b3c-1: a port is left"],
    }, "shop"),
    "down-service-none": result("down", {"service": "shop"}, "shop"),
    "top-services": result("top", {"sort": "state", "instances": [], "services": LOADS}),
    "wait-service": result("wait", {
        "for": "ready", "reached": True, "condition": "serving", "ready": 2, "replicas": 2,
        "seconds": 3.25, "url": URL,
    }, "shop"),
    "wait-service-stopped": result("wait", {
        "for": "stopped", "reached": True, "condition": "stopped", "seconds": 0.5,
    }, "shop"),
    "wait-service-never": result("wait", {
        "for": "ready", "reached": False, "condition": "interrupted",
    }, "shop"),
}  # fmt: skip
