"""`report`: the serving card of real instances and services, alive, dead and changed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from launcher.card.payloads import ServingCard
from launcher.codec import decode, encode
from tests.support.decoded import JsonDict
from tests.support.rig import NEVER, Rig
from tests.support.service_rig import ServiceRig

CHECKS = {"checks": ["health", "models"]}
KEY = "sk-this-is-the-key-of-clients"


def parts(data: JsonDict) -> dict[str, str]:
    return {part["name"]: part["verdict"] for part in data["parts"]}


def card_of(rig: Rig, *arguments: str, name: str = "one") -> JsonDict:
    ran = rig.run("report", name, "--json", *arguments)
    data: JsonDict = ran.json["data"]
    assert data, ran.output()
    assert json.dumps(encode(decode(ServingCard, data, "card"))) == json.dumps(data)
    return data


def test_a_card_shows_what_serves_and_the_last_smoke_run(rig: Rig) -> None:
    rig.env["CLIENT_KEY"] = KEY
    rig.up(smoke=CHECKS, api_key="env:CLIENT_KEY")
    before = card_of(rig)
    assert parts(before)["smoke"] == "could not check"
    assert "`ernie-deploy smoke one`" in before["smoke_note"]

    assert rig.run("smoke", "one").rc == 0
    html, junit = rig.path("card.html"), rig.path("card.xml")
    ran = rig.run("report", "one", "--html", html, "--junit", junit)
    assert "one is ready" in ran.stdout
    assert "2 passed; the last run" in ran.stdout
    page, suites = Path(html).read_text(), ElementTree.parse(junit).getroot()
    assert page.startswith("<!doctype html>")
    names = {case.attrib["name"] for case in suites.iter("testcase")}
    assert {"card: State", "health [http]", "doctor: engine"} <= names

    card = card_of(rig)
    values = {one["key"]: one for one in card["profile"]["values"]}
    assert values["api-key"]["value"] == "env:CLIENT_KEY"
    assert values["name"]["origin"] == f"{rig.path('one.yaml')}:1:2"
    assert values["restart.policy"]["origin"] == "default"
    assert card["instances"][0]["memory"]["resident"] > 0
    assert card["incidents"] == []
    assert "ready" in [event.get("state") for event in card["events"]]
    for text in (page, Path(junit).read_text(), ran.output(), json.dumps(card)):
        assert KEY not in text
    rig.down()


def test_a_single_check_is_not_the_last_run_and_a_run_for_the_report_is(rig: Rig) -> None:
    rig.up(smoke=CHECKS)
    assert rig.run("smoke", "one", "--check", "health").rc == 0
    assert card_of(rig)["smoke"] is None
    card = card_of(rig, "--run-smoke")
    assert card["smoke"]["source"] == "run for this report"
    assert [one["name"] for one in card["smoke"]["run"]["checks"]] == ["health", "models"]
    assert card_of(rig)["smoke"]["source"] == "the last run", "it was kept, too"
    rig.down()


def test_after_a_restart_origins_stay_and_the_smoke_run_is_outdated(rig: Rig) -> None:
    rig.up(smoke=CHECKS)
    assert rig.run("smoke", "one").rc == 0
    assert rig.run("restart", "one", "--set", "stop.grace=7").rc == 0
    card = card_of(rig)
    values = {one["key"]: one for one in card["profile"]["values"]}
    assert values["model"]["origin"].startswith(f"{rig.path('one.yaml')}:")
    assert (values["stop.grace"]["value"], values["stop.grace"]["origin"]) == (7, "--set")
    assert "before what runs now" in card["smoke"]["outdated"]
    assert parts(card)["smoke"] == "could not check"
    rig.down()


def test_a_server_that_died_has_a_card_that_fails(rig: Rig) -> None:
    rig.up(restart=NEVER)
    rig.kill(rig.engine())
    rig.wait_for_state("died")
    html = rig.path("card.html")
    ran = rig.run("report", "one", "--json", "--html", html)
    assert ran.rc == 1
    assert rig.errors(ran) == ["card-failed"]
    card = ran.json["data"]
    assert parts(card)["state"] == "fail"
    assert parts(card)["incidents"] == "note"
    assert [one["code"] for one in card["incidents"]] == ["engine-died"]
    assert "engine-died" in Path(html).read_text()
    assert card["instances"][0]["memory"]["processes"] == 0
    rig.down()


def test_what_is_wrong_is_said_before_anything_is_asked(rig: Rig) -> None:
    rig.up(smoke=CHECKS)
    second = rig.path("other.json")
    Path(second).write_text("{}")
    for arguments, code in (
        (("--smoke", second), "unreadable-run"),
        (("--bench", second), "unreadable-run"),
        (("--html", rig.path("missing/card.html")), "report-not-written"),
        (("--html", second, "--junit", second), "duplicate-report-path"),
    ):
        assert rig.errors(rig.run("report", "one", "--json", *arguments)) == [code], arguments
    both = rig.run("report", "one", "--smoke", second, "--run-smoke")
    assert both.rc == 2
    assert "exclude each other" in both.stderr
    assert rig.errors(rig.run("report", "two", "--json")) == ["unknown-instance"]
    rig.down()


def test_a_service_has_one_card_with_all_of_its_instances(shop: ServiceRig) -> None:
    shop.deploy()
    card = card_of(shop, name="shop")
    assert card["kind"] == "service"
    roles = sorted(one["role"] for one in card["instances"])
    assert roles == ["front door", "replica", "replica"]
    assert parts(card)["state"] == "pass"
    assert card["smoke"]["source"] == "the last run", "that which proved a replica"
    assert card["profile"]["revision"] == card["service"]["revision"]
    values = {one["key"]: one["origin"] for one in card["profile"]["values"]}
    assert values["model"].startswith(f"{shop.path('shop.yaml')}:")
    assert [one["kind"] for one in card["history"]] == ["deploy"]
    html = shop.path("card.html")
    shop.run("report", "shop", "--html", html)
    assert "front door" in Path(html).read_text()
