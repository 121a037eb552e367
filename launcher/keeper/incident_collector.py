"""What is kept of an incident beside its samples: events, the end of each log, a diagnosis.

A program of its own, so that the keeper neither waits for it nor keeps the memory it took:
`python -m launcher.keeper.incident_collector` reads a `Task` as JSON from its standard input and
prints what it learnt. `down` and `up`, which find that a keeper was killed, call `collect`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from launcher import diagnose, files
from launcher.codec import decode, encode
from launcher.diagnose.diagnosis import Diagnosis, Finding
from launcher.diagnose.sources import below
from launcher.json_values import JsonValue, is_list, object_at
from launcher.keeper.events import read_events
from launcher.keeper.tree import die_with_parent
from launcher.log_records import EARLIER, LongLines
from launcher.plain import plain
from launcher.plan.model import LaunchPlan, read_plan
from launcher.redact import Redactor

MOST_EVENTS = 300
"""The newest events that are kept."""
LARGEST_EVENTS = 256 * 1024
"""Bytes of them."""
TAIL = 128 * 1024
"""Bytes kept of the end of each log."""
CONSOLE_TAIL = 512 * 1024
"""The same of the engine's captured output, where causes usually stand."""
LARGEST_LOGS = 2 * 1024 * 1024
"""Bytes of all tails together."""
NICE = 10
"""The engine that starts again goes first."""


@dataclass(frozen=True)
class Task:
    """What is to be collected.

    `folder` is the incident's, `instance` the instance's. `lengths` are the bytes of each log up
    to which it is read, by inode (`files.lengths`); None: to its end. `secrets` are taken out.
    Logs of more than `most` bytes together are not judged, where it is given: a person waits. The
    rest is what a diagnosis asks for, see `launcher.diagnose.of_instance`.
    """

    folder: Path
    instance: Path
    lengths: Mapping[str, int] | None = None
    secrets: tuple[str, ...] = ()
    most: int | None = None
    exit_code: int | None = None
    was_ready: bool = True
    since: float | None = None
    served: float | None = None


@dataclass(frozen=True)
class Collected:
    """The first cause that the logs show, and what could not be kept."""

    cause: Finding | None = None
    notes: tuple[str, ...] = field(default=())


def main() -> int:
    """Collect what the task on standard input asks for."""
    die_with_parent(os.getppid())
    os.umask(0o077)
    with contextlib.suppress(OSError):
        os.nice(NICE)
    task = decode(Task, object_at(json.loads(sys.stdin.buffer.read())))
    sys.stdout.write(json.dumps(encode(collect(task))))
    return 0


def collect(task: Task) -> Collected:
    """Write events, tails and diagnosis into the incident's folder; what fails becomes a note."""
    notes = []
    redactor = Redactor(task.secrets)
    cause = None
    try:
        _keep_events(task, redactor)
    except OSError as error:
        notes.append(f"the events are not kept: {error.strerror}")
    try:
        plan = read_plan(json.loads(files.read_text(task.instance / "plan.json")))
    except (OSError, ValueError, RecursionError) as error:
        return Collected(None, (*notes, f"without its plan no log is kept: {error}"))
    try:
        _keep_logs(task, plan, redactor)
    except OSError as error:
        notes.append(f"not every log is kept: {error.strerror}")
    total = sum(files.lengths(task.instance / "logs", plan.log_folder).values())
    if task.most is not None and total > task.most:
        why = f"its logs have {total >> 20} MiB: `ernie-deploy diagnose {plan.instance}` reads them"
        return Collected(None, (*notes, why))
    try:
        diagnosis = _diagnosis(task, plan)
        cause = diagnosis.first
        text = json.dumps(_redacted(encode(diagnosis), redactor), indent=1)
        files.write_atomically(task.folder / "diagnosis.json", text + "\n")
    except Exception as error:  # rules are data, of third parties too; the rest is kept regardless
        notes.append(f"its logs could not be judged: {error!r}")
    return Collected(cause, tuple(notes))


def _keep_events(task: Task, redactor: Redactor) -> None:
    newest = read_events(task.instance)[-MOST_EVENTS:]
    text = "".join(json.dumps(_redacted(event, redactor)) + "\n" for event in newest)
    data = text.encode()[-LARGEST_EVENTS:]
    if len(data) < len(text):
        data = data.partition(b"\n")[2]
    files.write_atomically(task.folder / "events.jsonl", data)


def _keep_logs(task: Task, plan: LaunchPlan, redactor: Redactor) -> None:
    """The end of each log up to the incident. Logs that hold prompts are never read."""
    logs = task.folder / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    rules = diagnose.log_rules_of(plan)
    captured = task.instance / "logs" / "engine.log"
    paths = {"engine.log": captured, "keeper.log": task.instance / "logs" / "keeper.log"}
    for log in below(Path(plan.log_folder), rules.private, rules.logger):
        paths.setdefault(log.name.replace("/", "--"), log.path)
    left = LARGEST_LOGS
    for name, path in paths.items():
        limit = min(left, CONSOLE_TAIL if path == captured else TAIL)
        # The keeper's own log tells of the incident itself: it is read to its end.
        end = tail(path, limit, task.lengths if name != "keeper.log" else None)
        if path == captured and end.is_whole and len(end.text) < limit:
            before = tail(path.with_name(f"{path.name}.1"), limit - len(end.text), task.lengths)
            end = before._replace(text=before.text + end.text)
        if not end.text:
            continue
        data = without_secrets(end, redactor)[-limit:]
        files.write_atomically(logs / name, data)
        left -= len(data)
        if left <= 0:
            break


class Tail(NamedTuple):
    """The end of a log, `text`, and some lines that stand before it; or the whole log."""

    earlier: bytes
    text: bytes
    is_whole: bool


def tail(path: Path, limit: int, lengths: Mapping[str, int] | None) -> Tail:
    """Whole lines at the end of a log, at most `limit` bytes.

    Nothing where it cannot be read. The end is where it was by `lengths`, of which a log that is
    not among them had nothing.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return Tail(b"", b"", is_whole=True)
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(file.fileno())
        end = info.st_size
        if lengths is not None:
            end = min(end, lengths.get(str(info.st_ino), 0))
        begin = max(0, end - limit)
        first = max(0, begin - EARLIER)
        file.seek(first)
        data = file.read(end - first)
    # A first line that has lost its beginning is left out, unless it is all there is.
    at = data.find(b"\n", begin - first) + 1 if begin else 0
    earlier = data[:at].partition(b"\n")[2] if first else data[:at]
    return Tail(earlier, data[at or begin - first :], is_whole=begin == 0)


def without_secrets(end: Tail, redactor: Redactor) -> bytes:
    """The lines of `end`; some of them may be the rest of lines that begin before it."""
    skipped, lines = _lines(end.earlier), _lines(end.text)
    long_lines = LongLines(redactor, from_middle=bool(skipped))
    pieces = ((line, False) for line in (*skipped, *lines))
    shown = itertools.islice(long_lines.read(pieces), len(skipped), None)
    safe = [redactor.text(plain(line)) for line in (*shown, *long_lines.finish())]
    return "".join(f"{line}\n" for line in safe).encode()


def _lines(data: bytes) -> list[str]:
    """At newlines alone: other ends of lines (U+2028) stand in models' answers."""
    lines = data.decode(errors="replace").split("\n")
    return lines if lines[-1] else lines[:-1]


def _redacted(value: JsonValue, redactor: Redactor) -> JsonValue:
    """Text by text: a pattern that takes the rest of a line would take JSON's brackets along."""
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, Mapping):
        return {key: _redacted(one, redactor) for key, one in value.items()}
    return [_redacted(one, redactor) for one in value] if is_list(value) else value


def _diagnosis(task: Task, plan: LaunchPlan) -> Diagnosis:
    return diagnose.of_instance(
        Path(plan.log_folder),
        task.instance / "logs" / "engine.log",
        plan.failure_rules,
        log_rules=diagnose.log_rules_of(plan),
        exit_code=task.exit_code,
        state="ready" if task.was_ready else "loading",
        noise=plan.noise,
        since=task.since,
        until=task.lengths,
        served=task.served,
    )


if __name__ == "__main__":
    sys.exit(main())
