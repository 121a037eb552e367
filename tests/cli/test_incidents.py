"""`incidents` and `incidents show`, after an engine that died and a keeper that was killed."""

from tests.cli.test_help import proposed
from tests.support.decoded import JsonDict
from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for


def test_what_happened_is_listed_and_shown(rig: Rig) -> None:
    assert rig.run("incidents").stdout == "no incidents\n"
    rig.up(restart=NEVER, script={"after": [{"print": "it serves"}]})
    rig.kill(rig.engine())
    rig.wait_for_state("died")
    rig.down()
    rig.up()
    rig.lose()
    rig.down()

    listed = rig.run("incidents", "--json")
    assert listed.rc == 0, listed.output()
    lost, died = listed.json["data"]["incidents"]
    assert (lost["kind"], died["kind"]) == ("lost-keeper", "failure")
    assert died["action"] == "given-up"
    assert listed.json["command"] == "incidents list"
    text = rig.run("incidents", "one").stdout
    assert [line.split()[:3] for line in text.splitlines()[1:]] == [
        [lost["id"], "one", "keeper-lost"], [died["id"], "one", "engine-died"],
    ]  # fmt: skip
    assert all(len(line) <= 80 for line in text.splitlines())

    page = rig.run("incidents", "show", died["id"])
    assert page.rc == 0, page.output()
    assert "the engine was ready and was killed by SIGKILL" in page.stdout
    assert "given up" in page.stdout
    assert died["folder"] in page.stdout
    assert "logs/" in page.stdout
    assert len(page.stdout.splitlines()) <= 24
    last = rig.run("incidents", "show", "last", "one", "--json")
    assert last.json["data"]["id"] == lost["id"]
    assert rig.errors(rig.run("incidents", "show", "1999", "--json")) == ["unknown-incident"]
    assert rig.errors(rig.run("incidents", "two", "--json")) == ["unknown-instance"]

    assert proposed("incidents o") == ["one"]
    assert proposed("incidents s") == ["show"]
    assert proposed("incidents show la") == ["last"]
    assert proposed(f"incidents show {died['id'][:-1]}") == [died["id"]]


def test_an_up_after_a_killed_keeper_closes_its_incident_when_it_is_ready(rig: Rig) -> None:
    rig.up()
    rig.lose()
    rig.up()
    wait_for(lambda: _only(rig)["back_at"], "the end of the incident")
    one = _only(rig)
    assert (one["kind"], one["action"]) == ("lost-keeper", "restarted")
    assert one["away_seconds"] > 0
    assert "`up` cleaned up and started it again" in rig.run("incidents", "show", "last").stdout
    rig.down()


def _only(rig: Rig) -> JsonDict:
    (one,) = rig.run("incidents", "--json").json["data"]["incidents"]
    return dict(one)
