"""`diagnose` and `explain` as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from launcher.diagnose import Evidence
from launcher.diagnose.diagnosis import LogDiagnosis
from launcher.diagnose.pages import (
    CheckPage,
    ErrorPage,
    ExitCodePage,
    Explanation,
    PageIndex,
    RulePage,
    RunbookPage,
)
from launcher.instance.first_cause import InstanceDiagnosis, Report
from launcher.result import Result

_WIDTH = 96


def diagnose(result: Result[LogDiagnosis]) -> str:
    """What the instance's state says; the rule, the line that shows it, what to do; what else."""
    data = result.payload
    diagnosis = data.diagnosis
    state = data.state if isinstance(data, InstanceDiagnosis) else None
    newest = data.newest_lines if isinstance(data, InstanceDiagnosis) else None
    lines = _state_lines(state) if state else []
    if diagnosis.rule_id:
        lines += [f"{diagnosis.rule_id}  {diagnosis.cause}"]
    elif not state or diagnosis.first_errors:
        lines += [diagnosis.cause]
    else:
        lines += ["its logs name no cause" if result.exit_code else "its logs show nothing wrong"]
    if diagnosis.evidence:
        lines += ["", *_quote(diagnosis.evidence)]
    if diagnosis.first_errors:
        lines += ["", "first errors in the logs that no rule knows:"]
        for error in diagnosis.first_errors:
            lines += _quote(error)
    if newest:
        lines += ["", "newest lines of its logs:"]
        for line in newest:
            lines += _quote(line)
    if diagnosis.remedy and not (state and diagnosis.remedy == state.remedy):
        again = "starting again unchanged can help" if diagnosis.retry else "it will fail again"
        lines += ["", *_field("do", diagnosis.remedy)]
        if diagnosis.kind in ("failure", "summary", "symptom"):
            lines += _field("again", again)
    if diagnosis.alternatives:
        lines += ["", "also seen, later or less telling:"]
        for alternative in diagnosis.alternatives:
            lines += [f"  {alternative.rule_id}  {alternative.cause}"]
            if alternative.evidence:
                lines += [f"      {_location(alternative.evidence)}"]
    lines += [f"note: {note}" for note in diagnosis.notes]
    files = "1 file" if diagnosis.files == 1 else f"{diagnosis.files} files"
    lines += ["", f"read {files}, {diagnosis.size / 1e6:.1f} MB, in {data.source}"]
    if diagnosis.rule_id:
        lines += [f"more: ernie-deploy explain {diagnosis.rule_id}"]
    return "\n".join(lines)


def _state_lines(state: Report) -> list[str]:
    lines = [state.message]
    if state.where:
        lines += [f"  {state.where}"]
    if state.remedy:
        lines += _field("do", state.remedy)
    return [*lines, ""]


def explain(result: Result[Explanation | PageIndex]) -> str:
    """One page, or the list of all."""
    data = result.payload
    if isinstance(data, PageIndex):
        return "\n".join(_index(data))
    page = data.page
    if isinstance(page, RunbookPage):
        where = f"(This is {page.path}. $NAME is the instance, $PROFILE its profile.)"
        return f"{page.text}\n\n{where}"
    if isinstance(page, ExitCodePage):
        head = f"exit code {page.id}: {page.title}"
        return "\n".join([head, "", *_wrap(page.meaning), "", *_field("do", page.remedy)])
    if isinstance(page, ErrorPage):
        codes = " or ".join(str(one.code) for one in page.exit_codes)
        head = f"{page.id}: an error of ernie-deploy, exit code {codes}"
        lines = [head, "", *_wrap(page.meaning), "", *_field("do", page.remedy)]
        for one in page.exit_codes:
            if one.condition:
                lines += _field(f"exit {one.code}", one.condition)
        return "\n".join(lines)
    if isinstance(page, CheckPage):
        fast = "one of the fast checks that `up` runs first" if page.fast else "not run by `up`"
        head = f"{page.id}: a check of `ernie-deploy doctor`, {fast}"
        return "\n".join([head, "", *_field("asks", page.title), *_field("why", page.meaning)])
    return _rule(page)


_KINDS = {
    "failure": "a failure",
    "summary": "a summary line: the cause stands elsewhere",
    "warning": "a warning: the server runs, badly",
    "request": "one refused request; the server is well",
    "noise": "noise: harmless",
    "symptom": "a failure without a line of its own",
}


def _index(index: PageIndex) -> Iterator[str]:
    for kind, pages in index.kinds().items():
        yield f"{kind}:"
        for page in pages:
            yield f"  {page.id:36} {textwrap.shorten(page.about, 80, placeholder=' ...')}"


def _rule(page: RulePage) -> str:
    releases = ", ".join(page.releases) or "any"
    engine = "any process" if page.engine == "common" else f"{page.engine} {releases}"
    lines = [f"{page.id}: {_KINDS[page.kind]} ({engine})", "", *_wrap(page.cause), ""]
    lines += _field("do", page.remedy)
    lines += _field("again", "starting again unchanged can help" if page.retry else "no use")
    lines += _field("when", page.phase)
    lines += _field("where", page.where)
    if page.exit_code is not None:
        lines += _field("exit", f"the server ends with {page.exit_code}")
    if page.sample:
        lines += _field("looks so", page.sample)
    if page.before:
        lines += _field("before", page.before)
    lines += _field("known by", f"{page.evidence}: {', '.join(page.origin)}")
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


def _location(evidence: Evidence) -> str:
    return f"{evidence.file}:{evidence.line}" if evidence.line else evidence.file


def _quote(evidence: Evidence) -> list[str]:
    return [f"  {_location(evidence)}", f"    {evidence.text}"]
