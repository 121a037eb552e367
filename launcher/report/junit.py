"""A smoke run as JUnit XML, the form CI systems read.

fail = failure, inconclusive = error, could not check = skipped; a known deviation is skipped with
its name, because CI would otherwise be red for what the release cannot do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.report.escape import xml_attribute as _attr
from launcher.report.escape import xml_text as _text
from launcher.result import Result


def render(result: Result) -> str:
    """The XML document."""
    data = result.data
    checks = data["checks"]
    counts = data["counts"]
    target = data["target"]
    known = counts["known deviation"]
    differences = data["differences"]
    unknown = sum(not d["known"] for d in differences)
    total = len(checks) + len(differences)
    attributes = (
        f'name={_attr("smoke " + target["name"])} tests="{total}" '
        f'failures="{counts["fail"] - known + unknown}" errors="{counts["inconclusive"]}" '
        f'skipped="{counts["could not check"] + known + len(differences) - unknown}" '
        f'time="{data["seconds"]:.3f}"'
    )
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="ernie-deploy" tests="{total}">',
        f"<testsuite {attributes} timestamp={_attr(data['started'])}>",
        "<properties>",
        *(
            f"<property name={_attr(k)} value={_attr(str(target[k]))}/>"
            for k in ("url", "model", "engine", "release")
            if target[k] is not None
        ),
        "</properties>",
    ]
    for one in checks:
        lines += _case(one, target["name"])
    for difference in differences:
        lines += _difference(difference, target["name"])
    lines += ["</testsuite>", "</testsuites>"]
    return "\n".join(lines) + "\n"


def _case(one: Mapping[str, Any], target: str) -> list[str]:
    name = _attr(f"{one['name']} [{one['client']}]")
    head = (
        f'<testcase classname={_attr("smoke." + target)} name={name} time="{one["seconds"]:.3f}">'
    )
    body: list[str] = []
    message = _attr(one["message"])
    if one["deviations"]:
        said = "; ".join(f"{d['id']}: {d['title']} ({d['source']})" for d in one["deviations"])
        body = [f"<skipped message={_attr('known deviation ' + said)}/>"]
    elif one["verdict"] == "fail":
        kind = _attr(one["findings"][0]["code"] if one["findings"] else "fail")
        body = [f"<failure type={kind} message={message}>{_evidence(one)}</failure>"]
    elif one["verdict"] == "inconclusive":
        body = [f'<error type="inconclusive" message={message}>{_evidence(one)}</error>']
    elif one["verdict"] == "could not check":
        body = [f"<skipped message={message}/>"]
    if one["verdict"] == "pass":
        body = [f"<system-out>{_text(one['message'])}</system-out>"]
    return [head, *body, "</testcase>"]


def _difference(one: Mapping[str, Any], target: str) -> list[str]:
    """What the clients see differently fails a run, so a CI has to see it, too."""
    seen = ", ".join(f"{client}: {what}" for client, what in one["verdicts"].items())
    name = _attr(f"clients agree: {one['check']}")
    message = _attr(f"the clients differ: {seen}")
    body = (
        f"<skipped message={_attr('known deviation, ' + seen)}/>"
        if one["known"]
        else f'<failure type="clients-differ" message={message}>{_text(seen)}</failure>'
    )
    return [
        f'<testcase classname={_attr("smoke." + target)} name={name} time="0.000">',
        body,
        "</testcase>",
    ]


def _evidence(one: Mapping[str, Any]) -> str:
    lines = [f"{one['purpose']}"]
    lines += [
        f"expected {f['expected']}\ngot      {f['got']} [{f['code']}]" for f in one["findings"]
    ]
    for exchange in one["evidence"][-4:]:
        status, answer = exchange["status"], exchange["response"] or exchange["events"]
        came = f"no answer: {exchange['error']}" if status is None else f"HTTP {status}"
        lines.append(f"{exchange['method']} {exchange['url']} -> {came}")
        if exchange["request"] is not None:
            lines.append(f"  request  {str(exchange['request'])[:600]}")
        if answer:
            lines.append(f"  response {str(answer)[:600]}")
    return _text("\n".join(lines))
