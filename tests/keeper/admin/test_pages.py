"""Which page answers whom, and what no page says."""

from __future__ import annotations

import json

import pytest

from launcher.codec import decode
from launcher.keeper.admin.counters import Counters
from launcher.keeper.admin.http import Request
from launcher.keeper.admin.pages import STATUS_SCHEMA, AdminStatus, Pages, is_local_name
from launcher.keeper.claim import EngineClaim, FileClaim, ProcessClaim
from launcher.keeper.state import EndError, LivenessRecord, State
from launcher.lifecycle import InstanceState
from launcher.liveness.judge import Liveness
from launcher.plan.model import EnvVar, Flag, LaunchPlan, PortUse, Readiness

PATHS = ("/livez", "/readyz", "/startupz", "/metrics", "/status")
SECRET = "sk-0123456789abcdef"
LOOPBACK = PortUse("admin", 9180, "127.0.0.1")


def pages(use: PortUse = LOOPBACK, state: State | None = None) -> Pages:
    """The pages of a plan and a state that hold SECRET wherever one could be."""
    plan = LaunchPlan(
        "one", "scripted", "1.0", ("/bin/x", SECRET), f"/{SECRET}", f"/{SECRET}", f"/{SECRET}",
        flags=(Flag("--x", (SECRET,)),), env=(EnvVar("KEY", SECRET),),
        secrets={"KEY": f"env:{SECRET}"}, ports=(use,), model="m", notes=(SECRET,),
        readiness=Readiness("127.0.0.1", completion={"messages": [SECRET]}),
    )  # fmt: skip
    return Pages(plan, state or secret_state(), Counters(), lambda: True, None)


def secret_state() -> State:
    return State(
        "one", SECRET, InstanceState.READY, started_at=1.0, ready_at=2.0,
        ports={"api": 8180, "admin": 9180}, engine=EngineClaim(42, 1),
        keeper=ProcessClaim(41, 1), evidence={"completion": {"message": SECRET}},
        temporary=[FileClaim(SECRET, 1, 1, None)],
        error=EndError("engine-died", SECRET, SECRET, SECRET),
        liveness=LivenessRecord(Liveness.BUSY, 3.0, ("2 requests are in work",)),
    )  # fmt: skip


def ask(page: Pages, path: str, method: str = "GET", host: str | None = "localhost") -> int:
    return page.answer(Request(method, path, host, keep_alive=True)).status


@pytest.mark.parametrize("path", PATHS)
def test_every_page_answers_and_none_tells_a_secret(path: str) -> None:
    response = pages().answer(Request("GET", path, "localhost:9180", keep_alive=True))
    assert response.status == 200
    assert response.body.endswith("\n")
    assert SECRET not in response.body


def test_the_status_is_what_its_class_says() -> None:
    response = pages().answer(Request("GET", "/status", None, keep_alive=False))
    document = json.loads(response.body)
    assert response.content_type == "application/json"
    assert document["schema"] == STATUS_SCHEMA
    status = decode(AdminStatus, document)
    assert (status.state, status.live, status.ready, status.started) == ("ready", True, True, True)
    assert (status.pid, status.keeper_pid, status.error) == (42, 41, "engine-died")
    assert status.ports == {"api": 8180, "admin": 9180}
    assert status.reason == "busy: 2 requests are in work"


def test_an_unknown_path_is_told_which_there_are() -> None:
    response = pages().answer(Request("GET", "/v1/chat/completions", "localhost", keep_alive=True))
    assert response.status == 404
    assert all(path in response.body for path in PATHS)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get", "X"])
@pytest.mark.parametrize("path", ["/livez", "/nothing"])
def test_other_methods_are_refused(method: str, path: str) -> None:
    response = pages().answer(Request(method, path, "localhost", keep_alive=True))
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "host",
    [None, "localhost", "LOCALHOST:9180", "one.localhost", "localhost.:1", "127.0.0.1:9180",
     "127.9.9.9", "[::1]", "[::1]:9180", "[::ffff:127.0.0.1]:80"],
)  # fmt: skip
def test_names_of_loopback_may_ask(host: str | None) -> None:
    assert is_local_name(host)
    assert ask(pages(), "/livez", host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9180", "localhost.evil.example", "127.0.0.1.evil.example", "",
     "10.0.0.1", "[2001:db8::1]:9180", "0.0.0.0", "127.1.evil", "[::1]x", "a:b:c", "localhost:x@e"],
)  # fmt: skip
def test_on_loopback_another_name_is_refused(host: str) -> None:
    """A web page whose name was pointed to 127.0.0.1 still sends its own name."""
    response = pages().answer(Request("GET", "/status", host, keep_alive=True))
    assert response.status == 403
    assert "Host" in response.body


@pytest.mark.parametrize(
    "use",
    [PortUse("admin", 9180, "0.0.0.0"),
     PortUse("admin", 0, "", bound=False, socket="/x/admin.sock")],
)  # fmt: skip
def test_where_the_profile_opens_it_every_name_may_ask(use: PortUse) -> None:
    assert ask(pages(use), "/livez", host="gpu7.example:9180") == 200


def test_the_probes_are_200_or_503() -> None:
    state = secret_state()
    page = pages(state=state)
    assert [ask(page, path) for path in PATHS[:3]] == [200, 200, 200]
    state.liveness = LivenessRecord(Liveness.STALLED, 3.0, ("no progress for 31 s",))
    assert [ask(page, path) for path in PATHS[:3]] == [503, 503, 200]
