"""HTML: stands alone, failures first, everything reachable, with and without the script."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from launcher.report import html, html_compare
from launcher.report.curl import curl
from launcher.result import Result
from launcher.smoke.clients.transcript import ExchangeRecord
from tests.report.results import (
    EVERY_VERDICT,
    check,
    column,
    compare_result,
    exchange,
    finding,
    smoke_result,
)
from tests.support.payloads import made

Element = tuple[str, dict[str, str]]


class Page(HTMLParser):
    """A page's elements, and its text by the `id` of the element around it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, attribute: str = "") -> list[dict[str, str]]:
        return [a for t, a in self.elements if t == tag and (not attribute or attribute in a)]


PAGES: dict[str, Result[Any]] = {
    "smoke": smoke_result(*EVERY_VERDICT, check("fails", "fail", client="openai")),
    "compare": compare_result(
        column("new", *EVERY_VERDICT),
        column("old", check("passes", "fail"), check("fails", "fail"), problem="silent"),
        baseline="base.json",
        regressions=[{"target": "old", "metric": "passes", "before": "pass", "after": "fail"}],
    ),
}


def rendered(kind: str) -> str:
    return html.render(PAGES[kind]) if kind == "smoke" else html_compare.render(PAGES[kind])


@pytest.fixture(params=PAGES)
def source(request: pytest.FixtureRequest) -> str:
    return rendered(request.param)


def test_it_needs_nothing_beside_it(source: str) -> None:
    page = Page(source)
    assert not page.all("link")
    for _, attributes in page.elements:
        assert not {"src", "srcset", "style", "action"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#").startswith("#")
    assert "@import" not in source
    assert "url(" not in source


def test_only_our_own_style_and_script_may_run(source: str) -> None:
    (policy,) = [a["content"] for a in Page(source).all("meta", "content") if "http-equiv" in a]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_address_in_the_page_exists_once(source: str) -> None:
    page = Page(source)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    used = {a["href"][1:] for a in page.all("a", "href")}
    used |= {a["data-copy"] for a in page.all("button", "data-copy")}
    assert used
    assert not used - set(ids)


def test_without_the_script_nothing_is_hidden_and_no_control_is_dead(source: str) -> None:
    page = Page(source)
    hidden = [a.get("class") for _, a in page.elements if "hidden" in a]
    assert set(hidden) <= {"filters", "empty", "copy"}
    buttons = page.all("button")
    assert {a.get("class") for a in buttons if "data-copy" in a} == {"copy"}
    assert "filters" in hidden
    items = [a for _, a in page.elements if "data-item" in a]
    assert items
    assert not [a for a in items if "hidden" in a]


def test_it_follows_the_readers_dark_or_light(source: str) -> None:
    assert "color-scheme: light dark" in source
    assert "prefers-color-scheme: dark" in source


def test_what_the_script_looks_for_is_in_the_page(source: str) -> None:
    """The script and the page are written apart: these names hold them together."""
    for needed in (
        'class="filters"',
        "<input",
        "<output",
        "data-item",
        "data-section",
        "data-reset",
        'class="empty"',
        "data-verdicts=",
        "data-copy=",
        'aria-pressed="false"',
    ):
        assert needed in source, needed


def test_failures_are_shown_first() -> None:
    page = Page(rendered("smoke"))
    items = [a["data-verdicts"] for a in page.all("details", "data-item")]
    known_word = "known deviation"
    assert items == ["fail", "fail", "inconclusive", known_word, "could not check", "pass"]
    opened = [a["id"] for a in page.all("details", "data-item") if "open" in a]
    assert opened == ["check-fails-requests", "check-doubts-requests"]


def test_a_check_can_be_filtered_by_verdict_client_tag_and_text() -> None:
    page = Page(rendered("smoke"))
    first = page.all("details", "data-item")[0]
    assert (first["data-client"], first["data-tag"]) == ("requests", "full\nquick")
    assert [a["name"] for a in page.all("select")] == ["client", "tag"]
    values = [a["value"] for a in page.all("option")]
    assert values == ["", "openai", "requests", "", "full", "quick"]
    assert [a["data-verdict"] for a in page.all("button", "data-verdict")] == [
        "fail",
        "inconclusive",
        "known deviation",
        "could not check",
        "pass",
    ]


def test_a_known_deviation_is_never_called_a_failure() -> None:
    result = smoke_result(check("x", "fail", known=True), verdict="pass")
    source = html.render(result)
    body = source.partition("<body>")[2].partition("<script>")[0]
    assert "KNOWN DEVIATION" in body
    assert "fd-tool-choice" in body
    assert ">FAIL<" not in body
    assert "Failed" not in body
    assert 'class="fail"' not in body


def test_each_request_has_the_line_that_repeats_it() -> None:
    one = exchange(request={"model": "it's </pre><b>"}, headers={"Authorization": "***"})
    page = Page(html.render(smoke_result(check("x", "fail", evidence=[one]))))
    line = curl(made(ExchangeRecord, one))
    assert line is not None
    assert line in page.text
    assert "set ERNIE_API_KEY first" in page.text
    hidden = exchange(request={"model": "m"}, url="http://127.0.0.1:1/v1?token=***")
    text = Page(html.render(smoke_result(check("x", "fail", evidence=[hidden])))).text
    assert "replace *** with the secret that was removed" in text
    assert "replace ***" not in page.text, "the key comes from the environment"
    gone = exchange(request="x" * 16_000 + " ... (5 more characters)")
    text = Page(html.render(smoke_result(check("x", "fail", evidence=[gone])))).text
    assert "does not hold the whole request" in text


def test_names_that_look_alike_have_addresses_of_their_own() -> None:
    twins = [check("a b", "fail"), check("a-b", "fail"), check("中" * 90), check("文" * 90)]
    page = Page(html.render(smoke_result(*twins)))
    ids = [a["id"] for a in page.all("details", "id")]
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", one) for one in ids)


def test_a_page_stays_small() -> None:
    long = exchange(
        response="x" * 16_000,
        events=[{"at": 0.1, "data": "y" * 100}] * 400,
        events_total=4000,
    )
    checks = [check(str(n), evidence=[{**long, "number": n}]) for n in range(100)]
    assert len(html.render(smoke_result(*checks))) < 500_000
    stream = check("s", "fail", evidence=[{**long, "response": None}])
    assert "and 3960 more events" in html.render(smoke_result(stream))


def test_differences_come_first_in_a_comparison() -> None:
    result = compare_result(
        column("new", check("same-fail", "fail"), check("same"), check("differs")),
        column("old", check("same-fail", "fail"), check("same"), check("differs", "fail")),
    )
    page = Page(html_compare.render(result))
    rows = page.all("tr", "data-item")
    assert [r["data-difference"] for r in rows] == ["differs", "same", "same"]
    names = re.findall(r'<th scope="row">([a-z-]+)</th>', html_compare.render(result))
    assert names[:3] == ["differs", "same-fail", "same"]


def test_a_failure_and_a_known_deviation_differ() -> None:
    result = compare_result(
        column("new", check("tools", "fail")), column("old", check("tools", "fail", known=True))
    )
    (row,) = result.payload.checks
    assert row.outcomes == ("fail", "known deviation")
    assert not row.equal
    source = html_compare.render(result)
    assert ">FAIL<" in source
    assert ">KNOWN DEVIATION<" in source


def test_a_comparison_shows_speed_with_the_best_and_costs_with_their_formula() -> None:
    cost = {
        "per_million": 0.5,
        "measured": {"streams": 4, "tokens_per_second": 100},
        "formula": "gpu-hour x GPUs <formula>",
        "worked": "2 x 1",
        "list": {"input": 1.0, "output": 2.0, "provider": "<cloud>"},
    }
    slow = column("slow", check("chat"), tokens_per_second=50.0, cost=cost)
    source = html_compare.render(compare_result(column("fast", check("chat")), slow))
    assert "<td class=best>100.0</td><td>50.0</td>" in source
    assert source.count("class=best") == 1
    text = Page(source).text
    for part in ("$0.5 per million", "gpu-hour x GPUs <formula>", "(<cloud>)"):
        assert part in text


def test_regressions_and_silent_targets_head_the_comparison() -> None:
    text = Page(rendered("compare")).text
    assert "WORSE than base.json; regressions: 1" in text
    assert "could not be checked: silent" in text


def test_a_failed_check_of_a_comparison_has_its_requests() -> None:
    page = Page(rendered("compare"))
    assert {a["href"] for a in page.all("a", "href")} >= {"#A-fails", "#B-fails"}
    assert "curl --silent" in page.text
    got = [finding("HTTP 503")]
    result = compare_result(column("new", check("x", "fail", findings=got)))
    assert "HTTP 503" in Page(html_compare.render(result)).text
