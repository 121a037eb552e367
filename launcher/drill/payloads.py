"""What `drill` returns; `launcher.codec` writes it as JSON and reads a recorded run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from launcher.drill.bar import Bar, Miss

Verdict = Literal["pass", "miss", "not applicable"]


@dataclass(frozen=True)
class RequestCounts:
    """The drill's own requests from shortly before the fault until service was back.

    `answered`: 200 with text. `empty`: 200 without. `failed`: refused, cut off or answered with
    another status. `hung`: no whole answer within the client's deadline. `longest` are the seconds
    of the request that took longest to end.
    """

    answered: int = 0
    empty: int = 0
    failed: int = 0
    hung: int = 0
    longest: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What one scenario did to the instance; times are seconds, None where there is none.

    `detection`: from the fault to the keeper's event `event`. `restart`: from the fault (where an
    obstacle was taken away: from then on) until ready again, without the engine's own start
    `engine_start` and without `delay`, the pause that the restart policy asks for. `false_verdicts`
    names each failure or stall that was none. `leftovers` names what the ended run left.
    """

    detection: float | None = None
    event: str = ""
    restart: float | None = None
    engine_start: float | None = None
    delay: float = 0.0
    requests: RequestCounts = RequestCounts()
    false_verdicts: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario in one round, against its bar.

    `simulated`: the fault stands for the real one, which could not be made here; `note` says why.
    `message` says why a scenario is not applicable.
    """

    scenario: str
    round: int
    verdict: Verdict
    bar: Bar
    measured: Measured = Measured()
    misses: tuple[Miss, ...] = ()
    simulated: bool = False
    note: str = ""
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class DrillTarget:
    """The instance that was drilled. `restart_policy` is the profile's."""

    name: str
    engine: str
    release: str | None
    base_url: str
    restart_policy: str


@dataclass(frozen=True)
class DrillRun:
    """`drill`. `started` is in ISO 8601 (UTC); `cores` are those that this process may use.

    `load` is the larger of the machine's load averages (1 minute) at the start and at the end: on a
    machine that is busy with other things, times are longer.
    """

    target: DrillTarget
    started: str
    seconds: float
    rounds: int
    cores: int
    scenarios: tuple[ScenarioResult, ...]
    load: float = 0.0


@dataclass(frozen=True)
class ScenarioRow:
    """One line of `drill --list`."""

    name: str
    action: str
    simulates: str
    bar: Bar


@dataclass(frozen=True)
class ScenarioList:
    """`drill --list`."""

    available: tuple[ScenarioRow, ...]
