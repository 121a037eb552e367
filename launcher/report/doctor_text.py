"""`doctor` as text: the answers that need a reader first in words, the others in one line each."""

from __future__ import annotations

from launcher.report.payloads import DoctorReport
from launcher.result import Result


def doctor(result: Result[DoctorReport]) -> str:
    """One line a check; WARN, FAIL and UNKNOWN with why it matters and what to do."""
    lines = []
    for finding in result.payload.findings:
        status = finding.status
        lines.append(f"{status:7}  {finding.check:17}  {finding.evidence}")
        if status == "PASS":
            continue
        indent = " " * 28
        lines.append(f"{indent}why: {finding.reason}")
        if finding.remedy:
            lines.append(f"{indent}do:  {finding.remedy}")
    counts = result.payload.counts
    lines += ["", ", ".join(f"{number} {status}" for status, number in counts.items())]
    if counts["FAIL"]:
        lines.append("`ernie-deploy explain CHECK` says more; `up --force CHECK` starts anyway")
    return "\n".join(lines)
