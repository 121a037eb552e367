"""`events` of a service: what happened to its instances, and its rollouts, in one list."""

from __future__ import annotations

import collections
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from launcher.errors import DeployError, UsageError
from launcher.instance import logs
from launcher.instance.store import InstanceDir
from launcher.json_values import JsonObject, number_at
from launcher.nearest import did_you_mean
from launcher.observe.events import KINDS, Selection, Stream, without_secrets
from launcher.service.changes import ServiceChanges
from launcher.service.instances import all_instances, readable_instances
from launcher.service.model import HistoryEntry, ServiceState
from launcher.service.store import ServiceDir

ROLLOUT = "rollout"
"""The kind of what a service itself tells: a change begins, and how it ended."""


def select_events(
    service: ServiceDir, since: float | None, kinds: Iterable[str], last: int | None
) -> Selection:
    """What the options of the command line ask for; `since` is in seconds before now.

    Raises:
        UsageError: no event is of such a kind.
        PreconditionError: the service's state is damaged.
    """
    chosen = tuple(dict.fromkeys(one.strip() for kind in kinds for one in kind.split(",")))
    known = [ROLLOUT, *KINDS]
    for kind in chosen:
        if kind not in known:
            raise UsageError.of(
                "unknown-event-kind",
                f"no event is of the kind {kind!r}{did_you_mean(kind, known)}", "--kind",
                f"one of: {', '.join(known)}",
            )  # fmt: skip
    return Selection(None if since is None else time.time() - since, chosen, last)


def read_events(service: ServiceDir, selection: Selection) -> list[JsonObject]:
    """The events so far, oldest first, those of replaced instances included.

    Raises:
        PreconditionError: the service's state is damaged.
    """
    streams = _Streams(service)
    try:
        return streams.last(all_instances(service), selection)
    finally:
        streams.close()


def follow_events(
    service: ServiceDir, selection: Selection, wake: Collection[int] = ()
) -> Iterator[JsonObject]:
    """The events so far and then each that comes, over rollouts, `down` and `deploy`.

    Raises:
        BrokenPipeError: one of `wake` has lost its other end.
        PreconditionError: the service's state is damaged at the beginning.
    """
    streams = _Streams(service)
    changes = ServiceChanges(service.folder, wake)
    try:
        instances = all_instances(service)
        changes.arm(one.folder for one in instances)
        yield from streams.last(instances, selection)
        while True:
            changes.wait()
            instances = readable_instances(service)
            changes.arm(one.folder for one in instances)
            yield from streams.new(instances, selection)
    finally:
        changes.close()
        streams.close()


class _Streams:
    """Every event of a service once, of instances that come and go."""

    def __init__(self, service: ServiceDir) -> None:
        self._service = service
        self._streams: dict[str, tuple[Path, Stream]] = {}
        self._told: set[str] = set()

    def last(self, instances: Iterable[InstanceDir], selection: Selection) -> list[JsonObject]:
        """The newest events of those so far."""
        newest = self.new(instances, selection)
        if selection.last is None:
            return newest
        return list(collections.deque(newest, maxlen=selection.last))

    def new(self, instances: Iterable[InstanceDir], selection: Selection) -> list[JsonObject]:
        """The events that came since the last call, by time."""
        collected = [event for event in self._rollouts() if selection.takes(event)]
        listed = list(instances)
        for instance in listed:
            known = self._streams.get(instance.name)
            if known is None:
                known = (instance.folder, Stream(instance))
                self._streams[instance.name] = known
        for name, (folder, stream) in list(self._streams.items()):
            redactor = logs.redactor(InstanceDir(folder))
            for event in stream.new():
                if selection.takes(event):
                    clean = without_secrets(event, redactor)
                    collected.append({**clean, "instance": name})
            if all(one.name != name for one in listed):
                stream.close()  # it was put aside: what it still had was read from the open file
                del self._streams[name]
        return sorted(collected, key=lambda event: number_at(event, "time") or 0.0)

    def close(self) -> None:
        """Close every file."""
        for _, stream in self._streams.values():
            stream.close()

    def _rollouts(self) -> Iterator[JsonObject]:
        service = self._service
        for entry in service.history():
            if self._is_new(f"{entry.id} end"):
                self._told.add(f"{entry.id} begin")
                yield _ended(service.name, entry)
        try:
            state = service.read()
        except DeployError:
            return  # it is replaced at this moment, or damaged: what came before was told
        if state.rollout is not None and self._is_new(f"{state.rollout.id} begin"):
            yield _begun(state)

    def _is_new(self, key: str) -> bool:
        if key in self._told:
            return False
        self._told.add(key)
        return True


def _begun(state: ServiceState) -> JsonObject:
    rollout = state.rollout
    assert rollout is not None  # noqa: S101  (the caller looked)
    message = f"{rollout.kind} to {rollout.target} begins ({rollout.strategy})"
    return {
        "time": rollout.started_at, "event": ROLLOUT, "instance": state.name,
        "message": message, "user": rollout.owner.user,
    }  # fmt: skip


def _ended(name: str, entry: HistoryEntry) -> JsonObject:
    message = f"{entry.kind} to {entry.target}: {entry.outcome} after {entry.seconds:.1f} s"
    if entry.error:
        message += f"; {entry.error}"
    return {
        "time": entry.at, "event": ROLLOUT, "instance": name, "message": message,
        "outcome": entry.outcome, "user": entry.user,
    }  # fmt: skip
