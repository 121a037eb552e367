"""Exit codes, promises, known deviations, repeats, expectations: what a verdict is made of."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from email.message import Message

import pytest

from launcher.errors import UsageError
from launcher.smoke.check import ENTRY_POINT_GROUP, REGISTRY, Check, all_checks
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.outcome import Outcome, Verdict, passed
from launcher.smoke.run import deviations
from launcher.smoke.run.deviations import DeviationRule, KnownDeviation
from launcher.smoke.run.runner import CheckRun
from launcher.smoke.run.suite import select, smoke
from launcher.smoke.section.rules import problems
from launcher.smoke.session import Session
from launcher.smoke.targets.address import base_url
from launcher.smoke.targets.resolve import resolve
from tests.smoke import model
from tests.smoke.defects import DEFECTS
from tests.smoke.rows import data_of, only, rows
from tests.smoke.servers import Body, Defect, RouteAnswer, Server, serve
from tests.smoke.targets import target_of

MINE = {"name": "own", "request": {"messages": []}, "expect": {"matches": "x"}}


def test_a_promise_that_is_not_kept_is_a_failure_and_exit_code_1() -> None:
    with serve(DEFECTS["tool-call-as-text"], key="k") as server:
        result = smoke(target_of(server), names=["tool-call"])
    assert only(result)["findings"][0]["code"] == "tool-call-as-text"
    assert result.exit_code == 1


def test_outside_the_promise_could_not_check_and_nothing_checked_is_exit_code_3() -> None:
    with serve(key="k") as server:
        target = target_of(server, promises=frozenset({"chat"}))
        result = smoke(target, names=["tool-call"])
        assert only(result)["evidence"] == []
        assert smoke(target, names=["tool-call", "chat"]).exit_code == 0
    assert only(result)["verdict"] == "could not check"
    assert result.exit_code == 3


def test_a_feature_that_an_unknown_server_rejects_is_never_a_pass() -> None:
    def rejects(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        if method == "POST" and b'"tools"' in data:
            return 400, {"error": {"message": "tools are not supported"}}
        return None

    with serve(Defect("no-tools", "tool-call", route=rejects)) as server:
        result = smoke(resolve(server.url), names=["tool-call"])
        promised = smoke(resolve(server.url, promises=["tools"]), names=["tool-call"])
    assert only(result)["verdict"] == "could not check"
    assert "tools are not supported" in only(result)["message"]
    assert only(promised)["verdict"] == "fail"


def test_a_known_deviation_is_named_and_does_not_fail_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = DeviationRule(
        KnownDeviation("tags", "t", ">=1", "measured"), ("tags-stream",), ("tags-in-content",)
    )
    monkeypatch.setattr(deviations, "known_deviations", lambda engine: (rule,))
    with serve(DEFECTS["tags-in-stream"], key="k") as server:
        result = smoke(target_of(server, release="1.2"), names=["tags-stream"])
        older = smoke(target_of(server, release="0.9"), names=["tags-stream"])
    assert only(result)["verdict"] == "fail"
    assert [d["id"] for d in only(result)["deviations"]] == ["tags"]
    assert result.exit_code == 0
    assert older.exit_code == 1


def test_a_deviation_explains_only_its_own_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = DeviationRule(KnownDeviation("sum", "t", ">=1", "measured"), ("usage",), ("usage-sum",))
    monkeypatch.setattr(deviations, "known_deviations", lambda engine: (rule,))
    with serve(DEFECTS["usage-missing"], key="k") as server:
        result = smoke(target_of(server, release="1.2"), names=["usage"])
    assert only(result)["deviations"] == []
    assert result.exit_code == 1


@pytest.mark.parametrize("engine", ["fastdeploy", "vllm", "transformers"])
def test_shipped_deviations_name_checks_that_exist_and_their_source(engine: str) -> None:
    names = {c.name for c in all_checks()}
    shipped = deviations.known_deviations(engine)
    assert shipped
    for rule in shipped:
        assert set(rule.checks) <= names
        assert rule.codes
        assert len(rule.deviation.source) > 10


def test_repeat_reports_a_rate() -> None:
    counted = {"n": 0}

    def sometimes(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        counted["n"] += path == "/health"
        return (503, {}) if path == "/health" and counted["n"] % 2 else None

    with serve(Defect("flaky", "health", route=sometimes)) as server:
        result = smoke(target_of(server), names=["health"], repeat=6)
        lenient = target_of(server, smoke={"thresholds": {"pass-rate": 0.5}})
        allowed = smoke(lenient, names=["health"], repeat=6)
    assert only(result)["rate"] == {"passes": 3, "runs": 6}
    assert only(result)["message"].startswith("3 of 6 runs passed")
    assert result.exit_code == 1
    assert allowed.exit_code == 0


def test_expectations_and_thresholds_of_the_profile_are_judged() -> None:
    expectation = {"prompt": "What is the capital of France?", "matches": "Paris"}
    with serve(key="k") as server:

        def run(**section: object) -> Body:
            return only(smoke(target_of(server, smoke=section), names=["chat"]))

        assert run(expect={"chat": expectation})["verdict"] == "pass"
        assert run(expect={"chat": {**expectation, "matches": "London"}})["verdict"] == "fail"
        assert run(thresholds={"chat": {"latency": "30s"}})["verdict"] == "pass"
        slow = run(thresholds={"chat": {"latency": "1ms"}})
        assert [f["code"] for f in slow["findings"]] == ["too-slow"]


def test_checks_written_in_yaml_run_with_the_rest() -> None:
    custom = [
        {
            "name": "knows-paris",
            "request": {
                "messages": [{"role": "user", "content": "What is the capital of France?"}]
            },
            "expect": {"matches": "Paris", "finish-reason": "stop", "latency": "30s"},
        },
        {
            "name": "knows-london",
            "stream": True,
            "request": {
                "messages": [{"role": "user", "content": "What is the capital of France?"}]
            },
            "expect": {"matches": "London"},
        },
    ]
    with serve(key="k") as server:
        result = smoke(target_of(server, smoke={"custom": custom}), tags=["custom"])
    assert {c["name"]: c["verdict"] for c in rows(result)} == {
        "knows-paris": "pass",
        "knows-london": "fail",
    }


def test_checks_of_entry_points_run_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(session: Session) -> Outcome:
        answer = session.answered("Hello!")
        assert "help" in answer.choice.text
        return passed("polite")

    theirs = Check("theirs", "a third party's", ask)

    class Point:
        name, value = "theirs", "their.module:check"

        def load(self) -> Check:
            return theirs

    def entry_points(group: str, name: str | None = None) -> list[Point]:
        return [Point()] if group == ENTRY_POINT_GROUP and name is None else []

    monkeypatch.setattr("launcher.smoke.check.metadata.entry_points", entry_points)
    with serve(key="k") as server:
        result = smoke(target_of(server), names=["theirs"])
    assert only(result)["verdict"] == "pass"
    assert "theirs" not in REGISTRY


def wrong(section: Body) -> str:
    """Everything that is said about a section."""
    return "\n".join(p.message for p in problems(section, all_checks(), lambda path: "p.yaml:3:1"))


def test_a_wrong_section_gets_every_problem_at_once() -> None:
    section = {
        "promises": ["tool"],
        "expect": {"chatt": {"matches": "("}},
        "thresholds": {"chat": {"latency": "soon"}, "pass-rate": 2},
        "custom": [{"name": "empty", "request": {"messages": []}, "expect": {}}],
    }
    problems = wrong(section)
    for part in ("'tools'", "'chat'", "regular expression", "'soon'", "pass-rate", "cannot fail"):
        assert part in problems


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            {"expect": {"tool-call": {"tool": "get_weather"}}},
            "judged in checks of `smoke.custom` only",
        ),
        (
            {"thresholds": {"stream-order": {"prompt": "Hello!"}}},
            "smoke.thresholds.stream-order.prompt: unknown key",
        ),
        (
            {
                "custom": [
                    {
                        "name": "typed",
                        "request": {"messages": []},
                        "expect": {"json-schema": {"properties": {"a": {"type": "objekt"}}}},
                    }
                ]
            },
            "$.a: unknown type 'objekt'",
        ),
    ],
)
def test_an_expectation_that_nobody_would_judge_is_an_error(section: Body, expected: str) -> None:
    assert expected in wrong(section)


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"checks": "chat"}, "smoke.checks"),
        ({"tags": ["quik"]}, "smoke.tags.0"),
        ({"expect": ["chat"]}, "smoke.expect"),
        ({"thresholds": 3}, "smoke.thresholds"),
        ({"custom": {"name": "x"}}, "smoke.custom"),
        ({"custom": ["chat"]}, "smoke.custom.0"),
        ({"custom": [{**MINE, "name": "chat"}]}, "smoke.custom.0.name"),
        ({"custom": [{**MINE, "tags": "quick"}]}, "smoke.custom.0.tags"),
        ({"custom": [{**MINE, "needs": [{"tools": 1}]}]}, "smoke.custom.0.needs.0"),
        ({"custom": [{**MINE, "expect": {"status": "good"}}]}, "smoke.custom.0.expect.status"),
        (
            {"custom": [{**MINE, "expect": {"json-schema": {"pattern": "("}}}]},
            "smoke.custom.0.expect.json-schema",
        ),
        ({"needle-tokens": ["many"]}, "smoke.needle-tokens"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_by_its_path(section: Body, path: str) -> None:
    (problem,) = problems(section, all_checks(), lambda path: "p.yaml:3:1")
    assert problem.message.startswith(f"{path}: ")


def test_checks_and_tags_of_ones_own_can_be_asked_for() -> None:
    section = {"custom": [{**MINE, "tags": ["mine"]}], "checks": ["own"], "tags": ["mine"]}
    assert wrong(section) == ""


def test_an_answer_to_match_is_missed_where_a_check_gets_none() -> None:
    section = {"expect": {"health": {"matches": "ok"}}}
    with serve() as server:
        check = only(smoke(target_of(server, smoke=section), names=["health"]))
    assert check["verdict"] == "fail"
    assert check["findings"][0]["actual"] == "no answer that could match"


def test_what_a_check_has_noted_is_not_lost_where_it_ends_with_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask(session: Session) -> Outcome:
        session.expect(session.chat("Hello!").status == 418, "not-a-teapot", "418", 200)
        return passed("all good")

    theirs = Check("theirs", "a third party's", ask)
    monkeypatch.setattr("launcher.smoke.check._third_party", lambda: [theirs])
    with serve(key="k") as server:
        result = smoke(target_of(server), names=["theirs"])
    assert only(result)["verdict"] == "fail"
    assert only(result)["findings"][0]["code"] == "not-a-teapot"


def test_stop_is_judged_where_the_thought_counts_too() -> None:
    def thinks_of_numbers(server: Server, body: Body, reply: model.Reply) -> None:
        reply.reasoning = "I count: 1 2 3 4 5 6 7 8 9 10, and then the rest of them."

    honest = Defect("thinks-of-numbers", "stop", reply=thinks_of_numbers)
    with serve(honest) as server:
        check = only(smoke(target_of(server), names=["stop"]))
    assert check["verdict"] == "pass", check["message"]


def test_a_server_that_varies_is_no_difference_between_clients() -> None:
    def another_each_time(server: Server, body: Body, payload: Body) -> None:
        server.memory["n"] = server.memory.get("n", 0) + 1
        payload["choices"][0]["message"]["content"] = f"answer {server.memory['n']}"

    with serve(Defect("varies", "chat", payload=another_each_time), key="k") as server:
        result = smoke(target_of(server), names=["chat"], clients=["all"])
    assert [d for d in data_of(result)["differences"] if "plain" in d["check"]] == []


def test_a_request_that_only_one_client_gets_answered_is_a_difference() -> None:
    def no_tools_for_sdks(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        sdk = "openai" in str(headers.get("User-Agent", "")).lower()
        return (500, {"error": "no"}) if sdk and b'"tools"' in data else None

    with serve(Defect("two-faced", "chat", route=no_tools_for_sdks), key="k") as server:
        result = smoke(target_of(server), names=["chat"], clients=["all"])
    verdicts = [d["verdicts"] for d in data_of(result)["differences"]]
    assert {"requests": "answered", "openai": "HTTP 500"} in verdicts
    assert result.exit_code == 1


def test_a_server_that_never_answers_is_a_failure_in_bounded_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with serve() as server:
            target = target_of(server, request_timeout=1.0, silence_timeout=1.0)
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/health"
            begun = time.monotonic()
            result = smoke(type(target)(**{**vars(target), "health_url": url}), names=["health"])
    assert only(result)["findings"][0]["code"] == "timeout"
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("client", ["requests", "openai", "anthropic"])
@pytest.mark.parametrize("names", [("health", "chat"), ("chat", "stream-order", "tool-call")])
def test_of_a_server_that_is_not_there_nothing_could_be_checked(
    names: tuple[str, ...], client: str
) -> None:
    with serve() as server:
        dialect = "anthropic" if client == "anthropic" else "openai"
        target = replace(
            target_of(server), endpoint=Endpoint(f"{server.url}/v1", "m", None, dialect)
        )
    result = smoke(target, names=names, clients=[client])
    cause = f"cannot connect to {server.url}: connection refused"
    assert {(c["verdict"], c["message"]) for c in rows(result)} == {("could not check", cause)}
    assert data_of(result)["unreachable"] == cause
    assert result.exit_code == 3


def test_a_server_that_goes_away_in_between_has_failed() -> None:
    def goes_away(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        if method == "POST":
            server.socket.close()
        return None

    with serve(Defect("goes-away", "chat", route=goes_away)) as server:
        result = smoke(target_of(server), names=["health", "chat", "usage", "max-tokens"])
    assert data_of(result)["unreachable"] is None
    assert result.exit_code == 1


def test_an_unknown_check_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'stream-order'"):
        select(all_checks(), names=["stream-ordr"])


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("http://127.0.0.1:8180", "http://127.0.0.1:8180/v1"),
        ("http://127.0.0.1:8180/", "http://127.0.0.1:8180/v1"),
        ("https://host/api/v7/llm", "https://host/api/v7/llm"),
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("http://[::1]:8000", "http://[::1]:8000/v1"),
    ],
)
def test_v1_is_added_where_the_address_has_no_path(address: str, base: str) -> None:
    assert base_url(address) == base


@pytest.mark.parametrize("address", ["ftp://host", "http://", "http://host:port", "://x"])
def test_what_is_no_url_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError):
        base_url(address)


def test_the_only_model_of_the_list_is_asked_for() -> None:
    with serve() as server:
        assert resolve(server.url).model == "tiny-ernie"
        assert resolve(server.url).max_model_len == 2048


def test_without_a_model_list_the_rest_is_judged_with_a_note() -> None:
    def hidden(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        return (404, {"error": "no"}) if path == "/v1/models" else None

    def any_model(server: Server, body: Body) -> None:
        return None

    with serve(Defect("no-list", "models", route=hidden, request=any_model)) as server:
        target = resolve(server.url)
        result = smoke(resolve(server.url, model="tiny-ernie"), names=["models", "chat"])
    assert target.model == "default"
    assert any("model list" in note for note in target.notes)
    verdicts = {c["name"]: c["verdict"] for c in rows(result)}
    assert verdicts == {"models": "could not check", "chat": "pass"}


def test_the_profile_says_what_runs_by_default() -> None:
    section = {"checks": ["health"], "tags": ["dialect"], "repeat": 2}
    with serve(key="k") as server:
        result = smoke(target_of(server, smoke=section))
    assert [c["name"] for c in rows(result)] == [
        "health",
        "messages",
        "count-tokens",
        "messages-stream",
    ]
    assert data_of(result)["repeat"] == 2
    assert {c["rate"]["runs"] for c in rows(result)} == {2}


def test_what_one_client_sees_and_another_does_not_is_a_finding() -> None:
    def only_for_sdks(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        server.memory["sdk"] = "openai" in str(headers.get("User-Agent", "")).lower()
        return None

    def other_answer(server: Server, body: Body, payload: Body) -> None:
        if server.memory["sdk"]:
            payload["choices"][0]["message"]["content"] = "something else"

    defect = Defect("two-faced", "chat", route=only_for_sdks, payload=other_answer)
    with serve(defect, key="k") as server:
        result = smoke(target_of(server), names=["chat"], clients=["all"])
    assert {c["verdict"] for c in rows(result)} == {"pass"}
    verdicts = [d["verdicts"] for d in data_of(result)["differences"]]
    assert {"requests": "The capital of France is Paris.", "openai": "something else"} in verdicts
    assert result.exit_code == 1


def test_the_dialect_of_a_target_is_checked_by_default() -> None:
    with serve(DEFECTS["no-message-stop"], key="k") as server:
        target = target_of(server)
        endpoint = replace(target.endpoint, dialect="anthropic")
        result = smoke(replace(target, endpoint=endpoint), clients=["requests"])
    verdicts = {c["name"]: c["verdict"] for c in rows(result)}
    assert verdicts["messages-stream"] == "fail"
    assert {"messages", "count-tokens"} <= set(verdicts)
    assert result.exit_code == 1


def test_a_mix_up_is_the_servers_even_if_the_model_repeats_no_marker() -> None:
    with serve(DEFECTS["mixed-although-no-marker-is-repeated"], key="k") as server:
        check = only(smoke(target_of(server), names=["concurrency"]))
    assert {f["code"] for f in check["findings"]} == {"answers-mixed"}
    assert "the model does not repeat" not in check["message"]


WORST_FIRST: tuple[Verdict, ...] = ("fail", "inconclusive", "could not check", "pass")


@pytest.mark.parametrize("worse", WORST_FIRST)
@pytest.mark.parametrize("better", WORST_FIRST)
def test_the_worst_draw_is_the_verdict(worse: Verdict, better: Verdict) -> None:
    """A draw that could not be checked is not a pass, wherever it stands among passes."""
    if WORST_FIRST.index(worse) > WORST_FIRST.index(better):
        worse, better = better, worse
    for verdicts in ((worse, better), (better, worse), (better, worse, better)):
        run = CheckRun(all_checks()[0], "requests", [Outcome(v, f"a {v}") for v in verdicts])
        assert run.outcome == Outcome(worse, f"a {worse}")
        assert run.passes == verdicts.count("pass")
