"""The serving card as JUnit XML: a case for each part, each doctor check and each smoke check.

What could not be checked is skipped; a doctor's WARN passes with its text.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.card.payloads import Part, ServingCard
from launcher.report.card_text import stamp
from launcher.report.junit import Case, Suite, document, smoke_cases
from launcher.result import Result
from launcher.smoke.target import TargetFacts


def render(result: Result[ServingCard]) -> str:
    """The XML document."""
    data = result.payload
    target = TargetFacts(
        data.name,
        url=_url(data),
        model=data.versions.weights.model,
        engine=data.versions.engine.name,
        release=data.versions.engine.release,
    )
    started = stamp(data.made_at).replace(" ", "T")
    return document([Suite(target, started, 0.0, "report", list(_cases(data)))])


def _url(data: ServingCard) -> str:
    if data.service is not None:
        return data.service.url or ""
    planned = data.instances[0].status.planned
    return (planned.base_url if planned else None) or ""


def _cases(data: ServingCard) -> Iterator[Case]:
    detailed = {"doctor": bool(data.doctor), "smoke": data.smoke is not None}
    detailed["bench"] = data.bench is not None and bool(data.bench.run.gates)
    for part in data.parts:
        if not detailed.get(part.name, False) or part.verdict == "could not check":
            yield _part(part)
    for finding in data.doctor:
        name = f"doctor: {finding.check}"
        if finding.status == "FAIL":
            text = f"{finding.title}\nwhy: {finding.reason}\ndo: {finding.remedy or ''}"
            yield Case(name, 0.0, "failure", finding.check, finding.evidence, text)
        elif finding.status == "UNKNOWN":
            yield Case(name, 0.0, "skipped", message=finding.evidence)
        else:
            yield Case(name, text=f"{finding.status}: {finding.evidence}")
    if data.smoke is not None and not data.smoke.outdated:
        yield from smoke_cases(data.smoke.run)
    if data.bench is None or data.bench.outdated:
        return
    for gate in data.bench.run.gates:
        name = f"bench: {gate.name} at {gate.level} ({gate.kind})"
        if gate.verdict == "missed":
            yield Case(name, 0.0, "failure", f"{gate.kind}-missed", gate.reason, gate.source)
        elif gate.verdict == "refused":
            yield Case(name, 0.0, "skipped", message=gate.reason)
        else:
            yield Case(name, text=gate.reason)


def _part(part: Part) -> Case:
    name = f"card: {part.title}"
    if part.verdict == "fail":
        return Case(name, 0.0, "failure", part.name, part.message, part.message)
    if part.verdict == "inconclusive":
        return Case(name, 0.0, "error", part.name, part.message, part.message)
    if part.verdict == "could not check":
        return Case(name, 0.0, "skipped", message=part.message)
    return Case(name, text=part.message)
