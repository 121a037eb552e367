"""What a start may leave, from a plan to a variable and back."""

import dataclasses
import json

import pytest

from launcher.keeper import mark
from launcher.plan.model import FtokKey, LaunchPlan, Leftovers, PortUse

PLAN = LaunchPlan(
    "one", "x", None, ("true",), "/srv", "/tmp/logs", "/tmp/x",
    ports=(PortUse("api", 8180, "127.0.0.1"),),
)  # fmt: skip
SPEC = Leftovers(
    ("8180.socket", "router_8180.ipc"),
    (FtokKey("/opt", 7), FtokKey("/opt", 8202, bits=20)),
    ("/tmp/prom*",),
)


def test_it_comes_back_whole() -> None:
    plan = dataclasses.replace(PLAN, leftovers=SPEC, cwd="/opt")
    decoded = mark.decode(mark.encode(plan, 12.5))
    assert decoded == mark.Mark(SPEC, "/opt", 12.5, tuple(use.number for use in plan.ports))


def test_a_plan_with_too_many_names_is_not_cut() -> None:
    plan = dataclasses.replace(PLAN, leftovers=Leftovers(("x" * 100,) * 1000))
    assert mark.encode(plan, 1.0) == ""


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", '"x"', "{", "[" * 100_000, '{"started": "1", "cwd": "/"}',
     '{"started": true, "cwd": "/"}', '{"started": 1}'],
)  # fmt: skip
def test_anything_else_is_nothing(text: str) -> None:
    assert mark.decode(text) is None


def test_a_name_leads_nowhere_else() -> None:
    text = json.dumps({
        "started": 1, "cwd": "/", "shm": ["../etc/passwd", "", 7, "good"],
        "queues": [["/opt"], "x", [1, 2], ["/opt", "7"], None], "temporary": {"a": 1},
        "ports": [None, "1", 8180, True],
    })  # fmt: skip
    decoded = mark.decode(text)
    assert decoded is not None
    assert decoded.leftovers == Leftovers(("good",), (FtokKey("", 2),), ())
    assert decoded.ports == (8180,)
