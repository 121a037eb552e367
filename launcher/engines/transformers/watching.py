"""Lines of `transformers serve`: the phases of a start. Recorded with 5.23 unless noted."""

from __future__ import annotations

from launcher.plan.model import Phase, PhaseRule

PHASES = (
    Phase("import", "import libraries"),
    Phase("load weights", "load weights"),
    Phase("serve", "open the port"),
    Phase("first answer", "first answer"),
)

PHASE_RULES = (
    PhaseRule("load weights", r"\[transformers\] Loading |Loading \S+@"),
    PhaseRule("load weights", r"Loading (?:weights|checkpoint shards):\s+(?P<percent>\d+)%"),
    PhaseRule("serve", r"Started server process"),
    PhaseRule("first answer", r"Uvicorn running on http"),
)
