"""`state.json`: what an instance is.

The holder of the instance's lock is the only writer. The file is replaced atomically and carries a
version.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from launcher import files
from launcher.codec import decode, encode, written
from launcher.errors import Problem
from launcher.json_values import JsonObject, JsonValue
from launcher.keeper.claim import (
    EngineClaim,
    FileClaim,
    ProcessClaim,
    QueueClaim,
    SessionClaim,
)
from launcher.keeper.receipt import Receipt
from launcher.lifecycle import LIVE, STORED, InstanceState, is_allowed
from launcher.liveness.judge import Liveness

STATE_SCHEMA = "ernie-deploy/state/1"


@dataclass(frozen=True)
class EndError(Problem):
    """Why an instance was given up.

    `certain`: the problem names the cause itself, and the logs are not asked for a better one.
    `retry`: starting again unchanged can help; None where nothing tells (so in records of older
    keepers).
    """

    retry: bool | None = field(default=None, metadata=written(omit=True))
    certain: bool = False


@dataclass(frozen=True)
class LivenessRecord:
    """The last verdict of `launcher.liveness.judge`; `since` is in Unix seconds.

    `doubtful`: the server failed a question and shows no other sign of work; it is not stalled yet.
    """

    verdict: Liveness
    since: float
    reasons: tuple[str, ...] = ()
    doubtful: bool = False

    @property
    def is_healthy(self) -> bool:
        """Whether it serves, as far as anybody can tell."""
        return self.verdict in (Liveness.IDLE, Liveness.BUSY) and not self.doubtful


@dataclass(frozen=True)
class RestartRecord:
    """The restart that a keeper waits for.

    It is restart `number` of the `limit` that the policy allows in `window` seconds; `delay` is
    the wait in seconds and `at` its end in Unix seconds. `code` and `cause` tell of the failure
    before it, `waiting` what it waits for besides the delay (None: nothing).
    """

    number: int
    limit: int
    window: float
    delay: float
    at: float
    code: str = ""
    cause: str = ""
    waiting: str | None = None


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
    keeper: ProcessClaim | None = field(default=None, metadata=written(empty=True))
    engine: EngineClaim | None = field(default=None, metadata=written(empty=True))
    processes: list[ProcessClaim] = field(default_factory=list)
    sessions: list[SessionClaim | int] = field(default_factory=list)
    """See `launcher.keeper.sessions`; records of older keepers hold bare numbers."""
    shm: list[FileClaim] = field(default_factory=list)
    queues: list[QueueClaim] = field(default_factory=list)
    temporary: list[FileClaim] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    base_url: str = ""
    admin_url: str = ""
    """Where the keeper's own endpoint listens; empty where it has none."""
    started_at: float = 0.0
    ready_at: float | None = None
    ended_at: float | None = None
    restarts: int = 0
    restart: RestartRecord | None = None
    """The restart that is waited for; None while an engine runs."""
    liveness: LivenessRecord | None = None
    """The last verdict; None before the first sample of a run."""
    evidence: dict[str, JsonValue] = field(default_factory=dict)
    engine_exit: int | None = None
    worker_exit: int | None = None
    exit_is_ours: bool = False
    """True where the engine ended after we had sent it a signal: its exit code is not evidence."""
    log_lengths: dict[str, int] | None = None
    """Bytes of each log, by inode, when we sent the first signal; None where we sent none."""
    error: EndError | None = None
    exit_code: int | None = None
    receipt: Receipt | None = None
    previous_state: InstanceState | None = field(default=None, metadata=written("was"))
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
    text, path = json.dumps(encode(state)), folder / "state.json"
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
        state = decode(State, json.loads(text), schema=STATE_SCHEMA, tolerant=True)
        for name in (state.state, state.previous_state or state.state):
            if name not in STORED:
                raise ValueError(f"the state {name} is never stored")
    except (ValueError, RecursionError) as error:
        raise DamagedState(f"{folder / 'state.json'} is damaged: {error}") from None
    return state


def reported_state(value: JsonObject) -> State:
    """The state as a keeper reports it; a word that this release does not know is UNKNOWN.

    Raises:
        ValueError: it is not a state of a version we know.
    """
    readable = {**value, "state": InstanceState.parse(value.get("state"))}
    return decode(State, readable, "state", schema=STATE_SCHEMA, tolerant=True)
