"""The front door of a service: who gets traffic, as HAProxy is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counters:
    """What the door counted of one replica; see `launcher.service.watch.Figures`."""

    answers: int
    failed: int
    total_seconds: float | None
