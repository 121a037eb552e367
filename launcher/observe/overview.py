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
"""Seconds after which a row is told as late in the live view: a disk may hang for ever."""
SECOND_LOOK = 0.25
"""Seconds between the two readings of a busy server where there is no earlier one."""


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
        """True where somebody should look at it."""
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
class _Known:
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
        self._known: dict[str, _Known] = {}
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
        self._known = {i.name: self._known.get(i.name) or _Known(i) for i in instances}
        self._start_gpus()
        threads = []
        for known in self._known.values():
            if known.thread is not None and known.thread.is_alive():
                continue  # it is late: it is not asked again before it has answered
            known.is_told, known.late_at = False, last + LATE
            known.thread = threading.Thread(
                target=self._work, args=(known, last, once), daemon=True
            )
            threads.append(known.thread)
            known.thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        if self._gpu_thread is not None:
            self._gpu_thread.join(max(0.0, end - time.monotonic()))
        return [self._told(known, once) for known in self._known.values()]

    def _work(self, known: _Known, end: float, once: bool) -> None:
        name = known.instance.name
        try:
            check_readable(known.instance)
            run, before = known.run, known.row
            row = self._describe(known)
            if row.state == InstanceState.READY:
                if before is not None and before.state == row.state and run == known.run:
                    known.row = replace(row, load=before.load, note=row.note or before.note)
                else:
                    known.row = row
                row = self._with_load(row, known, end, once)
            known.row = row
        except DeployError as error:
            known.row = Row(name, InstanceState.UNKNOWN, note=str(error))
        except Exception as error:  # one broken instance must not hide the others
            known.row = Row(name, InstanceState.UNKNOWN, note=repr(error))
        known.is_told = True

    def _told(self, known: _Known, once: bool) -> Row:
        """The newest row of an instance, with what is late told as late."""
        row = known.row or Row(known.instance.name, InstanceState.UNKNOWN)
        if not known.is_told and (once or time.monotonic() > known.late_at):
            row = replace(row, note=row.note or _LATE)
        held = [self._gpu_memory[pid] for pid in known.pids if pid in self._gpu_memory]
        return replace(row, gpu_memory=sum(held)) if held else row

    # -- one instance ---------------------------------------------------------------------------

    def _describe(self, known: _Known) -> Row:
        instance = known.instance
        state, stored, note = view(instance)
        row = Row(instance.name, state, note=note)
        known.pids = tuple(one.pid for one in stored.processes) if stored is not None else ()
        if stored is not None:
            run = f"{stored.token} {stored.restarts}"
            if run != known.run:
                known.run, known.readings, known.phantom, known.expected = run, [], 0.0, None
            row = _with_record(row, stored)
            if state in COMING:
                if known.expected is None:
                    known.expected = _expected(instance)
                row = replace(row, expected_seconds=known.expected)
        plan = _plan(instance, known)
        words = [text_at(plan, key) or None for key in ("engine", "release", "model", "base_url")]
        return replace(row, engine=words[0], release=words[1], model=words[2], base_url=words[3])

    def _with_load(self, row: Row, known: _Known, end: float, once: bool) -> Row:
        try:
            newest = ask_figures(known.plan, _left(end))
            if newest is None:
                return row
            if once and not known.readings and newest.is_busy:
                known.readings.append(newest)
                time.sleep(min(SECOND_LOOK, max(0.0, (end - time.monotonic()) / 2)))
                newest = ask_figures(known.plan, _left(end)) or newest
        except TimeoutError:
            before = known.readings[-1] if known.readings else None
            known.readings.clear()
            told = replace(row, note="GET /metrics timed out")
            return replace(told, load=load(before)) if before and once else told
        except (OSError, ValueError) as error:
            known.readings.clear()
            return replace(row, note=f"GET /metrics: {error}")
        return replace(row, load=_note(known, newest))

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


def _note(known: _Known, newest: Reading) -> Load:
    """The load by the newest reading and the oldest within the window."""
    if newest.backlog is not None and not newest.running:
        known.phantom = newest.backlog
    known.readings = [r for r in known.readings if newest.at - r.at <= WINDOW]
    before = known.readings[0] if known.readings else None
    if before is not None and (newest.tokens or 0) < (before.tokens or 0):
        known.readings, before = [], None  # its counters began anew
    known.readings.append(newest)
    return load(newest, before, known.phantom)


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


def _plan(instance: InstanceDir, known: _Known) -> JsonObject:
    """The plan, read again only where its file is another one."""
    try:
        info = (instance.folder / "plan.json").stat()
        stamp = (info.st_ino, info.st_size, info.st_mtime_ns)
        if stamp != known.plan_stamp:
            known.plan, known.plan_stamp = instance.plan_data(), stamp
    except (OSError, DeployError):
        known.plan, known.plan_stamp = {}, None
    return known.plan


def _expected(instance: InstanceDir) -> float | None:
    return expected_seconds(instance.logs / "previous") or expected_seconds(instance.folder)
