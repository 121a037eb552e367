"""The twin's routers and the registration of its instances, as scaleout.json says."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support import ports
from tests.support.decoded import JsonDict
from tests.support.group_rig import GO_ROUTER
from tests.support.waiting import wait_for
from tests.twin.conftest import Start


class Instance:
    """Half a pair that a test holds in its hand: its health, and the requests it got."""

    def __init__(self) -> None:
        self.well = True
        self.requests: list[tuple[JsonDict, dict[str, str]]] = []
        instance = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if instance.well else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                instance.requests.append((json.loads(body), dict(self.headers)))
                answer = b'data: {"choices": [{"finish_reason": "stop"}]}\n\n'
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def ask(
    port: int, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        text = json.dumps(body) if body is not None else None
        connection.request(method, path, text, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


Launch = Callable[..., int]


@pytest.fixture
def router(interpreter: Callable[[str], Path], tmp_path: Path) -> Iterator[Launch]:
    """Starts a router of a kind (`python`, `go`) and gives its port."""
    with ExitStack() as stack:

        def launch(kind: str = "python", release: str = "2.5") -> int:
            python, port = interpreter(release), ports.free_port()
            if kind == "python":
                argv = [str(python), "-m", "fastdeploy.router.launch", "--host", "127.0.0.1"]
            else:
                program = tmp_path / "fd-router"
                program.write_text(f"#!{python}\n{GO_ROUTER}")
                program.chmod(0o755)
                argv = [str(program)]
            prometheus = tmp_path / "prometheus"
            prometheus.mkdir(exist_ok=True)
            env = {
                **os.environ,
                "FD_LOG_DIR": str(tmp_path / "log"),
                "PROMETHEUS_MULTIPROC_DIR": str(prometheus),
                "TWIN_TIME_SCALE": "0.02",
            }
            process = subprocess.Popen(
                [*argv, "--port", str(port), "--splitwise"], cwd=tmp_path, env=env,
                stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.terminate)
            wait_for(lambda: not ports.is_free(port), "the router")
            return port

        yield launch


@pytest.fixture
def instances() -> Iterator[Callable[[], Instance]]:
    """Instances that end with the test."""
    with ExitStack() as stack:

        def make() -> Instance:
            instance = Instance()
            stack.callback(instance.close)
            return instance

        yield make


def register(port: int, role: str, instance: Instance, **more: Any) -> tuple[int, bytes]:
    info = {"role": role, "host_ip": "127.0.0.1", "port": instance.port, "device_ids": ["0"]}
    return ask(port, "POST", "/register", {**info, **more})


def numbers(port: int) -> dict[str, int]:
    counts: dict[str, int] = json.loads(ask(port, "GET", "/registered_number")[1])
    return counts


CHAT = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}


@pytest.mark.parametrize("kind", ["python", "go"])
def test_a_pair_answers_and_one_that_is_not_well_is_dropped(
    router: Launch, instances: Callable[[], Instance], kind: str
) -> None:
    port, prefill, decode = router(kind), instances(), instances()
    assert register(port, "mixed", prefill)[0] == 400
    assert register(port, "prefill", prefill)[0] == 200
    assert register(port, "decode", decode)[0] == 200
    assert register(port, "decode", decode)[0] == 200  # a heartbeat: it counts once
    assert numbers(port) == {"mixed": 0, "prefill": 1, "decode": 1}
    status, text = ask(port, "POST", "/v1/chat/completions", CHAT, Authorization="Bearer k")
    assert (status, b"finish_reason" in text) == (200, True)
    for instance in (prefill, decode):
        ((body, headers),) = instance.requests
        assert body["disaggregate_info"]["prefill_ip"] == "127.0.0.1"
        # The Python router forwards the body alone.
        assert headers.get("Authorization") == ("Bearer k" if kind == "go" else None)
    decode.well = False
    wait_for(lambda: numbers(port)["decode"] == 0, "its end in the list")
    assert register(port, "decode", decode)[0] == (503 if kind == "go" else 400)
    assert ask(port, "POST", "/v1/chat/completions", CHAT)[0] == (503 if kind == "go" else 500)
    assert ask(port, "GET", "/health")[0] == (404 if kind == "go" else 200)


@pytest.mark.parametrize("kind", ["python", "go"])
def test_a_decode_instance_that_is_gone(
    router: Launch, instances: Callable[[], Instance], kind: str
) -> None:
    """The Python router has answered a stream with 200 before it asks; the Go router has not."""
    port, prefill, decode = router(kind), instances(), instances()
    register(port, "prefill", prefill)
    register(port, "decode", decode)
    decode.close()
    if kind == "go":
        assert ask(port, "POST", "/v1/chat/completions", CHAT)[0] in (502, 503)
        return
    try:
        status, _ = ask(port, "POST", "/v1/chat/completions", CHAT)
    except http.client.HTTPException:
        return  # cut: the head was out
    assert status == 500  # it had been dropped already


def test_sizes_of_a_pair_in_the_python_router(
    router: Launch, instances: Callable[[], Instance]
) -> None:
    port, prefill, decode = router(release="2.4"), instances(), instances()
    register(port, "prefill", prefill)
    register(port, "decode", decode, device_ids=["1", "2"])
    status, text = ask(port, "POST", "/v1/chat/completions", CHAT)
    assert (status, b"should be equal" in text) == (400, True)


@pytest.mark.parametrize(("release", "again"), [("2.4", False), ("2.5", True)])
def test_instances_register(
    start: Start, interpreter: Callable[[str], Path], release: str, again: bool
) -> None:
    """2.4 until it succeeds once, 2.5 without end as a heartbeat."""
    bodies: list[JsonDict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status = 400 if len(bodies) == 1 else 200
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"127.0.0.1:{server.server_address[1]}"
        twin = start(
            "--router", address, "--splitwise-role", "decode", "--host", "0.0.0.0", release=release
        )
        twin.wait_ready()
        wait_for(lambda: len(bodies) >= 2, "a second try")
        assert bodies[0]["role"] == "decode"
        assert bodies[0]["host_ip"] == "127.0.0.1"
        if again:
            wait_for(lambda: len(bodies) >= 4, "heartbeats")
        else:
            twin.wait_said("Register to router successfully", "fastdeploy.log")
            assert twin.http("GET", "/health")[0] == 200
            assert len(bodies) == 2
        # Alone it cannot answer.
        assert twin.http("POST", "/v1/chat/completions", CHAT)[0] == 500
    finally:
        server.shutdown()
        server.server_close()
