"""The command line, run as a user runs it: a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.diagnose import pages
from tests.support import ROOT
from tests.support.decoded import JsonDict


def undocumented(envelope: Mapping[str, Any]) -> list[str]:
    """Each error of an envelope that `explain` does not know, or knows with other exit codes."""
    wrong = []
    for error in envelope.get("errors", ()):
        if error["code"].startswith(("ED-FAKE-", "ED-PARROT-")):
            continue  # a rule of an engine that is a third party's, and not installed here
        page = pages.page((error["code"],))
        codes = [one.code for one in page.exit_codes] if isinstance(page, pages.ErrorPage) else []
        if isinstance(page, pages.ErrorPage) and envelope["exit_code"] not in codes:
            wrong.append(
                f"{error['code']}: exit code {envelope['exit_code']}, its page has {codes}"
            )
    return wrong


@dataclass(frozen=True)
class Ran:
    """A finished `ernie-deploy` command."""

    arguments: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self) -> JsonDict:
        """The envelope: the last line of stdout."""
        lines = self.stdout.strip().splitlines()
        assert lines, f"no output; rc {self.rc}, stderr:\n{self.stderr}"
        envelope: JsonDict = json.loads(lines[-1])
        assert not undocumented(envelope), undocumented(envelope)
        return envelope

    @property
    def events(self) -> list[JsonDict]:
        """Every JSON line of stdout but the last, the envelope."""
        return [json.loads(line) for line in self.stdout.strip().splitlines()[:-1]]

    def output(self) -> str:
        """All that was printed, for an assertion's message."""
        return (
            f"$ ernie-deploy {' '.join(self.arguments)}\nrc {self.rc}\n{self.stdout}"
            f"\n--\n{self.stderr}"
        )


RunCli = Callable[..., Ran]
"""The fixture `run_cli`: `run` in the test's own state directory."""


def environment(home: Path | None, env: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Our environment for a command with state in `home`; a None in `env` removes a variable."""
    merged: dict[str, str | None] = dict(os.environ)
    merged["PYTHONPATH"] = str(ROOT)
    if home is not None:
        merged["ERNIE_DEPLOY_HOME"] = str(home)
    merged.update(env or {})
    return {name: value for name, value in merged.items() if value is not None}


def argv(*arguments: str) -> list[str]:
    """The command line of `ernie-deploy words...`."""
    return [sys.executable, "-m", "launcher", *arguments]


def spawn(
    *arguments: str,
    home: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    cwd: Path = ROOT,
    **options: Any,
) -> subprocess.Popen[str]:
    """Start a command and return at once; the caller ends it."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        argv(*arguments), text=True, env=environment(home, env), cwd=cwd, **{**pipes, **options}
    )


def run(
    *arguments: str,
    home: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    cwd: Path = ROOT,
    deadline: float = 600.0,
    stdin: str | None = None,
) -> Ran:
    """Run a command to its end; fails where it needs longer than `deadline` seconds."""
    started = time.monotonic()
    options = {} if stdin is None else {"stdin": subprocess.PIPE}
    with spawn(*arguments, home=home, env=env, cwd=cwd, **options) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            output = f"{stdout}\n--\n{stderr}"
            raise AssertionError(
                f"`ernie-deploy {' '.join(arguments)}` did not end in {deadline:g} s:\n{output}"
            ) from None
    return Ran(arguments, process.returncode, stdout, stderr, time.monotonic() - started)


def run_code(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """A program that uses the command line's modules, with the environment of a command."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True,
        env=environment(home),
    )  # fmt: skip
