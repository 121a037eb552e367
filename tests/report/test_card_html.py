"""The serving card as a page: it stands alone, says what fails first, and shows no secret."""

from __future__ import annotations

import re

import pytest

from launcher.report import card_html, card_junit
from launcher.report.plots import plotter
from tests.report.ant_schema import violations
from tests.report.card_results import CARDS, HASH, card
from tests.report.test_html import Page


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots have tests of their own."""
    monkeypatch.setattr(plotter, "find_python", lambda: None)


@pytest.fixture(params=CARDS)
def source(request: pytest.FixtureRequest) -> str:
    text, _ = card_html.render_noted(CARDS[request.param])
    return text


def test_it_needs_nothing_beside_it(source: str) -> None:
    page = Page(source)
    assert not page.all("link")
    for _, attributes in page.elements:
        assert not {"src", "srcset", "style", "action"} & attributes.keys()
        assert attributes.get("href", "#").startswith("#")


def test_every_address_in_the_page_exists_once(source: str) -> None:
    page = Page(source)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a", "href")} <= set(ids)


def test_what_fails_stands_in_the_header() -> None:
    text, _ = card_html.render_noted(card())
    header = Page(text.partition("<header")[2].partition("</header>")[0]).text
    for failed in ("FAIL: shm-size", "1 failed", "missed: itl.p99"):
        assert failed in header
    assert '<header class="fail">' in text


def test_it_has_every_part_with_its_evidence() -> None:
    text = Page(card_html.render_noted(card())[0]).text
    for evidence in (
        "p.yaml:7:1", "env:KEY", "default",  # the profile, with origins
        HASH, "c0ffee", "550.54",  # versions and hashes
        "80.0 GiB x 0.9", "4900 reported", "60.00 GiB of GPUs", "KV cache 25%",  # memory
        "64 MB", "mount more",  # doctor
        "HTTP 500", "not kept: the transcripts of checks that passed",  # smoke
        "0.05 s is above",  # bench
        "killed by SIGKILL", "12.5 s", "on-failure, at most 5 in 600 s",  # incidents, restarts
    ):  # fmt: skip
        assert evidence in text, evidence


def test_a_doctors_answers_begin_with_those_that_need_a_reader() -> None:
    text, _ = card_html.render_noted(card())
    doctor = text.partition('<section id="doctor">')[2].partition("</section>")[0]
    assert re.findall(r"<b>([a-z-]+)</b>", doctor) == ["shm-size", "time", "gpu"]


def test_a_service_shows_its_replicas_and_changes_and_what_is_not_known() -> None:
    text = Page(card_html.render_noted(CARDS["report-service"])[0]).text
    for part in (
        "shop-abc123-1", "100%", "longer context", "no run was kept", "the engine downloads it",
        "engine vllm has no memory plan", "the doctor could not look",
    ):  # fmt: skip
        assert part in text, part


def test_text_of_servers_is_text() -> None:
    wild = "<script>alert(1)</script>"
    values = [{"key": wild, "value": wild, "origin": wild}]
    text, _ = card_html.render_noted(card(profile={"sha256": HASH, "values": values}))
    assert text.count("<script>") == 1
    assert wild in Page(text).text


def test_a_page_without_plots_says_how_to_get_them() -> None:
    text, problem = card_html.render_noted(card())
    assert problem is not None
    assert problem.code == "missing-plots"
    assert "ernie-deploy engine install plots" in Page(text).text


def test_junit_has_a_case_for_each_part_check_and_gate() -> None:
    text = card_junit.render(card())
    assert violations(text) == []
    outcomes = dict(
        re.findall(r'<testcase classname="report.ernie" name="([^"]+)"[^>]*>\n?<(\w+)', text)
    )
    assert outcomes["doctor: shm-size"] == "failure"
    assert outcomes["doctor: time"] == "skipped"
    assert outcomes["bench: itl.p99 at r2.5 (slo)"] == "failure"
    assert outcomes["bench: requests at c2 (baseline)"] == "skipped"
    assert outcomes["fails [requests]"] == "failure"
    assert "card: Doctor" not in text, "its checks stand for it"
    assert 'name="card: State"' in text


def test_what_is_outdated_judges_nothing() -> None:
    smoke = {**encode_smoke(), "outdated": "it was made before what runs now was started"}
    parts = [{"name": "smoke", "title": "Smoke tests", "verdict": "could not check",
              "message": "it was made before"}]  # fmt: skip
    text = card_junit.render(card(smoke=smoke, parts=parts))
    assert "fails [requests]" not in text
    assert '<skipped message="it was made before"/>' in text


def encode_smoke() -> dict[str, object]:
    from tests.report.card_results import CARD

    one: dict[str, object] = CARD["smoke"]
    return one
