"""The pages of the endpoint, and who may ask for them.

Nothing here holds a secret, a variable of an environment, a prompt or a line of a log: errors are
told by their codes, which `ernie-deploy explain` describes.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from launcher import __version__
from launcher.codec import encode
from launcher.keeper.admin import metrics, probes
from launcher.keeper.admin.counters import Counters
from launcher.keeper.admin.http import METHODS, Request, Response
from launcher.keeper.admin.metrics import EngineSample
from launcher.keeper.admin.prometheus_text import CONTENT_TYPE
from launcher.keeper.state import LivenessRecord, State
from launcher.keeper.usage import KeyUsage
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan

KEEPER_SILENT = 60.0
"""Seconds without a turn of the keeper's loop after which its word is worth nothing."""
STATUS_SCHEMA = "ernie-deploy/admin-status/1"

_HOST = re.compile(r"(?P<name>\[[^\[\]]+\]|[^:\[\]]+)(:\d*)?")
_LOOPBACK_6 = bytes(15) + b"\1"
_MAPPED_127 = bytes(10) + b"\xff\xff\x7f"

Sampled = Callable[[], EngineSample | None]
"""The engine's numbers at the newest sample; None while there is none."""
Usage = Callable[[], Mapping[str, KeyUsage]]
"""The usage by key since the keeper's start."""


@dataclass(frozen=True, kw_only=True)
class AdminStatus:
    """`/status`: what an instance is, without what a stranger should not read.

    `live`, `ready` and `started` are the answers of the probes, `reason` that of `/readyz`. `error`
    is the code of the failure that ended it. Times are Unix seconds.
    """

    schema: str = STATUS_SCHEMA
    instance: str
    state: InstanceState
    live: bool
    ready: bool
    started: bool
    reason: str
    phase: str | None
    percent: float | None
    engine: str
    release: str | None
    model: str
    base_url: str
    admin_url: str
    ports: Mapping[str, int]
    started_at: float
    ready_at: float | None
    restarts: int
    liveness: LivenessRecord | None
    error: str | None
    engine_exit: int | None
    pid: int | None
    keeper_pid: int | None
    version: str = __version__


class Pages:
    """Answers requests from the keeper's memory."""

    def __init__(
        self,
        plan: LaunchPlan,
        state: State,
        counters: Counters,
        engine_lives: Callable[[], bool],
        sampled: Sampled | None,
        usage: Usage | None = None,
    ) -> None:
        """`state` is the keeper's own, which changes; `engine_lives` asks for the process."""
        self._plan = plan
        self._state = state
        self._counters = counters
        self._engine_lives = engine_lives
        self._sampled = sampled
        self._usage = usage
        self.keeper_turned = time.monotonic()
        """When the keeper's own loop was last seen to turn."""
        use = plan.admin
        self._loopback = use is not None and use.socket is None and _is_loopback(use.address)
        self._pages: Mapping[str, Callable[[], Response]] = {
            "/livez": lambda: self._probe("live"),
            "/readyz": lambda: self._probe("ready"),
            "/startupz": lambda: self._probe("startup"),
            "/metrics": self._metrics,
            "/status": self._status,
        }

    def answer(self, request: Request) -> Response:
        """The response to one request."""
        if request.method not in METHODS:
            allowed = ", ".join(METHODS)
            return Response(405, f"only {allowed} are answered here\n", headers={"Allow": allowed})
        if self._loopback and not is_local_name(request.host):
            reason = "the Host header does not name this machine's loopback (DNS rebinding?)"
            return Response(403, f"{reason}\n")
        page = self._pages.get(request.path)
        if page is None:
            return Response(404, f"there are: {' '.join(self._pages)}\n")
        return page()

    def _probe(self, name: str) -> Response:
        answer = probes.PROBES[name](self._state, self._engine_lives())
        silence = time.monotonic() - self.keeper_turned
        if silence > KEEPER_SILENT:
            # Whatever it knew is old, and nothing would act on what comes.
            answer = probes.Answer(False, f"the keeper itself has hung for {silence:.0f} s")
        return Response(200 if answer.ok else 503, f"{answer.reason}\n")

    def _metrics(self) -> Response:
        sample = self._sampled() if self._sampled is not None else None
        with self._counters.lock:
            usage = self._usage() if self._usage is not None else None
            text = metrics.render(self._plan, self._state, self._counters, sample, usage)
        return Response(200, text, CONTENT_TYPE)

    def _status(self) -> Response:
        state, plan = self._state, self._plan
        lives = self._engine_lives()
        live, ready, started = probes.live(state, lives), probes.ready(state), probes.started(state)
        status = AdminStatus(
            instance=state.instance,
            state=state.state,
            live=live.ok,
            ready=ready.ok,
            started=started.ok,
            reason=ready.reason,
            phase=state.phase,
            percent=state.percent,
            engine=plan.engine,
            release=plan.release,
            model=plan.served_model or plan.model,
            base_url=state.base_url,
            admin_url=state.admin_url,
            ports=state.ports,
            started_at=state.started_at,
            ready_at=state.ready_at,
            restarts=state.restarts,
            liveness=state.liveness,
            error=state.error.code if state.error else None,
            engine_exit=state.engine_exit,
            pid=state.engine.pid if state.engine else None,
            keeper_pid=state.keeper.pid if state.keeper else None,
        )
        return Response(200, json.dumps(encode(status)) + "\n", "application/json")


def is_local_name(host: str | None) -> bool:
    """Whether a Host header names this machine's loopback, as a browser cannot be made to say.

    A page of evil.example whose name was pointed to 127.0.0.1 (DNS rebinding) still sends its own
    name. HTTP/1.0 has no such header, and no browser speaks it.
    """
    if host is None:
        return True
    host_match = _HOST.fullmatch(host)
    if host_match is None:
        return False
    name = host_match["name"].strip("[]").rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    """Of an address as text, or of the one name that means one."""
    try:
        if ":" in address:
            packed = socket.inet_pton(socket.AF_INET6, address)
            return packed == _LOOPBACK_6 or packed.startswith(_MAPPED_127)
        return socket.inet_pton(socket.AF_INET, address)[0] == 127
    except OSError:
        return address == "localhost"
