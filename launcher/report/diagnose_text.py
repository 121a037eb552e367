"""`diagnose` and `explain` as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from launcher.result import Result

_WIDTH = 96


def diagnose(result: Result) -> str:
    """What the instance's state says; the rule, the line that shows it, what to do; what else."""
    data = result.data
    state = data.get("state")
    lines = _state_lines(state) if state else []
    if data["rule"]:
        lines += [f"{data['rule']}  {data['cause']}"]
    elif not state or data["first_errors"]:
        lines += [data["cause"]]
    else:
        lines += ["its logs name no cause" if result.exit_code else "its logs show nothing wrong"]
    if data["evidence"]:
        lines += ["", *_quote(data["evidence"])]
    if data["first_errors"]:
        lines += ["", "first errors in the logs that no rule knows:"]
        for error in data["first_errors"]:
            lines += _quote(error)
    if data.get("newest"):
        lines += ["", "newest lines of its logs:"]
        for line in data["newest"]:
            lines += _quote(line)
    if data["remedy"] and not (state and data["remedy"] == state["remedy"]):
        again = "starting again unchanged can help" if data["retry"] else "it will fail again"
        lines += ["", *_field("do", data["remedy"])]
        if data["kind"] in ("failure", "summary", "symptom"):
            lines += _field("again", again)
    if data["others"]:
        lines += ["", "also seen, later or less telling:"]
        for alternative in data["others"]:
            lines += [f"  {alternative['rule']}  {alternative['cause']}"]
            if alternative["evidence"]:
                lines += [f"      {_location(alternative['evidence'])}"]
    lines += [f"note: {note}" for note in data["notes"]]
    files = "1 file" if data["files"] == 1 else f"{data['files']} files"
    lines += ["", f"read {files}, {data['bytes'] / 1e6:.1f} MB, in {data['source']}"]
    if data["rule"]:
        lines += [f"more: ernie-deploy explain {data['rule']}"]
    return "\n".join(lines)


def _state_lines(state: Mapping[str, Any]) -> list[str]:
    lines = [state["message"]]
    if state["where"]:
        lines += [f"  {state['where']}"]
    if state["remedy"]:
        lines += _field("do", state["remedy"])
    return [*lines, ""]


def explain(result: Result) -> str:
    """One page, or the list of all."""
    if "page" not in result.data:
        return "\n".join(_index(result.data))
    page = result.data["page"]
    kind = page["kind"]
    if kind == "runbook":
        where = f"(This is {page['path']}. $NAME is the instance, $PROFILE its profile.)"
        return f"{page['text']}\n\n{where}"
    if kind == "exit-code":
        head = f"exit code {page['id']}: {page['title']}"
        return "\n".join([head, "", *_wrap(page["means"]), "", *_field("do", page["remedy"])])
    if kind == "error":
        exits = page["exit_codes"]
        codes = " or ".join(str(one["code"]) for one in exits)
        head = f"{page['id']}: an error of ernie-deploy, exit code {codes}"
        lines = [head, "", *_wrap(page["means"]), "", *_field("do", page["remedy"])]
        for one in exits:
            if one["when"]:
                lines += _field(f"exit {one['code']}", one["when"])
        return "\n".join(lines)
    if kind == "check":
        fast = "one of the fast checks that `up` runs first" if page["fast"] else "not run by `up`"
        head = f"{page['id']}: a check of `ernie-deploy doctor`, {fast}"
        return "\n".join([head, "", *_field("asks", page["title"]), *_field("why", page["means"])])
    return _rule(page)


_KINDS = {
    "failure": "a failure",
    "summary": "a summary line: the cause stands elsewhere",
    "warning": "a warning: the server runs, badly",
    "request": "one refused request; the server is well",
    "noise": "noise: harmless",
    "symptom": "a failure without a line of its own",
}


def _index(data: Mapping[str, Any]) -> Iterator[str]:
    for kind, pages in data.items():
        yield f"{kind.replace('_', ' ')}:"
        for page in pages:
            about = page.get("title") or page["cause"]
            yield f"  {page['id']:36} {textwrap.shorten(about, 80, placeholder=' ...')}"


def _rule(page: Mapping[str, Any]) -> str:
    releases = ", ".join(page["releases"]) or "any"
    engine = "any process" if page["engine"] == "common" else f"{page['engine']} {releases}"
    lines = [f"{page['id']}: {_KINDS[page['kind']]} ({engine})", "", *_wrap(page["cause"]), ""]
    lines += _field("do", page["remedy"])
    lines += _field("again", "starting again unchanged can help" if page["retry"] else "no use")
    lines += _field("when", page["phase"])
    lines += _field("where", page["where"])
    if page["exit_code"] is not None:
        lines += _field("exit", f"the server ends with {page['exit_code']}")
    if page["sample"]:
        lines += _field("looks so", page["sample"])
    if page["before"]:
        lines += _field("before", page["before"])
    lines += _field("known by", f"{page['evidence']}: {', '.join(page['origin'])}")
    return "\n".join(lines)


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _field(name: str, text: str) -> list[str]:
    head = f"{name + ':':10}"
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * 10,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _location(evidence: Mapping[str, Any]) -> str:
    return f"{evidence['file']}:{evidence['line']}" if evidence["line"] else str(evidence["file"])


def _quote(evidence: Mapping[str, Any]) -> list[str]:
    return [f"  {_location(evidence)}", f"    {evidence['text']}"]
