"""Adds up the access log of a front door by the name of the key, hour by hour.

The access log is the source because it has one line for each request, whichever worker of HAProxy
ended it: a reload or a restart loses nothing, where HAProxy's own tables begin at 0. Lines are
taken before the log is rotated. Each hour is one small file; the oldest are removed.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from launcher import files, paths
from launcher.codec import decode, encode
from launcher.keeper.loop import Loop, Timer
from launcher.keeper.output import Runs

SCHEMA = "ernie-deploy/usage/1"
WITHOUT_KEY = "-"
"""The name of requests without a known key, in the log too."""
HOUR = 3600
KEPT_HOURS = 35 * 24
"""Hours that are kept: a month and some days."""
WRITE_INTERVAL = 2.0
"""Seconds until what was counted is on disk: a keeper that is killed loses at most these."""
_PREFIX = b"access "
_FILE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2})\.json")
_FIRST_ERROR = 400


@dataclass(frozen=True)
class KeyUsage:
    """What was asked for with one key.

    `requests` are all of them, those refused by the front door included: for their `rate`, for
    their `concurrency`, or for a missing or unknown `key`. `errors` are further answers with a
    status from 400 on, and those that the replica broke off. `received` and `sent` are bytes with
    headers. Tokens are those of the `counted` answers: plain ones that have a `usage`; the tokens
    of streams are not known.
    """

    requests: int = 0
    errors: int = 0
    refused_key: int = 0
    refused_rate: int = 0
    refused_concurrency: int = 0
    received: int = 0
    sent: int = 0
    counted: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: KeyUsage) -> KeyUsage:
        """Both together."""
        mine, its = vars(self), vars(other)
        return KeyUsage(**{name: mine[name] + its[name] for name in mine})


@dataclass(frozen=True)
class HourUsage:
    """One file: the usage by key in the hour that begins at `hour`, in Unix seconds."""

    hour: int
    keys: Mapping[str, KeyUsage] = field(default_factory=dict)
    schema: str = SCHEMA


def parse_line(line: bytes) -> tuple[str, KeyUsage] | None:
    """The name of the key and the usage of one line; None where it is not of an access log."""
    if not line.startswith(_PREFIX):
        return None
    fields: dict[str, str] = {}
    for word in line.decode("latin-1").split(" "):
        name, _, value = word.partition("=")
        fields.setdefault(name, value)  # what a client may choose, such as the path, comes last
    if "status" not in fields:
        return None
    refused = fields.get("refused", "")
    status = _number(fields, "status")
    cut = fields.get("end", "").startswith("S")
    counted = fields.get("prompt_tokens", "-") != "-"
    usage = KeyUsage(
        requests=1,
        errors=int(refused in ("", "-") and (not 0 < status < _FIRST_ERROR or cut)),
        refused_key=int(refused == "key"),
        refused_rate=int(refused == "rate"),
        refused_concurrency=int(refused == "concurrency"),
        received=_number(fields, "received"),
        sent=_number(fields, "sent"),
        counted=int(counted),
        prompt_tokens=_number(fields, "prompt_tokens") if counted else 0,
        completion_tokens=_number(fields, "completion_tokens") if counted else 0,
    )
    return fields.get("key", WITHOUT_KEY), usage


def read_hours(folder: Path, since: float = 0.0) -> list[HourUsage]:
    """The hours that are kept and end after `since` (Unix seconds), oldest first.

    A file that cannot be read is passed over.
    """
    hours = []
    for path in sorted(folder.glob("*.json")):
        if _FILE.fullmatch(path.name):
            hour = _read(path)
            if hour is not None and hour.hour + HOUR > since:
                hours.append(hour)
    return hours


class UsageMeter:
    """Counts in memory, and writes the hour's file a moment later."""

    def __init__(
        self,
        loop: Loop,
        folder: Path,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Go on with the hour's file in `folder`; `warn` is called where it cannot be written."""
        self._loop = loop
        self._folder = folder
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._totals: dict[str, KeyUsage] = {}
        self._hour = self._begin()
        self._timer: Timer | None = None
        self._failed = False

    def take(self, runs: Runs) -> None:
        """Count those of the lines that are of the access log."""
        lines = (line for text, _ in runs if _PREFIX in text for line in text.split(b"\n"))
        parsed = [one for line in lines if (one := parse_line(line)) is not None]
        if not parsed:
            return
        if self._current_hour() != self._hour.hour:
            self._write()
            self._hour = self._begin()
        keys = dict(self._hour.keys)
        with self._lock:
            for name, usage in parsed:
                keys[name] = keys.get(name, KeyUsage()) + usage
                self._totals[name] = self._totals.get(name, KeyUsage()) + usage
        self._hour = replace(self._hour, keys=keys)
        if self._timer is None:
            self._timer = self._loop.call_later(WRITE_INTERVAL, self._write)

    def totals(self) -> dict[str, KeyUsage]:
        """The usage by key since the keeper's start; may be called by any thread."""
        with self._lock:
            return dict(self._totals)

    def close(self) -> None:
        """Write what was not written yet."""
        if self._timer is not None:
            self._write()

    def _current_hour(self) -> int:
        return int(self._clock()) // HOUR * HOUR

    def _path(self, hour: int) -> Path:
        name = time.strftime("%Y-%m-%dT%H", time.gmtime(hour))
        return self._folder / f"{name}.json"

    def _begin(self) -> HourUsage:
        hour = self._current_hour()
        kept = _read(self._path(hour))
        return kept if kept is not None and kept.hour == hour else HourUsage(hour)

    def _write(self) -> None:
        """Write the hour; where the disk is full, it is tried again with the next request."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        path = self._path(self._hour.hour)
        try:
            paths.private_folder(self._folder)
            is_new = not path.exists()
            files.write_atomically(path, json.dumps(encode(self._hour)) + "\n")
            if is_new:
                self._remove_old()
            self._failed = False
        except OSError as error:
            if not self._failed:
                self._warn(f"the usage of keys cannot be written: {error.strerror or error}")
            self._failed = True

    def _remove_old(self) -> None:
        oldest = self._path(self._hour.hour - KEPT_HOURS * HOUR).name
        for path in self._folder.glob("*.json"):
            if _FILE.fullmatch(path.name) and path.name < oldest:
                path.unlink(missing_ok=True)


def _read(path: Path) -> HourUsage | None:
    try:
        value = json.loads(files.read_text(path))
        return decode(HourUsage, value, "usage", schema=SCHEMA, tolerant=True)
    except (OSError, ValueError, RecursionError):
        return None


def _number(fields: Mapping[str, str], name: str) -> int:
    """A whole number of a line; 0 where there is none. HAProxy's status without answer is -1."""
    text = fields.get(name, "").removeprefix("+")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
