"""The checks that only the gateway has: whether this release is the one that was measured."""

from __future__ import annotations

from launcher.engines.doctor_checks import Check, Outcome, Subject, ok, warn

TRIED = "1.108.7"
"""The release of `deploy/requirements/gateway.json`: its deviations are measured."""
_INSTALL = "ernie-deploy engine install gateway"


def version(subject: Subject) -> Outcome | None:
    """The release, and whether its deviations are known."""
    if subject.installed is None or subject.installed.release is None:
        return None
    release = subject.installed.release.version
    where = f"LiteLLM {release} ({subject.installed.python})"
    if release == TRIED:
        return ok(where)
    return warn(f"{where}; {TRIED} is the release that was measured", _INSTALL)


CHECKS = (
    Check("gateway-version", "the gateway is the release that was measured",
          "how a release translates is known by measuring it", version, "software"),
)  # fmt: skip
