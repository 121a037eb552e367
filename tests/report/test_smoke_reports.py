"""One result, five renderings: terminal, JSON, JUnit, Markdown, HTML; no secret in any."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from launcher.report import html, junit, markdown, smoke_text
from launcher.result import Result
from launcher.smoke.run.results import Difference
from launcher.smoke.run.suite import smoke
from tests.smoke.model import Reply
from tests.smoke.servers import Defect, RouteAnswer, Server, serve
from tests.smoke.targets import target_of
from tests.support.as_json import as_json

SECRET = 'sk-"very/secret+key"'


@pytest.fixture(scope="module")
def result() -> Result[Any]:
    """A run with a failure, a doubt, a pass and something that could not be checked."""

    def echo_key(
        server: Server, method: str, path: str, data: bytes, headers: object
    ) -> RouteAnswer | None:
        if path == "/health":
            return 503, {"your_key": SECRET, "evil": "\x00</script><script>alert(1)</script>"}
        return None

    with serve(Defect("echo", "health", route=echo_key), key=SECRET) as server:
        target = target_of(server, settings_url=None)
        return smoke(target, names=["health", "chat", "settings", "auth", "stream-order"])


def everything(result: Result[Any]) -> dict[str, str]:
    return {
        "text": smoke_text.smoke(result),
        "json": json.dumps(result.envelope(), ensure_ascii=False),
        "junit": junit.render(result),
        "markdown": markdown.render(result),
        "html": html.render(result),
    }


def test_every_rendering_names_every_check(result: Result[Any]) -> None:
    names = [c.name for c in result.payload.checks]
    assert len(names) == 5
    for kind, text in everything(result).items():
        plain = text.replace("\\", "")
        assert not [n for n in names if n not in plain], kind


def test_no_rendering_shows_the_key(result: Result[Any]) -> None:
    for kind, text in everything(result).items():
        assert "very/secret" not in text, kind
        assert "very%2Fsecret" not in text, kind


def test_junit_says_failure_and_skipped(result: Result[Any]) -> None:
    suite = ElementTree.fromstring(junit.render(result)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "1", "1")
    outcome = {c.get("name"): [e.tag for e in c] for c in suite.findall("testcase")}
    assert outcome["health [http]"] == ["failure"]
    assert outcome["settings [http]"] == ["skipped"]
    assert outcome["chat [requests]"] == []


def test_inconclusive_is_an_error_in_junit() -> None:
    def refuses_to_count(server: Server, body: object, reply: Reply) -> None:
        reply.content = "No."

    with serve(Defect("no-counting", "stop", reply=refuses_to_count), key="k") as server:
        result = smoke(target_of(server), names=["stop"])
    assert [c["verdict"] for c in as_json(result.payload)["checks"]] == ["inconclusive"]
    suite = ElementTree.fromstring(junit.render(result)).find("testsuite")
    assert suite is not None
    assert suite.get("errors") == "1"


def test_what_the_clients_see_differently_is_a_failure_in_junit(result: Result[Any]) -> None:
    verdicts = {"requests": "| a <b>", "openai": "[x](http://evil)"}
    data = replace(result.payload, differences=(Difference("chat", verdicts, False),))
    differing = Result(result.command, data, result.instance, result.exit_code)
    suite = ElementTree.fromstring(junit.render(differing)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("6", "2")
    (case,) = [c for c in suite.findall("testcase") if c.get("name") == "clients agree: chat"]
    assert [e.tag for e in case] == ["failure"]
    text = markdown.render(differing)
    assert "&lt;b&gt;" in text
    assert "[x](http" not in text


def test_html_stands_alone_and_escapes_what_servers_say(result: Result[Any]) -> None:
    page = html.render(result)
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            for name, value in attrs:
                assert name != "src"
                assert name != "href" or str(value).startswith("#")

    Reader().feed(page)
    assert tags.count("script") == 1
    assert "&lt;script&gt;" in page
    assert page.count("<details") == page.count("</details>")
    assert "POST" in page
    assert re.search(r"chat/completions", page)


def test_text_shows_expected_and_got(result: Result[Any]) -> None:
    lines = smoke_text.smoke(result).splitlines()
    at = next(i for i, line in enumerate(lines) if "FAIL  health" in line)
    assert "expected status 200" in lines[at + 1]
    assert "HTTP 503" in lines[at + 2]
    assert lines[-1].startswith("FAIL: 3 passed, 1 failed, 1 could not be checked in ")


def test_what_was_not_sent_and_did_not_come_is_not_shown_as_a_value() -> None:
    def hangs_up(
        server: Server, method: str, path: str, data: bytes, headers: object
    ) -> RouteAnswer:
        return 0, ""

    with serve(Defect("hangs-up", "health", route=hangs_up)) as server:
        target = replace(target_of(server), engine=None, release=None)
        run = smoke(target, names=["health"])
    (case,) = ElementTree.fromstring(junit.render(run)).iter("testcase")
    failure_text = str(case.findtext("failure"))
    assert "/health -> no answer: the connection broke" in failure_text
    for text in (junit.render(run), html.render(run)):
        assert "None" not in text
        assert "null" not in text
