"""`logs` of a service: the lines of all its replicas and of its front door, by time."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from launcher.errors import DeployError, UsageError
from launcher.instance import logs
from launcher.instance.store import InstanceDir, view
from launcher.lifecycle import LIVE
from launcher.service.instances import (
    all_instances,
    current_instances,
    label_width,
    readable_instances,
)
from launcher.service.store import ServiceDir

EVERYTHING = 1_000_000
"""Lines of an instance that came while its service was followed."""


@dataclass(frozen=True)
class LogChoice:
    """Which log of each instance, and how its lines are shown; `last` lines of each, None: all."""

    source: str
    last: int | None
    times: bool


def source_files(service: ServiceDir) -> dict[str, str]:
    """`INSTANCE/SOURCE` to its file, of every instance; those that were replaced come first."""
    return {
        f"{instance.name}/{name}": str(path)
        for instance in all_instances(service)
        for name, path in logs.sources(instance).items()
    }


def read_lines(service: ServiceDir, choice: LogChoice) -> Iterator[str]:
    """The lines of all instances, oldest first, each behind its instance's name.

    Raises:
        UsageError: no instance has this source.
        PreconditionError: the service's state is damaged.
    """
    instances = _with_source(current_instances(service), service.name, choice.source)
    width = label_width(instances)
    streams = [_stamped(instance, choice, width) for instance in instances]
    return (line for _, line in heapq.merge(*streams, key=lambda pair: pair[0]))


def follow_lines(service: ServiceDir, choice: LogChoice, show: Callable[[str], None]) -> None:
    """Show the last lines and whatever comes, over rollouts, until nothing of it runs any more.

    Raises:
        UsageError: no instance has this source.
        PreconditionError: the service's state is damaged.
    """
    instances = _with_source(current_instances(service), service.name, choice.source)
    width = label_width(instances)
    newest: dict[str, logs.Newest] = {}
    last = choice.last or 0
    try:
        while True:
            live = any(view(one)[0] in LIVE for one in instances) or _is_changing(service)
            for instance in instances:
                if instance.name not in newest and _has(instance, choice.source):
                    newest[instance.name] = logs.Newest(
                        instance, choice.source, last=last, times=choice.times,
                        redactor=logs.redactor(instance),
                    )  # fmt: skip
            names = {one.name for one in instances}
            for name, tail in list(newest.items()):
                gone = name not in names
                for line in tail.lines(final=not live or gone):
                    show(_labelled(name, width, line))
                if gone:
                    tail.close()
                    del newest[name]
            if not live:
                return
            last = EVERYTHING  # of an instance that comes in a rollout everything is new
            time.sleep(logs.FOLLOW_POLL)
            instances = readable_instances(service)
    finally:
        for tail in newest.values():
            tail.close()


def _is_changing(service: ServiceDir) -> bool:
    try:
        return service.read().rollout is not None and service.owner() is not None
    except DeployError:
        return False


def _stamped(instance: InstanceDir, choice: LogChoice, width: int) -> Iterator[tuple[str, str]]:
    """Each line with its time; one without has that of the line before."""
    stamp = ""
    redactor = logs.redactor(instance)
    for when, text in logs.stamped_lines(
        instance, choice.source, last=choice.last, times=choice.times, redactor=redactor
    ):
        stamp = when or stamp
        yield stamp, _labelled(instance.name, width, text)


def _labelled(name: str, width: int, line: str) -> str:
    return f"{name:<{width}} | {line}"


def _has(instance: InstanceDir, source: str) -> bool:
    return source in logs.sources(instance)


def _with_source(instances: Iterable[InstanceDir], service: str, source: str) -> list[InstanceDir]:
    listed = list(instances)
    chosen = [one for one in listed if _has(one, source)]
    if listed and not chosen:
        names = dict.fromkeys(name for one in listed for name in logs.sources(one))
        raise UsageError.of(
            "unknown-source", f"no instance of {service} has a log {source!r}", None,
            f"one of: {', '.join(names)}",
        )  # fmt: skip
    return chosen
