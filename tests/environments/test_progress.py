"""What is seen while an engine is installed, and how a command is run for it."""

import io
import sys
import time
from pathlib import Path

import pytest

from launcher.environments import commands
from launcher.environments import progress as module
from launcher.environments.commands import redact, run
from launcher.environments.progress import Progress
from tests.support import processes
from tests.support.waiting import wait_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_plain_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLAIN_INTERVAL", 0.0)
    out = io.StringIO()
    progress = Progress(out)
    progress.stage("installing")
    progress.detail("Downloading torch")
    progress.close()
    first, second = out.getvalue().splitlines()
    assert first.endswith("s] installing")
    assert second.endswith("s] installing: Downloading torch")
    assert "\x1b" not in out.getvalue()


def test_one_line_that_is_redrawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    out = Terminal()
    progress = Progress(out)
    progress.stage("installing")
    progress.detail("a package with a name that is longer than the terminal is wide")
    progress.close()
    assert "\n" not in out.getvalue()
    assert max(len(part) for part in out.getvalue().split("\r\x1b[K")) < 30


def test_pips_current_package_is_shown_and_everything_logged(tmp_path: Path) -> None:
    out = Terminal()
    script = "print('Collecting torch==2.13.0 (from x)'); print('  odd words'); raise SystemExit(3)"

    done = run(python(script), log=tmp_path / "log", progress=Progress(out))

    assert done.rc == 3
    assert done.lines[-2:] == ("Collecting torch==2.13.0 (from x)", "  odd words")
    assert out.getvalue().endswith(": Collecting torch==2.13.0")
    assert "odd words" not in out.getvalue()
    assert "odd words" in (tmp_path / "log").read_text()


def test_the_reason_of_a_failure_is_pips_own(tmp_path: Path) -> None:
    script = (
        "print('ERROR: No matching distribution found for x'); print('bye'); raise SystemExit(1)"
    )
    done = run(python(script), log=tmp_path / "log", progress=Progress(io.StringIO()))
    assert done.reason() == "No matching distribution found for x"


def test_a_deadline_ends_the_command(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    started = time.monotonic()
    done = run(python(script), log=tmp_path / "log", progress=Progress(io.StringIO()), deadline=5)
    assert done.timed_out
    assert time.monotonic() - started < 60
    pid = int(mark.read_text())
    wait_for(lambda: not processes.alive(pid), "the end of the command")


def test_what_leads_pip_astray_is_kept_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    env = commands.clean_environment({"EXTRA": "1"})
    assert "PYTHONPATH" not in env
    assert "PIP_TARGET" not in env
    assert env["PIP_FIND_LINKS"] == "/wheels", "the user's configuration is honoured"
    assert env["EXTRA"] == "1"


def test_credentials_are_not_logged(tmp_path: Path) -> None:
    script = "print('Looking in indexes: https://me:hunter2@host/simple')"
    done = run(python(script), log=tmp_path / "log", progress=Progress(io.StringIO()))
    assert "hunter2" not in (tmp_path / "log").read_text().partition("\n")[2]
    assert "hunter2" not in "".join(done.lines)
    assert redact("https://me:hunter2@host/simple") == "https://***@host/simple"
