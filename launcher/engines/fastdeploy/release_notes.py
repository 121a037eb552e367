"""What an operator of one release has to know that another release does not do."""

from __future__ import annotations

from launcher.engines.base import Release
from launcher.engines.fastdeploy.question import answer_of, is_asked
from launcher.engines.fastdeploy.release_data import at_least, is_catalogued, nearest_line


def of_release(release: Release) -> list[str]:
    """Notes for the plan, the most important first."""
    return [*sources(release.version, release.line), *_differences(release.line)]


def sources(version: str, line: str) -> list[str]:
    """Which facts are the release's own and which are borrowed or unknown."""
    answer = answer_of(version)
    if not is_catalogued(line):
        nearest = nearest_line(line)
        if answer is None:
            return [
                f"FastDeploy {version} is not in the catalogue and its package did not tell its "
                f"options: everything here, flags too, is what {nearest} does"
            ]
        return [
            f"FastDeploy {version} is not in the catalogue: options, variables and parser names "
            "are what the installed package told; phases, failure rules, ports, leftovers, "
            f"memory and stop are known only from {nearest}, the nearest catalogued release"
        ]
    if is_asked(version) and answer is None:
        return [
            f"options differ between wheels of {line}, and the installed package did not tell its "
            "own: `--api-key` and `--router` may be missing"
            if line == "2.3" else
            f"{version} is a pre-release whose package did not tell its options: they are taken "
            f"to be those of {line}"
        ]  # fmt: skip
    return []


def _differences(line: str) -> list[str]:
    notes = []
    if at_least(line, "2.5"):
        notes.append(
            "the message queue's key has 20 bits of the queue port in wheels built from "
            "2026-03-16 on, its low byte in earlier ones; the wheel does not tell its day: beside "
            "other FastDeploy servers keep queue ports apart modulo 256"
        )
        notes.append(
            "POST /v1/pause and /v1/sleep stop the service and leave /health at 200; readiness "
            "asks /v1/is_paused too"
        )
    if at_least(line, "2.6"):
        notes.append(
            "an error in the engine is answered with 200 and an empty text; a client that goes "
            "away ends its request"
        )
        notes.append(
            "builds whose root logger has a handler print every INFO line, prompts included, to "
            "the console: the captured console is as private as the log folder"
        )
    return notes
