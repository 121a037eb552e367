"""The summary of a card: one verdict for each part, from what was collected."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.card.payloads import CardBench, CardInstance, CardMemory, CardSmoke, Part
from launcher.doctor.model import Finding
from launcher.instance.status import message
from launcher.observe.incidents import IncidentRow
from launcher.service.payloads import ServiceStatus
from launcher.smoke.outcome import KNOWN_DEVIATION


def state(service: ServiceStatus | None, instances: Sequence[CardInstance]) -> Part:
    """Whether it serves."""
    if service is not None:
        serves = service.condition in ("serving", "changing") and service.ready > 0
        return Part("state", "State", "pass" if serves else "fail", service.message)
    status = instances[0].status
    text = status.message or message(status)
    return Part("state", "State", "pass" if status.is_healthy else "fail", text)


def doctor(findings: Sequence[Finding], note: str | None) -> Part:
    """What the doctor says."""
    if note is not None:
        return Part("doctor", "Doctor", "could not check", note)
    failed = [one.check for one in findings if one.status == "FAIL"]
    counts = {word: sum(f.status == word for f in findings) for word in ("PASS", "WARN", "UNKNOWN")}
    text = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
    if failed:
        return Part("doctor", "Doctor", "fail", f"FAIL: {', '.join(failed)}; {text}")
    return Part("doctor", "Doctor", "pass", text)


def memory(one: CardMemory) -> Part:
    """Whether the model fits, by the plan."""
    if one.plan is None:
        return Part("memory", "Memory plan", "could not check", one.reason or "there is none")
    prediction = one.plan.prediction
    text = prediction.reason
    if prediction.fits:
        text = f"fits: {prediction.blocks} KV blocks, {prediction.sequences} full sequences at once"
    if one.lesson is not None:
        text += f"; the engine reported {one.lesson.reported} blocks ({one.lesson.error:+.1%})"
    return Part("memory", "Memory plan", "pass" if prediction.fits else "fail", text)


def smoke(one: CardSmoke | None, note: str | None) -> Part:
    """The verdict of the smoke run."""
    if one is None:
        return Part("smoke", "Smoke tests", "could not check", note or "not run yet")
    counts = one.run.counts
    deviations = counts.get(KNOWN_DEVIATION, 0)
    texts = (
        (counts.get("pass", 0), "passed"),
        (counts.get("fail", 0) - deviations, "failed"),
        (counts.get("inconclusive", 0), "inconclusive"),
        (deviations, "known deviations"),
        (counts.get("could not check", 0), "could not be checked"),
    )
    text = ", ".join(f"{number} {word}" for number, word in texts if number > 0)
    text = f"{text or 'no check was run'}; {one.source}"
    if one.outdated:
        # What it proved is not what runs now, for better or for worse.
        return Part("smoke", "Smoke tests", "could not check", f"{text}; {one.outdated}")
    return Part("smoke", "Smoke tests", one.run.verdict, text)


def bench(one: CardBench | None, note: str | None) -> Part:
    """Whether the gates of the bench run are met."""
    if one is None:
        return Part("bench", "Bench", "could not check", note or "not run yet")
    run = one.run
    text = f"{len(run.levels)} levels of {run.scenario.name}; {one.source}"
    missed = [gate for gate in run.gates if gate.verdict == "missed"]
    if one.outdated:
        return Part("bench", "Bench", "could not check", f"{text}; {one.outdated}")
    if missed:
        names = ", ".join(f"{gate.name} at {gate.level}" for gate in missed[:5])
        return Part("bench", "Bench", "fail", f"missed: {names}; {text}")
    if run.verdict == "refused":
        return Part("bench", "Bench", "inconclusive", f"verdicts are refused; {text}")
    if run.generator.problem:
        return Part("bench", "Bench", "inconclusive", f"{run.generator.problem}; {text}")
    gates = f"{len(run.gates)} gates met" if run.gates else "no gates"
    return Part("bench", "Bench", "pass", f"{gates}; {text}")


def incidents(rows: Sequence[IncidentRow], since: float | None) -> Part:
    """Incidents since the present run began; earlier ones are listed and judge nothing."""
    recent = [row for row in rows if since is not None and row.incident.time >= since]
    if not rows:
        return Part("incidents", "Incidents", "pass", "none was kept")
    text = f"{len(rows)} kept, {len(recent)} since the start of what runs now"
    return Part("incidents", "Incidents", "note" if recent else "pass", text)
