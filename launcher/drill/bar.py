"""The bar of a scenario: what an instance must achieve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """Largest allowed values; None: not judged. Times are seconds.

    `detection`: from the fault to the keeper's event. `restart`: from the fault until ready again,
    without the engine's own start and the restart policy's delay. `failed` and `hung` are requests
    of the drill's own clients. `false_verdicts`: failures and stalls that were none. `leftovers`:
    processes, ports, shared memory, queues and temporary files that the ended run left.
    """

    detection: float | None = None
    restart: float | None = None
    failed: int | None = None
    hung: int | None = 0
    false_verdicts: int | None = 0
    leftovers: int | None = 0


@dataclass(frozen=True)
class Miss:
    """One value that is over its bar; `value` None: it did not happen at all."""

    name: str
    bar: float
    value: float | None
    message: str
