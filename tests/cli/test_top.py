"""`top` as a user types it: once for scripts, live in a terminal."""

import sys
import time
from pathlib import Path

import pytest

from launcher.cli import top
from launcher.observe.overview import SORTS
from tests.support.rig import Rig
from tests.support.terminals import Terminal, show


def test_once_for_scripts(rig: Rig) -> None:
    assert rig.run("top", "--once").stdout == "no instances\n"
    rig.up("alpha")
    assert rig.run("up", rig.profile("beta", {"before": [{"error": "FATAL no"}, {"exit": 1}]})).rc
    ran = rig.run("top", "--once")
    lines = ran.stdout.splitlines()
    assert (ran.rc, ran.stderr) == (0, "")
    assert lines[0].split()[:3] == ["NAME", "STATE", "RUN"]
    assert [line.split()[:2] for line in lines[1:]] == [["beta", "failed"], ["alpha", "ready"]]
    assert lines[1].endswith("it said no")
    assert rig.run("top").stdout.splitlines()[1].split()[0] == "beta", "no terminal: once"
    by_name = rig.run("top", "--json", "--sort", "name").json
    assert [row["name"] for row in by_name["data"]["instances"]] == ["alpha", "beta"]
    one = rig.run("top", "--once", "--json", "alpha").json
    assert (one["instance"], one["data"]["instances"][0]["state"]) == ("alpha", "ready")
    rig.down("alpha")


def test_an_unknown_instance(rig: Rig) -> None:
    ran = rig.run("top", "--once", "nope", "--json")
    assert (ran.rc, rig.errors(ran)) == (2, ["unknown-instance"])


def test_the_words_of_the_order_are_those_of_the_rows() -> None:
    assert tuple(SORTS) == top.SORTS


def test_the_live_view_in_a_terminal_is_left_by_q(rig: Rig) -> None:
    """Drawn within seconds, and the terminal is given back."""
    rig.up()
    terminal = Terminal("top", columns=80, home=rig.home, env=rig.env)
    terminal.read_until(lambda raw: "one" in raw and "ready" in raw)
    terminal.type("q")
    terminal.drain()
    raw = terminal.raw
    assert terminal.process.wait(300) == 0
    assert raw.rfind("\x1b[?1049l") > raw.rfind("\x1b[?1049h"), "the screen of before is back"
    assert raw.rfind("\x1b[?25h") > raw.rfind("\x1b[?25l"), "so is the cursor"
    terminal.close()
    rig.down()


def test_without_textual_one_line_says_how_to_install_it(rig: Rig, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "textual.py").write_text("raise ImportError('not here')\n")
    env = {**rig.env, "PYTHONPATH": f"{hidden}:{rig.env['PYTHONPATH']}"}
    screen = show("top", columns=120, home=rig.home, env=env)
    assert screen.rc == 3
    assert "pip install 'ernie-deploy[top]'" in screen.text
    assert "Traceback" not in screen.text
    ran = rig.run("top", "--once")
    assert ran.rc == 0


@pytest.mark.parametrize("verb", [("top", "--once"), ("events", "nope"), ("wait", "nope")])
def test_what_is_drawn_by_it_alone_imports_it(rig: Rig, verb: tuple[str, ...]) -> None:
    import subprocess

    code = (
        "import sys, launcher.entry\n"
        "from launcher.cli.main import invoke\n"
        "import contextlib\n"
        "with contextlib.suppress(BaseException): invoke(sys.argv[1:])\n"
        "print([name for name in ('textual', 'rich') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *verb], capture_output=True, text=True, check=True,
        env={"ERNIE_DEPLOY_HOME": str(rig.home), "PATH": "/usr/bin", "PYTHONPATH": sys.path[0]},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_once_does_not_wait_for_a_server_that_hangs(rig: Rig) -> None:
    rig.up("hung", {"exposition": "hang"})
    began = time.monotonic()
    ran = rig.run("top", "--once", "--json")
    assert ran.rc == 0
    assert ran.json["data"]["seconds"] < 5
    assert time.monotonic() - began < 60
    assert ran.json["data"]["instances"][0]["note"]
    rig.down("hung")
