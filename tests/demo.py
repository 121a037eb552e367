"""`make demo`: a profile is brought up, proved, asked and taken down, before your eyes.

Whatever happens in between, the server is taken down, and at the end nothing of it may be left.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import requests

from launcher.json_values import JsonObject
from launcher.smoke.checks.toolbox import CARD_QUESTION, WEATHER
from tests.support import cli, ports, processes
from tests.support.decoded import JsonDict

QUESTIONS: tuple[tuple[str, list[JsonObject]], ...] = (
    ("What is the capital of France?", []),
    (CARD_QUESTION, [WEATHER]),
)


def main(profile: str) -> int:
    """Run the demo; the exit code is that of the first step that failed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    code = 1
    name = None
    try:
        code = _step("up", profile)
        if code == 0:
            name = _row(profile)["name"]
            code = _step("smoke", profile)
            _ask(_row(profile)["base_url"])
    finally:
        recorded = _recorded(name)
        down = _step("down", profile)
        left = _left(recorded)
    for line in left:
        _say(f"  LEFT: {line}")
    if recorded and not left:
        _say("\nnothing is left: no process, no port, no temporary folder")
    return code or down or (1 if left else 0)


def _say(text: str) -> None:
    # `make demo | head`: the reader may go away, the server must be taken down anyway.
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


def _step(*arguments: str) -> int:
    _say(f"\n$ ernie-deploy {' '.join(arguments)}")
    return subprocess.run(cli.argv(*arguments), check=False).returncode


def _row(profile: str) -> JsonDict:
    answer = cli.run("status", profile, "--json")
    row: JsonDict = answer.json["data"]["instances"][0]
    return row


def _ask(base_url: str) -> None:
    for question, tools in QUESTIONS:
        body: JsonDict = {
            "messages": [{"role": "user", "content": question}],
            "max_tokens": 256,
            "temperature": 0,
            **({"tools": tools} if tools else {}),
        }
        answer = requests.post(f"{base_url}/chat/completions", json=body, timeout=600)
        answer.raise_for_status()
        message = answer.json()["choices"][0]["message"]
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        _say(f"\n  you     {question}")
        if reasoning:
            _say(f"  thinks  {reasoning.strip()}")
        if message.get("content"):
            _say(f"  says    {message['content'].strip()}")
        for call in message.get("tool_calls") or ():
            _say(f"  calls   {call['function']['name']}({call['function']['arguments']})")


def _recorded(name: str | None) -> JsonDict:
    """What the instance uses while it is up, from its plan."""
    if name is None:
        return {}
    folder = Path(os.environ["ERNIE_DEPLOY_HOME"]).absolute() / "instances" / name
    plan = json.loads((folder / "plan.json").read_text())
    return {
        "folders": [str(folder), plan["temporary_folder"]],
        "temporary": plan["temporary_folder"],
        "ports": [use["number"] for use in plan["ports"]],
    }


def _left(recorded: JsonDict) -> list[str]:
    """What outlived `down`, found without asking ernie-deploy."""
    left = [
        f"process {leak.pid}: {leak.command[:100]}"
        for folder in recorded.get("folders", ())
        for leak in processes.of_home(Path(folder))
    ]
    left += [f"port {n}" for n in recorded.get("ports", ()) if not ports.is_free(n)]
    if recorded and Path(recorded["temporary"]).exists():
        left.append(f"folder {recorded['temporary']}")
    return left


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
