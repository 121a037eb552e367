"""`logs` as a user types it."""

import json
import signal
import subprocess

from tests.support.rig import Rig

SCRIPT = {"before": [{"print": "first"}, {"print": "api_key=abcdef123456"}, {"print": "last"}]}


def test_all_of_it_with_secrets_taken_out(rig: Rig) -> None:
    rig.env["MY_KEY"] = "correct-horse"
    script = {"before": [*SCRIPT["before"], {"print": "it is correct-horse"}]}
    rig.up(script=script, api_key="env:MY_KEY")
    ran = rig.run("logs", "one")
    assert ran.rc == 0, ran.output()
    assert ran.stdout.splitlines() == [
        "first", "api_key=[redacted]", "last", "it is [redacted]",
    ]  # fmt: skip
    assert rig.run("logs", "one", "-n", "1").stdout == "it is [redacted]\n"
    rig.down()


def test_as_one_json_object(rig: Rig) -> None:
    rig.up(script=SCRIPT)
    ran = rig.run("logs", "one", "--json")
    assert ran.events == [], "only a followed log is told line by line"
    data = {"source": "engine", "lines": 3, "text": ["first", "api_key=[redacted]", "last"]}
    assert ran.json["data"] == data
    rig.down()


def test_followed_as_json_lines_until_an_interrupt(rig: Rig) -> None:
    rig.up(script=SCRIPT)
    follower = rig.spawn("logs", "one", "-f", "-n", "1", "--json")
    assert follower.stdout is not None
    line = json.loads(follower.stdout.readline())
    assert line == {"event": "line", "source": "engine", "text": "last"}
    follower.send_signal(signal.SIGINT)
    rest, _ = follower.communicate(timeout=600)
    envelope = json.loads(rest)
    assert (follower.returncode, envelope["exit_code"]) == (130, 130)
    assert [e["code"] for e in envelope["errors"]] == ["interrupted"]
    rig.down()


def test_sources(rig: Rig) -> None:
    rig.up(script={"before": [{"log": [str(rig.instance() / "logs/engine/worker.log.1"), "deep"]}]})
    listed = rig.run("logs", "one", "--sources", "--json").json["data"]["sources"]
    assert set(listed) == {"engine", "keeper", "events", "worker.log.1"}
    assert rig.run("logs", "one", "--source", "worker.log.1").stdout == "deep\n"
    events = rig.run("logs", "one", "--source", "events").stdout
    assert json.loads(events.splitlines()[0])["event"] == "state"
    wrong = rig.run("logs", "one", "--source", "nope", "--json")
    assert (wrong.rc, rig.errors(wrong)) == (2, ["unknown-source"])
    rig.down()


def test_followed_to_the_end_of_the_instance(rig: Rig) -> None:
    go = rig.path("go")
    rig.up(script={"before": [{"print": "early"}], "after": [{"wait": go}, {"print": "late"}]})
    follower = rig.spawn("logs", "one", "-f")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "early\n"
    open(go, "w").close()
    assert follower.stdout.readline() == "late\n"
    assert rig.run("down", "one").rc == 0
    rest, _ = follower.communicate(timeout=600)
    assert (rest, follower.returncode) == ("", 0)


def test_following_may_be_interrupted(rig: Rig) -> None:
    rig.up(script={"before": [{"print": "early"}]})
    follower = rig.spawn("logs", "one", "-f", "--json")
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    rest, _ = follower.communicate(timeout=600)
    assert follower.returncode == 130
    assert json.loads(rest.splitlines()[-1])["exit_code"] == 130
    rig.down()


def test_a_reader_may_stop_reading(rig: Rig) -> None:
    rig.up(script={"after": [{"flood": [20000, "x" * 80]}]})
    follower = rig.spawn("logs", "one", "-f", stderr=subprocess.STDOUT)
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.stdout.close()
    follower.stdout = None
    rig.run("down", "one")
    follower.wait(600)
    assert follower.returncode == 0


def test_the_run_before_is_kept_apart(rig: Rig) -> None:
    rig.up(script={"before": [{"print": "first run"}]}, logs={"max-size": 4096})
    rig.down()
    rig.up(script={"before": [{"print": "second run"}]})
    assert rig.run("logs", "one").stdout == "second run\n"
    assert "first run" in (rig.instance() / "logs/previous/engine.log").read_text()
    rig.down()


def test_nothing_of_an_engine_steers_the_terminal(rig: Rig) -> None:
    """Its line would set the clipboard and clear the screen; it is quoted by three verbs."""
    evil = "\x1b]52;c;ZXZpbA==\x07\x1b[2JRuntimeError: no \x9b31mroom\x08\x1b(0 left"
    script = {"before": [{"print": evil}, {"error": evil}, {"exit": 1}]}
    shown_lines = [
        rig.run("up", rig.profile(script=script)),
        rig.run("logs", "one"),
        rig.run("logs", "one", "--source", "events"),
        rig.run("diagnose", "one"),
        rig.run("diagnose", "one", "--json"),
        rig.run("status", "one"),
        rig.run("logs", "one", "--json"),
    ]
    for ran in shown_lines:
        text = ran.stdout + ran.stderr
        steering = [c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f"]
        assert not steering, ran.output()
    assert shown_lines[1].stdout.splitlines() == ["RuntimeError: no room left"] * 2
    assert "RuntimeError: no room left" in shown_lines[3].stdout
