"""What clients see of the front door: answers, retries, streams, limits, TLS, ids, the log."""

import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.door.conftest import MakeReplica, RunDoor
from tests.support.haproxies import HAProxy
from tests.support.waiting import slowness, wait_for

PATH = "/v1/chat/completions"
MEGABYTE = b"x" * 1024 * 1024


def post(
    haproxy: HAProxy, body: bytes = b"{}", headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = haproxy.connection()
    connection.request("POST", PATH, body, headers or {})
    return connection.getresponse()


def body_of(answer: http.client.HTTPResponse) -> dict[str, object]:
    body: dict[str, object] = json.loads(answer.read())
    return body


def test_without_a_replica_the_answer_is_503_with_retry_after(haproxy: RunDoor) -> None:
    answer = post(haproxy(retry_after=7))
    assert answer.status == 503
    assert answer.getheader("Retry-After") == "7"
    assert answer.getheader("Content-Type") == "application/json"
    assert answer.getheader("X-Request-ID")
    error = body_of(answer)["error"]
    assert isinstance(error, dict)
    assert error["code"] == "no_replica"
    assert set(error) == {"message", "type", "param", "code"}


def test_a_replica_that_is_not_ready_gets_nothing(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    running = haproxy(one.server())
    one.ready = False
    wait_for(lambda: running.door.server("a").state == "down", "a is down")
    assert post(running).status == 503
    assert not one.requests


@pytest.mark.parametrize("length", [2, 1024 * 1024])
def test_a_replica_that_closes_without_an_answer_loses_nothing(
    replica: MakeReplica, haproxy: RunDoor, length: int
) -> None:
    refused, working = replica("bad"), replica("good")
    refused.behaviour = "close"
    running = haproxy(refused.server(), working.server())
    body = b"x" * length
    for _ in range(20):
        answer = post(running, body)
        assert answer.status == 200
        assert body_of(answer) == {"replica": "good", "length": length}
    assert refused.requests
    assert {request["length"] for request in refused.requests} == {length}
    totals = running.door.totals()
    assert totals.backend.retries == totals.backend.redispatches == len(refused.requests)


def test_a_replica_that_is_gone_loses_nothing(replica: MakeReplica, haproxy: RunDoor) -> None:
    gone, working = replica("gone"), replica("good")
    running = haproxy(gone.server(), working.server())
    gone.stop()
    assert {post(running, MEGABYTE).status for _ in range(20)} == {200}


def test_a_body_that_arrives_in_parts_is_sent_again_whole(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    refused, working = replica("bad"), replica("good")
    refused.behaviour = "close"
    running = haproxy(refused.server(weight=256), working.server(weight=1))
    parts = 8
    for _ in range(3):
        connection = running.connection()
        connection.putrequest("POST", PATH)
        connection.putheader("Content-Length", str(len(MEGABYTE)))
        connection.endheaders()
        for number in range(parts):
            size = len(MEGABYTE) // parts
            connection.send(MEGABYTE[number * size : (number + 1) * size])
        assert body_of(connection.getresponse())["length"] == len(MEGABYTE)
    assert {request["length"] for request in refused.requests} <= {len(MEGABYTE)}


def test_a_body_larger_than_the_buffer_arrives(replica: MakeReplica, haproxy: RunDoor) -> None:
    running = haproxy(replica("a").server(), retry_buffer=65536)
    assert body_of(post(running, MEGABYTE))["length"] == len(MEGABYTE)


def test_an_answer_that_has_begun_is_never_sent_again(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    cut, second = replica("cut"), replica("other")
    cut.behaviour = "cut"
    running = haproxy(cut.server(), second.server(weight=0))
    running.door.set_weight("other", 1)
    running.door.set_weight("cut", 256)
    for _ in range(5):
        answer = post(running)
        if answer.status == 200 and answer.getheader("Transfer-Encoding") == "chunked":
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
    totals = running.door.totals()
    assert cut.requests
    assert len(cut.requests) + len(second.requests) == 5
    assert totals.backend.retries == 0


def test_a_stream_is_passed_on_chunk_by_chunk(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    one.behaviour = "stream"
    running = haproxy(one.server())
    answer = post(running)
    assert answer.readline() == b"data: a\n"  # the rest is not sent before this has come
    one.release.set()
    assert answer.read() == b"\ndata: [DONE]\n\n"
    # The kernel would keep a first chunk for 200 ms.
    one.release.clear()
    times = []
    for _ in range(10):
        begun = time.monotonic()
        post(running).readline()
        times.append(time.monotonic() - begun)
    assert min(times) < 0.1


@pytest.mark.parametrize("behaviour", ["silent", "stream"])
def test_a_client_that_leaves_stops_its_request(
    replica: MakeReplica, haproxy: RunDoor, behaviour: str
) -> None:
    one = replica("a")
    one.behaviour = "silent" if behaviour == "silent" else "stream"
    running = haproxy(one.server())
    connection = running.connection()
    connection.request("POST", PATH, b"{}")
    assert one.begun.acquire(timeout=60)
    if behaviour == "stream":
        answer = connection.getresponse()
        answer.readline()
        answer.close()
    connection.close()
    assert one.aborted.wait(60)
    wait_for(lambda: running.door.server("a").is_idle, "a is idle")


def test_silence_of_a_replica_is_no_fault_of_the_client(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    """The time-out of clients bounds what they take and not how long they wait."""
    one = replica("a")
    one.behaviour = "silent"
    wait = 0.5 * slowness()
    running = haproxy(one.server(), client_timeout=wait / 2)
    threading.Timer(2 * wait, one.release.set).start()
    assert post(running).status == 200


def test_a_silence_beyond_the_time_out_is_a_504(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    one.behaviour = "silent"
    running = haproxy(one.server(), response_timeout=0.3)
    answer = post(running)
    assert answer.status == 504
    assert body_of(answer)["error"]
    assert one.aborted.wait(60)
    assert running.door.totals().backend.retries == 0


def test_a_slow_client_holds_no_replica(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    running = haproxy(one.server(), request_timeout=0.5 * slowness())
    slow = running.connection()
    slow.putrequest("POST", PATH)
    slow.putheader("Content-Length", "1000")
    slow.endheaders()
    slow.send(b"x")
    assert post(running).status == 200  # others are served meanwhile
    assert len(one.requests) == 1
    answer = slow.getresponse()
    assert answer.status == 408
    assert body_of(answer)["error"]
    assert len(one.requests) == 1


def test_clients_beyond_the_limit_wait_and_the_statistics_answer(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    one = replica("a")
    one.behaviour = "stream"
    running = haproxy(one.server(), max_connections=2)
    first, second = post(running), post(running)
    one.behaviour = "answer"
    with socket.create_connection(("127.0.0.1", running.port)) as third:
        third.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        health = http.client.HTTPConnection("127.0.0.1", running.stats_port, timeout=60)
        health.request("GET", "/healthz")
        assert health.getresponse().status == 200
        health.close()
        assert len(one.requests) == 2
        one.release.set()
        for answer in (first, second):
            answer.read()
        for connection in running.connections():
            connection.close()
        assert third.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("streams", [60, pytest.param(200, marks=pytest.mark.soak)])
def test_many_open_streams(replica: MakeReplica, haproxy: RunDoor, streams: int) -> None:
    replicas = [replica(name) for name in "abc"]
    for one in replicas:
        one.behaviour = "stream"
    running = haproxy(*(one.server() for one in replicas))
    answers = [post(running, b"x" * 100_000) for _ in range(streams)]
    assert {answer.readline()[:6] for answer in answers} == {b"data: "}
    assert running.door.totals().frontend.sessions == streams
    # What a retry would need is kept as long as a request: one buffer, and next to nothing else.
    per_stream = running.settings.retry_buffer + 2**20 // 8
    assert running.resident() < 64 * 2**20 + streams * per_stream
    begun = time.monotonic()
    assert len(running.door.servers()) == 3
    assert time.monotonic() - begun < 10
    for one in replicas:
        one.release.set()
    assert {answer.read()[-14:] for answer in answers} == {b"data: [DONE]\n\n"}


def test_request_ids_are_kept_or_made(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    running = haproxy(one.server())
    answer = post(running, headers={"X-Request-ID": "client-1.a:b"})
    assert answer.getheader("X-Request-ID") == "client-1.a:b"
    identifiers = {post(running).getheader("X-Request-ID") for _ in range(3)}
    assert len({uuid.UUID(text) for text in identifiers if text}) == 3
    for refused in ('a b"c', "x" * 129, "$(id)", "good, a b key=team-a", "a b, good"):
        answer = post(running, headers={"X-Request-ID": refused})
        assert uuid.UUID(answer.getheader("X-Request-ID") or "")
    for values in (("good", "a b key=team-a"), ("a b key=team-a", "good")):
        connection = running.connection()
        connection.putrequest("POST", PATH)
        for value in values:
            connection.putheader("X-Request-ID", value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        connection.getresponse().read()
    assert not any("team-a" in str(request) for request in one.requests)
    assert "team-a" not in running.log()
    sent = [request["x-request-id"] for request in one.requests]
    assert sent[0] == "client-1.a:b"
    assert identifiers <= set(sent)
    for one_id in sent:
        wait_for(lambda: f"access id={one_id} " in running.log(), f"{one_id} in the log")  # noqa: B023


def test_replicas_see_who_asks(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    post(haproxy(one.server()), headers={"X-Forwarded-Proto": "https"})
    assert one.requests[0]["x-forwarded-for"] == "127.0.0.1"
    assert one.requests[0]["x-forwarded-proto"] == "http"


def test_the_log_has_no_key_no_query_and_no_prompt(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    running = haproxy(one.server())
    connection = running.connection()
    headers = {"Authorization": "Bearer sk-secret-1", "Cookie": "sk-secret-2"}
    connection.request("POST", f"{PATH}?key=sk-secret-3", b"sk-secret-4", headers)
    connection.getresponse().read()
    wait_for(lambda: "access id=" in running.log(), "the access log")
    assert one.requests[0]["authorization"] == "Bearer sk-secret-1"
    assert "sk-secret" not in running.log()
    line = next(line for line in running.log().splitlines() if line.startswith("access id="))
    assert "status=200 server=a retries=0" in line
    assert line.endswith(f"method=POST path={PATH}")


def test_the_metrics_of_haproxy(replica: MakeReplica, haproxy: RunDoor) -> None:
    running = haproxy(replica("a").server())
    post(running).read()
    stats = http.client.HTTPConnection("127.0.0.1", running.stats_port, timeout=60)
    stats.request("GET", "/metrics")
    text = stats.getresponse().read().decode()
    assert 'haproxy_server_http_responses_total{proxy="replicas",server="a",code="2xx"} 1' in text
    stats.request("GET", "/other")
    assert stats.getresponse().status == 404
    stats.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a certificate of 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    argv = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
        "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert),
    ]  # fmt: skip
    subprocess.run(argv, check=True, capture_output=True, timeout=600)
    pem = folder / "door.pem"
    pem.write_text(cert.read_text() + key.read_text())
    return pem


def test_https(replica: MakeReplica, haproxy: RunDoor, certificate: Path) -> None:
    one = replica("a")
    running = haproxy(one.server(), certificate=str(certificate))
    context = ssl.create_default_context(cafile=str(certificate.with_name("cert.pem")))
    client = http.client.HTTPSConnection("127.0.0.1", running.port, context=context, timeout=60)
    client.request("POST", PATH, MEGABYTE)
    assert client.getresponse().status == 200
    client.close()
    assert one.requests[0]["x-forwarded-proto"] == "https"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is what is tried here
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", running.port), timeout=60) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        old.wrap_socket(plain)
