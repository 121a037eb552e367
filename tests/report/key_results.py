"""Results of the verbs about keys of clients, with every part that their text can show."""

from __future__ import annotations

from typing import Any

from launcher.result import Result
from tests.support.decoded import JsonDict
from tests.support.payloads import result

NOW = 1_800_000_000.0
TEAM_A: JsonDict = {
    "name": "team-a", "slot": "key", "reference": "file:/etc/ernie/team-a.key",
    "state": "accepted", "requests": 60, "period": 60, "concurrency": 8,
}  # fmt: skip
LISTED: list[JsonDict] = [
    TEAM_A,
    {"name": "team-a", "slot": "next", "reference": "file:/etc/ernie/team-a.next.key",
     "state": "changed", "requests": 60, "period": 60, "concurrency": 8},
    {"name": "team-b", "slot": "key", "reference": "env:TEAM_B_KEY", "state": "kept",
     "message": "the environment variable TEAM_B_KEY is not set"},
    {"name": "team-c", "slot": "key", "reference": "file:/etc/ernie/team-c.key",
     "state": "missing"},
]  # fmt: skip
USED: JsonDict = {
    "team-a": {
        "requests": 12_345, "errors": 6, "refused_rate": 7, "refused_concurrency": 8,
        "received": 9 * 1024**2, "sent": 10 * 1024**3, "counted": 11_000,
        "prompt_tokens": 1_200_000, "completion_tokens": 340_000,
    },
    "-": {"requests": 5, "refused_key": 5, "received": 2_000, "sent": 1_500},
}  # fmt: skip
USAGE: JsonDict = {
    "service": "shop", "since": NOW - 3600, "until": NOW, "keys": USED,
    "generated": {"shop-1a2b3c-1": 400_000, "shop-1a2b3c-2": None},
}  # fmt: skip

KEYS: dict[str, Result[Any]] = {
    "keys-list": result("keys list", {"service": "shop", "keys": LISTED}, "shop"),
    "keys-list-good": result("keys list", {"service": "shop", "keys": [TEAM_A]}, "shop"),
    "keys-list-none": result("keys list", {"service": "shop", "keys": []}, "shop"),
    "keys-rotate": result(
        "keys rotate",
        {"service": "shop", "accepted": {"team-a": 2, "team-b": 1}, "added": ["team-a"],
         "removed": ["team-b"]},
        "shop",
    ),
    "keys-rotate-same": result(
        "keys rotate", {"service": "shop", "accepted": {"team-a": 1}}, "shop"
    ),
    "usage": result("usage", USAGE, "shop"),
    "usage-one": result(
        "usage",
        {**USAGE, "since": None, "keys": {"team-a": USED["team-a"]}, "generated": {}},
        "shop",
    ),
    "usage-none": result("usage", {**USAGE, "keys": {}}, "shop"),
}  # fmt: skip
