"""The drill's own clients: every request is answered, empty, failed or hung."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from launcher.drill.load import Load
from launcher.plan.model import LaunchPlan, PortUse, Readiness
from tests.support.waiting import wait_for


@contextlib.contextmanager
def server(answer: str) -> Iterator[int]:
    """A server whose every completion is `answer`: a text, a status, or `hang`."""
    end = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if answer == "hang":
                end.wait()
                return
            text = "" if answer.isdigit() else answer
            body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
            self.send_response(int(answer) if answer.isdigit() else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield http.server_address[1]
        finally:
            end.set()
            http.shutdown()
            thread.join()


def plan(port: int) -> LaunchPlan:
    return LaunchPlan(
        "one", "scripted", None, ("/bin/true",), "/", "/", "/",
        ports=(PortUse("api", port, "127.0.0.1"),), readiness=Readiness("127.0.0.1"),
    )  # fmt: skip


def counted(port: int, deadline: float = 600.0) -> dict[str, int]:
    """The counts after some requests of two clients."""
    load, since = Load(plan(port), None, 2, deadline), time.time()
    load.start()

    def some() -> bool:
        counts = load.counts(since)
        return sum((counts.answered, counts.empty, counts.failed)) >= 4 or counts.longest > 0.1

    wait_for(some, "some requests")
    load.stop(600.0)
    counts = load.counts(since)
    named = {"answered": counts.answered, "empty": counts.empty, "failed": counts.failed}
    return {name: count for name, count in {**named, "hung": counts.hung}.items() if count}


def test_answers_with_text_are_answered() -> None:
    with server("Hello") as port:
        assert set(counted(port)) == {"answered"}


def test_answers_without_text_are_empty() -> None:
    with server(" ") as port:
        assert set(counted(port)) == {"empty"}


def test_another_status_has_failed() -> None:
    with server("503") as port:
        assert set(counted(port)) == {"failed"}


def test_a_closed_port_has_failed() -> None:
    with server("Hello") as port:
        pass
    assert set(counted(port)) == {"failed"}


def test_no_answer_within_the_deadline_hangs() -> None:
    with server("hang") as port:
        assert set(counted(port, deadline=0.2)) == {"hung"}


def test_a_request_that_still_runs_hangs() -> None:
    with server("hang") as port:
        load, since = Load(plan(port), None, 1), time.time()
        load.start()
        wait_for(lambda: load.counts(since).hung == 1, "the request to run")
        load.stop(0.0)
        assert load.counts(since).hung == 1


def test_what_ended_before_does_not_count() -> None:
    with server("Hello") as port:
        load, since = Load(plan(port), None, 1), time.time()
        load.start()
        assert load.wait_for_answer(since, 600.0)
        load.stop(600.0)
        assert load.counts(time.time()).answered == 0


def test_without_clients_there_is_nothing_to_wait_for() -> None:
    load = Load(plan(1), None, 0)
    load.start()
    assert load.wait_for_answer(time.time(), 0.0)
    load.stop(0.0)
