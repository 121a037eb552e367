"""Status codes before, while and after; bad requests; authentication (sections 8, 9, 11, 12)."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from launcher.json_values import JsonObject
from tests.support.decoded import JsonDict
from tests.twin.conftest import Start
from tests.twin.driver import Twin, lease_ports, wait_for

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]


def test_nothing_answers_before_ready(start: Start) -> None:
    twin = start(fault="worker-hangs-in-load")
    twin.wait_said("Loading Weights:   0%")
    assert twin.listening() == {"Q", "C"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200), ("GET", "/ping", 200), ("POST", "/ping", 200),
        ("GET", "/load", 200), ("GET", "/v1/models", 200), ("GET", "/docs", 200),
        ("GET", "/metrics", 404), ("GET", "/config-info", 404), ("GET", "/nothing", 404),
        ("GET", CHAT, 405), ("GET", "/clear_load_weight", 404),
    ],
)  # fmt: skip
def test_status_when_ready(served: Twin, method: str, path: str, status: int) -> None:
    assert served.http(method, path)[0] == status


def test_bodies_when_ready(served: Twin) -> None:
    assert served.http("GET", "/health") == (200, b"")
    assert json.loads(served.http("GET", CHAT)[1]) == {"detail": "Method Not Allowed"}
    assert json.loads(served.http("GET", "/nothing")[1]) == {"detail": "Not Found"}
    models = json.loads(served.http("GET", "/v1/models")[1])
    entry = models["data"][0]
    assert (models["object"], entry["max_model_len"]) == ("list", 2048)
    assert entry["id"] == entry["root"]
    load = json.loads(served.http("GET", "/load")[1])
    assert load["routes"][0]["path"] == CHAT


@pytest.mark.parametrize(
    ("path", "status"), [("/metrics", 200), ("/config-info", 200), ("/health", 404)]
)
def test_status_on_the_metrics_port(served: Twin, path: str, status: int) -> None:
    assert served.http("GET", path, port=served.ports.metrics)[0] == status


def test_metrics_are_on_the_main_port_if_there_is_no_other(start: Start) -> None:
    with lease_ports() as ports:
        flags = ["--metrics-port", str(ports.port), "--api-key", "sk-1"]
        twin = start(*flags, ports=ports).wait_ready()
    assert twin.http("GET", "/metrics")[0] == 200, "and not covered by the key"
    assert twin.http("GET", "/config-info")[0] == 200
    assert "Launching metrics service at http://0.0.0.0:" + str(ports.port) in twin.output


def test_a_hung_worker_is_404_and_chats_hang(start: Start) -> None:
    twin = start().wait_ready()
    os.kill(twin.worker, signal.SIGSTOP)
    assert twin.health() == 200, "up to 30 s after the worker's last loop"
    wait_for("404", lambda: twin.health() == 404)
    assert twin.http("GET", "/health")[1] == b"Worker Service Not Healthy"
    with pytest.raises(TimeoutError):
        twin.http("POST", CHAT, {"messages": HELLO}, timeout_s=0.5)
    assert twin.http("GET", "/v1/models")[0] == 200
    os.kill(twin.worker, signal.SIGCONT)
    wait_for("200", lambda: twin.health() == 200)


def test_heartbeat_and_chat_faults(start: Start) -> None:
    stopped = start(fault="heartbeat-stops").wait_ready()
    silent = start(fault="chat-hangs").wait_ready()
    with pytest.raises(TimeoutError):
        silent.http("POST", CHAT, {"messages": HELLO}, timeout_s=0.5)
    assert silent.health() == 200
    wait_for("404", lambda: stopped.health() == 404)


def raw_get(twin: Twin, path: str) -> bytes:
    with socket.create_connection(("127.0.0.1", twin.ports.port), timeout=5) as peer:
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return b"".join(iter(lambda: peer.recv(4096), b""))


def test_cleared_weights_are_304_without_a_body(start: Start) -> None:
    twin = start("--dynamic-load-weight").wait_ready()
    assert twin.http("GET", "/clear_load_weight")[0] == 200
    answer = raw_get(twin, "/health")
    assert answer.startswith(b"HTTP/1.1 304 Not Modified\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert raw_get(twin, "/v1/models").startswith(b"HTTP/1.1 304 ")
    twin.wait_said("\nRuntimeError: Response content longer than Content-Length\n")
    assert b"ontent-" not in answer, "neither type nor length"
    access, error = '"GET /health HTTP/1.1" 304', "[ERROR] Exception in ASGI application"
    assert twin.output.index(access) < twin.output.index(error)
    assert twin.http("GET", "/update_model_weight")[0] == 200
    assert twin.health() == 200
    for lock in Path("/tmp").glob(f"fd_weight_clear_update_lock__pid*_port{twin.ports.port}.lock"):
        lock.unlink()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("weights-cleared", "RuntimeError: Response content longer than Content-Length"),
        (
            "weights-cleared@parser=h11",
            "h11._util.LocalProtocolError: Too much data for declared Content-Length",
        ),
    ],
)
def test_cleared_weights_as_a_fault(start: Start, fault: str, error: str) -> None:
    twin = start(fault=fault)
    wait_for("304", lambda: twin.health() == 304)
    twin.wait_said(f"\n{error}\n")


def test_keys_protect_only_v1(start: Start) -> None:
    twin = start("--api-key", "sk-a", "--api-key", "sk-b").wait_ready()
    body = {"messages": HELLO}
    assert twin.http("POST", CHAT, body) == (401, b'{"error":"Unauthorized"}')
    assert twin.http("GET", "/v1/nothing")[0] == 401
    for header in ("Bearer sk-a", "bearer sk-b"):
        assert twin.http("POST", CHAT, body, headers={"Authorization": header})[0] == 200
    assert twin.http("POST", CHAT, body, headers={"x-api-key": "sk-a"})[0] == 401
    assert twin.http("POST", CHAT, body, headers={"Authorization": "Bearer nope"})[0] == 401
    for path in ("/health", "/ping", "/load", "/docs", "/openapi.json"):
        assert twin.http("GET", path)[0] == 200
    assert twin.http("GET", "/metrics", port=twin.ports.metrics)[0] == 200


def test_config_info_shows_the_environments_key(start: Start) -> None:
    twin = start(environment={"FD_API_KEY": "sk-x,sk-y"}).wait_ready()
    body = json.loads(twin.http("GET", "/config-info", port=twin.ports.metrics)[1])
    assert body["env_config"]["FD_API_KEY"] == "sk-x,sk-y"
    assert len(body["env_config"]) > 60
    assert body["model_config"]["architectures"] == ["Ernie4_5ForCausalLM"]
    assert body["cache_config"]["total_block_num"] == 4096
    assert body["parallel_config"]["engine_worker_queue_port"] == [twin.ports.queue]
    assert twin.http("POST", CHAT, {"messages": HELLO})[0] == 401


def refused(twin: Twin, body: Any, **options: Any) -> tuple[int, JsonDict]:
    status, raw = twin.http("POST", CHAT, body, **options)
    error: JsonDict = json.loads(raw)["error"]
    return status, error


@pytest.mark.parametrize(
    ("body", "status", "kind", "code", "text"),
    [
        ({}, 400, "invalid_request_error", "missing_required_parameter", "Field required"),
        ({"messages": []}, 500, "invalid_request_error", None, "messages can not be an empty list"),
        (
            {"messages": "x"}, 400, "invalid_request_error", "invalid_value",
            "Input should be a valid list",
        ),
        (
            {"messages": HELLO, "max_tokens": 0}, 500, "invalid_request_error", None,
            "max_tokens can be defined [1, 2048), but now it's 0.",
        ),
        (
            {"messages": HELLO, "max_tokens": -1, "stream": True}, 500, "invalid_request_error",
            None, "but now it's -1.",
        ),
        ({"messages": HELLO, "max_tokens": "abc"}, 400, "invalid_request_error", "invalid_value",
         "valid integer"),
        ({"messages": HELLO, "temperature": -1}, 400, "invalid_request_error", "invalid_value",
         "greater than or equal to 0"),
        ({"messages": HELLO, "top_p": 2}, 400, "invalid_request_error", "invalid_value",
         "less than or equal to 1"),
        ({"messages": HELLO, "stream_options": {"include_usage": True}}, 400,
         "invalid_request_error", "invalid_value", "stream"),
        ({"messages": HELLO, "logprobs": True}, 500, "invalid_request_error", None,
         "Logprobs is disabled, please enable it in startup config."),
        ({"messages": [{"role": "user", "content": "word " * 3000}]}, 500, "invalid_request_error",
         None,
         "] generator error: Input text is too long, input_ids_len (2047) + min_tokens(1) >= "
         "max_model_len(2048), Traceback (most recent call last):\n"),
    ],
)  # fmt: skip
def test_bad_requests(
    served: Twin, body: object, status: int, kind: str, code: str | None, text: str
) -> None:
    got, error = refused(served, body)
    assert (got, error["type"], error["code"]) == (status, kind, code)
    assert text in error["message"]
    if status == 500:
        assert "Logprobs" in text or "Traceback" in error["message"]


def test_refused_requests_are_in_the_logs(start: Start) -> None:
    """As errors with tracebacks, none of which says that the server is ill."""
    twin = start().wait_ready()
    bodies: tuple[JsonObject, ...] = ({}, {"messages": []}, {"messages": HELLO, "logprobs": True})
    for body in bodies:
        assert twin.http("POST", CHAT, body)[0] in (400, 500)
    assert twin.http("POST", CHAT, b"{bad")[0] == 500
    errors = (twin.folder / "log" / "api_server.log").read_text()
    assert f"{CHAT} messages Field required" in errors
    assert "] generator error: messages can not be an empty list" in errors
    assert "\nValueError: Logprobs is disabled" in errors
    twin.wait_said("[ERROR] Exception in ASGI application")


def test_bad_bodies(served: Twin) -> None:
    status, error = refused(served, b"{bad")
    assert (status, error["type"]) == (500, "internal_error")
    assert error["message"].startswith("1 validation error for ErrorInfo")
    status, error = refused(served, b"{}", headers={"Content-Type": "text/plain"})
    assert (status, error["message"]) == (500, "'bytes' object has no attribute 'get'")
    status, error = refused(served, b"")
    assert (status, error["param"]) == (400, "body")
    status, raw = served.http("POST", "/v1/embeddings", {"input": "x"})
    assert (status, b"'ErrorResponse' object has no attribute 'data'" in raw) == (500, True)


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"content": "Hello"}]}, {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "x", "content": "y"}]},
        {"unknown": 1}, {"model": None}, {"model": "any"}, {"temperature": 9},
        {"response_format": {"type": "json_object"}}, {"max_tokens": 1000000},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}]},
    ],
)  # fmt: skip
def test_requests_that_are_not_validated(served: Twin, more: dict[str, object]) -> None:
    assert served.http("POST", CHAT, {"messages": HELLO, **more})[0] == 200


def test_the_served_name_is_verified(start: Start) -> None:
    twin = start("--served-model-name", "my-model").wait_ready()
    for name in ("my-model", "default"):
        assert twin.chat("Hello", model=name)["model"] == "my-model"
    assert twin.chat("Hello")["model"] == "my-model"
    status, error = refused(twin, {"messages": HELLO, "model": "other"})
    assert (status, error["code"]) == (500, "model_not_support")
    assert error["message"] == "Unsupported model: [other], support [my-model] or default"
    assert refused(twin, {"messages": HELLO, "model": None})[0] == 500


def test_too_many_requests(start: Start) -> None:
    twin = start("--max-concurrency", "2", environment={"TWIN_TOKENS_PER_S": "20"}).wait_ready()
    got: list[tuple[int, bytes]] = []
    body = {"messages": HELLO}

    def ask() -> None:
        got.append(twin.http("POST", CHAT, body, timeout_s=20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refusals = [raw for status, raw in got if status == 429]
    assert len(refusals) == 2
    assert refusals[0] == b'{"detail":"Too many requests,current max concurrency is 2"}'


def figures(twin: Twin) -> dict[str, float]:
    text = twin.http("GET", "/metrics", port=twin.ports.metrics)[1].decode()
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("fastdeploy:"): float(value) for name, _, value in rows}


def test_requests_beyond_the_seats_wait(start: Start) -> None:
    twin = start("--max-num-seqs", "1", "--max-num-batched-tokens", "1024",
                 environment={"TWIN_TOKENS_PER_S": "40"}).wait_ready()  # fmt: skip
    threads = [threading.Thread(target=twin.chat, args=("Hello",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for("three", lambda: figures(twin)["requests_number_total"] == 3)
    now = figures(twin)
    assert now["num_requests_running"] == 1
    assert now["num_requests_waiting"] == 0, "stays 0 while requests wait"
    assert now["requests_number_total"] - now["request_success_total"] > 1
    for thread in threads:
        thread.join()
    assert figures(twin)["request_success_total"] == 3


def test_an_abandoned_request_is_not_aborted(start: Start) -> None:
    twin = start(environment={"TWIN_TOKENS_PER_S": "2"}).wait_ready()
    with pytest.raises(TimeoutError):
        twin.http("POST", CHAT, {"messages": HELLO}, timeout_s=0.2)
    wait_for("it runs", lambda: figures(twin)["num_requests_running"] == 1)
    wait_for("its end", lambda: figures(twin)["num_requests_running"] == 0)
    assert figures(twin)["request_success_total"] == 1


def test_metrics_names(served: Twin) -> None:
    served.chat("Hello")
    text = served.http("GET", "/metrics", port=served.ports.metrics)[1].decode()
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) == 36
    assert all(name.startswith("fastdeploy:") for name in families)
    now = figures(served)
    assert now["generation_tokens_total"] > 0
    assert now["e2e_request_latency_seconds_count"] >= 1
    assert 'total_block_num="136"' in text


def test_old_releases_print_some_series_twice(start: Start) -> None:
    twin = start(release="2.3").wait_ready()
    text = twin.http("GET", "/metrics", port=twin.ports.metrics)[1].decode()
    assert text.count("# TYPE fastdeploy:prompt_tokens_total counter") == 2


def test_routes_by_release(start: Start) -> None:
    twin = start(release="2.1", environment={"FD_API_KEY": "sk-1"}).wait_ready()
    assert twin.http("GET", "/v1/models")[0] == 404
    assert twin.http("GET", "/config-info", port=twin.ports.metrics)[0] == 404
    assert twin.http("POST", CHAT, {"messages": HELLO})[0] == 200, "no keys before 2.3"


def test_worker_death_closes_a_running_request(start: Start) -> None:
    twin = start(fault="worker-dies-after-ready@on=request").wait_ready()
    begun = time.monotonic()
    with pytest.raises((ConnectionError, OSError)):
        twin.http("POST", CHAT, {"messages": HELLO})
    assert time.monotonic() - begun < 8
    assert twin.wait() == 0
