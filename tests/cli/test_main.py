"""The command line's frame: verbs, usage, exit codes, crashes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import __version__
from launcher.cli.main import VERBS
from tests.support import ROOT, cli
from tests.support.rig import Rig


def test_the_version(rig: Rig) -> None:
    ran = rig.run("--version")
    assert (ran.rc, ran.stdout) == (0, f"ernie-deploy, version {__version__}\n")


def test_the_version_imports_nothing_that_is_heavy(rig: Rig) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "launcher", "--version"], text=True,
        capture_output=True, env=cli.environment(rig.home), cwd=ROOT, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    heavy = {"paddle", "torch", "vllm", "transformers", "requests", "yaml", "ssl"}
    assert not imported & heavy


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_helps(rig: Rig, verb: str) -> None:
    ran = rig.run(verb, "--help")
    assert ran.rc == 0, ran.output()
    assert ran.stdout.startswith(f"Usage: ernie-deploy {verb}")


def test_the_help_lists_every_verb_and_exit_code(rig: Rig) -> None:
    text = rig.run("--help").stdout
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", text, re.MULTILINE), verb
    for code in ("0 done", "1 negative", "2 usage", "70 a defect", "130 interrupted"):
        assert code in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["stauts"], "did you mean 'status'?"),
        (["up"], "Missing argument 'PROFILE'"),
        (["up", "--nope", "x.yaml"], "No such option"),
        (["down", "one", "--drain", "soon"], "'soon' is not a duration"),
    ],
)
def test_wrong_usage(rig: Rig, arguments: list[str], expected: str) -> None:
    ran = rig.run(*arguments)
    assert (ran.rc, ran.stdout) == (2, ""), ran.output()
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr
    as_json = rig.run(*arguments, "--json")
    assert as_json.rc == 2
    assert [e["code"] for e in as_json.json["errors"]] == ["usage"]


def test_a_profile_that_is_not_there(rig: Rig) -> None:
    ran = rig.run("up", "./nowhere.yaml", "--json")
    assert ran.rc == 2, ran.output()
    assert "nowhere.yaml" in json.dumps(ran.json["errors"])


@pytest.mark.parametrize(
    "verb",
    [
        "status",
        "status one",
        "down one",
        "logs one",
        "engine list",
        "up profiles/ernie-tiny-cpu.yaml",
    ],
)
def test_a_state_directory_that_is_none(rig: Rig, verb: str) -> None:
    """Least of all does `down` say that nothing runs in a place it could not look into."""
    path = Path(rig.path("file"))
    path.touch()
    rig.env["ERNIE_DEPLOY_HOME"] = str(path)
    ran = rig.run(*verb.split(), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["state-not-readable"]), ran.output()
    assert ran.json["errors"][0]["where"] == str(path)


@pytest.mark.parametrize(
    "verb", ["status", "down one", "version", "doctor", "up profiles/ernie-tiny-cpu.yaml"]
)
def test_a_state_directory_in_the_home_of_nobody(rig: Rig, verb: str) -> None:
    rig.env["ERNIE_DEPLOY_HOME"] = "~nobody-of-this-name/state"
    ran = rig.run(*verb.split(), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["state-not-readable"]), ran.output()
    assert ran.json["errors"][0]["where"] == "ERNIE_DEPLOY_HOME"
    assert "Traceback" not in ran.stderr


def test_a_defect_of_ours_is_a_report_and_not_a_traceback(rig: Rig) -> None:
    code = (
        "import launcher.instance.status as s\n"
        "def broken(*a, **k): raise ZeroDivisionError('oops')\n"
        "s.status = broken\n"
        "from launcher.cli.main import invoke\n"
        "raise SystemExit(invoke(['status', '--json']))\n"
    )
    ran = cli.run_code(code, rig.home)
    assert ran.returncode == 70
    assert "Traceback" not in ran.stderr
    envelope = json.loads(ran.stdout)
    assert (envelope["command"], envelope["exit_code"]) == ("status", 70)
    assert [e["code"] for e in envelope["errors"]] == ["defect"]
    (report,) = (rig.home / "crashes").iterdir()
    assert str(report) in ran.stderr
    assert "ZeroDivisionError: oops" in report.read_text()
    assert report.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "latin-1:strict"])
def test_a_terminal_that_cannot_show_every_character(rig: Rig, encoding: str) -> None:
    rig.env["PYTHONIOENCODING"] = encoding
    model = rig.folder / "caf\u00e9-\u4f60\u597d-\U0001f642"
    model.mkdir()
    profile = rig.profile(model=str(model), description="\u00e9 \u4f60\u597d \U0001f642")
    text = json.dumps(json.loads(Path(profile).read_text()), ensure_ascii=False)
    Path(profile).write_text(text, encoding="utf-8")
    arguments = ("profiles", "show", profile)
    ran, decoded = (
        subprocess.run(
            cli.argv(*arguments, *more), capture_output=True,
            cwd=ROOT, env=cli.environment(rig.home, rig.env), check=False,
        )
        for more in ((), ("--json",))
    )  # fmt: skip
    assert (ran.returncode, decoded.returncode) == (0, 0), (ran.stderr, decoded.stderr)
    assert b"caf" in ran.stdout
    data = json.loads(decoded.stdout.decode(encoding.partition(":")[0]))["data"]
    assert data["profile"]["model"] == str(model)


def test_a_reader_that_goes_away_early(rig: Rig) -> None:
    line = " ".join(cli.argv("explain"))
    ran = subprocess.run(
        ["sh", "-c", f"{line} --help | head -c 1"], text=True, capture_output=True,
        cwd=ROOT, env=cli.environment(rig.home),
    )  # fmt: skip
    assert ran.stderr == ""
