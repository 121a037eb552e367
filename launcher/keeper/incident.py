"""Incidents on disk: what was seen, done and lost when something went wrong, a folder each.

    incidents/ID/incident.json    what it was, why, what was done, how long service was away
    incidents/ID/samples.jsonl    what the keeper saw of the server in the minutes before
    incidents/ID/events.jsonl     what had happened to the instance until then
    incidents/ID/threads.txt      of an engine that hangs: where each thread waits in the kernel
    incidents/ID/stacks-PID.txt   of an engine that hangs: its Python stacks, by py-spy
    incidents/ID/logs/            the end of each log, secrets taken out
    incidents/ID/diagnosis.json   the first cause that the logs show

The holder of the instance's lock is the only writer. Incidents are history: `down` and `up` leave
them, and the oldest are removed where there are too many or they are too large.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launcher import files
from launcher.codec import decode, encode, encode_object
from launcher.diagnose.diagnosis import Finding
from launcher.keeper.claim import ProcessClaim
from launcher.liveness.sample import Sample

INCIDENT_SCHEMA = "ernie-deploy/incident/1"

FOLDER = "incidents"
FILE = "incident.json"
ID = re.compile(r"\d{8}-\d{6}-\d{3}[0-9a-f]{2}")
"""UTC to the millisecond and two letters against a second one: sorts by time, safe as a name."""

MOST = 20
"""Incidents that are kept of one instance."""
LARGEST_TOTAL = 50 * 1024 * 1024
"""Bytes of all incidents of one instance. One has some 4.5 MiB at most: each part has a bound."""
MOST_SAMPLES = 1000
"""The newest samples that are kept."""
LARGEST_SAMPLES = 768 * 1024
"""Bytes of them."""
Kind = Literal["failure", "stall", "restart", "lost-keeper"]
Action = Literal["pending", "restarted", "given-up", "reported", "stopped", "keeper-lost"]


@dataclass(frozen=True)
class Incident:
    """What went wrong and what was done about it; times are Unix seconds.

    `since`: from then on service was away. `state` is the instance's when it happened. `verdict`
    and `reasons` are those of the liveness judgement, where it saw the incident. `action` is
    `pending` until it is known; `reported`: nothing was done, by the profile's wish or because the
    server went on by itself; `keeper-lost`: the keeper was killed before it had decided. Of a
    restart, `number` and `delay` (seconds). `back_at` is when service was back, None where it was
    not. `cause` is the first cause in the logs. `notes` tell what could not be kept.
    """

    id: str
    kind: Kind
    instance: str
    time: float
    since: float
    code: str
    message: str
    where: str | None = None
    remedy: str | None = None
    retry: bool | None = None
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    state: str = ""
    engine: str = ""
    release: str | None = None
    model: str = ""
    restarts: int = 0
    started_at: float = 0.0
    ready_at: float | None = None
    engine_exit: int | None = None
    keeper: ProcessClaim | None = None
    action: Action = "pending"
    number: int | None = None
    delay: float | None = None
    back_at: float | None = None
    cause: Finding | None = None
    notes: tuple[str, ...] = ()
    schema: str = INCIDENT_SCHEMA

    @property
    def away(self) -> float | None:
        """Seconds that service was away; None where it did not come back."""
        return None if self.back_at is None else max(0.0, round(self.back_at - self.since, 3))


def new_id(now: float) -> str:
    """An ID for an incident at `now`."""
    milliseconds = int(now * 1000)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(milliseconds // 1000))
    return f"{stamp}-{milliseconds % 1000:03d}{os.urandom(1).hex()}"


def create(instance_folder: Path, incident: Incident) -> Path:
    """The new folder of `incident`, with its `incident.json`.

    Raises:
        OSError: it cannot be made or written.
    """
    top = instance_folder / FOLDER
    if os.path.lexists(top) and not _is_folder(top):
        files.clear(top)
    top.mkdir(mode=0o700, exist_ok=True)
    folder = top / incident.id
    folder.mkdir(mode=0o700)
    try:
        write(folder, incident)
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()  # an empty one tells nothing
        raise
    return folder


def write(folder: Path, incident: Incident) -> None:
    """Store `incident` in its folder.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    files.write_atomically(folder / FILE, json.dumps(encode(incident), indent=1) + "\n")


def read(folder: Path) -> Incident:
    """The incident in `folder`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not an incident of a version we know.
    """
    value = json.loads(files.read_text(folder / FILE))
    incident = decode(Incident, value, "incident", schema=INCIDENT_SCHEMA, tolerant=True)
    if incident.id != folder.name:
        raise ValueError(f"it is the incident {incident.id!r}")
    return incident


def read_all(instance_folder: Path) -> list[tuple[Path, Incident]]:
    """The incidents that can be read, oldest first."""
    incidents = []
    for folder in folders(instance_folder):
        with contextlib.suppress(OSError, ValueError, RecursionError):
            incidents.append((folder, read(folder)))
    return incidents


def folders(instance_folder: Path) -> list[Path]:
    """The folders of all incidents of an instance, oldest first; nothing else that lies there."""
    top = instance_folder / FOLDER
    try:
        names = os.listdir(top) if _is_folder(top) else []
    except OSError:
        return []
    return [top / name for name in sorted(names) if ID.fullmatch(name) and _is_folder(top / name)]


def prune(instance_folder: Path) -> int:
    """Remove the oldest incidents until the bounds hold, the newest never; returns how many."""
    kept = folders(instance_folder)
    sizes = {folder: size(folder) for folder in kept}
    removed = 0
    while len(kept) > 1 and (len(kept) > MOST or sum(sizes[f] for f in kept) > LARGEST_TOTAL):
        shutil.rmtree(kept.pop(0), ignore_errors=True)
        removed += 1
    return removed


def size(folder: Path) -> int:
    """Bytes of all files of an incident."""
    return sum(files.lengths(folder).values())


def samples_text(samples: Sequence[Sample]) -> str:
    """The newest samples, one JSON object a line; the fields are those of `Sample`.

    `time` is in Unix seconds, `at` the keeper's own clock.
    """
    offset = time.time() - time.monotonic()
    lines: list[str] = []
    size = 0
    for sample in reversed(samples[-MOST_SAMPLES:]):
        fields = {"time": round(sample.at + offset, 3), **encode_object(sample)}
        line = json.dumps(fields) + "\n"
        size += len(line)
        if size > LARGEST_SAMPLES:
            break
        lines.append(line)
    return "".join(reversed(lines))


def with_back(incident: Incident, now: float) -> Incident:
    """The same with service back at `now`."""
    return dataclasses.replace(incident, back_at=round(now, 3))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False
