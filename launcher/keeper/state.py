"""`state.json`: what an instance is.

The holder of the instance's lock is the only writer. The file is replaced atomically and carries a
version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from launcher import files
from launcher.lifecycle import LIVE, STORED, InstanceState, is_allowed

STATE_SCHEMA = "ernie-deploy/state/1"


@dataclass
class State:
    """One instance at one moment; times are Unix seconds.

    `state` is one of `launcher.lifecycle.STORED`. LOST is never stored: it is what a reader
    concludes from a live state without a keeper. `exit_code` is the exit code of `up` that belongs
    to a final state. `processes`, `shm`, `queues`, `temporary` are what is claimed as ours, with
    the identities that prove it. `was` is failed or died where a `down` has acknowledged that.
    """

    instance: str
    token: str
    state: InstanceState = InstanceState.STARTING
    phase: str | None = None
    percent: float | None = None
    machine: str = ""
    boot: str = ""
    pid_namespace: str = ""
    keeper: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    processes: list[dict[str, Any]] = field(default_factory=list)
    sessions: list[Any] = field(default_factory=list)
    """See `launcher.keeper.sessions`; records of older keepers hold bare numbers."""
    shm: list[dict[str, Any]] = field(default_factory=list)
    queues: list[dict[str, Any]] = field(default_factory=list)
    temporary: list[dict[str, Any]] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    base_url: str = ""
    started_at: float = 0.0
    ready_at: float | None = None
    ended_at: float | None = None
    restarts: int = 0
    evidence: dict[str, Any] = field(default_factory=dict)
    engine_exit: int | None = None
    worker_exit: int | None = None
    exit_is_ours: bool = False
    """True where the engine ended after we had sent it a signal: its exit code is not evidence."""
    log_lengths: dict[str, int] | None = None
    """Bytes of each log, by inode, when we sent the first signal; None where we sent none."""
    error: dict[str, Any] | None = None
    exit_code: int | None = None
    receipt: dict[str, Any] | None = None
    was: InstanceState | None = None
    forced: list[str] = field(default_factory=list)
    schema: str = STATE_SCHEMA

    @property
    def live(self) -> bool:
        """True in the states in which a keeper is at work."""
        return self.state in LIVE

    def enter(self, target: InstanceState, *, keeper_lives: bool = True) -> str | None:
        """Go to `target`; returns what is wrong where `TRANSITIONS` has no such step.

        The step is taken anyway: a defect in the record must not keep anybody from ending an
        engine. Without a keeper, a live state is LOST.
        """
        source = self.state if keeper_lives or not self.live else InstanceState.LOST
        self.state = target
        if is_allowed(source, target):
            return None
        return f"a defect of ernie-deploy: {source} may not be followed by {target}"

    @property
    def evident_exit(self) -> int | None:
        """The exit code that tells of the cause: a worker's, or the engine's if it ended by itself.

        What we ended, ended as we ended it: with our signal, by a crash on the way out (-6 from
        zmq), or with 0.
        """
        if self.worker_exit:
            return self.worker_exit
        return None if self.exit_is_ours else self.engine_exit


class DamagedState(ValueError):  # noqa: N818 - reads as what it is: a damaged state
    """`state.json` exists but cannot be believed."""


def write_state(folder: Path, state: State) -> None:
    """Store `state`; see `files.write_atomically`.

    On a full disk it is written over the old one where that has the room: the last word about an
    instance must not be an old one.
    """
    text, path = json.dumps(asdict(state)), folder / "state.json"
    try:
        files.write_atomically(path, text)
    except OSError as error:
        if not files.is_full(error) or not files.write_over(path, text):
            raise


def read_state(folder: Path) -> State | None:
    """The stored state, or None where there is none.

    Raises:
        DamagedState: the file is not a state of a version we know.
    """
    try:
        text = files.read_text(folder / "state.json")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DamagedState(f"{folder / 'state.json'} is not text: {error.reason}") from None
    except OSError as error:
        raise DamagedState(f"{folder / 'state.json'}: {error.strerror}") from None
    try:
        data = json.loads(text)
        if data["schema"] != STATE_SCHEMA:
            raise DamagedState(f"{folder / 'state.json'} has schema {data['schema']!r}")
        field_names = State.__dataclass_fields__
        state = State(**{k: v for k, v in data.items() if k in field_names})
        state.state = _stored(state.state)
        state.was = None if state.was is None else _stored(state.was)
        _check(state)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, DamagedState):
            raise
        raise DamagedState(f"{folder / 'state.json'} is damaged: {error}") from None
    return state


_PROCESS = {"pid": int, "start": int}
_FILE = {"path": str, "device": int, "inode": int}
_SHAPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "keeper": (dict, _PROCESS),
    "engine": (dict, {"pid": int}),
    "processes": (list, _PROCESS),
    "shm": (list, _FILE),
    "temporary": (list, _FILE),
    "queues": (list, {"key": int, "id": int, "created": int}),
    "ports": (dict, {}),
    "evidence": (dict, {}),
}


def _stored(name: object) -> InstanceState:
    state = InstanceState.parse(name)
    if state not in STORED:
        raise ValueError(f"unknown state {name!r}")
    return state


def _check(state: State) -> None:
    """Signals and removals follow what stands here, so it must have the shape we wrote."""
    texts = (state.instance, state.token, state.machine, state.boot)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("instance, token, machine and boot are texts")
    if not isinstance(state.sessions, list) or not all(map(_is_session, state.sessions)):
        raise TypeError("sessions are numbers with a last sight")
    lengths = state.log_lengths
    if lengths is not None and not (
        isinstance(lengths, dict) and all(isinstance(size, int) for size in lengths.values())
    ):
        raise TypeError("log_lengths are numbers of bytes")
    if not isinstance(state.started_at, (int, float)):
        raise TypeError("started_at is a time")
    for name, (kind, fields) in _SHAPES.items():
        value = getattr(state, name)
        if not isinstance(value, kind):
            raise TypeError(f"{name} is not a {kind.__name__}")
        entries = value if isinstance(value, list) else [value] if value else []
        for entry in entries if fields else ():
            for key, expected_type in fields.items():
                if not isinstance(entry, dict) or not isinstance(entry.get(key), expected_type):
                    raise TypeError(f"{name}: no {key}")


def _is_session(entry: object) -> bool:
    if isinstance(entry, dict):
        return isinstance(entry.get("id"), int) and isinstance(entry.get("seen"), int)
    return isinstance(entry, int)
