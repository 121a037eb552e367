"""A keeper's socket and state, without an engine."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from launcher.codec import encode_object
from launcher.errors import ExitCode
from launcher.instance.store import Lock
from launcher.json_values import JsonObject, JsonValue
from launcher.keeper import requests
from launcher.keeper.admin.probes import PROBES, Answer
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.identity import look, this_host
from launcher.keeper.loop import Loop
from launcher.keeper.server import Server
from launcher.keeper.state import State, write_state
from launcher.lifecycle import InstanceState


class Keeping:
    """A keeper's socket and state without an engine; this process is the keeper."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "token").write_text("one:abc")
        here, me = this_host(), look(os.getpid())
        assert me is not None
        self.state = State(
            "one", "one:abc", state=InstanceState.LOADING, machine=here.machine, boot=here.boot,
            pid_namespace=here.pid_namespace, keeper=ProcessClaim(me.pid, me.start),
        )  # fmt: skip
        self.folder = folder
        self.stopped: list[str] = []
        self.on_stop: Callable[[], None] = lambda: None
        self.deadline: float | None = 61.5
        self._ended = threading.Event()
        self._lock: Lock | None = None
        self.loop = Loop()
        self.server = Server(self.loop, folder, self._answer)
        write_state(folder, self.state)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def hold_lock(self) -> None:
        """Hold the instance's lock until the end, as a keeper does."""
        self._lock = Lock.take(self.folder)
        assert self._lock is not None

    def _answer(self, request: JsonObject) -> JsonObject:
        def stop(reason: str, code: ExitCode, drain: float | None) -> float:
            self.stopped.append(reason)
            self.on_stop()
            return self.deadline or 0.0

        def probe(kind: str) -> Answer:
            return PROBES[kind](self.state, True)

        answer = dict(requests.answer(request, lambda: encode_object(self.state), stop, probe))
        if self.deadline is None:  # as keepers of older releases answer
            answer.pop("deadline", None)
        return answer

    def _run(self) -> None:
        self.loop.run_until(self._ended.is_set)
        if self._lock is not None:
            self._lock.release()
        self.server.close()

    def tell(self, event: str, **fields: JsonValue) -> None:
        message = {"event": event, "time": round(time.time(), 3), **fields}
        self.loop.call_soon(lambda: self.server.publish(message))

    def hang_up(self) -> None:
        """What happens to a reader that was too slow."""

        def drop() -> None:
            for connection in list(self.server._connections):
                self.server._drop(connection)

        self.loop.call_soon(drop)

    def end(self, state: str | None = None, **fields: object) -> None:
        """The keeper's end; without a state it was killed in the middle."""
        if state is not None:
            self.state.state = InstanceState(state)
            for name, value in fields.items():
                setattr(self.state, name, value)
        else:
            self.state.keeper = ProcessClaim(os.getpid(), 1)
        write_state(self.folder, self.state)
        self.close()

    def end_soon(self, state: str | None = None, **fields: object) -> None:
        """The end from within the keeper's own thread; without a state its file stays as it is."""
        if state is not None:
            self.state.state = InstanceState(state)
            for name, value in fields.items():
                setattr(self.state, name, value)
            write_state(self.folder, self.state)
        self.loop.call_soon(self._ended.set)

    def close(self) -> None:
        self._ended.set()
        self.loop.call_soon(lambda: None)
        self._thread.join()
