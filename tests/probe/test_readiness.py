"""The readiness ladder against real servers, each wrong in its own way."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from launcher.json_values import JsonValue
from launcher.plan.model import LaunchPlan, PortUse, Readiness, SettingCheck
from launcher.probe import readiness
from launcher.probe.readiness import Rung
from tests.probe.test_http import answer, answering
from tests.support import ROOT, ports
from tests.support.ports import is_free
from tests.support.waiting import wait_for

Served = Callable[..., LaunchPlan]


@pytest.fixture
def served() -> Iterator[Served]:
    """Starts a scripted server and gives the plan that would probe it."""
    running: list[subprocess.Popen[bytes]] = []

    def serve(
        checks: tuple[SettingCheck, ...] = (), allow: tuple[str, ...] = (), **script: object
    ) -> LaunchPlan:
        number = ports.free_port()
        argv = [str(ROOT / "tests/support/fake_server.py"), str(number), json.dumps(script)]
        running.append(subprocess.Popen([sys.executable, "-I", "-S", *argv]))
        wait_for(lambda: not is_free(number), "the server's port")
        return LaunchPlan(
            instance="one", engine="scripted", release="1.0", argv=("/bin/true",), cwd="/",
            log_folder="/nowhere", temporary_folder="/nowhere",
            ports=(PortUse("api", number, "127.0.0.1"),),
            readiness=Readiness(
                "127.0.0.1", model="tiny", completion={"model": "tiny"}, settings=checks,
                settings_path="/settings" if checks else None, probe_timeout=1.0,
            ),
            allow_differences=allow,
        )  # fmt: skip

    yield serve
    for process in running:
        process.kill()
        process.wait()


def ours() -> Rung:
    return Rung("listening", "passed", "ours")


def climbed(plan: LaunchPlan, secret: str | None = None) -> Rung:
    """The last rung that was reached."""
    return readiness.climb(plan, ours, secret)[-1]


def test_all_the_way_up(served: Served) -> None:
    rungs = readiness.climb(served(), ours, None)
    assert [r.name for r in rungs] == ["listening", "health", "models", "settings", "completion"]
    assert {r.verdict for r in rungs} == {"passed"}
    assert rungs[-1].evidence["text"] == "Hello!"
    assert set(rungs[-1].evidence) == {"text", "seconds", "at"}
    assert set(rungs[1].evidence) == {"status", "seconds"}
    assert rungs[1].message == "GET /health answered 200"


def test_nothing_is_asked_above_a_rung_that_does_not_hold(served: Served) -> None:
    def theirs() -> Rung:
        return Rung("listening", "failed", "stolen")

    assert readiness.climb(served(), theirs, None) == [theirs()]


@pytest.mark.parametrize("status", [204, 301, 304, 401, 404, 500, 503])
def test_only_200_is_healthy(served: Served, status: int) -> None:
    rung = climbed(served(health=status))
    assert (rung.name, rung.verdict) == ("health", "retry")
    assert str(status) in rung.message


def test_nobody_listens(served: Served) -> None:
    plan = served(serve=True)
    gone = ports.free_port()
    rung = readiness.health(plan.readiness, gone)
    assert rung == Rung("health", "retry", "GET /health failed: connection refused")


def test_a_health_that_hangs(served: Served) -> None:
    plan = served(health="hang")
    rung = readiness.health(plan.readiness, plan.ports[0].number, timeout=0.3)
    assert rung == Rung("health", "retry", "GET /health timed out after 0.3 s", {"timed_out": True})


@pytest.mark.parametrize(
    ("models", "verdict", "code"),
    [
        (["other", "tiny"], "passed", ""),
        (["other"], "failed", "wrong-model"),
        ([], "failed", "wrong-model"),
        ([5, None], "failed", "wrong-model"),
        (404, "retry", ""),
        (500, "retry", ""),
        (401, "failed", "key-refused"),
    ],
)
def test_the_model_list(served: Served, models: object, verdict: str, code: str) -> None:
    rung = readiness.models(served(models=models), None)
    assert (rung.verdict, rung.code) == (verdict, code)


def test_a_key_is_sent_and_a_refused_one_is_final(served: Served) -> None:
    plan = served(key="right")
    assert climbed(plan, "right").name == "completion"
    refused = climbed(plan, "wrong")
    assert (refused.verdict, refused.code) == ("failed", "key-refused")
    assert "wrong" not in refused.message


@pytest.mark.parametrize("secret", ["two\nlines", "tab\t", "ключ", "", "sp ace"])
def test_a_key_that_no_header_can_carry(served: Served, secret: str) -> None:
    (rung,) = readiness.climb(served(), ours, secret)
    assert (rung.verdict, rung.code) == ("failed", "key-unusable")
    assert not secret or secret not in rung.message


def check(key: str, expected: JsonValue) -> SettingCheck:
    return SettingCheck(key, expected, f"engine/{key}")


@pytest.mark.parametrize(
    ("requested", "runs"),
    [(4096, 4096), (4096, "4096"), ("a", "a"), ([1, 2], "1,2"), ("1,2", [1, 2])],
)
def test_settings_are_equal_however_they_are_spelled(
    served: Served, requested: JsonValue, runs: object
) -> None:
    plan = served((check("len", requested),), settings={"engine": {"len": runs}})
    rung = readiness.settings(plan, None)
    assert (rung.verdict, rung.evidence["equal"]) == ("passed", ["len"])


def test_settings_that_differ_are_all_named(served: Served) -> None:
    checks = (check("len", 4096), check("seqs", 8), check("quiet", 1))
    reported = {"engine": {"len": 2048, "seqs": 4}}
    rung = readiness.settings(served(checks, settings=reported), None)
    assert (rung.verdict, rung.code) == ("failed", "settings-differ")
    assert "len: asked 4096, runs 2048; seqs: asked 8, runs 4" in rung.message
    assert rung.evidence["unknown"] == ["quiet"], "what the server does not tell is unknown"
    assert str(rung.remedy).endswith("`health.allow-differences: [len, seqs]`")


def test_a_difference_can_be_allowed(served: Served) -> None:
    checks = (check("len", 4096), check("seqs", 8))
    reported = {"engine": {"len": 2048, "seqs": 8}}
    rung = readiness.settings(served(checks, ("len",), settings=reported), None)
    assert rung.verdict == "passed"
    assert rung.evidence["differences"] == [{"key": "len", "asked": 4096, "runs": 2048}]


@pytest.mark.parametrize("reported", [None, [], "words"])
def test_settings_that_cannot_be_read(served: Served, reported: object) -> None:
    rung = readiness.settings(served((check("len", 1),), settings=reported), None)
    assert rung.verdict == "retry"


def test_without_such_a_place_settings_are_unknown_and_said_to_be(served: Served) -> None:
    rung = readiness.settings(served(), None)
    assert (rung.verdict, rung.message) == (
        "passed", "unknown: the engine does not tell its settings",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("completion", "verdict", "code"),
    [
        ("ok", "passed", ""),
        ("reasoning", "passed", ""),
        ("empty", "retry", "completion-empty"),
        ("garbage", "retry", "completion-empty"),
        ("hang", "retry", "completion-timeout"),
        ("400", "failed", "completion-refused"),
        ("404", "failed", "completion-refused"),
        ("500", "retry", "completion-refused"),
        ("401", "failed", "key-refused"),
    ],
)
def test_the_completion(served: Served, completion: str, verdict: str, code: str) -> None:
    rung = readiness.completion(served(completion=completion), None)
    if completion == "hang" and rung.verdict == "failed":
        verdict = "failed"  # one patient question is enough
    assert (rung.verdict, rung.code) == (verdict, code)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"choices": [{"message": {"content": "a"}}]}, "a"),
        ({"choices": [{"message": {"content": None, "reasoning": "b"}}]}, "b"),
        ({"choices": [{"message": {"content": "", "reasoning_content": "c"}}]}, "c"),
        ({"choices": [{"text": "d"}]}, "d"),
        ({"choices": []}, ""),
        ({"choices": ["text"]}, ""),
        ({"choices": [{"message": "words"}]}, ""),
        ({"choices": None}, ""),
        ([], ""),
        (5, ""),
    ],
)
def test_what_counts_as_generated(body: object, text: str) -> None:
    assert readiness.generated(json.dumps(body).encode()) == text


def test_without_a_model_list_nothing_is_asked(served: Served) -> None:
    plan = served()
    without = replace(plan, readiness=replace(plan.readiness, models_path=None))
    assert readiness.models(without, None) == Rung(
        "models", "passed", "the engine has no model list"
    )


def test_an_unhealthy_answer_is_quoted_on_one_line() -> None:
    with answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nnot\n ready") as port:
        rung = readiness.health(Readiness("127.0.0.1"), port, timeout=20)
    assert (rung.verdict, rung.message) == ("retry", "GET /health answered 503 not ready")
    assert rung.evidence["body"] == "not ready"


PAUSE = "/v1/is_paused"


def telling(status: int, body: str) -> AbstractContextManager[int]:
    """A server that answers every question with this, and its port."""
    return answering(answer(body.encode(), status))


def ask_paused(port: int, secret: str | None = None) -> Rung:
    return readiness.ask_paused("127.0.0.1", port, PAUSE, secret, timeout=20)


def test_an_engine_that_is_paused_is_not_ready_and_the_way_on_is_told() -> None:
    with telling(200, '{"result": {"is_paused": true}}') as port:
        rung = ask_paused(port)
    assert (rung.name, rung.verdict, rung.code) == ("paused", "retry", "engine-paused")
    assert rung.evidence == {"paused": True}
    assert "/v1/resume" in str(rung.remedy)


def test_an_engine_that_is_not_paused_passes() -> None:
    with telling(200, '{"result": {"is_paused": false}}') as port:
        rung = ask_paused(port)
    assert rung == Rung("paused", "passed", "the engine is not paused", {"paused": False})


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, '{"result": {"is_paused": true}}'),
        (401, ""),
        (500, "broken"),
        (200, "no JSON"),
        (200, "[]"),
        (200, '{"result": null}'),
        (200, '{"result": {"is_paused": "true"}}'),
        (200, "{}"),
    ],
)
def test_a_server_that_does_not_tell_is_believed_to_work(status: int, body: str) -> None:
    with telling(status, body) as port:
        rung = ask_paused(port)
    expected = f"unknown: GET {PAUSE} answered {status}"
    assert rung == Rung("paused", "passed", expected)


@pytest.mark.parametrize("status", [401, 403])
def test_the_question_for_a_pause_may_be_refused(status: int) -> None:
    with telling(status, "") as port:
        rung = ask_paused(port, "key")
        assert (rung.verdict, rung.code) == ("failed", "key-refused")
        assert PAUSE in rung.message
        assert ask_paused(port).verdict == "passed", "no key was given that could be wrong"


def test_the_question_for_a_pause_without_an_answer(free_port: int) -> None:
    rung = ask_paused(free_port)
    assert rung == Rung("paused", "retry", f"GET {PAUSE} failed: connection refused")


def test_the_ladder_asks_for_a_pause_where_the_plan_says_so(served: Served) -> None:
    plan = served(paused={PAUSE: True})
    with_pause = replace(plan, readiness=replace(plan.readiness, paused_path=PAUSE))
    assert climbed(with_pause).code == "engine-paused"
    assert climbed(plan).name == "completion", "without such a path no question is asked"


@pytest.mark.parametrize("runs", [1 << 63, -(1 << 63), float("1e300")])
def test_a_number_that_other_readers_cannot_hold_is_kept_as_text(
    served: Served, runs: float
) -> None:
    rung = readiness.settings(served((check("len", 1),), settings={"engine": {"len": runs}}), None)
    assert rung.evidence["differences"] == [{"key": "len", "asked": 1, "runs": str(runs)}]


def test_the_largest_number_is_kept_as_one(served: Served) -> None:
    runs = (1 << 63) - 1
    rung = readiness.settings(served((check("len", 1),), settings={"engine": {"len": runs}}), None)
    assert rung.evidence["differences"] == [{"key": "len", "asked": 1, "runs": runs}]


def test_a_stream_without_spaces_counts_as_generated() -> None:
    event = b'data:{"choices":[{"delta":{"content":"%s"}}]}\n'
    assert readiness.generated(event % b"a" + b"\n" + event % b"b" + b"data:[DONE]\n") == "ab"


@pytest.mark.parametrize(
    ("body", "verdict", "text"),
    [
        ('{"mixed": 0, "prefill": 2, "decode": 1}', "passed", "prefill 2 of 1, decode 1 of 1"),
        ('{"prefill": 1, "decode": 0}', "retry", "prefill 1 of 1, decode 0 of 1"),
        ('{"prefill": 1}', "retry", "does not tell the numbers of prefill, decode"),
        ("none", "retry", "does not tell the numbers of prefill, decode"),
        ("[]", "retry", "does not tell the numbers of prefill, decode"),
    ],
)
def test_a_health_answer_with_numbers(body: str, verdict: str, text: str) -> None:
    """A router answers 200 before any instance is registered with it."""
    with answering(answer(body.encode())) as port:
        question = Readiness(
            "127.0.0.1", health_path="/registered_number",
            health_minimum={"prefill": 1, "decode": 1},
        )  # fmt: skip
        rung = readiness.health(question, port)
    assert rung.verdict == verdict
    assert text in rung.message
