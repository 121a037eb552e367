"""Whatever a live server does it is never called stalled, and one that does nothing always is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.liveness.judge import Liveness
from launcher.liveness.sample import Answer
from tests.liveness.simulated import ANSWERED, Server

SLOW = Answer(None, "timed out after 2 s")
GOOD_VERDICTS = (Liveness.IDLE, Liveness.BUSY, Liveness.PAUSED)
SPANS = st.sampled_from(
    ["quiet", "load", "prefill", "overload", "crawl", "paused", "sleeping", "late", "dropped"]
)


@settings(max_examples=40, deadline=None)
@given(spans=st.lists(st.tuples(SPANS, st.integers(1, 80)), min_size=1, max_size=8))
def test_a_live_server_is_never_stalled_or_dead(spans: list[tuple[str, int]]) -> None:
    """Full queues, prefills, pauses, sleep, a suspended machine, a keeper without the processor."""
    server = Server()
    for kind, seconds in spans:
        server.wedged = kind in ("prefill", "overload", "paused", "sleeping")
        server.full = kind in ("crawl",)
        if kind == "quiet":
            server.serve().pass_time(seconds)
        elif kind == "load":
            server.get(7).pass_time(seconds, tokens=30)
        elif kind == "prefill":
            server.get(2).pass_time(seconds, cores=0.9)
        elif kind == "overload":
            server.get(50)
            server.pass_time(seconds, counted=False, health=SLOW, cores=0.1, starved=0.9)
        elif kind == "crawl":
            server.get(500)
            for _ in range(seconds // 20 + 1):
                server.pass_time(15)
                server.tokens += 1
                server.pass_time(5)
        elif kind in ("paused", "sleeping"):
            awake = 0.0 if kind == "sleeping" else 1.0
            server.get(1).pass_time(seconds, paused=kind == "paused", awake=awake)
            server.wedged = False
            server.pass_time(1, tokens=1)
        elif kind == "late":
            server.now += seconds * 100
            server.sent = None
            server.pass_time(1, late=seconds * 100.0)
        else:
            server.serve()
            server.leaked += seconds % 5
            server.pass_time(seconds)
        assert server.verdict().name in GOOD_VERDICTS, (kind, server.verdict())
        server.wedged = server.full = False
        server.pass_time(1, tokens=1)
        assert server.verdict().name in GOOD_VERDICTS, (kind, server.verdict())


@settings(max_examples=40, deadline=None)
@given(
    clients=st.integers(0, 9),
    before=st.integers(0, 200),
    leaked=st.integers(0, 3),
    cores=st.floats(0, 0.3),
    health=st.sampled_from([ANSWERED, Answer(404), SLOW]),
    counted=st.booleans(),
)
def test_a_server_that_does_nothing_is_always_seen_within_30_seconds(
    clients: int, before: int, leaked: int, cores: float, health: Answer, counted: bool
) -> None:
    server = Server(leaked=leaked).get(clients).pass_time(before, tokens=3)
    server.wedged = True
    seconds = server.seconds_until("stalled", 120, cores=cores, health=health, counted=counted)
    assert seconds is not None
    assert seconds <= 32, server.verdict()
