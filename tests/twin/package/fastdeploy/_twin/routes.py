"""What a gunicorn worker answers on P."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from typing import Any

from fastdeploy._twin import clock, completions, release, web
from fastdeploy._twin.checks import Config
from fastdeploy._twin.engine import Engine
from fastdeploy._twin.faults import fault

#: The heartbeat has a resolution of one second; below this a healthy worker would look dead.
STALE_FLOOR_S = 2.0
METHODS = {
    "/health": ("GET",),
    "/ping": ("GET", "POST"),
    "/load": ("GET",),
    "/v1/chat/completions": ("POST",),
    "/v1/completions": ("POST",),
    "/v1/models": ("GET",),
    "/v1/embeddings": ("POST",),
    "/v1/reward": ("POST",),
    "/update_model_weight": ("GET",),
    "/clear_load_weight": ("GET",),
    "/metrics": ("GET",),
    "/config-info": ("GET",),
    "/docs": ("GET",),
    "/openapi.json": ("GET",),
}
#: Answered with 304 while the weights are cleared, only with --dynamic-load-weight.
GUARDED = ("/v1/chat/completions", "/v1/completions", "/v1/models")
CONTROLS = {
    "/v1/pause": ("POST",),
    "/v1/resume": ("POST",),
    "/v1/is_paused": ("GET",),
    "/v1/sleep": ("POST",),
    "/v1/wakeup": ("POST",),
}
METHODS |= CONTROLS
SINCE = {
    **dict.fromkeys(CONTROLS, "2.5"),
    "/v1/models": "2.2",
    "/v1/embeddings": "2.3",
    "/v1/reward": "2.3",
    "/config-info": "2.3",
}


class Site:
    """The application of one worker process."""

    def __init__(self, config: Config, engine: Engine) -> None:
        assert engine.signals is not None
        self.config, self.args, self.signals = config, config.args, engine.signals
        self.keys = getattr(config.args, "api_key", None) or _environment_keys()
        seats, workers = getattr(config.args, "max_concurrency", 512), config.args.workers
        self.limit = (seats + workers - 1) // workers
        self.busy = 0
        self.lock = threading.Lock()
        served = getattr(config.args, "served_model_name", None)
        self.model_name: str = served or config.model
        self.verified = served is not None
        self.answering = completions.Completions(self)

    def answer(self, request: web.Request) -> web.Response:
        path = request.path
        if path.startswith("/v1") and request.method != "OPTIONS" and not self._admitted(request):
            return web.json_response({"error": "Unauthorized"}, 401)
        allowed = METHODS.get(path)
        if path in SINCE and not release.at_least(SINCE[path]):
            allowed = None
        if path in ("/metrics", "/config-info") and self.config.metrics_port is not None:
            allowed = None
        if allowed is None:
            return web.json_response({"detail": "Not Found"}, 404)
        if request.method not in allowed:
            return web.json_response({"detail": "Method Not Allowed"}, 405)
        if self._cleared() and path in GUARDED and getattr(self.args, "dynamic_load_weight", False):
            return completions.failure(304, "No model weight enabled")
        if path in ("/v1/chat/completions", "/v1/completions"):
            return self._complete(request)
        if path in ("/health", "/ping"):
            return self._health()
        if path in CONTROLS:
            return self._control(path)
        if path in ("/clear_load_weight", "/update_model_weight"):
            return self._weights(path)
        if path in ("/metrics", "/config-info"):
            kind = "text/plain; charset=utf-8" if path == "/metrics" else "application/json"
            return web.Response(body=ask(self.config.link, {"do": path[1:]}), kind=kind)
        return self._page(path)

    def _admitted(self, request: web.Request) -> bool:
        if not self.keys or not release.at_least("2.3"):
            return True
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and key.strip() in self.keys

    def _health(self) -> web.Response:
        beat = self.signals.get("worker_healthy_live_signal")
        limit = max(clock.scaled(30), STALE_FLOOR_S)
        if beat and time.time() - beat > limit:
            return web.Response(404, b"Worker Service Not Healthy")
        if self._cleared():
            return web.Response(304, b"No model weight enabled")
        return web.Response(200)

    def _control(self, path: str) -> web.Response:
        """Answers measured on 2.6 (pause, resume, is_paused); sleep pauses too, wakeup resumes."""
        names = {"/v1/sleep": "pause", "/v1/wakeup": "resume"}
        order = names.get(path, path.rpartition("/")[2])
        message = json.loads(ask(self.config.link, {"do": order}))
        return web.json_response(
            {
                "request_id": f"control-{uuid.uuid4()}",
                "status": "success",
                "error_message": "Success",
                "result": message if order == "is_paused" else None,
            }
        )

    def _cleared(self) -> bool:
        return self.signals.get("model_weights_status") == -1 or bool(fault("weights-cleared"))

    def _weights(self, path: str) -> web.Response:
        if not getattr(self.args, "dynamic_load_weight", False):
            return web.Response(404, b"Dynamic Load Weight Disabled.")
        lock = f"/tmp/fd_weight_clear_update_lock__pid{os.getppid()}_port{self.args.port}.lock"
        with open(lock, "w", encoding="ascii"):
            pass
        self.signals.put("model_weights_status", -1 if path == "/clear_load_weight" else 0)
        return web.Response(200)

    def _page(self, path: str) -> web.Response:
        if path == "/v1/models":
            now = int(time.time())
            entry = {
                "id": self.model_name,
                "object": "model",
                "created": now,
                "owned_by": "FastDeploy",
                "root": self.config.model,
                "parent": None,
                "max_model_len": self.config.max_model_len,
                "permission": [{"id": f"modelperm-{now}", "object": "model_permission"}],
            }
            return web.json_response({"object": "list", "data": [entry]})
        if path == "/load":
            routes = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/embeddings")
            listed = [{"path": route, "methods": list(METHODS[route])} for route in routes]
            return web.json_response({"routes": listed})
        if path in ("/v1/embeddings", "/v1/reward"):
            return completions.failure(500, "'ErrorResponse' object has no attribute 'data'")
        if path == "/openapi.json":
            return web.json_response({"openapi": "3.1.0", "paths": {path: {} for path in METHODS}})
        return web.Response(200, b"<html><title>FastAPI - Swagger UI</title></html>", "text/html")

    def _complete(self, request: web.Request) -> web.Response:
        with self.lock:
            if self.busy >= self.limit:
                detail = f"Too many requests,current max concurrency is {self.limit}"
                return web.json_response({"detail": detail}, 429)
            self.busy += 1
        response = None
        try:
            response = self.answering.answer(request)
        finally:
            if response is None or isinstance(response.body, bytes):
                self._free()
        if not isinstance(response.body, bytes):
            response.body = self._until_end(response.body)
        return response

    def _until_end(self, pieces: Any) -> Any:
        try:
            yield from pieces
        finally:
            self._free()

    def _free(self) -> None:
        with self.lock:
            self.busy -= 1


def _environment_keys() -> list[str]:
    return [key for key in os.environ.get("FD_API_KEY", "").split(",") if key]


def ask(link: int, order: dict[str, Any]) -> bytes:
    """One question to the engine, answered with everything up to the end of the stream."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(f"/dev/shm/{link}.socket")
        peer.sendall(json.dumps(order).encode() + b"\n")
        return b"".join(iter(lambda: peer.recv(65536), b""))
