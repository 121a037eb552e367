"""Known deviations of an engine's release: what it does wrong, by which finding it is recognised.

The table is `deviations.json` in the engine's data folder (`Engine.data`). A deviation does
not turn a failure into a pass: the verdict stays, and the report says whose it is.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from launcher import engines
from launcher.json_values import JsonValue, list_at, text_at, texts_at
from launcher.smoke.outcome import Outcome


@dataclass(frozen=True)
class KnownDeviation:
    """One known fault of some releases.

    `releases` is a version specifier. `source` says where the fault was read or measured.
    """

    id: str
    title: str
    releases: str
    source: str

    def concerns(self, release: str | None) -> bool:
        """True where the release is one of those; an unknown one where all later ones are."""
        releases = SpecifierSet(self.releases, prereleases=True)
        if release is None:
            return all(one.operator in (">=", ">") for one in releases)
        try:
            return Version(release) in releases
        except InvalidVersion:
            return False


@dataclass(frozen=True)
class DeviationRule:
    """How a deviation is recognised: the checks that show it, and the codes of their findings."""

    deviation: KnownDeviation
    checks: tuple[str, ...]
    codes: tuple[str, ...]


@functools.cache
def known_deviations(engine: str) -> tuple[DeviationRule, ...]:
    """The deviations of an engine; none for an engine that has no table or is not installed."""
    is_engine = engine in engines.INTERNAL or engine in engines.names()
    folder = engines.get(engine).data if is_engine else None
    path = folder / "deviations.json" if folder is not None else None
    if path is None or not path.is_file():
        return ()
    data: JsonValue = json.loads(path.read_text(encoding="utf-8"))
    return tuple(
        DeviationRule(
            KnownDeviation(
                text_at(e, "id"), text_at(e, "title"), text_at(e, "releases"), text_at(e, "source")
            ),
            texts_at(e, "checks"),
            texts_at(e, "codes"),
        )
        for e in list_at(data, "deviations")
    )


def explained(
    servers: Sequence[tuple[str | None, str | None]], check: str, outcomes: Sequence[Outcome]
) -> tuple[KnownDeviation, ...]:
    """The deviations that explain every finding of every failed draw; empty where one is left.

    `servers` are engine and release of all that had a part in the answers, None where unknown.
    """
    rules = [
        rule
        for engine, release in servers
        if engine is not None
        for rule in known_deviations(engine)
        if rule.deviation.concerns(release) and check in rule.checks
    ]
    used: dict[str, KnownDeviation] = {}
    for outcome in outcomes:
        if outcome.verdict == "inconclusive" or (
            outcome.verdict == "fail" and not outcome.findings
        ):
            return ()
        for finding in outcome.findings:
            match = next((r.deviation for r in rules if finding.code in r.codes), None)
            if match is None:
                return ()
            used[match.id] = match
    return tuple(used.values())
