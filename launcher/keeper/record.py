"""What the keeper writes down and tells: the state, the events, and who listens to them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from launcher.codec import decode, encode_object
from launcher.errors import Problem
from launcher.host.kernel import file_clock
from launcher.json_values import JsonObject, JsonValue, list_at, number_at, text_at
from launcher.keeper import identity
from launcher.keeper.admin.address import admin_address
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.events import Events
from launcher.keeper.leftovers import Claims
from launcher.keeper.server import Server
from launcher.keeper.state import State, write_state
from launcher.keeper.tree import Tree
from launcher.lifecycle import InstanceState
from launcher.plain import plain
from launcher.plan.model import LaunchPlan


class Record:
    """The one writer of `state.json` and `events.jsonl`; publishes on the control socket.

    `state` is the truth in memory. A disk that is full delays what is written, never the keeper.
    """

    def __init__(
        self, folder: Path, plan: LaunchPlan, token: str, tree: Tree, forced: tuple[str, ...]
    ) -> None:
        """Begin the record of a new run."""
        here = identity.this_host()
        me = identity.look(os.getpid())
        self._folder = folder
        self._plan = plan
        self._tree = tree
        self._events = Events(folder)
        self.claims = Claims(plan.leftovers, plan.cwd)
        self.server: Server | None = None
        self.observers: list[Callable[[JsonObject], None]] = []
        """Called with every event, in the loop's thread: they must return at once."""
        self.dirty = False
        self._write_failed = False
        self._stamp: tuple[int, ...] | None = None
        self.echo: TextIO | None = None
        """Where a person or a supervisor reads along: stderr of `up --foreground`."""
        self.state = State(
            instance=plan.instance,
            token=token,
            machine=here.machine,
            boot=here.boot,
            pid_namespace=here.pid_namespace,
            keeper=ProcessClaim(os.getpid(), me.start if me else 0),
            ports=plan.numbers,
            base_url=plan.base_url,
            admin_url=admin_address(plan),
            started_at=file_clock(),
            forced=list(forced),
        )

    def begin_again(self) -> None:
        """Forget the run that ended, before a restart."""
        self.claims = Claims(self._plan.leftovers, self._plan.cwd)
        self.state.restarts += 1
        self.state.error = self.state.exit_code = self.state.receipt = None
        self.state.ready_at = self.state.ended_at = None
        self.state.engine_exit = self.state.worker_exit = self.state.log_lengths = None
        self.state.exit_is_ours = False
        self.state.liveness = None
        self.state.phase = self.state.percent = None
        self.state.evidence.clear()
        self.state.started_at = file_clock()
        # Emptied and kept for the next run; what else there was is gone.
        own = [c for c in self.state.temporary if c.path == self._plan.temporary_folder]
        self.state.temporary = own
        self.state.engine = None

    def set(self, state: InstanceState, **fields: JsonValue) -> None:
        """Enter a state, write it and tell it; a forbidden step is told as a defect."""
        defect = self.state.enter(state)
        if defect is not None:
            self.event("warning", message=defect)
        self.write()
        self.event("state", state=state, **fields)

    def event(self, kind: str, /, **fields: JsonValue) -> None:
        """Append to the history and tell those who follow."""
        event = self._events.append(kind, **fields)
        if self.echo is not None:
            self._say(kind, fields)
        if self.server is not None:
            self.server.publish(event)
        for observer in self.observers:
            observer(event)

    def _say(self, kind: str, fields: JsonObject) -> None:
        event = {
            "phase": lambda: f"loading: {fields['title']}" if fields["new"] else "",
            "state": lambda: _state_text(fields),
            "warning": lambda: f"warning: {fields['message']}",
            "restart": lambda: _restart_text(fields),
            "liveness": lambda: _liveness_text(fields),
            "stop": lambda: f"asked to stop: {fields['reason']}",
        }
        text = event[kind]() if kind in event else ""
        if text and self.echo is not None:
            try:
                self.echo.write(f"ernie-deploy: {self.state.instance}: {plain(text)}\n")
                self.echo.flush()
            except OSError:
                self.echo = None  # the reader is gone

    def remember(self) -> None:
        """Take the living tree and what is claimed into the state."""
        self._tree.refresh()
        self.state.processes = [ProcessClaim.of(p) for p in self._tree.processes]
        self.state.sessions = list(self._tree.sessions())
        own = [c for c in self.state.temporary if c.path == self._plan.temporary_folder]
        self.state.temporary = own + list(self.claims.temporary.values())
        self.state.shm = list(self.claims.shm.values())
        self.state.queues = list(self.claims.queues.values())

    def snapshot(self) -> JsonObject:
        """The state as plain JSON types, fresher than the file."""
        self.remember()
        return encode_object(self.state)

    def write(self) -> None:
        """Write `state.json`; a failure is told once and tried again until it succeeds."""
        self.remember()
        self.dirty = False
        try:
            write_state(self._folder, self.state)
        except OSError as error:
            self.dirty = True
            if not self._write_failed:
                self._write_failed = True
                self.event("warning", message=f"state.json cannot be written: {error.strerror}")
            return
        self._stamp = file_stamp(self._folder / "state.json")
        self._write_failed = False

    def restore_state(self) -> bool:
        """Write `state.json` again where it is not as we left it; True where that was so.

        Raises:
            OSError: that is not possible now.
        """
        if not self.dirty and file_stamp(self._folder / "state.json") == self._stamp:
            return False
        replaced = not self.dirty
        self.remember()
        write_state(self._folder, self.state)
        self._stamp = file_stamp(self._folder / "state.json")
        self.dirty = self._write_failed = False
        return replaced

    def restore_events(self) -> bool:
        """Make `events.jsonl` anew where it was removed or replaced; True where that was so.

        Raises:
            OSError: that is not possible now.
        """
        if self._events.in_place():
            return False
        self._events.restore()
        return True


def file_stamp(path: Path) -> tuple[int, ...] | None:
    """Tells a file from one that was written or put there later."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return info.st_dev, info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _restart_text(fields: JsonObject) -> str:
    delay, cause = number_at(fields, "delay") or 0, text_at(fields, "message")
    return f"restart {fields['number']} of {fields['limit']} in {delay:.1f} s: {cause}"


def _liveness_text(fields: JsonObject) -> str:
    """Only what is wrong or over: idle and busy take turns all day."""
    verdict, previous = text_at(fields, "verdict"), text_at(fields, "previous")
    quiet = ("idle", "busy", "")
    if verdict in quiet and previous in quiet:
        return ""
    reasons = "; ".join(str(reason) for reason in list_at(fields, "reasons"))
    return f"{verdict}: {reasons}"


def _state_text(fields: JsonObject) -> str:
    state = text_at(fields, "state")
    if fields.get("error"):
        problem = decode(Problem, fields["error"], "error", tolerant=True)
        return f"{state}: {problem.text()}"
    return " ".join(filter(None, (state, text_at(fields, "base_url"))))
