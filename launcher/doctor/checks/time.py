"""Time-outs that are shorter than what this model usually takes to load."""

from __future__ import annotations

import json
from pathlib import Path

from launcher import files, paths
from launcher.doctor.model import Check, Outcome, Subject, ok, unknown, warn
from launcher.lifecycle import InstanceState

READ = 150e6
"""Bytes a second of a slow network disk: a time-out is for the bad day."""


def timeouts(subject: Subject) -> Outcome | None:
    """health.startup-timeout against earlier starts here, else against the size on disk."""
    profile = subject.profile
    if profile is None:
        return None
    start = subject.needs.start
    if start is None:
        return None
    before = _earlier(profile.name)
    if before:
        count = len(before)
        how = f"the slowest of {count} earlier starts here" if count > 1 else "the start before"
        usual = max(before)
    else:
        size = _size(profile.model) if profile.model_is_path else None
        if size is None:
            return unknown(
                f"startup-timeout {profile.health.startup_timeout:g} s; how long this model loads "
                "is not known here"
            )
        usual = start + size / READ
        how = f"{size / 1e9:.2f} GB at {READ / 1e6:.0f} MB/s and {start:g} s"
    summary = (
        f"startup-timeout {profile.health.startup_timeout:g} s, a load takes {usual:.0f} s ({how})"
    )
    if profile.health.startup_timeout < usual:
        return warn(summary, f"set health.startup-timeout to {2 * usual:.0f}s or more")
    return ok(summary)


def _size(model: str) -> int | None:
    files = list(Path(model).glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) if files else None


def _earlier(name: str) -> list[float]:
    """Seconds from the engine's start to ready of this instance's earlier starts, oldest first.

    Each `up` moves the history of the run before to `logs/previous`.
    """
    folder = paths.instances() / name
    seconds: list[float] = []
    names = ("events.jsonl.1", "events.jsonl")
    for path in (
        where / name for where in (folder / "logs" / "previous", folder) for name in names
    ):
        try:
            text = files.read_text(path, errors="replace")
        except OSError:
            continue
        seconds += _loads(text)
    return seconds


def _loads(history: str) -> list[float]:
    """From each `loading` to the `ready` that follows it; a load that failed has none."""
    seconds, begun = [], None
    for line in history.splitlines():
        try:
            event = json.loads(line)
            if event["event"] != "state":
                continue
            state, when = event["state"], float(event["time"])
        except (ValueError, KeyError, TypeError):
            continue  # a line that was cut off
        if state == InstanceState.LOADING:
            begun = when
        elif state == InstanceState.READY and begun is not None:
            seconds.append(when - begun)
            begun = None
        elif state != InstanceState.READY:
            begun = None
    return seconds


CHECKS = (
    Check(
        "timeouts",
        "the time-outs are longer than this model's usual load",
        "a fixed time-out that is too short kills a load that was going well (vllm#35547)",
        timeouts,
        "time",
    ),
)
