"""The routers: who is registered, who is well, and where a request goes.

Python: fastdeploy/router/router.py. A stream is answered with 200 before its pair is asked, so
that one that cannot be reached ends the stream without a last event; other requests end in 500.
Only the body is forwarded. Go: fastdeploy/golang_router: no /health, headers are forwarded, and a
pair that cannot be reached is 502 (``GoRouter``; tests put it on PATH as ``fd-router``).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from fastdeploy._twin import clock, logs, ports, web

#: Seconds between two looks at the health of every instance, in real time scaled as all others;
#: with a floor, so that a small scale does not make it a load of its own.
HEALTH_INTERVAL, HEALTH_FLOOR = 5.0, 0.2
ROUTES = ("v1/chat/completions", "v1/completions")
KINDS = ("mixed", "prefill", "decode")


class UnreachableError(Exception):
    """An instance of the pair does not answer."""


class Router:
    """What both routers have in common."""

    #: Whether the client's headers go to the instances.
    forwards_headers = False

    def __init__(self, host: str, port: int, splitwise: bool) -> None:
        self.host, self.port, self.splitwise = host, port, splitwise
        self.instances: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        self.lock = threading.Lock()

    # Registration ----------------------------------------------------------------------------

    def register(self, info: dict[str, Any]) -> str | None:
        """None where the instance is registered now, else why it is not."""
        role = str(info.get("role", "")).lower()
        if role not in KINDS:
            return f"Invalid role string: {info.get('role')}"
        if (role == "mixed") == self.splitwise:
            return (
                f"Invalid instance role: InstanceRole.{role.upper()}, splitwise: {self.splitwise}"
            )
        if not is_well(info):
            return f"Instance {url(info)} is not healthy"
        with self.lock:
            if url(info) not in map(url, self.instances[role]):
                self.instances[role].append(info)
                self.log(
                    f"Register {role} instance success: {url(info)}, "
                    f"prefill: {len(self.instances['prefill'])}, "
                    f"decode: {len(self.instances['decode'])}"
                )
        return None

    def numbers(self) -> dict[str, int]:
        return {kind: len(self.instances[kind]) for kind in KINDS}

    def watch(self) -> None:
        """Drop every instance whose /health is not 200."""
        while True:
            for kind in KINDS:
                for info in list(self.instances[kind]):
                    if not is_well(info):
                        with self.lock, contextlib.suppress(ValueError):
                            self.instances[kind].remove(info)
                        self.log(f"Removed unhealthy {kind} instance: {url(info)}")
            time.sleep(max(clock.scaled(HEALTH_INTERVAL), HEALTH_FLOOR))

    def log(self, message: str) -> None:
        raise NotImplementedError

    # Requests --------------------------------------------------------------------------------

    def pair(self) -> list[dict[str, Any]]:
        """Who answers: a prefill and a decode instance, or a mixed one; empty: none does."""
        kinds = ("prefill", "decode") if self.splitwise else ("mixed",)
        with self.lock:
            if not all(self.instances[kind] for kind in kinds):
                return []
            return [random.choice(self.instances[kind]) for kind in kinds]

    def begin(
        self, pair: list[dict[str, Any]], route: str, request: web.Request
    ) -> list[http.client.HTTPResponse]:
        """Send the request to every instance of the pair; the answer is the last one's.

        Raises:
            UnreachableError: one of them cannot be reached, or hangs up.
        """
        body = json.loads(request.body)
        if self.splitwise:
            body["disaggregate_info"] = {
                "prefill_ip": pair[0]["host_ip"],
                "decode_ip": pair[1]["host_ip"],
                "prefill_connector_port": pair[0].get("connector_port"),
                "decode_connector_port": pair[1].get("connector_port"),
                "transfer_protocol": "ipc",
                "decode_tp_size": len(pair[1].get("device_ids", [])) or 1,
            }
            body.setdefault("request_id", str(uuid.uuid4()))
        headers = {"Content-Type": "application/json"}
        if self.forwards_headers and "authorization" in request.headers:
            headers["Authorization"] = request.headers["authorization"]
        responses = []
        try:
            connections = [
                http.client.HTTPConnection(info["host_ip"], int(info["port"]), timeout=600)
                for info in pair
            ]
            for connection in connections:
                connection.request("POST", f"/{route}", json.dumps(body).encode(), headers)
            responses += [connection.getresponse() for connection in connections]
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error
        return responses

    @staticmethod
    def chunks(responses: list[http.client.HTTPResponse]) -> Iterator[str]:
        """What the last of the pair sends, as it comes.

        Raises:
            HangupError: it ended before its end.
        """
        try:
            while data := responses[-1].read1(65536):
                yield data.decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise web.HangupError from error
        finally:
            for response in responses:
                response.close()

    def answer(self, request: web.Request) -> web.Response:
        raise NotImplementedError

    def run(self, listener: socket.socket) -> int:
        threading.Thread(target=self.watch, daemon=True).start()
        server = web.Server(listener, self.answer)
        over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        threading.Thread(target=server.run, daemon=True).start()
        over.wait()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        limit = time.monotonic() + 30
        while server.active and time.monotonic() < limit:
            time.sleep(0.01)
        return 0


class PythonRouter(Router):
    """fastdeploy/router/router.py."""

    def serve(self) -> int:
        try:
            listener = ports.listen(self.host, self.port)
        except OSError:
            logs.stderr(
                f"ERROR:    [Errno 98] error while attempting to bind on address "
                f"('{self.host}', {self.port}): address already in use\n"
            )
            return 1
        self.log(f"Router started at http://{self.host}:{self.port}")
        logs.stderr(
            f"INFO:     Uvicorn running on http://{self.host}:{self.port} (Press CTRL+C to quit)\n"
        )
        return self.run(listener)

    def log(self, message: str) -> None:
        logs.log("router", message, "router.py", 110)

    def answer(self, request: web.Request) -> web.Response:
        route = (request.method, request.path)
        if route == ("POST", "/register"):
            wrong = self.register(json.loads(request.body))
            if wrong is not None:
                return web.json_response({"detail": wrong}, 400)
            return web.json_response({"status": "success"})
        if route == ("GET", "/registered_number"):
            return web.json_response(self.numbers())
        if route in (("GET", "/health"), ("GET", "/health_generate")):
            return web.Response(200)
        if request.method == "POST" and request.path[1:] in ROUTES:
            return self.complete(request)
        return web.json_response({"detail": "Not Found"}, 404)

    def complete(self, request: web.Request) -> web.Response:
        pair = self.pair()
        if not pair:
            raise RuntimeError(f"No prefill or decode servers available. {self.numbers()}")
        sizes = [len(info.get("device_ids", [])) or 1 for info in pair]
        if self.splitwise and sizes[0] != sizes[1] and sizes[1] != 1:
            text = "The tp_size of prefill and decode should be equal or the tp_size of decode is 1"
            return web.json_response({"detail": text}, 400)
        if json.loads(request.body).get("stream"):
            return web.Response(body=self.stream(pair, request), kind="text/event-stream")
        responses = self.begin(pair, request.path[1:], request)
        return web.Response(responses[-1].status, responses[-1].read(), "application/json")

    def stream(self, pair: list[dict[str, Any]], request: web.Request) -> Iterator[str]:
        """The head is out when this begins."""
        try:
            responses = self.begin(pair, request.path[1:], request)
        except UnreachableError as error:
            raise web.HangupError from error
        yield from self.chunks(responses)


class GoRouter(Router):
    """fastdeploy/golang_router; its log is ./logs/router.log."""

    forwards_headers = True

    def serve(self) -> int:
        os.makedirs("logs", exist_ok=True)
        try:
            listener = ports.listen(self.host, self.port)
        except OSError:
            logs.stderr(
                f"Failed to start server: listen tcp :{self.port}: bind: address already in use\n"
            )
            return 1
        self.log(f"Starting server on :{self.port}")
        return self.run(listener)

    def log(self, message: str) -> None:
        with open("logs/router.log", "a", encoding="utf-8") as stream:
            stream.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} [INFO] {message}\n")

    def answer(self, request: web.Request) -> web.Response:
        route = (request.method, request.path)
        if route == ("POST", "/register"):
            wrong = self.register(json.loads(request.body))
            if wrong is None:
                return web.json_response({"code": 200, "msg": "Register success"})
            code = 503 if "not healthy" in wrong else 400
            return web.json_response({"code": code, "msg": wrong}, code)
        if route == ("GET", "/registered_number"):
            return web.json_response(self.numbers())
        if route == ("GET", "/registered"):
            return web.json_response({"code": 200, "msg": "success", **self.instances})
        if request.method == "POST" and request.path[1:] in ROUTES:
            return self.complete(request)
        return web.Response(404, b"404 page not found")

    def complete(self, request: web.Request) -> web.Response:
        pair = self.pair()
        if not pair:
            return web.json_response({"code": 503, "msg": "no healthy worker"}, 503)
        try:
            responses = self.begin(pair, request.path[1:], request)
        except UnreachableError as error:
            return web.json_response({"code": 502, "msg": f"failed to connect: {error}"}, 502)
        answer = responses[-1]
        if answer.status == 200 and json.loads(request.body).get("stream"):
            return web.Response(body=self.chunks(responses), kind="text/event-stream")
        return web.Response(answer.status, answer.read(), "application/json")


def url(info: dict[str, Any]) -> str:
    return f"http://{info['host_ip']}:{info['port']}"


def is_well(info: dict[str, Any]) -> bool:
    """GET /health of an instance, within 3 s."""
    connection = http.client.HTTPConnection(str(info["host_ip"]), int(info["port"]), timeout=3)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
