"""All scenarios, in the order in which a drill runs them."""

from __future__ import annotations

from launcher.drill.scenario import Scenario
from launcher.drill.scenarios import answers, full, kills, memory, ports, stops, storm, terms

SCENARIOS: tuple[Scenario, ...] = (
    *kills.SCENARIOS,
    *stops.SCENARIOS,
    *terms.SCENARIOS,
    *memory.SCENARIOS,
    *ports.SCENARIOS,
    *full.SCENARIOS,
    *answers.SCENARIOS,
    *storm.SCENARIOS,
)
