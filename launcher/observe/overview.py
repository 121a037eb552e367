"""The rows of `top`: every instance with its state, its verdict and its engine's figures.

States come from the files of all instances. What costs time, the figures of engines and the memory
of GPUs, is asked at once of all with one deadline: a server that hangs delays nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from launcher.codec import written
from launcher.errors import DeployError
from launcher.host import gpus
from launcher.instance.history import expected_seconds
from launcher.instance.store import InstanceDir, check_readable, view
from launcher.json_values import JsonObject, text_at
from launcher.keeper.state import RestartRecord, State
from launcher.lifecycle import COMING, FINAL, InstanceState
from launcher.liveness.judge import Liveness
from launcher.observe.figures import Load, Reading, ask_figures, load

WINDOW = 15.0
"""Seconds over which the live view averages tokens and first tokens: shorter ones only flicker."""
LATE = 2.0
"""Seconds after which a row is told as late in the live view: a disk may hang for good."""
SECOND_LOOK = 0.25
"""Seconds between the two readings of a busy server without an earlier one."""


@dataclass(frozen=True)
class Row:
    """One instance of `top`; times are Unix seconds, memory is in bytes.

    `since` is when it entered its state, `verdict_since` its verdict; `doubtful`: it may be
    stalled soon. `expected_seconds` is how long earlier starts took, `restart` the restart that
    its keeper waits for. `note` says why something is not known.
    """

    name: str
    state: InstanceState
    verdict: Liveness | None = field(default=None, metadata=written(omit=True))
    doubtful: bool = field(default=False, metadata=written(omit=True))
    verdict_since: float | None = field(default=None, metadata=written(omit=True))
    reasons: tuple[str, ...] = field(default=(), metadata=written(omit=True))
    phase: str | None = field(default=None, metadata=written(omit=True))
    percent: float | None = field(default=None, metadata=written(omit=True))
    expected_seconds: float | None = field(default=None, metadata=written(omit=True))
    since: float | None = None
    restarts: int = 0
    restart: RestartRecord | None = field(default=None, metadata=written(omit=True))
    error: str | None = field(default=None, metadata=written(omit=True))
    remedy: str | None = field(default=None, metadata=written(omit=True))
    note: str | None = field(default=None, metadata=written(omit=True))
    engine: str | None = None
    release: str | None = None
    model: str | None = None
    base_url: str | None = None
    gpu_memory: int | None = None
    load: Load | None = None

    @property
    def is_problem(self) -> bool:
        """True where an operator should look at it."""
        if self.state == InstanceState.READY:
            return self.verdict in (Liveness.STALLED, Liveness.DEAD)
        return self.state not in (*COMING, InstanceState.STOPPING, *_CALM)


_CALM = (InstanceState.STOPPED, InstanceState.ABSENT)


@dataclass(frozen=True)
class Overview:
    """`top --once`: the instances in their order, and the seconds that it took to look."""

    instances: tuple[Row, ...]
    sort: str
    seconds: float


# -- the order ------------------------------------------------------------------------------------


def _severity(row: Row) -> int:
    if row.is_problem:
        return 0
    if row.verdict is Liveness.PAUSED or row.doubtful or row.note or row.restart is not None:
        return 1
    if row.state in (*COMING, InstanceState.STOPPING):
        return 2
    return 4 if row.state in _CALM else 3


def _falling(value: float | None) -> float:
    return float("inf") if value is None else -value


def _queue(row: Row) -> float | None:
    if row.load is None or (row.load.running is None and row.load.waiting is None):
        return None
    return (row.load.waiting or 0) * 1e9 + (row.load.running or 0)


SORTS: dict[str, Callable[[Row], float | str]] = {
    "state": _severity,
    "name": lambda row: row.name,
    "queue": lambda row: _falling(_queue(row)),
    "tokens": lambda row: _falling(row.load.tokens_per_second if row.load else None),
    "ttft": lambda row: _falling(row.load.ttft_seconds if row.load else None),
    "kv": lambda row: _falling(row.load.kv_cache_usage if row.load else None),
    "gpu": lambda row: _falling(row.gpu_memory),
    "restarts": lambda row: _falling(row.restarts),
    "age": lambda row: _falling(row.since),
}
"""Word of `--sort` to its key: problems first, then the largest figure; `age`: the newest."""


def ordered(rows: Sequence[Row], sort: str, *, reverse: bool = False) -> list[Row]:
    """The rows in an order of `SORTS`, equal ones by name."""
    by_name = sorted(rows, key=lambda row: row.name)
    return sorted(by_name, key=SORTS[sort], reverse=reverse)


# -- looking --------------------------------------------------------------------------------------


@dataclass
class _Entry:
    """What is kept of an instance from one look to the next."""

    instance: InstanceDir
    row: Row | None = None
    pids: tuple[int, ...] = ()
    run: str = ""
    plan_stamp: tuple[int, int, int] | None = None
    plan: JsonObject = field(default_factory=dict)
    expected: float | None = None
    readings: list[Reading] = field(default_factory=list)
    phantom: float = 0.0
    thread: threading.Thread | None = None
    is_told: bool = False
    late_at: float = 0.0


class Observer:
    """Looks at instances again and again, or once."""

    def __init__(self, ask_gpus: Callable[[], gpus.GpuReport] = gpus.query) -> None:
        """Nothing is asked before the first look."""
        self._ask_gpus = ask_gpus
        self._known: dict[str, _Entry] = {}
        self._gpu_memory: dict[int, int] = {}
        self._gpu_thread: threading.Thread | None = None

    def look(
        self,
        instances: Sequence[InstanceDir],
        deadline: float,
        *,
        patience: float = 0.0,
        once: bool = False,
    ) -> list[Row]:
        """A row for each instance, within `deadline` seconds, in the order of `instances`.

        A server may take `patience` seconds where that is longer: until then its row is that of
        the look before. With `once`, a busy server is read twice, so that its tokens per second
        are known, and what comes late is told as late.
        """
        begin = time.monotonic()
        end, last = begin + deadline, begin + max(deadline, patience)
        self._known = {i.name: self._known.get(i.name) or _Entry(i) for i in instances}
        self._start_gpus()
        threads = []
        for entry in self._known.values():
            if entry.thread is not None and entry.thread.is_alive():
                continue  # it is late: it is not asked again before it has answered
            entry.is_told, entry.late_at = False, last + LATE
            entry.thread = threading.Thread(
                target=self._work, args=(entry, last, once), daemon=True
            )
            threads.append(entry.thread)
            entry.thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        if self._gpu_thread is not None:
            self._gpu_thread.join(max(0.0, end - time.monotonic()))
        return [self._report(entry, once) for entry in self._known.values()]

    def _work(self, entry: _Entry, end: float, once: bool) -> None:
        name = entry.instance.name
        try:
            check_readable(entry.instance)
            run, before = entry.run, entry.row
            row = self._describe(entry)
            if row.state == InstanceState.READY:
                if before is not None and before.state == row.state and run == entry.run:
                    entry.row = replace(row, load=before.load, note=row.note or before.note)
                else:
                    entry.row = row
                row = self._with_load(row, entry, end, once)
            entry.row = row
        except DeployError as error:
            entry.row = Row(name, InstanceState.UNKNOWN, note=str(error))
        except Exception as error:  # one broken instance must not hide the others
            entry.row = Row(name, InstanceState.UNKNOWN, note=repr(error))
        entry.is_told = True

    def _report(self, entry: _Entry, once: bool) -> Row:
        """The newest row of an instance, with what is late told as late."""
        row = entry.row or Row(entry.instance.name, InstanceState.UNKNOWN)
        if not entry.is_told and (once or time.monotonic() > entry.late_at):
            row = replace(row, note=row.note or _LATE)
        memory = [self._gpu_memory[pid] for pid in entry.pids if pid in self._gpu_memory]
        return replace(row, gpu_memory=sum(memory)) if memory else row

    # -- one instance ---------------------------------------------------------------------------

    def _describe(self, entry: _Entry) -> Row:
        instance = entry.instance
        state, stored, note = view(instance)
        row = Row(instance.name, state, note=note)
        entry.pids = tuple(one.pid for one in stored.processes) if stored is not None else ()
        if stored is not None:
            run = f"{stored.token} {stored.restarts}"
            if run != entry.run:
                entry.run, entry.readings, entry.phantom, entry.expected = run, [], 0.0, None
            row = _with_record(row, stored)
            if state in COMING:
                if entry.expected is None:
                    entry.expected = _expected(instance)
                row = replace(row, expected_seconds=entry.expected)
        plan = _plan(instance, entry)
        texts = [text_at(plan, key) or None for key in ("engine", "release", "model", "base_url")]
        return replace(row, engine=texts[0], release=texts[1], model=texts[2], base_url=texts[3])

    def _with_load(self, row: Row, entry: _Entry, end: float, once: bool) -> Row:
        try:
            newest = ask_figures(entry.plan, _left(end))
            if newest is None:
                return row
            if once and not entry.readings and newest.is_busy:
                entry.readings.append(newest)
                time.sleep(min(SECOND_LOOK, max(0.0, (end - time.monotonic()) / 2)))
                newest = ask_figures(entry.plan, _left(end)) or newest
        except TimeoutError:
            before = entry.readings[-1] if entry.readings else None
            entry.readings.clear()
            with_note = replace(row, note="GET /metrics timed out")
            return replace(with_note, load=load(before)) if before and once else with_note
        except (OSError, ValueError) as error:
            entry.readings.clear()
            return replace(row, note=f"GET /metrics: {error}")
        return replace(row, load=_note(entry, newest))

    # -- GPUs -----------------------------------------------------------------------------------

    def _start_gpus(self) -> None:
        """nvidia-smi may take seconds: one question at a time, and the last answer holds."""
        if self._gpu_thread is not None and self._gpu_thread.is_alive():
            return

        def work() -> None:
            memory: dict[int, int] = {}
            for card in self._ask_gpus().gpus:
                for process in card.processes:
                    memory[process.pid] = memory.get(process.pid, 0) + (process.memory or 0)
            self._gpu_memory = memory

        self._gpu_thread = threading.Thread(target=work, daemon=True)
        self._gpu_thread.start()


def _left(end: float) -> float:
    """Seconds that a server may take, so that its answer can still be told."""
    return max(0.05, end - time.monotonic() - 0.05)


_LATE = "it could not be read in time"


def _note(entry: _Entry, newest: Reading) -> Load:
    """The load by the newest reading and the oldest within the window."""
    if newest.backlog is not None and not newest.running:
        entry.phantom = newest.backlog
    entry.readings = [r for r in entry.readings if newest.at - r.at <= WINDOW]
    before = entry.readings[0] if entry.readings else None
    if before is not None and (newest.tokens or 0) < (before.tokens or 0):
        entry.readings, before = [], None  # its counters began anew
    entry.readings.append(newest)
    return load(newest, before, entry.phantom)


def _with_record(row: Row, stored: State) -> Row:
    state = row.state
    since = stored.started_at or None
    if state == InstanceState.READY:
        since = stored.ready_at
    elif state in FINAL:
        since = stored.ended_at or since
    error = stored.error if state in FINAL or state == InstanceState.LOST else None
    row = replace(
        row,
        since=since,
        restarts=stored.restarts,
        error=error.message if error else None,
        remedy=error.remedy if error else None,
    )
    if state in COMING:
        row = replace(row, phase=stored.phase, percent=stored.percent, restart=stored.restart)
    if state == InstanceState.READY and stored.liveness is not None:
        judged = stored.liveness
        row = replace(
            row,
            verdict=judged.verdict,
            verdict_since=judged.since,
            reasons=judged.reasons,
            doubtful=judged.doubtful,
        )
    return row


def _plan(instance: InstanceDir, entry: _Entry) -> JsonObject:
    """The plan, read again only where its file is another one."""
    try:
        info = (instance.folder / "plan.json").stat()
        stamp = (info.st_ino, info.st_size, info.st_mtime_ns)
        if stamp != entry.plan_stamp:
            entry.plan, entry.plan_stamp = instance.plan_data(), stamp
    except (OSError, DeployError):
        entry.plan, entry.plan_stamp = {}, None
    return entry.plan


def _expected(instance: InstanceDir) -> float | None:
    return expected_seconds(instance.logs / "previous") or expected_seconds(instance.folder)
