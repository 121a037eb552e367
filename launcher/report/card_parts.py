"""The parts of a serving card as markup: instances, versions, memory, profile, doctor, history."""

from __future__ import annotations

import json

from launcher.card.payloads import CardInstance, ServingCard, WeightFacts
from launcher.json_values import JsonValue, number_at, text_at
from launcher.plan.memory import GIB, MemoryPlan
from launcher.report.bench_parts import section
from launcher.report.card_text import stamp
from launcher.report.escape import html as escape
from launcher.report.events_text import details as event_details
from launcher.report.events_text import moment
from launcher.report.page import data_table, facts_table, mark, mark_as

LONGEST_REMEDY = 300
"""Characters of what to do that are shown at once."""
ANSWERS = {
    "FAIL": ("fail", "FAIL"),
    "WARN": ("doubt", "WARN"),
    "UNKNOWN": ("none", "UNKNOWN"),
    "PASS": ("pass", "PASS"),
}
"""Answer of the doctor to its style and label, what needs a reader first."""


def instances(data: ServingCard) -> str:
    """Every instance: state, address, memory, restarts."""
    rows = [
        (
            f"<b>{escape(one.status.name)}</b><br>{escape(one.role)}",
            mark("pass" if one.status.is_healthy else "fail") + f" {escape(one.status.message)}",
            escape(_times(one)),
            escape(_use(one)),
            escape(_restarts(one)),
            escape((one.status.planned.base_url if one.status.planned else None) or ""),
        )
        for one in data.instances
    ]
    heads = ("instance", "state", "since", "in use now", "restarts", "address")
    body = data_table(heads, rows)
    errors = [
        f'<p class="fail">{escape(one.status.name)}: {escape(record.error.message)}</p>'
        for one in data.instances
        if (record := one.status.record) is not None and record.error is not None
    ]
    return section("instances", "State", body + "".join(errors), len(rows))


def _times(one: CardInstance) -> str:
    record = one.status.record
    if record is None:
        return ""
    named = (
        ("started", record.started_at), ("ready", record.ready_at), ("ended", record.ended_at),
    )  # fmt: skip
    return ", ".join(f"{name} {stamp(at)}" for name, at in named if at)


def _use(one: CardInstance) -> str:
    use = one.memory
    parts = [f"{use.processes} process{'' if use.processes == 1 else 'es'}"]
    parts += [f"{use.resident / GIB:.2f} GiB resident"] if use.resident is not None else []
    parts += [f"{use.gpu / GIB:.2f} GiB of GPUs"] if use.gpu is not None else []
    load = use.load
    if load is not None:
        if load.kv_cache_usage is not None:
            parts.append(f"KV cache {load.kv_cache_usage:.0%}")
        if load.running is not None:
            parts.append(f"{load.running} running, {load.waiting or 0} waiting")
    return ", ".join(parts)


def _restarts(one: CardInstance) -> str:
    if not one.restart_policy:
        return str(one.restarts)
    limit = f"at most {one.restart_limit} in {one.restart_window:g} s"
    return f"{one.restarts}; {one.restart_policy}, {limit}"


def service(data: ServingCard) -> str:
    """A service's replicas, their part of the traffic, and its changes."""
    status = data.service
    if status is None:
        return ""
    members = [
        (
            f"<b>{escape(one.name)}</b>", escape(str(one.state)), escape(one.revision),
            f"{one.share:.0%}", escape(one.door or ""), escape(one.message),
        )
        for one in status.members
    ]  # fmt: skip
    heads = ("replica", "state", "revision", "traffic", "front door", "")
    body = f"<p>{escape(status.message)}"
    body += f" at {escape(status.url)}</p>" if status.url else "</p>"
    body += data_table(heads, members)
    changes = [
        (
            escape(stamp(one.at)), escape(one.kind), escape(one.outcome), escape(one.user),
            escape(one.message),
        )
        for one in data.history
    ]  # fmt: skip
    if changes:
        columns = ("when", "change", "outcome", "who", "message")
        body += f"<h3>Changes</h3>{data_table(columns, changes)}"
    return section("service", "Service", body)


def versions(data: ServingCard) -> str:
    """Versions and hashes of the tool, the engine, the weights and the host."""
    tool, engine, weights, host = (
        data.versions.tool, data.versions.engine, data.versions.weights, data.versions.host,
    )  # fmt: skip
    rows = [
        ("ernie-deploy", f"{tool.version}, Python {tool.python}"),
        ("its files", f"sha256 {tool.sha256} ({tool.files} files)"),
        ("engine", f"{engine.name} {engine.release or 'of an unknown release'}"),
        ("program", engine.program),
    ]
    if engine.python:
        installed = f", installed {engine.installed_at}" if engine.installed_at else ""
        rows.append(("its Python", f"{engine.python}{installed}"))
    rows += [("engine", engine.note)] if engine.note else []
    rows += [
        ("host", f"{host.name}, {host.system}"),
        ("processor", f"{host.cpu}, {host.cores} cores, {host.memory / GIB:.1f} GiB"),
        ("GPUs", "; ".join(host.gpus) or (host.note or "none")),
    ]
    rows += [("driver", host.driver)] if host.driver else []
    body = facts_table(rows)
    if engine.distributions:
        packages = [
            (escape(one.name), escape(one.version), f"<code>{escape(one.sha256 or '-')}</code>")
            for one in engine.distributions
        ]
        heads = ("package of the engine", "version", "sha256 of its RECORD")
        body += f"<h3>Engine</h3>{data_table(heads, packages)}"
    return section("versions", "Versions and hashes", body + _weights(weights))


def _weights(weights: WeightFacts) -> str:
    rows = [("model", weights.model), ("folder", weights.folder or "not known here")]
    if weights.commit:
        rows.append(("commit", f"{weights.hub} {weights.commit}, pulled {weights.pulled_at}"))
    if weights.sha256:
        source = "the manifest" if weights.source == "manifest" else "the files, read now"
        rows.append(("all files", f"sha256 {weights.sha256}, by {source}"))
    rows += [("note", weights.note)] if weights.note else []
    body = f"<h3>Weights</h3>{facts_table(rows)}"
    if not weights.files:
        return body
    files = [
        (escape(one.path), f"{one.size:,}", f"<code>{escape(one.sha256 or 'not hashed')}</code>")
        for one in weights.files
    ]
    table = data_table(("file", "bytes", "sha256"), files)
    return body + f"<details><summary>{len(files)} files</summary>{table}</details>"


def memory(data: ServingCard) -> str:
    """The account of the memory plan, and what is in use."""
    plan, lesson = data.memory.plan, data.memory.lesson
    body = f'<p class="dim">{escape(data.memory.reason)}</p>' if data.memory.reason else ""
    if plan is not None:
        body += "".join(map(_plan, (plan, *plan.others)))
    if lesson is not None:
        body += (
            f"<p>At the last start here, {escape(stamp(lesson.time))}, {lesson.predicted} KV "
            f"blocks were predicted and {lesson.reported} reported ({lesson.error:+.1%}).</p>"
        )
    rows = [
        (escape(one.status.name), escape(_use(one)))
        for one in data.instances
        if one.memory.processes
    ]
    if rows:
        body += f"<h3>In use now</h3>{data_table(('instance', 'memory'), rows)}"
        body += (
            '<p class="dim">Resident memory is added up over processes: pages that they share '
            "count for each.</p>"
        )
    return section("memory", "Memory: plan and reality", body)


def _plan(plan: MemoryPlan) -> str:
    prediction = plan.prediction
    rows = [
        (
            escape(one.name), f"{'' if one.name == 'usable' else '&minus; '}{one.bytes / GIB:.3f}",
            escape(one.formula),
        )
        for one in prediction.terms
    ]  # fmt: skip
    blocks = f"{prediction.blocks} blocks of {prediction.block_bytes / 1024:.0f} KiB"
    rows.append(("KV cache", f"= {prediction.available / GIB:.3f}", escape(blocks)))
    style, label = ("pass", "FITS") if prediction.fits else ("fail", "DOES NOT FIT")
    role = f"{plan.role}: " if plan.role else ""
    head = f"{role}{plan.shape.name} on {prediction.card.name}"
    return (
        f"<p>{mark_as(style, label)} {escape(head)}: {escape(prediction.reason)}; "
        f"{prediction.sequences} sequences of {prediction.ask.max_model_len} tokens at once.</p>"
        + data_table(("per GPU", "GiB", "formula"), rows)
    )


def profile(data: ServingCard) -> str:
    """Every value with its origin, what was given before what is a default."""
    one = data.profile
    rows = [
        (f"<code>{escape(v.key)}</code>", f"<code>{escape(_flow(v.value))}</code>",
         escape(v.origin))
        for v in sorted(one.values, key=lambda v: v.origin == "default")
    ]  # fmt: skip
    facts = [("sha256", one.sha256)]
    facts += [("file", one.path)] if one.path else []
    facts += [("revision", one.revision)] if one.revision else []
    table = data_table(("key", "value", "where it comes from"), rows)
    return section("profile", "Profile", facts_table(facts) + table, len(rows))


def _flow(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def doctor(data: ServingCard) -> str:
    """Every answer, those that need a reader first."""
    if data.doctor_note:
        return section("doctor", "Doctor", f'<p class="doubt">{escape(data.doctor_note)}</p>')
    order = list(ANSWERS)
    rows = []
    for one in sorted(data.doctor, key=lambda one: order.index(one.status)):
        more = ""
        if one.status != "PASS":
            more = f'<br><span class="dim">why: {escape(one.reason)}</span>'
            more += _remedy(one.remedy or "")
        rows.append(
            (
                mark_as(*ANSWERS[one.status]), f"<b>{escape(one.check)}</b>",
                escape(one.evidence) + more,
            )
        )  # fmt: skip
    return section("doctor", "Doctor", data_table(("answer", "check", "evidence"), rows), len(rows))


def _remedy(text: str) -> str:
    """What to do; a long command line opens by itself only."""
    if len(text) <= LONGEST_REMEDY:
        return f"<br>do: {escape(text)}" if text else ""
    head = escape(text[:80])
    return f"<details><summary>do: {head} ...</summary><pre>{escape(text)}</pre></details>"


def incidents(data: ServingCard) -> str:
    """What went wrong, newest first."""
    rows = [
        (
            escape(stamp(row.incident.time)),
            escape(row.incident.instance),
            f"<b>{escape(row.incident.code)}</b> {escape(row.incident.message)}",
            escape(row.incident.action),
            "" if row.away_seconds is None else f"{row.away_seconds:.1f} s",
            f"<code>{escape(row.incident.id)}</code>",
        )
        for row in data.incidents
    ]
    heads = ("when", "instance", "what", "done", "away", "id")
    body = data_table(heads, rows) if rows else '<p class="dim">None was kept.</p>'
    body += "".join(
        f'<p class="doubt">cannot be read: {escape(one)}</p>' for one in data.unreadable
    )
    return section("incidents", "Incidents", body, len(rows))


def events(data: ServingCard) -> str:
    """The newest events, newest last."""
    rows = [
        (
            escape(moment(number_at(event, "time"))),
            escape(text_at(event, "instance") or data.name),
            escape(text_at(event, "event")),
            escape(event_details(event)),
        )
        for event in data.events
    ]
    body = data_table(("when", "instance", "kind", "what"), rows) if rows else "<p>None.</p>"
    return section("events", "Events", body, len(rows))
