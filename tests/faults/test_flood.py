"""An engine that prints without end is started, asked about and stopped like any other."""

import json

import pytest

from tests.support.rig import Rig

TEXTS = {"newlines": "", "introducers": "\u009d" * 1990, "dots": "." * 32_000, "errors": "Error: x"}


@pytest.mark.parametrize("kind", TEXTS)
def test_an_engine_that_prints_for_ever_can_be_asked_and_stopped(rig: Rig, kind: str) -> None:
    rig.up(script={"before": [{"flood": [0, TEXTS[kind]]}]}, logs={"max-size": "4MiB", "keep": 1})
    for _ in range(3):
        ran = rig.run("status", "one", "--json")
        assert ran.rc == 0, ran
        assert json.loads(ran.stdout)["data"]["instances"][0]["state"] == "ready"
    down = rig.down()
    assert down.rc == 0, down
    rig.nothing_left()


def test_a_fatal_line_in_the_middle_of_a_flood_is_seen(rig: Rig) -> None:
    """The flood's lines hold a rule's text and do not match: each is worth a look.

    Where the machine is too slow for that, the newest lines that speak of errors are still kept.
    """
    flood = {"flood": [60_000, "PHASE of the flood "]}
    profile = rig.profile(
        script={"before": [flood, {"error": "FATAL flood"}, flood, {"wait": rig.path("never")}]}
    )
    ran = rig.run("up", profile, "--json")
    assert ran.rc == 4, ran.output()
    assert ran.json["errors"][0]["message"] == "it said flood"
    rig.nothing_left()
